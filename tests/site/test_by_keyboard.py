"""Somebody without a mouse, and somebody who does not see the page."""

from pathlib import Path

import axe_playwright_python
import pytest

from tests.site.visits import SETTLED

AXE = Path(axe_playwright_python.__file__).with_name("axe.min.js").read_text()
# What a screen reader needs of headings, tables, labels, pictures and landmarks.
LOOK = """async () => {
    const found = await axe.run(document, {
        runOnly: ["wcag2a", "wcag2aa", "best-practice"], resultTypes: ["violations"],
        rules: {"color-contrast": {enabled: CONTRAST}, region: {enabled: false}},
    });
    const first = (nodes) => nodes.slice(0, 3).map((node) => node.html.slice(0, 160)).join(" | ");
    return found.violations.map(({ id, nodes }) => `${id}: ${first(nodes)}`);
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


def found_by_axe(tab, address: str, *, contrast: bool = False) -> list[str]:
    tab.goto(address)
    tab.evaluate(AXE)
    return tab.evaluate(LOOK.replace("CONTRAST", str(contrast).lower()))


def test_axe_finds_nothing(tab, site, pages):
    others = ["api/recall.html", "bibliography.html", "exercises/02_write_the_task.html"]
    looked_at = [page for page in pages if page.startswith("book/")] + others
    found = {page: found_by_axe(tab, (site / page).as_uri()) for page in looked_at}
    assert {page: violations for page, violations in found.items() if violations} == {}


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_stands_out_from_what_is_behind_it(tab, site, theme):
    tab.emulate_media(color_scheme=theme)
    pages = ["book/03_look_anywhere", "book/06_turn_the_width_knob", "book/index"]
    for page in [*pages, "exercises/02_write_the_task"]:
        address = (site / f"{page}.html").as_uri()
        assert found_by_axe(tab, address, contrast=True) == [], page


def test_folded_code_is_called_by_its_caption(tab, site):
    tab.goto((site / "book" / "06_turn_the_width_knob.html").as_uri())
    tree = tab.locator("details.hide summary").first.aria_snapshot()
    assert "Ask: a curve to draw, and two questions" in tree and "Toggle" not in tree


def test_a_guess_is_kept_and_stands_beside_the_result(tab, site):
    tab.goto((site / "book" / "06_turn_the_width_knob.html").as_uri())
    tab.wait_for_function(SETTLED)
    question = "how wide must it be to reach the same again?"
    asked, revealed = tab.locator(".widget", has_text=question).all()
    assert "none yet" in revealed.inner_text()
    asked.get_by_text("96", exact=True).click()
    assert "is kept in this browser" in asked.inner_text()
    tab.reload()
    tab.wait_for_function(SETTLED)
    shown = tab.locator(".widget", has_text=question).last.inner_text()
    assert "96" in shown.split("The result")[0]


def test_every_widget_answers_the_keyboard(tab, site, pages):
    silent, asked = [], 0
    for page in pages:
        if 'class="widget"' not in (site / page).read_text():
            continue
        tab.goto((site / page).as_uri())
        tab.wait_for_function(SETTLED)
        for widget in tab.locator(".widget").all():
            for selector, keys in KEYS.items():
                control = widget.locator(selector).first
                if control.count():
                    asked += 1
                    if not answers(tab, widget, control, keys):
                        silent.append(f"{page}: {selector}")
    assert asked > 0
    assert silent == []


def answers(tab, widget, control, keys) -> bool:
    """Whether what the widget says changes with a key."""
    before = widget.evaluate(SAID)
    for key in keys:
        control.press(key)
        tab.wait_for_timeout(50)
        if widget.evaluate(SAID) != before:
            return True
    return False


@pytest.mark.parametrize("by", ["file", "http"])
def test_search_finds_what_the_book_says(tab, site, served, by):
    tab.goto(f"{site.as_uri() if by == 'file' else served}/book/00_start_here.html")
    box = tab.locator("input[name=q]").first
    box.fill("autocorrelation")
    box.press("Enter")
    found = tab.locator("#search-results li a", has_text="Filters that know the input")
    found.first.wait_for()  # the results come one after another
