"""Exercises are written from solutions, and nobody's work in their folder is lost."""

import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from typer.testing import CliRunner

from zoology_teach import cli
from zoology_teach.grading import nbgrader
from zoology_teach.grading.release import release

ROOT = Path(__file__).parents[2]


@pytest.fixture
def course(tmp_path):
    """(solutions, exercises): two chapters, released."""
    solutions, exercises = tmp_path / "solutions", tmp_path / "exercises"
    solutions.mkdir()
    for number in ("00", "02"):
        (source,) = (ROOT / "solutions").glob(f"{number}_*.md")
        (solutions / source.name).write_bytes(source.read_bytes())
    release(solutions, exercises)
    return solutions, exercises


def change(path: Path, **of_a_cell) -> bytes:
    """Let somebody work in a notebook; what it is then."""
    notebook = nbformat.read(path, as_version=4)
    (*_, last) = [c for c in notebook.cells if c.cell_type == "code"]
    last.update(of_a_cell)
    nbformat.write(notebook, path)
    return path.read_bytes()


def test_a_second_release_has_nothing_to_do(course):
    done = release(*course)
    assert (done.written, done.removed, done.kept) == ([], [], [])


def test_what_somebody_made_in_the_folder_is_neither_removed_nor_overwritten(course):
    solutions, exercises = course
    stub = exercises / "02_write_the_task.ipynb"
    copy = exercises / "02_write_the_task-Copy1.ipynb"
    copy.write_bytes(stub.read_bytes())
    own = exercises / "notes.ipynb"
    own.write_text("not even a notebook")
    output = nbformat.v4.new_output("stream", text="42")
    solved = change(stub, source="answers = 42")
    ran = change(exercises / "00_start_here.ipynb", outputs=[output])
    guide = solutions / "marking_guide.md"
    guide.write_text(guide.read_text().replace("Marking guide", "My marking guide"))
    done = release(solutions, exercises)
    assert done.written == done.removed == []
    assert done.kept == [exercises / "00_start_here.ipynb", stub, guide]
    assert stub.read_bytes() == solved and (exercises / "00_start_here.ipynb").read_bytes() == ran
    assert copy.exists() and own.read_text() == "not even a notebook"
    assert guide.read_text().startswith("# My marking guide")


def test_the_command_names_what_it_kept(course, monkeypatch):
    monkeypatch.setattr(cli, "book", lambda: course[0].parent / "book")
    change(course[1] / "02_write_the_task.ipynb", source="answers = 42")
    done = CliRunner().invoke(cli.app, ["release"])
    assert done.exit_code == 1 and "written" not in done.output
    said = "kept, for it is not as a release wrote it: "
    assert said in done.output and "02_write_the_task.ipynb" in done.output


def test_what_a_release_made_is_replaced_and_removed(course):
    solutions, exercises = course
    source = solutions / "02_write_the_task.md"
    source.write_text(source.read_text().replace("import torch", "import torch  # first", 1))
    (solutions / "00_start_here.md").unlink()
    notebook = nbformat.read(exercises / "02_write_the_task.ipynb", as_version=4)
    notebook.metadata["language_info"] = {"name": "python"}  # as JupyterLab adds when it saves
    nbformat.write(notebook, exercises / "02_write_the_task.ipynb")
    planned = release(solutions, exercises, check=True)
    assert (exercises / "00_start_here.ipynb").exists()
    done = release(solutions, exercises)
    assert planned == done and done.kept == []
    assert [p.name for p in done.written] == ["02_write_the_task.ipynb", "marking_guide.md"]
    assert [p.name for p in done.removed] == ["00_start_here.ipynb"]
    assert not (exercises / "00_start_here.ipynb").exists()
    assert "import torch  # first" in (exercises / "02_write_the_task.ipynb").read_text()


def test_without_solutions_nothing_is_removed(course, tmp_path):
    with pytest.raises(ValueError, match=r"solutions = .*must be a folder of solutions"):
        release(tmp_path / "nowhere", course[1])
    assert len(list(course[1].glob("*.ipynb"))) == 2


def test_without_the_modules_of_unix():
    """On Windows there is no `resource`; build and release must not want it."""
    program = "import sys, filelock, jupytext, nbclient, psutil, torch\n"
    program += "sys.modules.update(resource=None, fcntl=None, termios=None)\n"
    program += "from zoology_teach import chapters\nfrom zoology_teach.grading import release"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_an_assignment_for_nbgrader_is_a_plain_notebook():
    notebook = nbgrader.assignment(next((ROOT / "solutions").glob("02_*.md")))
    assert "jupytext" not in notebook.metadata
    roles = [cell.metadata.nbgrader for cell in notebook.cells if "nbgrader" in cell.metadata]
    assert [role.grade_id for role in roles] == [
        "02-a-function", "02-a-check", "02-b-function", "02-b-check", "02-c-function",
        "02-c-check", "02-d-answer",
    ]  # fmt: skip
    assert [role.points for role in roles if role.grade][-1] == 10
    assert [role.solution for role in roles] == [True, False] * 3 + [True]
    assert all(role.schema_version == 3 and role.locked != role.solution for role in roles)
    last = notebook.cells[-1]
    assert (last.cell_type, last.id, last.source) == ("markdown", "02-d-answer", "Your answer.")


def test_released_assignments_lie_below_source(course, tmp_path):
    done = nbgrader.release(course[0], tmp_path / "course", check=True)
    assert [path.relative_to(tmp_path / "course").as_posix() for path in done.written] == [
        "source/00_start_here/00_start_here.ipynb",
        "source/02_write_the_task/02_write_the_task.ipynb",
    ]
    assert not (tmp_path / "course").exists()
