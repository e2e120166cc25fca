"""Explorers: native inputs over pictures, drawn when asked for, all of them when stored."""

import ast
import dis
import gzip
import types
from pathlib import Path

import ipywidgets
import numpy as np
import pytest
from IPython.core.formatters import DisplayFormatter

from tests.widgets.answers import TIMED
from zoology_teach import chapters, plots
from zoology_teach.widgets import Explorer, Menu
from zoology_teach.widgets import explorer as explorers
from zoology_teach.widgets.front_end import front_end
from zoology_teach.widgets.pictures import pack

BOOK = Path(__file__).parents[2] / "book"
SOURCES = [*sorted(BOOK.glob("[0-9][0-9]_*.md")), BOOK / "teacher.md"]
ANSWER_SECONDS = 0.2
drawn = []


def draw_number(first: int, second: str = "a", third: int = 0) -> plots.Picture:
    drawn.append((first, second, third))
    figure, (panel,) = plots.axes(height=1.5)
    panel.plot([0, first], [0, third])
    return plots.Picture(figure, f"picture {first} {second} {third}", dpi=50)


@pytest.fixture
def explorer():
    drawn.clear()
    return Explorer(draw_number, first=[1, 2], second=["a", "b", "c"], third=[0, 5])


def test_a_picture_is_drawn_when_it_is_asked_for_and_once(explorer):
    assert drawn == [(1, "a", 0)]
    assert explorer.choice == {"first": 1, "second": "a", "third": 0}
    for chosen in ([1, 1, 0], [0, 0, 0], [1, 1, 0]):
        explorer.chosen = chosen
    assert drawn == [(1, "a", 0), (2, "b", 0)]
    assert explorer.choice == {"first": 2, "second": "b", "third": 0}
    assert explorer.words[0] == "picture 1 a 0" and explorer.words[8] == "picture 2 b 0"
    assert [p["numbers"] for p in explorer.packs] == [[0], [8]]


def test_what_draw_raises_for_a_later_picture_is_shown_in_its_place():
    missing = {2}

    def draw(first):
        if first in missing:
            raise LookupError("no two")
        return draw_number(first)

    explorer = Explorer(draw, first=[1, 2])
    explorer.chosen = [1]
    assert explorer.words[1] == "This could not be drawn. LookupError: no two"
    assert [p["numbers"] for p in explorer.packs] == [[0]]
    with pytest.raises(LookupError):
        Explorer(draw, first=[2, 1])
    missing.clear()
    explorer.chosen = [0]
    explorer.chosen = [1]
    assert explorer.words[1] == "picture 2 a 0"


def test_all_are_drawn_in_order_before_a_notebook_is_stored():
    explorer = Explorer(draw_number, first=[1, 2], second=["a", "b"], third=[0, 5])
    explorers.draw_all()
    [packed] = explorer.packs
    assert packed["numbers"] == list(range(8))
    wanted = [f"picture {i} {j} {k}" for i in (1, 2) for j in "ab" for k in (0, 5)]
    assert explorer.words == wanted


def test_packed_pictures_are_small_and_come_back():
    """As explorer.js reads them: row, then picture, then column."""
    rng = np.random.default_rng(0)
    pictures = [np.full((3, 4, 3), 255, np.uint8), rng.integers(0, 2, (2, 5, 3), np.uint8) * 200]
    packed = pack([4, 7], pictures)
    assert (packed["height"], packed["width"], packed["numbers"]) == (3, 5, [4, 7])
    palette = np.array(list(bytes.fromhex(packed["palette"]))).reshape(-1, 3)
    pixels = np.frombuffer(gzip.decompress(packed["data"]), np.uint8).reshape(3, 2, 5)
    for place, picture in enumerate(pictures):
        height, width, _ = picture.shape
        assert (palette[pixels[:height, place, :width]] == picture).all()
    assert (palette[pixels[2, 1]] == 255).all(), "white where a picture is smaller"


def test_a_curve_keeps_its_colour_however_few_its_pixels_are():
    gradient = np.zeros((64, 256, 3), np.uint8) + np.arange(256, dtype=np.uint8)[:, None]
    gradient[0, :3] = 0xD5, 0x5E, 0x00
    packed = pack([0], [gradient])
    palette = np.array(list(bytes.fromhex(packed["palette"]))).reshape(-1, 3)
    pixels = palette[np.frombuffer(gzip.decompress(packed["data"]), np.uint8).reshape(64, 256)]
    assert (pixels[0, :3] == [0xD5, 0x5E, 0x00]).all()
    assert abs(pixels - gradient.astype(int)).max() < 16 and len(palette) < 40


def test_an_explorer_has_a_picture_and_a_sentence_where_widgets_are_not_shown(explorer):
    data, metadata = explorer._repr_mimebundle_()
    assert {"image/png", "application/vnd.jupyter.widget-view+json"} <= set(data)
    assert metadata["image/png"]["alt"] == data["text/plain"] == "picture 1 a 0"


