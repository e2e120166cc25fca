"""Somebody without a mouse, and somebody who does not see the page."""

from pathlib import Path

import pytest

axe = pytest.importorskip(
    "axe_playwright_python", reason="axe is not installed: pip install axe-playwright-python"
)
AXE = Path(axe.__file__).with_name("axe.min.js").read_text()
# What a screen reader needs of headings, tables, labels, pictures and landmarks.
LOOK = """async () => {
    const found = await axe.run(document, {
        runOnly: ["wcag2a", "wcag2aa", "best-practice"], resultTypes: ["violations"],
    });
    return found.violations.map(
        ({ id, nodes }) => `${id}: ${nodes.slice(0, 3).map((n) => n.html.slice(0, 160)).join(" | ")}`);
}"""
KEYS = {
    "input[type=range]": ["End", "Home"],
    "select": ["End", "Home"],
    "[role=slider]": ["End", "Home"],
    "input[type=radio]": ["Space"],
    "input[type=number]": ["1", "Tab"],
}
SAID = """(widget) => widget.innerText + [...widget.querySelectorAll("[aria-label]")]
    .map((node) => node.getAttribute("aria-label")).join() + widget.innerHTML.length"""


@pytest.fixture
def tab(browser):
    with browser.new_context(viewport={"width": 1400, "height": 1000}) as context:
        yield context.new_page()


def test_axe_finds_nothing(tab, site, pages):
    found = {}
    for page in pages:
        if page == "index.html" or page.startswith("api/"):
            continue
        tab.goto((site / page).as_uri())
        tab.evaluate(AXE)
        if violations := tab.evaluate(LOOK):
            found[page] = violations
    assert found == {}


def test_every_widget_answers_the_keyboard(tab, site, pages):
    silent, asked = [], 0
    for page in pages:
        if 'class="widget"' not in (site / page).read_text():
            continue
        tab.goto((site / page).as_uri())
        tab.wait_for_function(
            "() => [...document.querySelectorAll('.widget')].every(w => w.lastElementChild.tagName !== 'SCRIPT')"
        )
        for widget in tab.locator(".widget").all():
            for selector, keys in KEYS.items():
                control = widget.locator(selector).first
                if not control.count():
                    continue
                asked += 1
                before = widget.evaluate(SAID)
                for key in keys:
                    control.press(key)
                    tab.wait_for_timeout(50)
                    if widget.evaluate(SAID) != before:
                        break
                else:
                    silent.append(f"{page}: {selector}")
    assert asked > 0
    assert silent == []


@pytest.mark.parametrize("by", ["file", "http"])
def test_search_finds_what_the_book_says(tab, site, served, by):
    tab.goto(f"{site.as_uri() if by == 'file' else served}/book/00_start_here.html")
    box = tab.locator("input[name=q]").first
    box.fill("autocorrelation")
    box.press("Enter")
    results = tab.locator("#search-results li a")
    results.first.wait_for()
    assert any("Filters that know the input" in text for text in results.all_text_contents())
