"""Grades in the files that Canvas, Moodle and Gradescope read.

What none of them can know is the platform's own number of a student, unless the submissions
came from that platform: then it stands in their file names and is used. Where a column for it
is empty, the teacher fills it in.
"""

import html
import json
from collections.abc import Callable, Sequence
from pathlib import Path

from zoology_teach import files
from zoology_teach.checks import require
from zoology_teach.grading.gradebook import Write, in_order
from zoology_teach.grading.ladder import Exercise, explained, reading
from zoology_teach.grading.manual import OPEN_POINTS, Marks, open_questions, points_of, total
from zoology_teach.grading.origins import platform_ids
from zoology_teach.grading.records import Graded, visible
from zoology_teach.grading.safe_csv import csv_bytes


def export(
    kind: str,
    graded: Sequence[Graded],
    exercises: Sequence[Exercise],
    out: Path,
    marks: Marks | None = None,
    *,
    write: Write = files.replace,
) -> list[Path]:
    """Write the files of `kind`, "canvas", "moodle" or "gradescope", into `out` by `write`.

    Points given by hand (`marks`) count; open questions that nobody here has marked yet do
    not. Returns the paths. Raises ValueError for another `kind`.
    """
    require(kind in KINDS, "export", kind, f"one of {sorted(KINDS)}")
    here = {g.key for g in graded}
    of_the_class = {name: points for name, points in (marks or {}).items() if name[0] in here}
    made = KINDS[kind](in_order(graded), exercises, of_the_class)
    for name, data in made.items():
        write(out / name, data)
    return [out / name for name in made]


def possible(exercises: Sequence[Exercise], marks: Marks) -> int:
    """The most that can be earned, open questions included once one of them is marked."""
    marked = {question for _, question in marks} & set(open_questions(exercises))
    return sum(exercise.points for exercise in exercises) + OPEN_POINTS * len(marked)


def _chapters(exercises: Sequence[Exercise]) -> dict[str, list[Exercise]]:
    """Exercises by chapter: the unit that is an assignment on a platform."""
    names = sorted({exercise.id[:2] for exercise in exercises})
    return {name: [e for e in exercises if e.id[:2] == name] for name in names}


def _canvas(
    graded: Sequence[Graded], exercises: Sequence[Exercise], marks: Marks
) -> dict[str, bytes]:
    """canvas.csv, for Grades > Import: a column of points for each chapter.

    Canvas finds a student by ID, which is in the names of its own export; without it fill in
    ID or SIS Login ID, or Canvas tries the name. Replace the headings "Exercises 02" by your
    assignment's, as Canvas's own export writes it ("Write the task (12345)"), or Canvas
    offers to make a new assignment.
    """
    chapters = _chapters(exercises)
    titles = [f"Exercises {chapter}" for chapter in chapters]
    rows: list[list[object]] = [
        ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", *titles],
        ["Points Possible", "", "", "", "", *(possible(e, marks) for e in chapters.values())],
    ]
    numbers = platform_ids([(g.file, g.key) for g in graded], "canvas")
    for g in graded:
        points = [total(g, part, marks) for part in chapters.values()]
        rows.append([g.student, numbers.get(g.key, ""), "", "", "", *points])
    return {"canvas.csv": csv_bytes(rows, "utf-8")}


def _moodle(
    graded: Sequence[Graded], exercises: Sequence[Exercise], marks: Marks
) -> dict[str, bytes]:
    """moodle.csv, an offline grading worksheet for "Upload grading worksheet".

    Moodle finds a student by Identifier, "Participant 12345", which is in the names of its own
    export; without it copy the column from the worksheet that Moodle offers for download. Set
    the assignment's maximum grade to that of the file, or higher points are skipped, and allow
    updating records that were modified later where a student has a grade already. With
    another language than English the headings must be as in Moodle's own worksheet.
    """
    heading: list[object] = ["Identifier", "Full name", "Status", "Grade", "Maximum Grade"]
    heading += ["Grade can be changed", "Last modified (grade)", "Feedback comments"]
    rows: list[list[object]] = [heading]
    most = possible(exercises, marks)
    numbers = platform_ids([(g.file, g.key) for g in graded], "moodle")
    for g in graded:
        identifier = f"Participant {numbers[g.key]}" if g.key in numbers else ""
        points = total(g, exercises, marks)
        rest = ["Yes", "", _comment(g, exercises, marks)]
        rows.append([identifier, g.student, "", points, most, *rest])
    return {"moodle.csv": csv_bytes(rows, "utf-8")}


def _comment(graded: Graded, exercises: Sequence[Exercise], marks: Marks) -> str:
    """Moodle takes a comment as HTML: a line for each exercise, with the first rung lost."""
    lines = [f"{STATUS[graded.status]} {graded.detail}"] if graded.status in STATUS else []
    for exercise in exercises:
        lost = [o for o in graded.exercises.get(exercise.id, ()) if not o.earned]
        earned = points_of(graded, exercise.id, marks)
        line = f"{exercise.id} {exercise.title}: {earned:g} of {exercise.points}"
        lines.append(line + (f"; lost {lost[0].rung}: {reading(lost[0])}" if lost else ""))
    for question in open_questions(exercises):
        if (graded.key, question) in marks:
            lines.append(f"{question}: {marks[graded.key, question]:g} of {OPEN_POINTS}")
        elif any(question == marked for _, marked in marks):
            lines.append(f"{question}: not marked yet")
    return "<br>".join(html.escape(visible(line), quote=False) for line in lines)


STATUS = {"stopped": "The run was stopped:", "unreadable": "No notebook could be run:"}


def _gradescope(
    graded: Sequence[Graded], exercises: Sequence[Exercise], marks: Marks
) -> dict[str, bytes]:
    """gradescope/<key>/results.json: what an autograder leaves for one submission.

    Gradescope reads it as /autograder/results/results.json: a `run_autograder` of yours copies
    the file of the student at hand, whom you match by name. A test for each rung.
    """
    return {
        f"gradescope/{g.key}/results.json": (
            json.dumps(_results(g, exercises, marks), indent=1) + "\n"
        ).encode()
        for g in graded
    }


def _results(graded: Graded, exercises: Sequence[Exercise], marks: Marks) -> dict[str, object]:
    tests = [
        _test(f"{e.id} {e.title}: {o.rung}", o.earned, o.points, said)
        for e in exercises
        for o, said in explained(graded.exercises.get(e.id, ()))
    ]
    for question in open_questions(exercises):
        if (graded.key, question) in marks:
            points = marks[graded.key, question]
            tests.append(_test(f"{question} open question", points, OPEN_POINTS, ""))
    detail = visible(graded.detail)
    return {"score": total(graded, exercises, marks), "output": detail, "tests": tests}


def _test(name: str, score: float, most: int, output: str) -> dict[str, object]:
    shown = {"name": name, "score": score, "max_score": most, "output": visible(output)}
    return shown | {"output_format": "text"}  # Gradescope escapes text


Make = Callable[[Sequence[Graded], Sequence[Exercise], Marks], dict[str, bytes]]
KINDS: dict[str, Make] = {"canvas": _canvas, "moodle": _moodle, "gradescope": _gradescope}
FILES = {"canvas": "canvas.csv", "moodle": "moodle.csv", "gradescope": "gradescope"}
