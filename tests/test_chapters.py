"""Every chapter keeps the book's promises: anatomy, budgets, pictures with words, numbers."""

import re
import statistics
from pathlib import Path

import jupytext
import nbformat
import pytest

from zoology_teach import chapters, contents

BOOK = Path(__file__).parents[1] / "book"
SOURCES = sorted(BOOK.glob("[0-9][0-9]_*.md"))
SECTIONS = [
    "The question",
    "What you will show",
    "Predict",
    "Build it",
    "The same thing in the library",
    "The figure",
    "Play",
    "Where it breaks",
    "Exercises",
    "Honest scale",
    "Summary and words",
    "Further reading",
]
EXPECTED_SLUGS = [
    "00_start_here",
    "01_where_efficient_models_lose",
    "02_write_the_task",
    "03_look_anywhere",
    "04_gate_and_convolve",
    "05_train_both",
    "06_turn_the_width_knob",
    "07_memory_is_a_budget",
    "08_filters_that_know_the_input",
    "09_a_little_attention",
    "10_back_to_real_text",
    "11_count_the_cost",
    "12_kernels_short_conv_and_gate",
    "13_kernels_toeplitz_flash_sparse",
    "14_add_your_own_animal",
]
HEADER = re.compile(
    r"\*\*Claim\.\*\* .+\*\*Paper\.\*\* .+"
    r"\*\*Reading\*\* (?P<minutes>\d+) minutes · \*\*CPU\*\* (?P<cpu>\d+) s · \*\*Needs\*\* .+",
    re.DOTALL,
)


@pytest.fixture(params=SOURCES, ids=[s.stem for s in SOURCES])
def source(request) -> Path:
    return request.param


@pytest.fixture
def notebook(source):
    return nbformat.read(source.with_suffix(".ipynb"), as_version=4)


def header(notebook) -> re.Match:
    match = HEADER.search(notebook.cells[0].source)
    assert match, "the first cell lacks Claim, Paper, Reading, CPU or Needs"
    return match


def code_cells(notebook):
    return [c for c in notebook.cells if c.cell_type == "code"]


def prose(notebook) -> str:
    return "\n\n".join(c.source for c in notebook.cells if c.cell_type == "markdown")


def test_all_chapters_are_here():
    assert [s.stem for s in SOURCES] == EXPECTED_SLUGS


VERSION = re.compile(r"(?<=jupytext_version: ).+")  # of whoever wrote the file last


def test_source_and_notebook_are_in_step(source):
    assert chapters.in_step(source), f"run: zoology-teach build {source.name}"
    normal_form = jupytext.writes(chapters.read(source), chapters.SOURCE_FORMAT)
    text, written = (VERSION.sub("", text) for text in (source.read_text(), normal_form))
    assert text == written, "not as Jupytext writes it: run zoology-teach build"


def test_every_code_cell_was_executed_in_order(notebook):
    counts = [c.execution_count for c in code_cells(notebook)]
    assert counts == list(range(1, len(counts) + 1))


def test_anatomy(notebook):
    headings = re.findall(r"^## (.+)$", prose(notebook), re.MULTILINE)
    assert headings == SECTIONS
    assert notebook.cells[0].source.startswith("# ")
    header(notebook)


def test_budgets(notebook):
    text = contents.LINE.sub("", prose(notebook))
    words = len(re.findall(r"\S+", re.sub(r"<[^>]+>", "", text)))
    assert 40 <= len(notebook.cells) <= 60, f"{len(notebook.cells)} cells"
    assert 1500 <= words <= 3000, f"{words} words"


def is_folded(cell) -> bool:
    return chapters.FOLDED in cell.metadata.get("tags", [])


def test_visible_code_is_short_and_folded_code_says_what_it_does(notebook):
    visible = [len(c.source.splitlines()) for c in code_cells(notebook) if not is_folded(c)]
    assert statistics.median(visible) <= 6 and max(visible) <= 20, f"visible lines {visible}"
    for cell in filter(is_folded, code_cells(notebook)):
        assert cell.metadata["jupyter"]["source_hidden"]
        assert re.match(r"# \S.{4,70}\n", cell.source), f"its first line is shown:\n{cell.source}"


