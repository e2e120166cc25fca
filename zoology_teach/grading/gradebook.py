"""Graded submissions -> grades.csv, items.csv, items.png, and manual.csv brought up to date."""

import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from zoology_teach import files
from zoology_teach.grading.ladder import Exercise, Rung
from zoology_teach.grading.manual import (
    Marks,
    manual_table,
    open_questions,
    points_of,
    read_marks,
    read_rubrics,
    total,
)
from zoology_teach.grading.origins import is_late
from zoology_teach.grading.records import Graded, visible
from zoology_teach.grading.safe_csv import csv_bytes

MAX_BARS = 40
Write = Callable[[Path, bytes], None]


@dataclass(frozen=True)
class Item:
    """How the class did on one rung, counted over the notebooks that could be read."""

    exercise: Exercise
    rung: Rung
    passed: int
    of: int

    @property
    def share(self) -> float:
        """Share of the notebooks that passed; nan where there is none."""
        return self.passed / self.of if self.of else float("nan")


def write_gradebook(
    out: Path,
    graded: Sequence[Graded],
    exercises: Sequence[Exercise],
    solutions: Path | None = None,
    *,
    write: Write = files.replace,
) -> Marks:
    """Write the four files into `out`, each whole or not at all; return the marks by hand.

    All but manual.csv are written by `write`. Rubrics come from `solutions` where it is given.
    Raises ValueError, with nothing written, for an entry in manual.csv that is no mark.
    """
    marks = read_marks(out / "manual.csv", graded)
    rubrics = read_rubrics(solutions) if solutions else {}
    manual = manual_table(out / "manual.csv", graded, open_questions(exercises), rubrics)
    files.replace(out / "manual.csv", csv_bytes(manual))
    write(out / "grades.csv", csv_bytes(grades_table(graded, exercises, marks)))
    items = count_items(graded, exercises)
    write(out / "items.csv", csv_bytes(_items_table(items)))
    write(out / "items.png", items_picture(items))
    return marks


def in_order(graded: Iterable[Graded]) -> list[Graded]:
    """By name, and by key where names are the same."""
    return sorted(graded, key=lambda g: (visible(g.student).casefold(), g.key))


def grades_table(
    graded: Sequence[Graded], exercises: Sequence[Exercise], marks: Marks
) -> list[list[object]]:
    """The lines of grades.csv."""
    columns = sorted([e.id for e in exercises] + open_questions(exercises))
    heading: list[object] = [
        "student",
        *columns,
        "total",
        "late",
        "status",
        "detail",
        "key",
        "file",
    ]
    rows: list[list[object]] = [heading]
    for g in in_order(graded):
        earned = [points_of(g, c, marks) for c in columns]
        late = "LATE" if is_late(g.file, g.key) else ""
        rest = [total(g, exercises, marks), late, g.status, g.detail, g.key, g.file]
        rows.append([g.student, *("" if p is None else p for p in earned), *rest])
    return rows


def count_items(graded: Iterable[Graded], exercises: Iterable[Exercise]) -> list[Item]:
    """How many notebooks passed each rung, exercise by exercise, rungs in order."""
    readable = [g for g in graded if g.status != "unreadable"]
    passed = {
        (g.key, id, outcome.rung)
        for g in readable
        for id, outcomes in g.exercises.items()
        for outcome in outcomes
        if outcome.earned
    }
    return [
        Item(e, rung, sum((g.key, e.id, rung.name) in passed for g in readable), len(readable))
        for e in exercises
        for rung in e.rungs
    ]


def _items_table(items: Iterable[Item]) -> list[list[object]]:
    heading: list[object] = [
        "exercise",
        "rung",
        "points",
        "passed",
        "of",
        "share",
        "the likely mistake",
    ]
    rows = [
        [
            i.exercise.id,
            i.rung.name,
            i.rung.points,
            i.passed,
            i.of,
            f"{i.share:.3f}",
            i.rung.mistake,
        ]
        for i in items
    ]
    return [heading, *rows]


def items_alternative(items: Sequence[Item]) -> str:
    """What items.png shows, in words: the rungs that most of the class missed."""
    if not items or not items[0].of:
        return "No notebook could be read."
    hardest = sorted(items, key=lambda i: i.share)[:5]
    named = [f"{i.exercise.id} {i.rung.name} ({i.passed} of {i.of})" for i in hardest]
    return f"Bars: how many of {items[0].of} passed each rung. Fewest: {', '.join(named)}."


def items_picture(items: Sequence[Item]) -> bytes:
    """items.png: a bar for each rung, or for the MAX_BARS that fewest passed.

    Its text alternative is `items_alternative`, also in the PNG's Description.
    """
    hardest = set(sorted(range(len(items)), key=lambda i: items[i].share)[:MAX_BARS])
    shown = [item for number, item in enumerate(items) if number in hardest]
    readable = items[0].of if items else 0
    title = f"What the class did not understand: {readable} notebook{'s' * (readable != 1)}"
    if len(shown) < len(items):
        title += f", the {len(shown)} rungs of {len(items)} that fewest passed"
    figure = Figure(figsize=(8, 1.2 + 0.24 * len(shown)), layout="constrained")
    axes = figure.subplots()
    shares = [item.share if readable else 0 for item in shown]
    axes.barh(range(len(shown)), [1] * len(shown), color="#D55E00", hatch="///", edgecolor="white")
    axes.barh(range(len(shown)), shares, color="#0072B2")
    names = [f"{item.exercise.id}  {item.rung.name}" for item in shown]
    axes.set_yticks(range(len(shown)), names, fontsize=8, parse_math=False)
    for row, item in enumerate(shown):
        axes.text(1.01, row, f"{item.passed}", va="center", fontsize=8)
    axes.set(xlim=(0, 1), ylim=(len(shown) - 0.5, -0.5))
    words = "share of the notebooks: plain passed, hatched did not; at the right, how many passed"
    figure.supxlabel(words, fontsize=9)
    axes.xaxis.set_major_formatter(lambda share, _: f"{share:.0%}")
    axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle(title, fontsize=11)
    FigureCanvasAgg(figure)
    drawn = io.BytesIO()
    # An empty Software field: the same class gives the same bytes in any version.
    about = {"Title": title, "Description": items_alternative(items), "Software": None}
    figure.savefig(drawn, format="png", dpi=120, metadata=about)
    return drawn.getvalue()
