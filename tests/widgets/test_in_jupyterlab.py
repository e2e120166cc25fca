"""Widgets in JupyterLab: before a cell of the book has run, and with a kernel."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from tests.widgets.answers import TIMED
from tests.widgets.lab import ROOT, jupyter_lab
from zoology_teach.chapters import trust

CHAPTERS = ["03_look_anywhere", "07_memory_is_a_budget"]
ANSWER_SECONDS = 0.2
# Of JupyterLab itself, offline and without an account.
KNOWN = ("favicon", "lsp", "api/me", "WebGL", "terminals", "ResizeObserver")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with book/ and an empty home."""
    place = tmp_path_factory.mktemp("place")
    (place / "book").mkdir()
    (place / "home").mkdir()
    for chapter in CHAPTERS:
        for suffix in (".md", ".ipynb"):
            shutil.copy(ROOT / "book" / f"{chapter}{suffix}", place / "book")
    return place


def test_only_notebooks_of_the_book_are_trusted(place, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("JUPYTER_DATA_DIR", raising=False)
    book = tmp_path / "book"
    shutil.copytree(place / "book", book)
    for stem in CHAPTERS:
        shutil.copy(book / f"{stem}.ipynb", book / f"handed_in_{stem}.ipynb")
    changed = nbformat.read(book / f"{CHAPTERS[1]}.ipynb", as_version=4)
    changed.cells[-1].source += "more"
    nbformat.write(changed, book / f"{CHAPTERS[1]}.ipynb")
    (book / "broken.ipynb").write_text("no notebook")
    (book / "broken.md").write_text("text")
    assert trust(book) == [book / f"{CHAPTERS[0]}.ipynb"]


@pytest.fixture(scope="module")
def address(place):
    home = place / "home"
    script = "import sys; from pathlib import Path; from zoology_teach.chapters import trust; "
    script += "print(len(trust(Path(sys.argv[1]))))"
    command = [sys.executable, "-c", script, str(place / "book")]
    environment = {**os.environ, "HOME": str(home)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["2"], done.stderr
    with jupyter_lab(place, home) as address:
        yield address


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_a_slider_answers_with_nothing_run(address, browser, chapter):
    complaints = []
    page = browser.new_page(viewport={"width": 1200, "height": 900})
    page.set_default_timeout(120_000)
    page.on("console", lambda m: complaints.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(f"{address}/lab/tree/book/{chapter}.ipynb?reset")
    page.wait_for_function("() => window.jupyterapp?.shell?.currentWidget?.content?.widgets")
    page.evaluate(f"() => ({SCROLL})()")
    slider = page.locator("[role=group][aria-label^=Explorer] input[type=range]").first
    slider.wait_for()
    picture = page.locator("[role=group][aria-label^=Explorer] canvas")
    page.wait_for_function("document.querySelector('canvas[role=img]').width > 99")
    seen = [picture.get_attribute("aria-label")]
    for key in ("ArrowRight", "End", "Home"):
        page.evaluate(TIMED)
        slider.press(key)
        page.wait_for_function("window.answered !== undefined")
        assert page.evaluate("window.answered") < 1000 * ANSWER_SECONDS
        seen.append(picture.get_attribute("aria-label"))
    assert seen[0] == seen[3] and len(set(seen)) == 3
    if folder := os.environ.get("SCREENSHOTS"):
        for theme in ("Light", "Dark"):
            command = f"apputils:change-theme', {{theme: 'JupyterLab {theme}'}}"
            page.evaluate(f"() => window.jupyterapp.commands.execute('{command})")
            page.wait_for_timeout(1500)
            page.screenshot(path=Path(folder) / f"{chapter}-{theme}.png")
    page.close()
    assert not [text for text in complaints if not any(known in text for known in KNOWN)]


CELL = """
from zoology_teach import plots
from zoology_teach.experiments.synthetic_presets import laptop_run
from zoology_teach.widgets import Explorer, LiveTraining


def draw(number):
    return plots.Picture(plots.axes()[0], f"picture {number}", dpi=30)


display(Explorer(draw, number=[1, 2, 3]))
LiveTraining(lambda seed: laptop_run("base_conv", 16, 32, seed, steps=10), {"seed": range(9)})
"""


def test_with_a_kernel_pictures_are_drawn_and_models_trained_when_asked(place, address, browser):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CELL)])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    nbformat.write(notebook, place / "live.ipynb")
    page = browser.new_page(viewport={"width": 1200, "height": 900})
    page.set_default_timeout(120_000)
    page.goto(f"{address}/lab/tree/live.ipynb?reset")
    page.wait_for_function("() => window.jupyterapp?.shell?.currentWidget?.sessionContext")
    page.evaluate("""async () => {
        const session = window.jupyterapp.shell.currentWidget.sessionContext;
        await session.ready;
        await session.session.kernel.info;
        await window.jupyterapp.commands.execute("notebook:run-all-cells");
    }""")
    page.get_by_text("picture 1").wait_for()
    page.get_by_role("slider", name="number").press("End")
    page.get_by_text("picture 3").wait_for()
    page.get_by_label("seed").fill("4")
    page.get_by_role("button", name="Train this one live").click()
    page.get_by_text("seed 4: accuracy 0.").wait_for()
    assert "after 10 of 10 steps" in page.get_by_role("status").last.inner_text()
    assert page.get_by_role("img", name="Training loss of BaseConv").is_visible()
    page.close()


# Cells far below the window are drawn when they come near it.
SCROLL = """() => {
    const notebook = window.jupyterapp.shell.currentWidget.content;
    const at = notebook.widgets.findIndex((c) => /^Explorer\\(/m.test(c.model.sharedModel.source));
    return notebook.scrollToItem(at, "center");
}"""