def test_tables_are_rich_and_nothing_prints_true_or_false(notebook):
    for cell in code_cells(notebook):
        for output in cell.outputs:
            data = output.get("data", {})
            assert 'class="dataframe"' not in data.get("text/html", ""), "use tables.show"
            said = output.get("text", "") + data.get("text/plain", "")
            assert not re.search(r"\b(True|False)\b", said), f"says True or False:\n{said}"
            assert not is_table(output.get("text", "")), f"a printed table:\n{output['text']}"


def is_table(printed: str) -> bool:
    """Whether lines stand in columns, or three or more differ in their numbers alone."""
    lines = [line.strip() for line in printed.splitlines()]
    columns = sum(bool(re.search(r"\S {2,}[-(]?[\d.]", line)) for line in lines)
    shapes = [re.sub(r"[\d.,]+", "#", " ".join(line.split())) for line in lines]
    alike = max((shapes.count(s) for s in shapes if "#" in s), default=0)
    return columns >= 2 or alike >= 3


def test_a_printed_table_is_noticed():
    assert is_table("a    1\nbb   2\n") and is_table("1 pair: .2\n2 pair: .3\n4 pair: .4\n")
    assert not is_table("answers right: 1.00\nwidth: 15\nit took  12 s\n")


def test_guesses_are_asked_kept_and_answered(source, notebook):
    keys = {"Predict": [], "Reveal": []}
    models = notebook.metadata["widgets"]["application/vnd.jupyter.widget-state+json"]["state"]
    for state in (model["state"] for model in models.values()):
        widget = state.get("_anywidget_id", "").rpartition(".")[2]
        if widget in keys:
            keys[widget].append(state["key"])
    assert len(keys["Predict"]) >= 2 and sorted(keys["Predict"]) == sorted(keys["Reveal"])
    assert all(key.startswith(source.stem[:2]) for key in keys["Predict"])


def test_a_chapter_leads_on(source, notebook):
    whole = contents.complete(source, source.read_text())
    assert whole == source.read_text(), f"run: zoology-teach build {source.name}"


def test_published_run_time_is_the_measured_one(source, notebook):
    measured = notebook.metadata["zoology_teach"]["cpu_seconds"]
    stated = int(header(notebook)["cpu"])
    assert measured <= 60, f"{measured} CPU seconds"
    allowed = max(2, 0.25 * measured)
    assert abs(stated - measured) <= allowed, f"says {stated} s, took {measured} s"


def test_results_are_compared(notebook):
    tagged = [c for c in code_cells(notebook) if "nbval-check-output" in c.metadata.get("tags", [])]
    assert len(tagged) >= 3, "tag the cells that state a result with nbval-check-output"
    for cell in tagged:
        assert cell.outputs, f"nothing to compare in: {cell.source}"
        assert all("image/png" not in o.get("data", {}) for o in cell.outputs)


def test_every_image_has_words(notebook):
    pictures = 0
    for cell in code_cells(notebook):
        for output in cell.outputs:
            assert output.output_type != "error"
            if "image/png" in output.get("data", {}):
                pictures += 1
                alt = output.metadata.get("image/png", {}).get("alt", "")
                assert len(alt) >= 20, f"an image without a text alternative: {cell.source}"
            assert "image/svg+xml" not in output.get("data", {})
    assert pictures >= 1
    for alt in re.findall(r"!\[(.*?)\]\(", prose(notebook)):
        assert len(alt) >= 20


def test_a_widget_can_be_played_with(notebook):
    outputs = [o for c in code_cells(notebook) for o in c.outputs]
    view = "application/vnd.jupyter.widget-view+json"
    assert any(view in o.get("data", {}) for o in outputs)
    play = prose(notebook).split("## Play")[1].split("\n## ")[0]
    assert len(re.findall(r"^\d\. ", play, re.MULTILINE)) >= 3, "three things to try"


