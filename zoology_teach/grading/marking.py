"""A graded class while its open answers are marked: what there is to read, in which order.

manual.csv holds the marks and is read anew each time: somebody may edit it by hand meanwhile.
A mark is there before `give` returns; what follows from it, a line of grades.csv and the
student's page, comes after, and is made up for at the next start where a crash came between.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from zoology_teach.grading import marks
from zoology_teach.grading.comments import read_comments
from zoology_teach.grading.feedback import write_feedback
from zoology_teach.grading.grade import load, write_results
from zoology_teach.grading.gradebook import grades_table, in_order
from zoology_teach.grading.manual import (
    OPEN_QUESTION,
    is_outdated,
    open_questions,
    read_marks,
    read_rows,
)
from zoology_teach.grading.marks import NO_MARK, Mark, Name
from zoology_teach.grading.records import Graded
from zoology_teach.grading.safe_csv import csv_bytes
from zoology_teach.grading.settings import graded_with
from zoology_teach.grading.written import Written


@dataclass(frozen=True)
class Question:
    """An open question as it was handed out: its title, text and rubric, in Markdown."""

    id: str
    title: str = ""
    text: str = ""
    rubric: str = ""


def address(question: str, student: Graded) -> str:
    """The name of an answer that does not tell whose it is."""
    return hashlib.sha256(f"{question}/{student.key}".encode()).hexdigest()[:12]


class Marking:
    """The answers and marks of `out`; only for the `sole_writer` of what was graded.

    Raises ValueError where `out` is no graded class, or manual.csv holds what is no mark.
    """

    def __init__(self, out: Path, solutions: Path | None = None) -> None:
        self.exercises, self.sandboxed = graded_with(out)
        self.out, self.solutions, self.manual = out, solutions, out / "manual.csv"
        self.graded = in_order(load(out))
        self.notes = self._write_all()
        self.questions = self._questions()
        self._written, self._lock, self._ended = Written(out), Lock(), False

    def end(self) -> list[str]:
        """Give no more marks, and have all files in step; what the teacher should know."""
        with self._lock:
            self._ended = True
            return self._write_all()

    def _write_all(self) -> list[str]:
        return write_results(
            self.out, self.graded, self.exercises, self.solutions, sandboxed=self.sandboxed
        )

    def marks(self) -> dict[Name, Mark]:
        """What was given so far."""
        return marks.read(self.manual, self.graded)

    def outdated(self) -> set[Name]:
        """The marks that were given to what a student has since handed in anew."""
        class_ = {g.key: g for g in self.graded}
        _, rows = read_rows(self.manual, self.graded)
        there = [row for row in rows if row["key"] in class_]
        return {(r["key"], r["question"]) for r in there if is_outdated(r, class_[r["key"]])}

    def order(self, question: str, *, hidden: bool) -> list[Graded]:
        """The class by name or, where names are hidden, in an order that tells nothing."""
        if not hidden:
            return list(self.graded)
        return sorted(self.graded, key=lambda g: address(question, g))

    def student(self, question: str, at: str) -> Graded | None:
        """Whose answer has the address `at`."""
        return next((g for g in self.graded if address(question, g) == at), None)

    def next_unmarked(self, question: str, after: Graded | None, *, hidden: bool) -> Graded | None:
        """The first student behind `after`, and then from the start, without points."""
        given, order = self.marks(), self.order(question, hidden=hidden)
        start = order.index(after) + 1 if after else 0
        turned = order[start:] + order[:start]
        missing = (g for g in turned if not given.get((g.key, question), NO_MARK).points)
        return next(missing, None)

    def best(self, question: str, without: Graded, given: dict[Name, Mark]) -> tuple[str, str]:
        """Points and text of the answer of another student that has most points, or ("", "")."""
        others = [g for g in self.graded if g != without and g.answers.get(question)]
        points = {g.key: given.get((g.key, question), NO_MARK).points for g in others}
        found = [g for g in others if points[g.key]]
        if not found:
            return "", ""
        best = max(found, key=lambda g: float(points[g.key]))
        return points[best.key], best.answers[question]

    def give(self, student: Graded, question: str, mark: Mark, seen: Mark) -> None:
        """Have a mark on the disk, and on the student's page. Raises as `marks.give` does."""
        with self._lock:
            if self._ended:
                raise OSError("not stored: the marking has been ended")
            marks.give(self.manual, self.graded, student, question, mark, seen)
            points = read_marks(self.manual, self.graded)
            comments = read_comments(self.manual, self.graded)
            lines = grades_table(self.graded, self.exercises, points)
            write = self._written.write
            write(self.out / "grades.csv", csv_bytes(lines))
            one, how = [student], self.sandboxed
            write_feedback(
                self.out, one, self.exercises, points, comments, sandboxed=how, write=write
            )

    def merge(self, others: Sequence[Path]) -> tuple[int, list[str]]:
        """Take over other markers' marks: how many, and what disagrees."""
        taken = 0
        conflicts: list[str] = []
        for other in others:
            number, said = marks.merge(self.manual, other, self.graded)
            taken, conflicts = taken + number, conflicts + said
        return taken, conflicts

    def _questions(self) -> dict[str, Question]:
        """As the solutions have them; without these, the rubrics that manual.csv has kept."""
        _, rows = read_rows(self.manual, self.graded)
        kept = {row["question"]: row["rubric"] for row in rows}
        found = {id: Question(id, rubric=kept.get(id, "")) for id in open_questions(self.exercises)}
        for source in sorted(self.solutions.glob("[0-9][0-9]_*.md")) if self.solutions else ():
            text = source.read_text(encoding="utf-8")
            for match in OPEN_QUESTION.finditer(text):
                if match["id"] in found:
                    asked = text[match.end("title") : match.start("rubric")].strip()
                    rubric = match["rubric"].strip()
                    found[match["id"]] = Question(match["id"], match["title"], asked, rubric)
        return found
