"""manual.csv: the marks that a teacher gives by hand: to open questions, or in place of a ladder's.

The column "points" is the teacher's. A re-run keeps what stands there, also for students who
are no longer among the submissions, and columns and rows that the teacher added.
"""

import csv
import io
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from zoology_teach.grading.ladder import Exercise
from zoology_teach.grading.ladders import EXERCISES
from zoology_teach.grading.records import Graded
from zoology_teach.grading.safe_csv import ENCODING, cell

OPEN_POINTS = 10  # the most that an open question can earn
COLUMNS = ("key", "student", "file", "question", "rubric", "points")
Marks = dict[tuple[str, str], float]  # points by key of the student and id of the question
OPEN_QUESTION = re.compile(
    r"^## (?P<id>\d\d\.d) (?P<title>.+?)\n.*?^(?P<rubric>A good answer.+?)(?=^```|^## |\Z)",
    re.DOTALL | re.MULTILINE,
)


def open_questions(exercises: Iterable[Exercise]) -> list[str]:
    """The open question of each chapter that has an exercise here: "02.d"."""
    return sorted({f"{exercise.id[:2]}.d" for exercise in exercises})


def points_of(graded: Graded, question: str, marks: Marks) -> float | None:
    """Of an exercise or open question: the mark by hand, else the ladder's points, else None."""
    if (graded.key, question) in marks:
        return marks[graded.key, question]
    return graded.earned(question) if question in graded.exercises else None


def total(graded: Graded, exercises: Sequence[Exercise], marks: Marks) -> float:
    """Points of a student on exercises and open questions."""
    questions = [*(e.id for e in exercises), *open_questions(exercises)]
    return sum(points_of(graded, question, marks) or 0 for question in questions)


def rubric_of(source: Path) -> tuple[str, str, str]:
    """Id, title and rubric (Markdown) of the open question in a solution file.

    Raises ValueError where there is none, or no sentence that begins "A good answer".
    """
    found = OPEN_QUESTION.search(source.read_text(encoding="utf-8"))
    if not found:
        raise ValueError(f"{source}: no open question with its 'A good answer ...'")
    return found["id"], found["title"], found["rubric"].strip()


def read_rubrics(solutions: Path) -> dict[str, str]:
    """Open question -> what a good answer shows, in one line, of every solution file."""
    found = map(rubric_of, sorted(solutions.glob("[0-9][0-9]_*.md")))
    return {
        id: " ".join(re.sub(r"^[-*] ", "· ", rubric, flags=re.MULTILINE).split())
        for id, _, rubric in found
    }


def read_marks(path: Path) -> Marks:
    """(key, question) -> points, of the rows of manual.csv that have them; {} without a file.

    A comma or a point may stand before the decimals, a comma or a semicolon between cells.
    Raises ValueError naming row and column (row 1 is the heading) for an entry that is not a
    number from 0 to the most that the question can earn, and for two rows that disagree.
    """
    marks: Marks = {}
    first_row: dict[tuple[str, str], int] = {}
    for number, row in enumerate(_rows(path), 2):
        entry = row["points"]
        if not entry:
            continue
        where = f"{path.name}, row {number}, column"
        for column in ("key", "question"):
            if not row[column]:
                raise ValueError(f'{where} "{column}": must not be empty beside points')
        value = entry.replace(",", ".")
        question = row["question"]
        most = EXERCISES[question].points if question in EXERCISES else OPEN_POINTS
        points = float(value) if re.fullmatch(r"[0-9]+(\.[0-9]*)?", value) else None
        if points is None or points > most:
            raise ValueError(f'{where} "points": {entry!r} must be a number, 0 to {most}')
        name = (row["key"], row["question"])
        if marks.setdefault(name, points) != points:
            other = f"row {first_row[name]} has {marks[name]:g} for the same student and question"
            raise ValueError(f'{where} "points": {entry!r}, but {other}')
        first_row.setdefault(name, number)
    return marks


def manual_table(
    path: Path, graded: Sequence[Graded], questions: list[str], rubrics: dict[str, str]
) -> list[list[object]]:
    """What manual.csv becomes: a row for each student and question, and all that was there."""
    rows: dict[tuple[str, str], dict[str, object]] = {}
    for number, row in enumerate(_rows(path)):
        name = (row["key"], row["question"] if row["key"] else str(number))
        if any(row.values()) and (row["points"] or name not in rows):
            rows[name] = row
    columns = list(dict.fromkeys([*COLUMNS, *(c for row in rows.values() for c in row)]))
    for g in graded:
        for question in questions:
            row = rows.setdefault((g.key, question), {"key": g.key, "question": question})
            row |= {"student": g.student, "file": g.file}
            row["rubric"] = rubrics.get(question) or row.get("rubric", "")
    order = sorted(
        rows.values(), key=lambda r: (r["question"], cell(r["student"]).casefold(), r["key"])
    )
    return [columns, *([row.get(column, "") for column in columns] for row in order)]


def _rows(path: Path) -> list[dict[str, str]]:
    """The rows of manual.csv, as a spreadsheet may have saved it, with all its columns."""
    if not path.exists():
        return []
    data = path.read_bytes()
    try:
        text = data.decode(ENCODING)
    except UnicodeDecodeError:
        text = data.decode("cp1252", "replace")  # an older Excel; keys and points are ASCII
    heading = text.split("\n", 1)[0]
    delimiter = max(",;\t", key=heading.count)
    try:
        lines = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))
    except csv.Error as error:
        raise ValueError(f"{path.name}: must be a CSV file ({error})") from None
    columns = lines[0] if lines else []
    for column in COLUMNS:
        if columns.count(column) != 1:
            raise ValueError(f'{path.name}, row 1: must have one column "{column}"')
    padded = [line + [""] * (len(columns) - len(line)) for line in lines[1:]]
    rows = [dict(zip(columns, line, strict=False)) for line in padded]
    return [
        row | {name: row[name].strip() for name in ("key", "question", "points")} for row in rows
    ]