def test_exercises(source, notebook):
    section = prose(notebook).split("## Exercises")[1].split("\n## ")[0]
    number = source.stem[:2]
    for letter in "abc":
        assert f"**{number}.{letter}" in section
    assert f"**{number}.d" in section and "open" in section.lower()
    assert f"../exercises/{source.stem}.ipynb" in section


def test_links_inside_the_book_lead_somewhere(source, notebook):
    for target in re.findall(r"\]\((?!https?://|#)([^)#]+)", prose(notebook)):
        assert (source.parent / target).exists(), target


def test_plain_commonmark(notebook):
    text = prose(notebook)
    assert not re.search(r"^(:::|```\{)", text, re.MULTILINE), "a MyST directive shows raw"
    assert "!" not in re.sub(r"!\[|!=|`[^`]*`|\$[^$]*\$", "", text), "no exclamation marks"


def test_no_proof_is_claimed_that_nobody_has(notebook):
    text = prose(notebook)
    assert not re.search(r"prov(ably|en to|ed to) need", text, re.IGNORECASE)


def test_readme_lists_the_chapters_with_their_minutes():
    readme = (BOOK.parent / "README.md").read_text()
    for source in SOURCES:
        minutes = header(chapters.read(source))["minutes"]
        row = re.search(rf"^\| .*book/{source.stem}\.ipynb.*$", readme, re.MULTILINE)
        assert row, f"README.md does not link book/{source.stem}.ipynb"
        assert re.search(rf"\b{minutes}\b", row[0].split(source.stem)[1]), f"{minutes} minutes"


CHAPTER = f"""---
jupytext:
  text_representation:
    extension: .md
    format_name: myst
    format_version: 0.13
    jupytext_version: {jupytext.__version__}
kernelspec:
  display_name: Python 3 (ipykernel)
  language: python
  name: python3
---

# A chapter

```{{code-cell}} ipython3
sum(i * i for i in range(10**6)) > 0
```
"""


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.ipynb", b'{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}'),
        ("notes.md", b"# Notes\n\n```python\nx = 1\n```\n"),
        ("notes.md", b"---\ntitle: my page\n---\n\n# Notes\n"),
        ("notes.md", b"---\nkernelspec: {name: python3}\n---\n\n# No jupytext\n"),
        ("notes.md", CHAPTER.replace("myst", "markdown").encode()),
        ("notes.md", CHAPTER.replace("kernelspec", "kernel").encode()),
        ("notes.md", CHAPTER.encode("utf-16")),
        ("notes.md", b"---\n: {\n---\n"),
        ("notes.md", b""),
        ("script.py", b"# %%\nx = 1\n"),
        ("NOTES.txt", CHAPTER.encode()),
    ],
)
def test_build_refuses_what_is_no_chapter_source(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=r"chapter = .*: must be a chapter source: Markdown"):
        chapters.build(tmp_path / name)
    assert [p.name for p in tmp_path.iterdir()] == [name], "and writes nothing"
    assert (tmp_path / name).read_bytes() == content


def test_build_runs_a_chapter_and_measures_it(tmp_path):
    source = tmp_path / "20_new.md"
    source.write_text(CHAPTER)
    assert chapters.build(source) and chapters.in_step(source)
    built = nbformat.read(source.with_suffix(".ipynb"), as_version=4)
    assert built.cells[1].outputs[0]["data"]["text/plain"] == "True"
    assert 0 < cpu_seconds_of(built) < 60
    assert not chapters.build(source)
    source.write_text(CHAPTER.replace("# A chapter", "# A better name"))
    assert chapters.build(source) == "its outputs kept", "only prose changed"
    again = nbformat.read(source.with_suffix(".ipynb"), as_version=4)
    assert again.cells[0].source == "# A better name" and chapters.in_step(source)
    assert again.cells[1].outputs == built.cells[1].outputs
    assert again.metadata["zoology_teach"]["cpu_seconds"] == cpu_seconds_of(built)
    source.write_text(CHAPTER.replace("> 0", "> 1"))
    assert chapters.build(source), "what a build wrote, a build replaces"


