import os

import pytest
import torch

from zoology_teach.doctor import find_browser

# Kernels run interpreted where no GPU is. Triton reads this once, when it is first imported,
# so it stands before anything that might import it.
if not torch.cuda.is_available():
    os.environ.setdefault("TRITON_INTERPRET", "1")


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of a browser. Without one the test is skipped, or fails where one is required."""
    path = find_browser()
    if path is None and os.environ.get("ZOOLOGY_TEACH_REQUIRE_BROWSER"):
        pytest.fail("ZOOLOGY_TEACH_REQUIRE_BROWSER is set, but there is no Chromium")
    if path is None:
        pytest.skip("no Chromium: apt-get install chromium")
    return path
