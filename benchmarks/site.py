"""What a page of the site weighs with everything that it loads, seen by Chromium.

    make site && python benchmarks/site.py      writes benchmarks/site.csv

The limits are 700 kB a page and 20 MB for the site.
"""

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

from playwright.sync_api import BrowserContext, Request, sync_playwright

from zoology_teach.doctor import find_browser
from zoology_teach.files import replace

ROOT = Path(__file__).parents[1]
FLAGS = (
    "--no-sandbox --disable-gpu --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --host-resolver-rules=MAP|*|~NOTFOUND,EXCLUDE|127.0.0.1"
).split()
FLAGS = [flag.replace("|", " ") for flag in FLAGS]

# What a reader would notice, by width and theme.
LOOK = """() => {
    const all = (selector) => [...document.querySelectorAll(selector)];
    return {
        background: getComputedStyle(document.body).backgroundColor,
        sideways: document.documentElement.scrollWidth - innerWidth,
        formulas: all(".math").length,
        whole_formulas: all(".math:has(.katex-html):has(math)").length,
        bare_pictures: all("img").filter((i) => !i.alt || !i.naturalWidth).map((i) => i.src),
        widgets: all(".widget").length,
        alive: all(".widget").filter((w) => w.querySelector(":scope > div:not(.still)")).length,
    };
}"""


@dataclass
class Visit:
    """A page as it was found: what it asked for, what it complained of, how it looks."""

    loaded: dict[str, int] = field(default_factory=dict)
    elsewhere: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    desk: dict[str, Any] = field(default_factory=dict)
    phone: dict[str, Any] = field(default_factory=dict)

    @property
    def weight(self) -> int:
        """Bytes of the page and of everything that it loaded."""
        return sum(self.loaded.values())


def visit(context: BrowserContext, address: str, page: str, root: Path | None = None) -> Visit:
    """Open a page, on a desk in the light and on a telephone in the dark."""
    found, tab = Visit(), context.new_page()

    def asked(request: Request) -> None:
        if request.url.startswith(address):
            path = unquote(urlparse(request.url.removeprefix(address)).path)
            found.loaded[path] = (root / path.lstrip("/")).stat().st_size if root else 0
        elif not request.url.startswith(("data:", "blob:")):
            found.elsewhere.append(request.url)

    tab.on("request", asked)
    tab.on("console", lambda m: m.type in ("error", "warning") and found.complaints.append(m.text))
    tab.on("pageerror", lambda error: found.complaints.append(str(error)))
    tab.emulate_media(color_scheme="light")
    tab.goto(f"{address}/{page}", wait_until="load")
    tab.evaluate("() => new Promise((done) => setTimeout(done, 100))")
    found.desk = tab.evaluate(LOOK)
    tab.set_viewport_size({"width": 390, "height": 844})
    tab.emulate_media(color_scheme="dark")
    found.phone = tab.evaluate(LOOK)
    tab.close()
    return found


def main() -> None:
    """Weigh the site that `make site` has built."""
    site = ROOT / "build" / "site"
    if not site.exists():
        sys.exit(f"{site}: not there; to make it: make site")
    pages = sorted(path.relative_to(site).as_posix() for path in site.rglob("*.html"))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_browser(), args=FLAGS)
        with browser.new_context(viewport={"width": 1400, "height": 1000}) as context:
            weights = {page: visit(context, site.as_uri(), page, site).weight for page in pages}
        browser.close()
    whole = sum(path.stat().st_size for path in site.rglob("*") if path.is_file())
    rows = [("page", "kB"), ("the whole site", whole // 1000)]
    rows += [(page, bytes // 1000) for page, bytes in weights.items()]
    replace(ROOT / "benchmarks" / "site.csv", "".join(f"{page},{kb}\n" for page, kb in rows))
    print(f"{whole / 1e6:.1f} MB; heaviest page {max(weights.values()) / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