def test_a_build_keeps_of_a_layout_what_is_set(tmp_path):
    source = tmp_path / "20_new.md"
    shown = 'import ipywidgets\n\nipywidgets.Label("a", layout={"width": "9em"})'
    source.write_text(CHAPTER.replace("sum(i * i for i in range(10**6)) > 0", shown))
    chapters.build(source)
    built = nbformat.read(source.with_suffix(".ipynb"), as_version=4)
    models = built.metadata["widgets"]["application/vnd.jupyter.widget-state+json"]["state"]
    [layout] = [m["state"] for m in models.values() if m["model_name"] == "LayoutModel"]
    assert layout["width"] == "9em" and layout["_view_name"] == "LayoutView"
    assert None not in layout.values()


def cpu_seconds_of(notebook) -> float:
    return notebook.metadata["zoology_teach"]["cpu_seconds"]


def test_a_cell_with_the_tag_is_folded_in_the_notebook_alone(tmp_path):
    source = tmp_path / "20_new.md"
    folded = "{code-cell} ipython3\n:tags: [hide-input]\n\n# Check: a sum\n"
    source.write_text(CHAPTER.replace("{code-cell} ipython3\n", folded))
    before = source.read_text()
    assert chapters.build(source) == "executed"
    filtered = "jupytext:\n  cell_metadata_filter: -jupyter\n"
    assert source.read_text() == before.replace("jupytext:\n", filtered, 1)
    built = nbformat.read(source.with_suffix(".ipynb"), as_version=4)
    assert built.cells[1].metadata["jupyter"]["source_hidden"]
    source.write_text(CHAPTER.replace("ipython3\n", "ipython3\n# Check: a sum\n"))
    assert chapters.build(source) == "its outputs kept"
    shown = nbformat.read(source.with_suffix(".ipynb"), as_version=4)
    assert "jupyter" not in shown.cells[1].metadata


@pytest.mark.parametrize(
    "own",
    ["title: My chapter", "date: 2026-11-24", "mystnb:\n  execution_mode: off", "# by hand",
     "myst:\n  substitutions:\n    a: b"],
)  # fmt: skip
def test_build_keeps_what_else_stands_in_the_header(tmp_path, own):
    source = tmp_path / "20_new.md"
    source.write_text(CHAPTER.replace("---\n", f"---\n{own}\n", 1))
    before = source.read_bytes()
    assert chapters.build(source) and chapters.in_step(source)
    assert source.read_bytes() == before
    source.write_text(CHAPTER)
    chapters.build(source)
    assert "jupytext_version" in source.read_text(), "a header of ours gets its normal form"


@pytest.mark.parametrize("made_by_a_build", [True, False])
def test_build_keeps_work_that_only_the_notebook_has(tmp_path, made_by_a_build):
    source = tmp_path / "20_new.md"
    source.write_text(CHAPTER)
    paired = source.with_suffix(".ipynb")
    if made_by_a_build:
        chapters.build(source)
    else:
        nbformat.write(chapters.read(source), paired)
    notebook = nbformat.read(paired, as_version=4)
    notebook.cells[1].source = "my_work = 1"
    nbformat.write(notebook, paired)
    before = paired.read_bytes()
    with pytest.raises(ValueError, match=r"20_new\.ipynb: has been changed since it was built"):
        chapters.build(source, force=True)
    assert paired.read_bytes() == before
    paired.write_text("no notebook")
    with pytest.raises(ValueError, match=r"20_new\.ipynb: is no notebook of a chapter"):
        chapters.build(source)
    assert paired.read_text() == "no notebook" and source.read_text() == CHAPTER
