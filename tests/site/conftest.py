"""The site, built once, and what Chromium sees of each of its pages from file:// and over http."""

import http.server
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path

import pytest

from tests.site.visits import FLAGS, Visit, visit

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def site(tmp_path_factory, chromium) -> Path:
    """The folder that `make site` makes."""
    out = tmp_path_factory.mktemp("build")
    command = [sys.executable, ROOT / "site" / "build.py", "html", "--out", out]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return out / "site"


@pytest.fixture(scope="session")
def pages(site) -> list[str]:
    """The path of every page."""
    return sorted(path.relative_to(site).as_posix() for path in site.rglob("*.html"))


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture(scope="session")
def served(site):
    """The address of the same site over http."""
    handler = partial(Quiet, directory=site)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="session")
def browser(playwright, chromium):
    """Chromium, to which no host but this one exists."""
    browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
    yield browser
    browser.close()


@pytest.fixture(scope="session", params=["file", "http"])
def visits(request, browser, site, served, pages) -> dict[str, Visit]:
    """Each page as it was found, by its path."""
    address = site.as_uri() if request.param == "file" else served
    with browser.new_context() as context:
        tab = context.new_page()
        return {page: visit(tab, address, page) for page in pages if page != "index.html"}
