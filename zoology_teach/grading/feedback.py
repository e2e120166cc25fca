"""One page of HTML for each student: every rung, its points, and the reason where one is lost.

The pages stand alone and run nothing: all that comes from a submission is escaped and set
apart in its direction of writing, and a Content-Security-Policy forbids scripts and requests.
"""

from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path

from markupsafe import Markup

from zoology_teach import files
from zoology_teach.grading.comments import Comments
from zoology_teach.grading.gradebook import Write
from zoology_teach.grading.ladder import Exercise, Outcome, explained
from zoology_teach.grading.manual import OPEN_POINTS, Marks, open_questions, points_of, total
from zoology_teach.grading.records import Graded
from zoology_teach.grading.rendering import policy, render, style

MOST_FAILED = 20  # failed cells that are listed
NO_SANDBOX = "GRADED WITHOUT A SANDBOX: nothing kept the code from forging these points."
STATUS = {
    "stopped": "The run was stopped; what was earned before counts.",
    "unreadable": "There was no notebook that could be run.",
}


def write_feedback(
    out: Path,
    graded: Iterable[Graded],
    exercises: Sequence[Exercise],
    marks: Marks | None = None,
    comments: Comments | None = None,
    *,
    sandboxed: bool = True,
    write: Write = files.replace,
) -> list[Path]:
    """Write feedback/<key>.html for every student, by `write`; return the paths."""
    paths = []
    for g in graded:
        path = out / "feedback" / f"{g.key}.html"
        write(path, page(g, exercises, marks, comments, sandboxed=sandboxed).encode())
        paths.append(path)
    return paths


def page(
    graded: Graded,
    exercises: Sequence[Exercise],
    marks: Marks | None = None,
    comments: Comments | None = None,
    *,
    sandboxed: bool = True,
) -> str:
    """The page of one student; `marks` are the points given by hand, `comments` stand beside."""
    css = style("feedback.css")
    failed = _merged(graded.cells)
    return render(
        "feedback.html",
        graded=graded,
        style=Markup(css),
        policy=Markup(policy(css)),
        warning="" if sandboxed else NO_SANDBOX,
        status=STATUS.get(graded.status, ""),
        summary=_summary(graded, exercises, marks or {}),
        comments=_comments(graded, exercises, comments or {}),
        ladders=[_ladder(graded, exercise) for exercise in exercises],
        failed=failed[:MOST_FAILED],
        more_failed=len(failed[MOST_FAILED:]),
    )


def _comments(
    graded: Graded, exercises: Sequence[Exercise], comments: Comments
) -> list[tuple[str, str]]:
    questions = sorted([*(exercise.id for exercise in exercises), *open_questions(exercises)])
    named = [(question, comments.get((graded.key, question), "")) for question in questions]
    return [(question, comment) for question, comment in named if comment]


def _summary(graded: Graded, exercises: Sequence[Exercise], marks: Marks) -> list[tuple[str, str]]:
    """What and how many points, for every exercise and open question and in all."""
    lines = [(f"{e.id} {e.title}", _earned(graded, e, marks)) for e in exercises]
    possible = sum(exercise.points for exercise in exercises)
    for question in open_questions(exercises):
        mark = marks.get((graded.key, question))
        if mark is not None:
            possible += OPEN_POINTS
        said = "not marked yet" if mark is None else f"{mark:g} of {OPEN_POINTS}"
        lines.append((f"{question} open question, read by your teacher", said))
    return [*sorted(lines), ("Total", f"{total(graded, exercises, marks):g} of {possible}")]


def _earned(graded: Graded, exercise: Exercise, marks: Marks) -> str:
    by_hand = ", set by your teacher" if (graded.key, exercise.id) in marks else ""
    return f"{points_of(graded, exercise.id, marks):g} of {exercise.points}{by_hand}"


def _ladder(graded: Graded, exercise: Exercise) -> tuple[Exercise, list[tuple[Outcome, str]], str]:
    """An exercise, each outcome with what to say of it, and what was printed where one was lost."""
    outcomes = graded.exercises.get(exercise.id, ())
    printed = graded.output.get(exercise.id, "")
    lost = any(not outcome.earned for outcome in outcomes)
    return exercise, explained(outcomes), printed if lost and printed.strip() else ""


def _merged(cells: Sequence[tuple[int, str]]) -> list[tuple[str, str]]:
    """Numbers and error of failed cells; neighbours that failed alike in one line."""
    neighbours = groupby(enumerate(cells), key=lambda c: (c[1][0] - c[0], c[1][1]))
    merged = []
    for (_, error), alike in neighbours:
        numbers = [number for _, (number, _) in alike]
        ends = sorted({numbers[0], numbers[-1]})
        merged.append((" to ".join(map(str, ends)), error))
    return merged
