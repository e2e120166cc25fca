"""An honest student's answer is found wherever it was written, and nothing but it."""

import json
from pathlib import Path

import jupytext
import nbformat
import pytest

from zoology_teach.grading.answers import GIVEN_NOTHING, PICTURE, answers, given_lines, texts
from zoology_teach.grading.ladders import EXERCISES as GRADED
from zoology_teach.grading.manual import open_questions
from zoology_teach.grading.nbgrader import assignment
from zoology_teach.grading.submissions import collect

ROOT = Path(__file__).parents[2]
GIVEN = given_lines(ROOT / "solutions")
EXERCISES = {path.stem[:2]: path for path in sorted((ROOT / "exercises").glob("*.ipynb"))}
ANSWER = "A value that is corrected later.\n\n- One control: shuffle the keys."


def released(chapter: str = "02"):
    return nbformat.read(EXERCISES[chapter], as_version=4)


def text(*sources: str, kind: str = "markdown", **more):
    make = nbformat.v4.new_markdown_cell if kind == "markdown" else nbformat.v4.new_code_cell
    return [make(source, **more) for source in sources]


def found(notebook, name="ada.ipynb", chapters=("02",), given=GIVEN) -> dict[str, str]:
    data = notebook if isinstance(notebook, bytes) else nbformat.writes(notebook).encode()
    return answers([(texts(data, name, given), chapters)])


@pytest.mark.parametrize("chapter", EXERCISES)
def test_what_was_handed_out_is_no_answer(chapter):
    notebook = released(chapter)
    assert found(notebook, chapters=[chapter]) == {}
    (source,) = (ROOT / "solutions").glob(f"{chapter}_*.md")
    assert found(source.read_bytes(), source.name, [chapter]) == {}
    assert found(assignment(source), chapters=[chapter]) == {}, "nbgrader's answer cell is empty"


def test_a_cell_below_the_question():
    notebook = released()
    notebook.cells += text(ANSWER)
    assert found(notebook) == {"02.d": ANSWER}


def test_written_into_the_cell_of_the_question():
    notebook = released()
    notebook.cells[-1].source += f"\n\n{ANSWER}"
    assert found(notebook) == {"02.d": ANSWER}


def test_headings_of_the_students_own_cut_nothing_off():
    notebook = released()
    notebook.cells += text("## 02.a again\nAs above.", "# 02.d, my answer", ANSWER)
    answer = found(notebook)["02.d"]
    assert answer == f"## 02.a again\nAs above.\n\n# 02.d, my answer\n\n{ANSWER}"


def test_code_below_the_question_with_what_it_printed():
    notebook = released()
    output = nbformat.v4.new_output("stream", text="7\n")
    picture = nbformat.v4.new_output("display_data", {"image/png": "x", "text/plain": "<Figure>"})
    notebook.cells += text("print(7)", kind="code", outputs=[output, picture])
    assert found(notebook) == {"02.d": f"```\nprint(7)\n```\nprinted:\n7\n{PICTURE}"}


def test_without_the_heading_all_text_of_the_students_own():
    notebook = released()
    notebook.cells = [*notebook.cells[:-1], *text(ANSWER)]
    assert found(notebook)["02.d"].endswith(f"The student's own text in the file:]\n\n{ANSWER}")
    assert list(found(notebook, chapters=["03"])) == ["03.d"], "as that of its chapter"
    assert list(found(notebook, chapters=[""])) == open_questions(GRADED.values())
    notebook.cells += text("## 04.d What a simulation is worth", "Named.")
    assert found(notebook, chapters=[""]) == {"04.d": "Named."}


def test_without_the_solutions_the_question_stands_above_the_answer():
    notebook = released()
    notebook.cells += text(ANSWER)
    answer = found(notebook, given=GIVEN_NOTHING)["02.d"]
    assert answer.startswith("Open; half a page") and answer.endswith(ANSWER)


@pytest.mark.parametrize("form", ["md:myst", "md", "py:percent", "py:light"])
def test_in_a_text_file(form):
    notebook = released()
    notebook.cells += text(ANSWER)
    written = jupytext.writes(notebook, fmt=form)
    kept = "\n".join(line for line in ANSWER.splitlines())
    assert kept in found(written.encode(), f"ada.{form[:2]}")["02.d"]


def test_format_3_and_things_that_are_no_text():
    cells = [
        {"cell_type": "heading", "level": 2, "source": ["02.d What does MQAR leave out"]},
        {"cell_type": "markdown", "source": [ANSWER, 7, None]},
        {"cell_type": "markdown", "source": {"a": 1}, "attachments": {"a.png": {}}},
        {"cell_type": "code", "input": "x", "outputs": [3, {"data": 4}, {"text": ["y\n", 5]}]},
        "no cell",
    ]
    data = json.dumps({"worksheets": [{"cells": cells}]}).encode()
    assert found(data)["02.d"] == f"{ANSWER}\n\n\n{PICTURE}\n\n```\nx\n```\nprinted:\ny"


def test_a_file_passed_over_for_its_code_is_read_for_its_text(tmp_path):
    """Only text in chapter 00's, code in 02's: both answers are there."""
    folder = tmp_path / "ada"
    folder.mkdir()
    for chapter in ("00", "02"):
        notebook = released(chapter)
        if chapter == "00":
            notebook.cells = [c for c in notebook.cells if c.cell_type == "markdown"]
        notebook.cells += text(f"My answer to {chapter}")
        nbformat.write(notebook, folder / f"{chapter}_mine.ipynb")
    (tmp_path / "bob.ipynb").write_text("{")
    (ada, bob), _ = collect(tmp_path, given=GIVEN)
    assert ada.answers == {"00.d": "My answer to 00", "02.d": "My answer to 02"}
    assert bob.answers == {}


def test_below_the_heading_of_an_exercise_no_answer_goes_on():
    notebook = nbformat.v4.new_notebook()
    notebook.cells = text(
        "## 02.d Open\nBecause.", "### 02.a again\nStill because.",
        f"## 02.a {GRADED['02.a'].title}\nNo answer.", "## 02.c Another title\nNor this.",
    )  # fmt: skip
    assert found(notebook) == {"02.d": "Because.\n\n### 02.a again\nStill because."}


def test_two_open_questions_of_a_chapter_have_an_answer_each():
    """The second shows a cell that runs what was planned: what it printed belongs to the answer."""
    notebook = released("06")
    (first,) = [i for i, c in enumerate(notebook.cells) if c.source.startswith("## 06.d")]
    notebook.cells[first + 1 : first + 1] = text("Equal state.")
    notebook.cells[-1].outputs = [nbformat.v4.new_output("stream", text="seed 10: 0.41\n")]
    notebook.cells += text("It missed by 0.02.")
    answered = found(notebook, chapters=["06"])
    assert answered["06.d"] == "Equal state."
    assert answered["06.f"] == "printed:\nseed 10: 0.41\n\nIt missed by 0.02."
