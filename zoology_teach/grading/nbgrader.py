"""solutions/NN_slug.md -> COURSE/source/NN_slug/NN_slug.ipynb, an assignment for nbgrader.

nbgrader strips the solutions, hands out and collects. A function is a solution cell, its
`check` an autograded cell whose last value, the points, is nbgrader's partial credit, and an
open question gets a cell for the answer that a person grades. Where no kernel runs, autograde
refuses chapters 12 and 13 and gives no points. nbgrader itself is not needed here: a cell's role
is a few entries of its metadata.
"""

import re
from pathlib import Path

from nbformat import NotebookNode
from nbformat.v4 import new_markdown_cell

from zoology_teach.chapters import read
from zoology_teach.grading.answers import PLACEHOLDERS
from zoology_teach.grading.ladders import EXERCISES
from zoology_teach.grading.manual import OPEN_POINTS, open_questions
from zoology_teach.grading.release import Released, solution_files, stamped, update
from zoology_teach.grading.stub import BEGIN

SCHEMA_VERSION = 3  # of the metadata, nbgrader 0.6 to 0.9
CHECK = re.compile(r'^check\("(\d\d\.[a-z])", (\w+)\)$')
DEFINED = re.compile(r"^def (\w+)\(", re.MULTILINE)
HEADING = re.compile(r"^## (\d\d\.[a-z]) ", re.MULTILINE)
# Without a report (our own grader has no use for checks) the cell shows nothing.
AUTOGRADED = """report = check("{id}", {function})
print(report)
report and report.earned"""


def release(solutions: Path, course: Path, *, check: bool = False) -> Released:
    """Bring every assignment below `course`/source up to date.

    With `check` nothing is changed. Other assignments of the course stay as they are. Raises
    ValueError for a solution file that does not hold each of its exercises once.
    """
    return update(
        {
            course / "source" / source.stem / f"{source.stem}.ipynb": assignment_text(source)
            for source in solution_files(solutions)
        },
        check=check,
    )


def assignment_text(source: Path) -> str:
    """The text of the .ipynb that nbgrader gets for one solution file."""
    return stamped(assignment(source), source.stem)


def assignment(source: Path) -> NotebookNode:
    """The notebook of one solution file, solutions included, with a role for every cell."""
    notebook = read(source)
    notebook.metadata.pop("jupytext", None)
    exercises = [e for e in EXERCISES.values() if e.id[:2] == source.stem[:2]]
    ids, questions = {e.function: e.id for e in exercises}, open_questions(exercises)
    found: list[str] = []
    cells: list[NotebookNode] = []
    for cell in notebook.cells:
        heading = HEADING.search(cell.source) if cell.cell_type == "markdown" else None
        if heading and found and found[-1] in questions:
            cells.append(answer_to(found[-1]))
        cells.append(cell)
        if match := CHECK.match(cell.source):
            id, function = match.groups()
            cell.source = AUTOGRADED.format(id=id, function=function)
            cell.metadata.nbgrader = role(f"{id}-check", points=EXERCISES[id].points)
            found.append(id)
        elif BEGIN in cell.source:
            defined = [ids[name] for name in DEFINED.findall(cell.source) if name in ids]
            cell.metadata.nbgrader = role(f"{'-'.join(defined)}-function", solution=True)
        elif heading and heading[1] in questions:
            found.append(heading[1])
    wanted = sorted([*ids.values(), *questions])
    if found != wanted:
        raise ValueError(f"{source}: holds the exercises {found}, must hold {wanted}")
    notebook.cells = [*cells, answer_to(wanted[-1])]
    return notebook


def answer_to(question: str) -> NotebookNode:
    """The cell into which the answer to an open question is written."""
    metadata = {"nbgrader": role(f"{question}-answer", solution=True, points=OPEN_POINTS)}
    return new_markdown_cell(PLACEHOLDERS[0], id=metadata["nbgrader"].grade_id, metadata=metadata)


def role(name: str, *, solution: bool = False, points: int | None = None) -> NotebookNode:
    """nbgrader's metadata: a cell to write in (`solution`), to be graded (`points`), or both."""
    grade = {} if points is None else {"points": points}
    return NotebookNode(
        schema_version=SCHEMA_VERSION,
        grade_id=name.replace(".", "-"),
        grade=points is not None,
        solution=solution,
        locked=not solution,
        task=False,
        **grade,
    )
