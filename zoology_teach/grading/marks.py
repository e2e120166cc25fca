"""One mark is given in manual.csv, or those of another marker are taken over.

Nothing is overwritten that whoever gives a mark has not seen.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from zoology_teach import files
from zoology_teach.checks import require
from zoology_teach.grading.comments import read_comments
from zoology_teach.grading.manual import (
    as_of,
    points_in,
    read_marks,
    read_rows,
    require_comment,
)
from zoology_teach.grading.manual_rows import Row, table
from zoology_teach.grading.records import Graded, visible
from zoology_teach.grading.safe_csv import cell, csv_bytes, text

MOST_OF_A_COMMENT = 2000  # characters
Name = tuple[str, str]  # key of the student and id of the question


@dataclass(frozen=True)
class Mark:
    """Points as text, such as "7.5", and a comment in one line; "" where there is none."""

    points: str = ""
    comment: str = ""

    def __str__(self) -> str:
        unit = "point" if self.points == "1" else "points"
        points = f"{self.points} {unit}" if self.points else "no points"
        return f"{points}, “{self.comment}”" if self.comment else points


NO_MARK = Mark()


class ChangedMeanwhile(Exception):
    """The mark is another one than was seen: `now`."""

    def __init__(self, now: Mark) -> None:
        super().__init__(f"meanwhile it has {now}")
        self.now = now


def checked(points: str, comment: str, question: str) -> Mark:
    """A mark as manual.csv holds it. Raises ValueError for what is none."""
    points, comment = points.strip(), text(cell(" ".join(comment.split())))
    allowed = f"of at most {MOST_OF_A_COMMENT} characters; it has {len(comment)}"
    require(len(comment) <= MOST_OF_A_COMMENT, "comment", comment[:20], allowed)
    require_comment(comment, question)
    number = points_in(points, question, question) if points else None
    return Mark("" if number is None else f"{number:.10g}", comment)


def read(path: Path, graded: Sequence[Graded]) -> dict[Name, Mark]:
    """What was given so far. Raises ValueError naming row and column for what is no mark."""
    points, comments = read_marks(path, graded), read_comments(path, graded)
    return {
        name: Mark(f"{points[name]:.10g}" if name in points else "", comments.get(name, ""))
        for name in points | comments
    }


def give(
    path: Path, graded: Sequence[Graded], student: Graded, question: str, mark: Mark, seen: Mark
) -> None:
    """Have `mark` on the disk in place of the one that was `seen`.

    Raises ChangedMeanwhile, with nothing written, where another one stands there.
    """
    name = (student.key, question)
    now = read(path, graded).get(name, NO_MARK)
    if now not in (seen, mark):
        raise ChangedMeanwhile(now)
    headings, rows = read_rows(path, graded)
    _set(rows, name, mark, {"student": student.student, "file": as_of(student)}, len(headings))
    files.replace(path, csv_bytes(table(headings, rows)))


def merge(path: Path, other: Path, graded: Sequence[Graded]) -> tuple[int, list[str]]:
    """Take over the marks of another manual.csv where there are none here.

    Returns how many, and a sentence for each mark that disagrees: there the one here stays.
    """
    require(other.is_file(), "merge", str(other), "the manual.csv of another marker")
    headings, rows = read_rows(path, graded)
    ours, theirs = read(path, graded), read(other, graded)
    _, their_rows = read_rows(other, graded)
    known = {_name(row): {c: row[c] for c in ("student", "file")} for row in their_rows}
    taken, conflicts = 0, []
    for name, their in sorted(theirs.items(), key=lambda item: (item[0][1], item[0][0])):
        our = ours.get(name, NO_MARK)
        pairs = ((our.points, their.points), (our.comment, their.comment))
        if any(a and b and a != b for a, b in pairs):
            who = f"{name[1]} of {visible(known[name]['student']) or name[0]}"
            conflicts.append(f"{who}: {our} here, {their} in {other}; the one here stays")
            continue
        joined = Mark(*(a or b for a, b in pairs))
        if joined != our:
            _set(rows, name, joined, known[name] if our == NO_MARK else {}, len(headings))
            taken += 1
    if taken:
        files.replace(path, csv_bytes(table(headings, rows)))
    return taken, conflicts


def _set(rows: list[Row], name: Name, mark: Mark, about: dict[str, str], own_columns: int) -> None:
    here = [row for row in rows if _name(row) == name]
    if not here:
        here = [Row({"key": name[0], "question": name[1]}, [""] * own_columns)]
        rows += here
    for row in here:
        row.cells |= about | {"points": mark.points}
        if mark.comment or row["comment"]:
            row.cells["comment"] = mark.comment


def _name(row: Row) -> Name:
    return row["key"], row["question"]
