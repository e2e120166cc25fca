"""manual.csv: the marks that a teacher gives by hand: to open questions, or in place of a ladder's.

The columns "points" and "comment" are the teacher's. A re-run keeps what stands there, also for
students who are no longer among the submissions, and columns and rows that the teacher added.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from zoology_teach.grading import manual_rows
from zoology_teach.grading.ladder import Exercise
from zoology_teach.grading.ladders import EXERCISES
from zoology_teach.grading.manual_rows import Row, table
from zoology_teach.grading.origins import other_keys
from zoology_teach.grading.records import Graded, visible
from zoology_teach.grading.safe_csv import cell

OPEN_POINTS = 10  # the most that an open question can earn
Marks = dict[tuple[str, str], float]  # points by key of the student and id of the question
OPEN_QUESTION = re.compile(
    r"^## (?P<id>\d\d\.[a-z]) (?P<title>[^\n]+)\n"
    r"(?:(?!^## ).)*?^(?P<rubric>A good answer.+?)(?=^```|^## |^\+\+\+|\Z)",
    re.DOTALL | re.MULTILINE,
)
AS_OF = re.compile(r" @([0-9a-f]{12})$")  # behind a file: what it was when the row was written


def open_questions(exercises: Iterable[Exercise]) -> list[str]:
    """Of each chapter that has an exercise here its open question, "02.d", and the reports."""
    exercises = list(exercises)
    reports = {exercise.report for exercise in exercises if exercise.report}
    return sorted({open_question(exercise.id[:2]) for exercise in exercises} | reports)


def open_question(chapter: str) -> str:
    """Its open question: letter d, or the first behind it that is not graded by a ladder."""
    return next(id for letter in "defgh" if (id := f"{chapter}.{letter}") not in EXERCISES)


def points_of(graded: Graded, question: str, marks: Marks) -> float | None:
    """Of an exercise or open question: the mark by hand, else the ladder's points, else None."""
    if (graded.key, question) in marks:
        return marks[graded.key, question]
    return graded.earned(question) if question in graded.exercises else None


def total(graded: Graded, exercises: Sequence[Exercise], marks: Marks) -> float:
    """Points of a student on exercises and open questions."""
    questions = [*(e.id for e in exercises), *open_questions(exercises)]
    return sum(points_of(graded, question, marks) or 0 for question in questions)


def marked(graded: Iterable[Graded], exercises: Iterable[Exercise], marks: Marks) -> dict[str, int]:
    """Open question -> how many answers of this class have a mark."""
    keys = [g.key for g in graded]
    return {q: sum((key, q) in marks for key in keys) for q in open_questions(exercises)}


def rubrics_of(source: Path) -> list[tuple[str, str, str]]:
    """Id, title and rubric (Markdown) of each open question in a solution file.

    Raises ValueError where there is none, or no sentence that begins "A good answer".
    """
    found = list(OPEN_QUESTION.finditer(source.read_text(encoding="utf-8")))
    if not found:
        raise ValueError(f"{source}: no open question with its 'A good answer ...'")
    return [(match["id"], match["title"], match["rubric"].strip()) for match in found]


def read_rubrics(solutions: Path) -> dict[str, str]:
    """Open question -> what a good answer shows, in one line, of every solution file."""
    return {
        id: " ".join(re.sub(r"^[-*] ", "· ", rubric, flags=re.MULTILINE).split())
        for source in sorted(solutions.glob("[0-9][0-9]_*.md"))
        for id, _, rubric in rubrics_of(source)
    }


def read_marks(path: Path, graded: Iterable[Graded] = ()) -> Marks:
    """(key, question) -> points, of the rows of manual.csv that have them; {} without a file.

    A comma or a point may stand before the decimals, a comma or a semicolon between cells.
    Of the students in `graded` the keys of older files are understood. Raises ValueError
    naming row and column (row 1 is the heading) for an entry that is not a number from 0 to
    the most that the question can earn, and for two rows that disagree.
    """
    marks: Marks = {}
    first_row: dict[tuple[str, str], int] = {}
    _, rows = read_rows(path, graded)
    for number, row in enumerate(rows, 2):
        entry = row["points"]
        if not entry:
            continue
        where = f"{path}, row {number}, column"
        for column in ("key", "question"):
            if not row[column]:
                raise ValueError(f'{where} "{column}": must not be empty beside points')
        points = points_in(entry, row["question"], where)
        require_comment(row["comment"], where)
        name = (row["key"], row["question"])
        if marks.setdefault(name, points) != points:
            other = f"row {first_row[name]} has {marks[name]:g} for the same student and question"
            raise ValueError(f'{where} "points": {entry!r}, but {other}')
        first_row.setdefault(name, number)
    return marks


