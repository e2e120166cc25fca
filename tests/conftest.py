import os
from pathlib import Path

import pytest
import torch

from zoology_teach.doctor import find_browser

# Kernels run interpreted where no GPU is. Triton reads this once, when it is first imported,
# so it stands before anything that might import it.
if not torch.cuda.is_available():
    os.environ.setdefault("TRITON_INTERPRET", "1")

# What `make quick` leaves out: by folder or file, or by the fixture that a test asks for.
TESTS = Path(__file__).parent
MARKED = {
    "kernel": "kernels mixers/test_mixers_in_triton.py",
    "training": "training experiments",
    "browser": "site",
    "sandbox": (
        "grading/test_worker.py grading/test_grade.py grading/test_corpus.py "
        "grading/test_nbgrader.py grading/test_teaching.py"
    ),
}
FIXTURES = {"chromium": "browser", "sandbox_kind": "sandbox"}


def pytest_collection_modifyitems(items):
    marks = {TESTS / place: mark for mark, places in MARKED.items() for place in places.split()}
    gone = [str(place) for place in marks if not place.exists()]
    if gone:
        raise pytest.UsageError(f"tests/conftest.py marks what is not there: {', '.join(gone)}")
    for item in items:
        for place in (item.path, *item.path.parents):
            if place in marks:
                item.add_marker(marks[place])
        for fixture in FIXTURES.keys() & set(getattr(item, "fixturenames", ())):
            item.add_marker(FIXTURES[fixture])


@pytest.fixture(scope="session")
def playwright(chromium):
    """What starts browsers: one for all tests, for a second one is refused beside it."""
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as started:
        yield started


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of a browser. Without one the test is skipped, or fails where one is required."""
    path = find_browser()
    if path is None and os.environ.get("ZOOLOGY_TEACH_REQUIRE_BROWSER"):
        pytest.fail("ZOOLOGY_TEACH_REQUIRE_BROWSER is set, but there is no Chromium")
    if path is None:
        pytest.skip("no Chromium: apt-get install chromium")
    return path
