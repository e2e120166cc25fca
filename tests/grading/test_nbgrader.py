"""The bridge to nbgrader: its metadata as its schema 3 wants it, and nothing of ours lost."""

import re
from pathlib import Path

import nbformat
import pytest
from typer.testing import CliRunner

from zoology_teach import cli
from zoology_teach.grading import check
from zoology_teach.grading.grade import grade
from zoology_teach.grading.ladders import EXERCISES
from zoology_teach.grading.manual import open_questions
from zoology_teach.grading.nbgrader import assignment, release

ROOT = Path(__file__).parents[2]
SOLUTIONS = sorted((ROOT / "solutions").glob("[0-9][0-9]_*.md"))
# nbgrader/nbgraderformat/v3.json of nbgrader 0.9: what a cell may and must say
TYPES = {
    "schema_version": int,
    "grade": bool,
    "solution": bool,
    "locked": bool,
    "task": bool,
    "grade_id": str,
    "points": int,
}
REQUIRED = {"schema_version", "grade", "solution", "locked"}


@pytest.fixture(params=SOLUTIONS, ids=[s.stem[:2] for s in SOLUTIONS], scope="module")
def notebook(request):
    return assignment(request.param)


def roles(notebook) -> dict:
    """grade_id -> cell, of the cells that nbgrader knows."""
    known = [c for c in notebook.cells if "nbgrader" in c.metadata]
    by_id = {c.metadata.nbgrader.grade_id: c for c in known}
    assert len(by_id) == len(known), "a grade_id stands twice"
    return by_id


def test_every_role_fits_the_schema(notebook):
    nbformat.validate(notebook)
    for grade_id, cell in roles(notebook).items():
        role = cell.metadata.nbgrader
        assert set(role) >= REQUIRED and set(role) <= set(TYPES)
        assert all(type(value) is TYPES[key] for key, value in role.items())
        assert role.schema_version == 3 and not role.task
        assert re.fullmatch(r"[a-zA-Z0-9_-]+", grade_id)
        assert role.grade == ("points" in role)
        assert role.locked != role.solution
        assert role.solution == grade_id.endswith(("-function", "-answer"))
        assert cell.cell_type == "code" or (role.grade and role.solution)


def test_every_function_has_its_check_and_every_open_question_its_answer(notebook):
    by_id = roles(notebook)
    number = next(iter(by_id))[:2]
    exercises = [e for e in EXERCISES if e.startswith(number)]
    parts = dict.fromkeys(exercises, ("function", "check"))
    parts |= dict.fromkeys(open_questions(EXERCISES[e] for e in exercises), ("answer",))
    wanted = [f"{id.replace('.', '-')}-{part}" for id in sorted(parts) for part in parts[id]]
    assert list(by_id) == wanted
    assert notebook.cells[-1] is by_id[wanted[-1]], "below all that the last question shows"
    for exercise_id in exercises:
        grade = by_id[f"{exercise_id[:2]}-{exercise_id[3]}-check"].metadata.nbgrader
        assert grade.points == EXERCISES[exercise_id].points
    for cell in notebook.cells:
        assert ("BEGIN SOLUTION" in cell.source) == (cell in by_id.values() and is_function(cell))


def is_function(cell) -> bool:
    return cell.metadata.nbgrader.grade_id.endswith("-function")


def test_check_cells_run_where_check_answers_nothing(notebook):
    """As in our own grader, which runs the student's cells with a `check` that does nothing."""
    for grade_id, cell in roles(notebook).items():
        if grade_id.endswith("-check"):
            function = EXERCISES[f"{grade_id[:2]}.{grade_id[3]}"].function
            exec(cell.source, {"check": lambda id, f: None, function: len})


@pytest.mark.parametrize(("answer", "points"), [("(labels != -100).sum(1)", 5), ("None", 0)])
def test_the_last_value_of_a_check_cell_is_its_points(answer, points):
    cell = roles(assignment(SOLUTIONS[0]))["00-a-check"]
    *lines, last = cell.source.splitlines()
    scope = {"check": check}
    exec(f"def count_questions(labels):\n    return {answer}\n" + "\n".join(lines), scope)
    assert eval(last, scope) == points, "nbgrader takes a number as partial credit"


def test_release_writes_into_the_course_and_leaves_the_rest(tmp_path):
    other = tmp_path / "source" / "other" / "other.ipynb"
    other.parent.mkdir(parents=True)
    other.write_text("{}")
    arguments = ["release", "--nbgrader", str(tmp_path)]
    assert CliRunner().invoke(cli.app, [*arguments, "--check"]).exit_code == 1
    assert not list(tmp_path.glob("source/0*"))
    written = CliRunner().invoke(cli.app, arguments)
    assert written.exit_code == 0 and written.output.count("written") == len(SOLUTIONS)
    for source in SOLUTIONS:
        path = tmp_path / "source" / source.stem / f"{source.stem}.ipynb"
        released = nbformat.read(path, as_version=4)
        assert released.metadata.pop("zoology_teach")
        assert released == assignment(source)
    assert other.read_text() == "{}"
    assert CliRunner().invoke(cli.app, [*arguments, "--check"]).output == ""


def test_a_lost_check_is_an_error(tmp_path):
    source = tmp_path / SOLUTIONS[0].name
    source.write_text(SOLUTIONS[0].read_text().replace('check("00.b", score)', ""))
    with pytest.raises(ValueError, match=r"must hold \['00.a', '00.b'"):
        assignment(source)


def test_what_nbgrader_collects_is_graded(tmp_path):
    notebook = nbformat.writes(assignment(SOLUTIONS[0]))
    for student in ("ada", "ben"):
        path = tmp_path / "submitted" / student / SOLUTIONS[0].stem / f"{SOLUTIONS[0].stem}.ipynb"
        path.parent.mkdir(parents=True)
        path.write_text(notebook)
        (path.parent / "timestamp.txt").write_text("2026-11-24 09:49:48 UTC")
    found = grade(tmp_path / "submitted", tmp_path / "out", chapter="00", sandbox="none")
    assert [(g.student, g.status, g.cells) for g in found.graded] == [
        ("ada", "ok", ()),
        ("ben", "ok", ()),
    ]
    for graded in found.graded:
        assert all(graded.earned(e.id) == e.points for e in found.exercises)


def test_an_assignment_that_a_teacher_has_changed_is_kept(tmp_path):
    release(ROOT / "solutions", tmp_path)
    path = tmp_path / "source" / SOLUTIONS[0].stem / f"{SOLUTIONS[0].stem}.ipynb"
    notebook = nbformat.read(path, as_version=4)
    notebook.cells[0].source = "# My own introduction"
    nbformat.write(notebook, path)
    (tmp_path / "source" / SOLUTIONS[1].stem / f"{SOLUTIONS[1].stem}.ipynb").unlink()
    done = release(ROOT / "solutions", tmp_path)
    assert [p.stem for p in done.written] == [SOLUTIONS[1].stem] and done.kept == [path]
    assert nbformat.read(path, as_version=4) == notebook
