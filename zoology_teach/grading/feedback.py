"""One page of HTML for each student: every rung, its points, and the reason where one is lost.

The pages stand alone and run nothing: all that comes from a submission is escaped and set
apart in its direction of writing, and a Content-Security-Policy forbids scripts and requests.
"""

import base64
import hashlib
import html
from collections.abc import Iterable, Sequence
from pathlib import Path

from zoology_teach import files
from zoology_teach.grading.ladder import Exercise, Outcome
from zoology_teach.grading.manual import OPEN_POINTS, Marks, open_questions, points_of, total
from zoology_teach.grading.records import Graded, visible

STYLE = """
body { font: 1rem/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 50rem; padding: 0 1rem;
  color: #1a1a1a; background: #fff; }
h1 { font-size: 1.5rem; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin-top: 2rem; }
table { border-collapse: collapse; width: 100%; margin: 1rem 0; }
caption { text-align: left; font-weight: bold; }
th, td { border-bottom: 1px solid #bbb; padding: .3rem .6rem; text-align: left;
  vertical-align: top; overflow-wrap: anywhere; }
thead th, td.points, td.result { white-space: nowrap; }
tbody th { overflow-wrap: normal; }
tr.lost { background: #fff4e5; }
pre { background: #f3f3f3; padding: .6rem; white-space: pre-wrap; overflow-wrap: anywhere; }
.warning { border: 4px solid #a30000; color: #a30000; padding: 1rem; font-size: 1.6rem;
  font-weight: bold; }
"""
STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
POLICY = f"default-src 'none'; style-src 'sha256-{STYLE_HASH}'; base-uri 'none'; form-action 'none'"
NO_SANDBOX = "GRADED WITHOUT A SANDBOX: nothing kept the code from forging these points."


def write_feedback(
    out: Path,
    graded: Iterable[Graded],
    exercises: Sequence[Exercise],
    marks: Marks | None = None,
    *,
    sandboxed: bool = True,
) -> list[Path]:
    """Write feedback/<key>.html for every student; return the paths."""
    paths = []
    for g in graded:
        path = out / "feedback" / f"{g.key}.html"
        files.replace(path, page(g, exercises, marks, sandboxed=sandboxed).encode())
        paths.append(path)
    return paths


def page(
    graded: Graded,
    exercises: Sequence[Exercise],
    marks: Marks | None = None,
    *,
    sandboxed: bool = True,
) -> str:
    """The page of one student; `marks` are the points given by hand."""
    marks = marks or {}
    name = _text(graded.student)
    parts = [
        "<!doctype html>",
        '<html lang="en">',
        "<head>",
        '<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>Feedback for {html.escape(visible(graded.student))}</title>",
        f"<style>{STYLE}</style>",
        "</head>",
        "<body>",
        "<main>",
        f"<h1>Feedback for {name}</h1>",
        f'<p>From <bdi dir="ltr">{html.escape(visible(graded.file))}</bdi>.</p>',
    ]
    if not sandboxed:
        parts.append(f'<p class="warning" role="alert">{NO_SANDBOX}</p>')
    if graded.status != "ok":
        parts.append(f"<p><strong>{STATUS[graded.status]}</strong> {_text(graded.detail)}</p>")
    parts.append(_summary(graded, exercises, marks))
    parts += [_exercise(graded, exercise) for exercise in exercises]
    parts.append(_failed_cells(graded))
    return "\n".join([*parts, "</main>", "</body>", "</html>", ""])


STATUS = {
    "stopped": "The run was stopped; what was earned before counts.",
    "unreadable": "There was no notebook that could be run.",
}


def _text(text: str) -> str:
    """Text from a submission: its own direction of writing, nothing that acts."""
    return f"<bdi>{html.escape(visible(text))}</bdi>"


def _table(caption: str, columns: Sequence[str], rows: Iterable[str]) -> str:
    heads = "".join(f'<th scope="col">{column}</th>' for column in columns)
    head = f"<thead><tr>{heads}</tr></thead>"
    return "\n".join(
        [f"<table><caption>{caption}</caption>{head}", "<tbody>", *rows, "</tbody>", "</table>"]
    )


def _earned(graded: Graded, exercise: Exercise, marks: Marks) -> str:
    by_hand = ", set by your teacher" if (graded.key, exercise.id) in marks else ""
    return f"{points_of(graded, exercise.id, marks):g} of {exercise.points}{by_hand}"


def _summary(graded: Graded, exercises: Sequence[Exercise], marks: Marks) -> str:
    lines = [(f"{e.id} {e.title}", _earned(graded, e, marks)) for e in exercises]
    possible = sum(exercise.points for exercise in exercises)
    for question in open_questions(exercises):
        mark = marks.get((graded.key, question))
        if mark is not None:
            possible += OPEN_POINTS
        mark = "not marked yet" if mark is None else f"{mark:g} of {OPEN_POINTS}"
        lines.append((f"{question} open question, read by your teacher", mark))
    lines.sort()
    lines.append(("Total", f"{total(graded, exercises, marks):g} of {possible}"))
    rows = [
        f'<tr><th scope="row">{html.escape(what)}</th><td class="points">{earned}</td></tr>'
        for what, earned in lines
    ]
    return _table("Points", ["Exercise", "Points"], rows)


def _exercise(graded: Graded, exercise: Exercise) -> str:
    outcomes = graded.exercises.get(exercise.id, ())
    title = html.escape(f"{exercise.id} {exercise.title}")
    caption = html.escape(f"{exercise.id}: the rungs of {exercise.function}")
    columns = ["Rung", "Result", "Points", "What to look at"]
    parts = [f"<h2>{title}</h2>", _table(caption, columns, map(_rung, outcomes))]
    printed = graded.output.get(exercise.id, "")
    if printed.strip() and any(not outcome.earned for outcome in outcomes):
        shown = html.escape(visible(printed, keep="\n\t"))
        label = f"What your code printed while {exercise.id} was tried"
        parts.append(f"<p>{label}:</p>")
        parts.append(
            f'<pre tabindex="0" dir="auto" role="group" aria-label="{label}">{shown}</pre>'
        )
    return "\n".join(parts)


def _rung(outcome: Outcome) -> str:
    passed = outcome.earned == outcome.points
    kind, result = ("passed", "✓ passed") if passed else ("lost", "✗ not yet")
    return (
        f'<tr class="{kind}"><th scope="row">{html.escape(outcome.rung)}</th>'
        f'<td class="result">{result}</td>'
        f'<td class="points">{outcome.earned} of {outcome.points}</td>'
        f"<td>{_text(outcome.reason) if outcome.reason else ''}</td></tr>"
    )


def _failed_cells(graded: Graded) -> str:
    if not graded.cells:
        return ""
    rows = [
        f'<tr><th scope="row">{number}</th><td>{_text(error)}</td></tr>'
        for number, error in graded.cells
    ]
    table = _table("Cells that stopped with an error", ["Code cell", "Error"], rows)
    return f"<h2>Cells that failed</h2>\n<p>Counted from 1 among the code cells.</p>\n{table}"