def test_the_picture_is_shown_with_ipywidgets_7_too(monkeypatch, explorer):
    """There a widget shows itself by `_ipython_display_`, and no picture beside it."""
    alone = "_ipython_display_"
    monkeypatch.setattr(ipywidgets.Widget, alone, lambda self: pytest.fail(alone), raising=False)
    data, _ = DisplayFormatter().format(explorer)
    view = data["application/vnd.jupyter.widget-view+json"]
    assert "image/png" in data and view["model_id"] == explorer.model_id


@pytest.mark.parametrize(
    "controls",
    [{}, {"a": [1], "b": [1], "c": [1], "d": [1]}, {"first": []}, {"first": list(range(81))}],
)
def test_an_explorer_refuses_what_it_cannot_hold(controls):
    with pytest.raises(ValueError, match="controls"):
        Explorer(draw_number, **controls)


def test_a_script_is_stored_without_comments():
    script = front_end("explorer.js")
    assert "\n " not in script and "\n//" not in script and not script.startswith("//")
    assert script.endswith("export default { render };\n") and len(script) < 5500


def test_keys_turn_over_the_pictures_without_a_kernel(show):
    explorer = Explorer(draw_number, first=[1, 2, 3], second=["a", "b"], third=[0, 5])
    explorer.draw_all()
    page = show(explorer)
    slider, menu = (
        page.get_by_role("slider", name="first"),
        page.get_by_role("combobox", name="second"),
    )
    picture = page.locator("canvas")
    page.wait_for_function("document.querySelector('canvas').width > 99")
    pixels = "c => c.toDataURL()"
    seen = [picture.evaluate(pixels)]
    for key, words in (("ArrowRight", 2), ("End", 3), ("Home", 1)):
        page.evaluate(TIMED)
        slider.press(key)
        page.wait_for_function("window.answered !== undefined")
        assert page.evaluate("window.answered") < 1000 * ANSWER_SECONDS
        assert picture.get_attribute("aria-label") == f"picture {words} a 0"
        assert slider.get_attribute("aria-valuetext") == str(words)
        seen.append(picture.evaluate(pixels))
    assert seen[0] == seen[3] and len(set(seen)) == 3
    menu.select_option("b")
    page.get_by_text("picture 1 b 0").wait_for()


def test_a_picture_that_is_missing_is_asked_for_and_said_to_be(show, explorer):
    page = show(explorer)
    page.get_by_role("slider", name="first").press("End")
    page.get_by_text("Drawing").wait_for()
    assert page.evaluate("model.get('chosen')") == [1, 0, 0]
    page.get_by_text("drawn by a running kernel").wait_for()


def test_a_menu_shows_what_is_known_of_the_choice(show):
    menu = Menu("rung", {"one": 1, "two": 2}, lambda n: f"<b>{n} here</b>")
    assert menu.html == "<b>1 here</b>"
    menu.chosen = 1
    assert menu.html == "<b>2 here</b>"
    plain = menu._repr_mimebundle_()[0]["text/plain"]
    assert plain == "A menu, rung: one of 2 can be chosen."
    page = show(menu)
    page.get_by_label("rung").select_option("one")
    assert page.evaluate("model.get('chosen')") == 0
    with pytest.raises(ValueError, match="options"):
        Menu("rung", {}, str)


def globals_read(code: types.CodeType) -> set[str]:
    read = {
        i.argval for i in dis.get_instructions(code) if i.opname in ("LOAD_GLOBAL", "LOAD_NAME")
    }
    return read.union(*(globals_read(c) for c in code.co_consts if isinstance(c, types.CodeType)))


def compiled(statement: ast.stmt) -> types.CodeType:
    return compile(ast.Module([statement], []), "chapter", "exec")


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_what_an_explorer_draws_from_is_not_changed_after_it(source):
    """Its pictures are drawn when they are asked for, perhaps after the last cell."""
    cells = [c.source for c in chapters.read(source).cells if c.cell_type == "code"]
    statements = [s for cell in cells for s in ast.parse(cell).body]
    calls = [
        (at, node)
        for at, statement in enumerate(statements)
        for node in ast.walk(statement)
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Explorer"
    ]
    for at, call in calls:
        reads = {s.name: globals_read(compiled(s)) for s in statements if hasattr(s, "name")}
        needed, more = set(), {call.args[0].id}
        while more - needed:
            needed |= more
            more = set().union(*(reads.get(name, set()) for name in needed))
        changed = {
            i.argval
            for statement in statements[at + 1 :]
            if not isinstance(statement, ast.Import | ast.ImportFrom)
            for i in dis.get_instructions(compiled(statement))
            if i.opname in ("STORE_NAME", "STORE_GLOBAL")
        }
        assert not needed & changed
