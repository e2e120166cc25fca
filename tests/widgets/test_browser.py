"""The real figure in a real JupyterLab in a real browser: keys move it, a run becomes a star."""

import os
import re
import shutil
import time
from pathlib import Path

import pytest

from tests.widgets.lab import ROOT, jupyter_lab

NOTEBOOK = "book/06_turn_the_width_knob.ipynb"
ANSWER_SECONDS = 0.3
FIGURE = "svg[role=group][aria-label^=Width]"


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A copy of the book: JupyterLab saves by itself."""
    copy = tmp_path_factory.mktemp("copy")
    shutil.copytree(ROOT / "book", copy / "book")
    return copy


@pytest.fixture(scope="module")
def lab(root, tmp_path_factory):
    """JupyterLab as `make lab` starts it, with an empty home; its address."""
    with jupyter_lab(root, tmp_path_factory.mktemp("home")) as address:
        yield address


@pytest.fixture(scope="module")
def page(lab, browser):
    """Chapter 06, open in the browser, every cell run."""
    page = browser.new_page(viewport={"width": 1400, "height": 1000})
    page.set_default_timeout(240_000)
    page.goto(f"{lab}/lab/tree/{NOTEBOOK}")
    page.wait_for_function("() => window.jupyterapp?.shell?.currentWidget?.sessionContext")
    page.evaluate(
        """async () => {
            const app = window.jupyterapp;
            const session = app.shell.currentWidget.sessionContext;
            await session.ready;
            await session.session.kernel.info;
            await app.commands.execute("notebook:run-all-cells");
        }"""
    )
    page.wait_for_function(
        "() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.status "
        "=== 'idle'"
    )
    yield page
    page.close()


def label(page) -> str:
    return page.locator(FIGURE).first.get_attribute("aria-label")


def test_arrow_keys_move_the_figure_and_its_words(page):
    page.locator(FIGURE).first.wait_for()
    pairs = page.get_by_label("pairs K").first
    pairs.scroll_into_view_if_needed()
    seen = [label(page)]
    for key, chosen in (("ArrowRight", 16), ("ArrowLeft", 8), ("Home", 2), ("End", 16)):
        page.evaluate(_WATCH)
        pairs.press(key)
        page.wait_for_function("() => window.answeredAfter !== null")
        assert page.evaluate("() => window.answeredAfter") < 1000 * ANSWER_SECONDS
        assert label(page).startswith(f"Width 64, {chosen} pairs in 64 tokens")
        seen.append(label(page))
    assert len(set(seen)) == 3 and seen[0] == seen[2] and seen[1] == seen[4]
    pairs.press("ArrowLeft")


# From the key to the new words, measured in the page itself.
_WATCH = f"""() => {{
    const figure = document.querySelector("{FIGURE}");
    const before = figure.getAttribute("aria-label"); // a redraw alone is no answer
    window.answeredAfter = null;
    let pressed = null;
    document.addEventListener("keydown", () => (pressed = performance.now()),
                              {{ capture: true, once: true }});
    const observer = new MutationObserver(() => {{
        if (figure.getAttribute("aria-label") === before) return;
        window.answeredAfter = performance.now() - pressed;
        observer.disconnect();
    }});
    observer.observe(figure, {{ attributes: true, attributeFilter: ["aria-label"] }});
}}"""


def test_controls_and_pictures_have_words(page):
    for name in ("pairs K", "sequence length N", "model width d"):
        assert page.get_by_label(name).first.get_attribute("type") == "range"
    images = page.locator(".jp-OutputArea-output img")
    alts = [images.nth(i).get_attribute("alt") for i in range(images.count())]
    visible = [alt for i, alt in enumerate(alts) if images.nth(i).is_visible()]
    assert visible and all(alt and len(alt) > 20 for alt in visible), alts


@pytest.mark.parametrize("theme", ["Dark", "Light"])
def test_words_follow_the_theme(page, theme):
    command = f"apputils:change-theme', {{theme: 'JupyterLab {theme}'}}"
    page.evaluate(f"() => window.jupyterapp.commands.execute('{command})")
    page.wait_for_function(
        f"document.body.dataset.jpThemeLight === '{str(theme == 'Light').lower()}'"
    )
    text = page.locator(f"{FIGURE} text").first
    ink = text.evaluate("e => getComputedStyle(e).fill")
    light = [float(x) for x in re.findall(r"[\d.]+", ink)[:3]]
    assert (sum(light) > 3 * 128) == (theme == "Dark"), ink
    if folder := os.environ.get("SCREENSHOTS"):
        page.wait_for_timeout(1500)
        page.screenshot(path=Path(folder) / f"06-{theme}.png")


def test_a_live_run_reports_stops_and_becomes_a_star(page):
    train = page.get_by_role("button", name="Train this one live")
    train.scroll_into_view_if_needed()
    train.click()
    status = page.get_by_role("status").filter(has_text="BaseConv, d = 64, N = 64")
    page.get_by_text("loss").filter(has_text="BaseConv, d = 64, N = 64").first.wait_for()
    page.get_by_role("button", name="Stop").click()
    page.locator(f"{FIGURE} [aria-label^='Your run: BaseConv, d = 64']").first.wait_for(
        state="attached"
    )
    assert "of 500 steps" in status.first.inner_text() and train.is_enabled()


def test_saving_leaves_the_hand_written_source_alone(page, root):
    saved = (root / NOTEBOOK).stat().st_mtime_ns
    page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")
    deadline = time.monotonic() + 20
    while (root / NOTEBOOK).stat().st_mtime_ns == saved:
        assert time.monotonic() < deadline, "nothing was saved"
        time.sleep(0.1)
    source = Path(NOTEBOOK).with_suffix(".md")
    assert (root / source).read_text() == (ROOT / source).read_text()
