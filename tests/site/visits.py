"""What Chromium sees of a page, on a desk in the light and on a telephone in the dark."""

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlparse

from playwright.sync_api import ConsoleMessage, Error, Page, Request

FLAGS = [
    *("--no-sandbox --disable-gpu --no-first-run --disable-background-networking").split(),
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]
LOOK = """() => {
    const all = (selector) => [...document.querySelectorAll(selector)];
    return {
        background: getComputedStyle(document.body).backgroundColor,
        sideways: document.documentElement.scrollWidth - innerWidth,
        formulas: all(".math").length,
        whole_formulas: all(".math:has(.katex-html):has(math)").length,
        bare_pictures: all("img").filter((i) => !i.alt || !i.naturalWidth).map((i) => i.src),
        squeezed: all("img").filter((i) => {
            const shape = i.width / i.height, own = i.naturalWidth / i.naturalHeight;
            return i.width && Math.abs(shape / own - 1) > 0.02;
        }).map((i) => i.src),
        widgets: all(".widget").length,
        alive: all(".widget > .live").length,
    };
}"""
SETTLED = "() => [...document.querySelectorAll('.widget')].every((w) => w.dataset.state)"


@dataclass
class Visit:
    """A page as it was found: what it asked for, what it complained of, how it looks."""

    loaded: set[str] = field(default_factory=set)
    elsewhere: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    desk: dict[str, Any] = field(default_factory=dict)
    phone: dict[str, Any] = field(default_factory=dict)


def visit(tab: Page, address: str, page: str) -> Visit:
    """Open a page of the site at `address` and look at it twice."""
    found = Visit()

    def asked(request: Request) -> None:
        if request.url.startswith(address):
            found.loaded.add(unquote(urlparse(request.url.removeprefix(f"{address}/")).path))
        elif not request.url.startswith(("data:", "blob:")):
            found.elsewhere.append(request.url)

    def said(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            found.complaints.append(message.text)

    def failed(error: Error) -> None:
        found.complaints.append(error.message)

    heard = {"request": asked, "console": said, "pageerror": failed}
    for event, listener in heard.items():
        tab.on(event, listener)
    tab.set_viewport_size({"width": 1400, "height": 1000})
    tab.emulate_media(color_scheme="light")
    tab.goto(f"{address}/{page}")
    tab.wait_for_function(SETTLED)
    found.desk = tab.evaluate(LOOK)
    tab.set_viewport_size({"width": 390, "height": 844})
    tab.emulate_media(color_scheme="dark")
    found.phone = tab.evaluate(LOOK)
    for event, listener in heard.items():
        tab.remove_listener(event, listener)
    return found
