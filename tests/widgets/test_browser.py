"""The real slider in a real JupyterLab in a real browser: keys move it, the picture changes."""

import shutil
import time
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

from tests.widgets.lab import FLAGS, ROOT, jupyter_lab

NOTEBOOK = "book/06_turn_the_width_knob.ipynb"
ANSWER_SECONDS = 0.3
PICTURE = ".widget-vbox img[alt^='Width']"


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
def page(lab, chromium):
    """Chapter 06, open in the browser, every cell run."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        page.goto(f"{lab}/lab/tree/{NOTEBOOK}")
        page.wait_for_function("() => window.jupyterapp?.shell?.currentWidget?.sessionContext")
        page.set_default_timeout(120_000)
        page.evaluate(
            """async () => {
                const app = window.jupyterapp;
                const session = app.shell.currentWidget.sessionContext;
                await session.ready;
                await session.session.kernel.info;
                await app.commands.execute("notebook:run-all-cells");
            }"""
        )
        yield page
        browser.close()


def test_arrow_keys_move_the_width_and_the_picture_follows(page):
    picture = page.locator(PICTURE)
    picture.wait_for()
    handle = page.locator(".widget-slider .noUi-handle").first
    handle.scroll_into_view_if_needed()
    seen = [(picture.get_attribute("alt"), picture.get_attribute("src"))]
    for key, width in (("ArrowRight", 32), ("ArrowRight", 64), ("End", 128), ("Home", 16)):
        page.evaluate(_WATCH)
        handle.press(key)
        page.wait_for_function("() => window.answeredAfter !== null")
        assert page.evaluate("() => window.answeredAfter") < 1000 * ANSWER_SECONDS
        assert picture.get_attribute("alt").startswith(f"Width {width}, 32 tokens")
        seen.append((picture.get_attribute("alt"), picture.get_attribute("src")))
    assert len({src for _, src in seen}) == 4, "four widths, four pictures"
    assert seen[0] == seen[-1], "back at the start"


# From the key to the new picture, measured in the page itself.
_WATCH = f"""() => {{
    const image = document.querySelector("{PICTURE}");
    window.answeredAfter = null;
    let pressed = null;
    document.addEventListener("keydown", () => (pressed = performance.now()),
                              {{ capture: true, once: true }});
    const observer = new MutationObserver(() => {{
        window.answeredAfter = performance.now() - pressed;
        observer.disconnect();
    }});
    observer.observe(image, {{ attributes: true, attributeFilter: ["src"] }});
}}"""


def test_controls_and_pictures_have_words(page):
    labels = page.locator(".widget-slider .widget-label").all_text_contents()
    assert labels[:2] == ["model width", "sequence length"]
    images = page.locator(".jp-OutputArea-output img")
    alts = [images.nth(i).get_attribute("alt") for i in range(images.count())]
    visible = [alt for i, alt in enumerate(alts) if images.nth(i).is_visible()]
    assert len(visible) >= 3 and all(alt and len(alt) > 20 for alt in visible), alts


def test_a_live_run_starts_reports_and_stops(page):
    train = page.get_by_role("button", name="Train this one live")
    stop = page.get_by_role("button", name="Stop")
    train.click()
    page.wait_for_function(
        "() => [...document.querySelectorAll('.widget-html')]"
        ".some(e => /BaseConv, d = 16, N = 32: loss/.test(e.textContent))"
    )
    stop.click()
    finished = page.locator(".widget-html", has_text="accuracy")
    finished.wait_for(timeout=30_000)
    assert "of 500 steps" in finished.inner_text()
    assert train.is_enabled()


def test_saving_leaves_the_hand_written_source_alone(page, root):
    saved = (root / NOTEBOOK).stat().st_mtime_ns
    page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")
    deadline = time.monotonic() + 20
    while (root / NOTEBOOK).stat().st_mtime_ns == saved:
        assert time.monotonic() < deadline, "nothing was saved"
        time.sleep(0.1)
    source = Path(NOTEBOOK).with_suffix(".md")
    assert (root / source).read_text() == (ROOT / source).read_text()