def points_in(entry: str, question: str, where: str) -> float:
    """The points that `entry` gives to a question. Raises ValueError that begins with `where`."""
    value = entry.replace(",", ".")
    most = EXERCISES[question].points if question in EXERCISES else OPEN_POINTS
    points = float(value) if re.fullmatch(r"[0-9]+(\.[0-9]*)?", value) else None
    if points is None or points > most:
        raise ValueError(f'{where} "points": {entry!r} must be a number, 0 to {most}')
    return points


def require_comment(comment: str, where: str) -> None:
    """Raise ValueError that begins with `where` for what may be the decimals of 7,5 unquoted."""
    if re.fullmatch("[0-9]+", comment):
        raise ValueError(f'{where} "comment": {comment!r} must be more than digits; quote a "7,5"')


def read_rows(path: Path, graded: Iterable[Graded]) -> tuple[list[str], list[Row]]:
    """Headings and rows as `manual_rows.read` finds them, with the keys of today."""
    headings, rows = manual_rows.read(path)
    today = {old: g.key for g in graded for old in other_keys(g.student) if _is_plain(g)}
    for row in rows:
        row.cells["key"] = today.get(row["key"], row["key"])
    return headings, rows


def _is_plain(graded: Graded) -> bool:
    """Whether the key was made of the name, as it is where no platform has a number."""
    return graded.key in other_keys(graded.student)


def manual_table(
    path: Path, graded: Sequence[Graded], questions: list[str], rubrics: Mapping[str, str]
) -> list[list[object]]:
    """What manual.csv becomes: a row for each student and question, and all that was there.

    A row with points or a comment says to which submission it was given until the teacher empties
    its cell "file".
    """
    headings, before = read_rows(path, graded)
    rows = _without_copies(before)
    there, class_ = set(map(_name, rows)), {g.key: g for g in graded}
    for g in graded:
        for question in questions:
            if (g.key, question) not in there:
                rows.append(Row({"key": g.key, "question": question}, [""] * len(headings)))
    for row in rows:
        if row["key"] in class_ and row["question"]:
            student = class_[row["key"]]
            row.cells["student"] = student.student
            row.cells["rubric"] = rubrics.get(row["question"]) or row["rubric"]
            if not is_outdated(row, student):
                row.cells["file"] = as_of(student)
    rows.sort(key=lambda r: (r["question"], cell(r["student"]).casefold(), r["key"]))
    return table(headings, rows)


def as_of(graded: Graded) -> str:
    """The cell "file": what was handed in, and which version of it."""
    return cell(f"{graded.file} @{graded.handed_in}" if graded.handed_in else graded.file)


def is_outdated(row: Row, graded: Graded) -> bool:
    """Whether the row's points were given to what the student has since handed in anew."""
    was = AS_OF.search(row["file"])
    return bool(
        (row["points"] or row["comment"])
        and was
        and graded.handed_in
        and was[1] != graded.handed_in
    )


def _without_copies(rows: Iterable[Row]) -> list[Row]:
    """Without empty rows, and without copies of a row in which the teacher wrote nothing."""
    rows = [row for row in rows if any(row.cells.values()) or any(row.own)]
    used = [row.is_used or not row["key"] for row in rows]
    seen = {_name(row) for row, is_used in zip(rows, used, strict=True) if is_used}
    kept = []
    for row, is_used in zip(rows, used, strict=True):
        if is_used or _name(row) not in seen:
            kept.append(row)
        seen.add(_name(row))
    return kept


def _name(row: Row) -> tuple[str, str]:
    return row["key"], row["question"]


def odd_marks(path: Path, graded: Sequence[Graded], exercises: Sequence[Exercise]) -> Iterator[str]:
    """A sentence for each mark in manual.csv that does not count, or that may be outdated, and
    for each open question with marks for some of the class only."""
    class_ = {g.key: g for g in graded}
    asked = {*open_questions(exercises), *(exercise.id for exercise in exercises)}
    _, rows = read_rows(path, graded)
    for number, row in enumerate(rows, 2):
        where = f"{path}, row {number}: the mark {row['points']} for {visible(row['question'])}"
        if not row["points"]:
            continue
        if row["key"] not in class_:
            yield f"{where} counts for nobody: no student here has the key {visible(row['key'])!r}"
        elif row["question"] not in asked:
            yield f"{where} does not count: that is no exercise or open question graded here"
        elif is_outdated(row, class_[row["key"]]):
            who = visible(class_[row["key"]].student)
            yield (
                f"{where} was given to an earlier submission of {who}; when you have read the "
                'new one, empty the cell "file" of this row'
            )
    for question, number in marked(graded, exercises, read_marks(path, graded)).items():
        if 0 < number < len(graded):
            yield (
                f"{question}: {number} of {len(graded)} answers marked; its {OPEN_POINTS} points "
                "are in everybody's maximum, and who has no mark has none of them"
            )
