import os

import pytest

from zoology_teach.doctor import find_browser


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of a browser. Without one the test is skipped, or fails where one is required."""
    path = find_browser()
    if path is None and os.environ.get("ZOOLOGY_TEACH_REQUIRE_BROWSER"):
        pytest.fail("ZOOLOGY_TEACH_REQUIRE_BROWSER is set, but there is no Chromium")
    if path is None:
        pytest.skip("no Chromium: apt-get install chromium")
    return path
