"""What becomes of a notebook, a link and a docstring on the site."""

import base64
import json
import re
from pathlib import Path
from xml.etree import ElementTree

import nbformat
import pandas as pd
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output

import build
import colab_copies
import contents
import docstrings
import formulas
import links
import outputs
import pages
from zoology_teach import colab

ROOT = Path(__file__).parents[1]
CHAPTER = ROOT / "book" / "06_turn_the_width_knob.ipynb"
PIXEL = (  # two pixels, side by side
    "iVBORw0KGgoAAAANSUhEUgAAAAIAAAABCAYAAAD0In+KAAAADUlEQVR42mNk"
    "+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
PAGES = sorted((ROOT / "book").glob("[0-9]*.ipynb"))
VIEW = "application/vnd.jupyter.widget-view+json"


def rst(text: str) -> str:
    return "\n".join(docstrings.convert(text.split("\n")))


def test_aligned_rows_are_definitions():
    text = "    d_model  D, the\n             width.\n    seed     decides all."
    rows = rst("Sizes.\n\n" + re.sub("^    ", "", text, flags=re.M))
    assert rows == "Sizes.\n\nd\\_model\n   D, the width.\n\nseed\n   decides all."


def test_hanging_lines_are_a_list_and_indented_ones_stay():
    assert rst("one: a\n    and b\ntwo: c") == "- one: a and b\n- two: c"
    assert rst("So:\n\n    y = W  u").endswith("::\n\n       y = W  u")
    assert rst("Two ways:\n- this\n  one\n- that\nThe end.") == (
        "Two ways:\n\n- this one\n- that\n\nThe end."
    )


def test_code_is_literal_and_an_arxiv_id_a_citation():
    assert "``|T| <= k``" in rst("At most `|T| <= k` tokens, *not* more.")
    assert r"\*not\*" in rst("At most `|T| <= k` tokens, *not* more.")
    cited = rst("Gu and Dao, arXiv:2312.00752.")
    assert "<https://arxiv.org/abs/2312.00752>`__ :cite:`gu2023mamba`" in cited
    with pytest.raises(ValueError, match=r"arXiv:9901\.00001: must be in site/references\.bib"):
        rst("Somebody, arXiv:9901.00001.")


def test_links_hold_on_the_site():
    text = "[a](05_train_both.md), [b](../exercises/02_write_the_task.ipynb#x), [c](#here)"
    pages = [ROOT / "book" / "05_train_both.ipynb", ROOT / "exercises" / "02_write_the_task.ipynb"]
    assert links.resolved(text, CHAPTER, pages) == text
    assert links.resolved(text, CHAPTER, pages[:1]) == text.replace(
        "[b](../exercises/02_write_the_task.ipynb#x)", "b"
    )
    with pytest.raises(ValueError, match=r"link = '04_gate\.md': must be a file"):
        links.resolved("[x](04_gate.md)", CHAPTER, pages)
    paper = "[arXiv:2402.01032](https://arxiv.org/abs/2402.01032), Section 3"
    assert links.resolved(paper, CHAPTER, []) == (
        "[arXiv:2402.01032](https://arxiv.org/abs/2402.01032) {cite}`jelassi2024repeat`, Section 3"
    )
    with pytest.raises(ValueError, match=r"doi\.org/10\.1/x: must be in site/references\.bib"):
        links.resolved("[x](https://doi.org/10.1/x)", CHAPTER, [])


def test_what_the_site_lacks_is_linked_in_the_repository(monkeypatch):
    text = "the [marking guide](../solutions/marking_guide.md#points)"
    assert links.resolved(text, CHAPTER, []) == "the marking guide"
    monkeypatch.setattr(links, "REPOSITORY", "https://github.com/them/zoology_teach")
    linked = links.resolved(text, CHAPTER, [])
    assert linked.endswith(
        "(https://github.com/them/zoology_teach/blob/main/solutions/marking_guide.md#points)"
    )


def test_where_a_chapter_runs_is_linked_once_the_repository_has_an_address(monkeypatch):
    assert links.with_launch_row("# 06\n\nText", CHAPTER) == "# 06\n\nText"
    monkeypatch.setattr(links, "REPOSITORY", "https://github.com/them/zoology_teach")
    row = links.with_launch_row("# 06\n\nText", CHAPTER)
    assert row.startswith("# 06\n\n<p") and row.endswith("\nText")
    path = "them/zoology_teach/blob/gh-pages/book/06_turn_the_width_knob.ipynb"
    assert f'"https://colab.research.google.com/github/{path}">Open in Colab' in row
    raw = "https://github.com/them/zoology_teach/raw/main/book/06_turn_the_width_knob.ipynb"
    assert f'"{raw}">Download the notebook' in row
    assert '/edit/main/book/06_turn_the_width_knob.md">Edit' in row
    exercise = links.with_launch_row("# 06", ROOT / "exercises" / CHAPTER.name)
    assert '/edit/main/solutions/06_turn_the_width_knob.md">Edit' in exercise


def test_the_copy_for_colab_is_the_notebook_behind_the_cell_that_colab_needs(monkeypatch, tmp_path):
    path = CHAPTER.relative_to(ROOT)
    staged, site = tmp_path / "staged", tmp_path / "site"
    (staged / path).parent.mkdir(parents=True)
    (staged / path).write_text("the page")
    colab_copies.write(staged, site)
    assert not site.exists(), "what would the cell clone?"
    monkeypatch.setattr(links, "REPOSITORY", "https://github.com/them/zoology_teach")
    colab_copies.write(staged, site)
    copy, committed = (nbformat.read(root / path, as_version=4) for root in (site, ROOT))
    nbformat.validate(copy)
    assert copy.cells[0].source == colab.first_cell("https://github.com/them/zoology_teach")
    assert copy.cells[1:] == committed.cells and copy.metadata == committed.metadata


def test_every_entry_of_the_bibliography_is_cited():
    sources = [*ROOT.glob("book/*.md"), *(ROOT / "zoology_teach").rglob("*.py")]
    text = "\n".join(source.read_text() for source in sources)
    assert [key for key in links.KEYS if not re.search(rf"{re.escape(key)}\b", text)] == []


def page_of(tmp_path, *cells, widgets=None, live=True):
    metadata = {"widgets": {pages.STATE: {"state": widgets or {}}}}
    source = tmp_path / "book" / "x.ipynb"
    source.parent.mkdir()
    nbformat.write(new_notebook(cells=list(cells), metadata=metadata), source)
    return pages.of_notebook(source, [], live=live).cells


def picture(words: str, **more):
    data = {"image/png": PIXEL, "text/html": "<img>", **more}
    return new_output("display_data", data, metadata={"image/png": {"alt": words, "width": 6}})


def test_every_picture_keeps_its_own_words_and_its_shape(tmp_path):
    cell = new_code_cell("# Two pictures\nx", outputs=[picture("one"), picture("two")])
    cell.metadata["jupyter"] = {"source_hidden": True}
    first, second = page_of(tmp_path, cell)
    assert first.metadata["mystnb"]["image"] == {"alt": "one", "width": "6px", "height": "3px"}
    assert second.metadata["mystnb"]["image"]["alt"] == "two"
    assert (first.metadata["tags"], second.metadata["tags"]) == (["hide-input"], ["remove-input"])
    assert first.metadata["mystnb"]["code_prompt_show"] == "Two pictures"
    assert list(first.outputs[0].data) == ["image/png"]


def model(kind: str, **state):
    held = {"_esm": "export default {}", "_css": "b {}", "_anywidget_id": f"here.{kind}"}
    return {"model_name": "AnyModel", "state": {**held, "layout": "IPY_MODEL_9", **state}}


def test_a_widget_is_its_state_and_a_front_end_that_stands_once(tmp_path):
    data = base64.b64encode(b"zip").decode()
    buffer = {"encoding": "base64", "path": ["packs", 0, "data"], "data": data}
    models = {"a": {**model("Explorer", text="</script>"), "buffers": [buffer]}}
    models["b"] = model("Explorer", text="b")
    shown = [picture("still", **{VIEW: {"model_id": name}}) for name in models]
    cells = [new_code_cell("x", outputs=[output]) for output in shown]
    first, second = page_of(tmp_path, *cells, widgets=models)
    assert [list(output.data) for output in first.outputs] == [["image/png"], ["text/html"]]
    markup = first.outputs[1].data["text/html"]
    scripts = [json.loads(text) for text in re.findall(r"<script[^>]*>(.*?)</script>", markup)]
    module, held = scripts
    assert module == {"module": "export default {}"}
    assert held["state"] == {"text": "</script>"} and held["css"] == "b {}"
    assert held["buffers"] == [[["packs", 0, "data"], data]]
    assert second.outputs[1].data["text/html"].count("<script") == 1


@pytest.mark.parametrize("kind", ["LiveTraining", "Menu"])
def test_what_only_a_kernel_moves_is_a_sentence(tmp_path, kind):
    output = new_output("display_data", {VIEW: {"model_id": "a"}, "text/html": "<p>Words</p>"})
    (cell,) = page_of(tmp_path, new_code_cell("x", outputs=[output]), widgets={"a": model(kind)})
    assert [output.data["text/html"] for output in cell.outputs] == [outputs.NEEDS_KERNEL]


def test_print_shows_stills(tmp_path):
    words = new_output("display_data", {VIEW: {"model_id": "a"}, "text/html": "<p>Words</p>"})
    still = picture("still", **{VIEW: {"model_id": "a"}})
    cells = [new_code_cell("x", outputs=[output]) for output in (words, still)]
    models = {"a": model("Explorer")}
    first, second = page_of(tmp_path, *cells, widgets=models, live=False)
    assert [o.data for o in first.outputs] == [{"text/html": "<p>Words</p>"}]
    assert [list(o.data) for o in second.outputs] == [["image/png"]]


def test_solutions_are_folded_below_their_stubs():
    page = pages.with_solutions(ROOT / "solutions" / "02_write_the_task.md", PAGES)
    folded = [i for i, cell in enumerate(page.cells) if cell.metadata.get("tags") == ["hide-input"]]
    assert len(folded) == 3
    stub, solution = page.cells[folded[0] - 1], page.cells[folded[0]]
    assert "your code here" in stub.source and "full_like" not in stub.source
    assert "labels = torch.full_like(inputs, -100)" in solution.source
    assert "SOLUTION" not in solution.source
    assert solution.metadata["mystnb"]["code_prompt_show"] == "A solution"


def test_a_formula_is_html_and_mathml_or_an_error():
    set_ = formulas.markup(r"W \in \mathbb{R}^{d}", display=False, mathml_only=False)
    assert 'class="katex-html"' in set_ and "<math " in set_ and r"\mathbb{R}" in set_
    alone = formulas.markup("x^2", display=True, mathml_only=True)
    assert "katex-html" not in alone and "<msup>" in alone
    with pytest.raises(ValueError, match=r"formula = '\\\\frac\{1': "):
        formulas.markup(r"\frac{1", display=False, mathml_only=False)


def test_a_node_that_does_not_run_is_named(monkeypatch):
    monkeypatch.setattr(formulas, "compute_driver_executable", lambda: ("/bin/false", ""))
    monkeypatch.setattr(formulas.os, "getpid", lambda: -1)  # another setter
    with pytest.raises(OSError, match="set by /bin/false, which does not run"):
        formulas.markup("y^3", display=True, mathml_only=False)


def test_the_style_of_formulas_is_that_of_their_markup():
    script = (ROOT / "site" / "katex" / "katex.min.js").read_text()
    (version,) = re.findall(
        r'\.katex-version:*after\{content:"([\d.]+)"\}',
        (ROOT / "site" / "katex" / "style" / "katex.min.css").read_text(),
    )
    assert f'version:"{version}"' in script or f'"{version}"' in script


def test_a_site_takes_the_place_of_a_site_and_of_nothing_else(tmp_path):
    made, site = tmp_path / "made", tmp_path / "site"
    made.mkdir()
    (made / build.MADE).touch()
    build.put(made, site)
    (site / "left.html").touch()
    build.put(made, site)
    assert [path.name for path in site.iterdir()] == [build.MADE]
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").touch()
    with pytest.raises(SystemExit, match="mine: is no site that was made here"):
        build.put(made, mine)
    assert (mine / "thesis.txt").exists()


def test_the_start_page_lists_the_chapters_until_the_book_has_a_map(tmp_path):
    (tmp_path / "book").mkdir()
    contents.write_contents(tmp_path, PAGES, chapters_only=False)
    start = (tmp_path / "book" / "index.md").read_text()
    assert "- [06 · Turn the width knob](06_turn_the_width_knob.ipynb). " in start
    last = contents.title(PAGES[-1])
    assert f"\n{last} <../exercises/{PAGES[-1].stem}>\n" in start
    assert "../api/index\n../bibliography\n" in start and "glossary" not in start


def test_the_reference_has_a_page_for_every_part_of_the_library():
    parts = contents.parts_in_order()
    assert parts.index("tasks") < parts.index("mixers") < parts.index("widgets")
    here = {path.stem for path in (ROOT / "zoology_teach").iterdir() if path.stem[0] != "_"}
    assert set(parts) == here - {"data", "py"}
    page = contents.reference("grading")
    assert ".. automodule:: zoology_teach.grading.inside.wire\n" in page
    assert "ladders.ch" not in page


def test_a_table_of_pandas_is_xhtml_without_an_empty_heading(tmp_path):
    markup = pd.DataFrame({"a": [1]})._repr_html_()
    assert "<style scoped>" in markup and "<th></th>" in markup
    output = new_output("display_data", {"text/html": markup})
    (cell,) = page_of(tmp_path, new_code_cell("x", outputs=[output]))
    (table,) = ElementTree.fromstring(cell.outputs[0].data["text/html"]).iter("table")
    assert [head.text for head in table.iter("th")] == ["a", "0"]
