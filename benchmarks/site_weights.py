"""What the pages of the site weigh, with everything that they load, and the site as a whole.

    make site && python benchmarks/site_weights.py      writes benchmarks/site.csv

The limits, which a test holds, are 700 kB a page and 20 MB for the site.
"""

import sys
from pathlib import Path
from urllib.parse import unquote, urlparse

from playwright.sync_api import Browser, sync_playwright

from zoology_teach.doctor import find_browser
from zoology_teach.files import replace

ROOT = Path(__file__).parents[1]
FLAGS = ["--no-sandbox", "--disable-gpu"]


def weight(browser: Browser, page: Path) -> int:
    """Bytes of a page and of all files that Chromium asks for when it opens it."""
    files: set[str] = set()
    tab = browser.new_page(viewport={"width": 1400, "height": 1000})
    tab.on("request", lambda request: files.add(request.url))
    tab.goto(page.as_uri())
    tab.close()
    asked = (urlparse(url) for url in files)
    paths = {Path(unquote(url.path)) for url in asked if url.scheme == "file"}
    return sum(path.stat().st_size for path in paths)


def main() -> None:
    """Weigh the site that `make site` has built."""
    site = ROOT / "build" / "site"
    if not site.exists():
        sys.exit(f"{site}: not there; to make it: make site")
    pages = sorted(page for page in site.rglob("*.html") if page.parent != site)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_browser(), args=FLAGS)
        weights = {page.relative_to(site).as_posix(): weight(browser, page) for page in pages}
        browser.close()
    whole = sum(path.stat().st_size for path in site.rglob("*") if path.is_file())
    lines = [f"{page},{size // 1000}" for page, size in {"all": whole, **weights}.items()]
    replace(ROOT / "benchmarks" / "site.csv", "\n".join(["page,kB", *lines, ""]))
    print(f"{whole / 1e6:.1f} MB; the heaviest page {max(weights.values()) / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
