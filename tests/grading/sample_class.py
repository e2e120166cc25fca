"""A small class for the tests of what is made of graded submissions."""

from pathlib import Path

from zoology_teach.grading.chosen import chosen
from zoology_teach.grading.ladder import Exercise, Outcome
from zoology_teach.grading.origins import key_of
from zoology_teach.grading.records import Graded, visible
from zoology_teach.grading.sandbox import Limits
from zoology_teach.grading.session import no_points
from zoology_teach.grading.settings import GRADED, settle

A = Exercise("02.a", "answers", "Answer <by> the definition", minutes=15, difficulty=1)
B = Exercise("02.b", "race", "Run the race", minutes=15, difficulty=2)
C = Exercise("04.a", "conv", "A causal convolution", minutes=15, difficulty=2)
EXERCISES = [A, B, C]
for exercise, points in ((A, (1, 2)), (B, (3,)), (C, (1, 1, 2))):
    for number, value in enumerate(points):
        exercise.rung(f"rung {number}", value, f"mistake {number} & more")(lambda call, g: None)

NASTY = [
    "=HYPERLINK(\"http://x\",\"y\")",
    "  +1+1",
    "\u00a0-1",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\uff1d1",
    "bob;=1+1",
    'q"uote, comma; semicolon',
    "new\nline\r\nand \x00\x1b[31m",
    "\u202egnp.exe\u2066",
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "\udcff lone",
    "محمد علي",
    "日本語",
    "",
]  # fmt: skip


def graded(student="ada", key="ada-00000001", earned=(), status="ok", **more) -> Graded:
    """Earned: names of rungs such as "02.a 0"; all others are lost for a reason."""

    def outcome(exercise, number, rung):
        passed = f"{exercise.id} {number}" in earned
        points = rung.points if passed else 0
        return Outcome(rung.name, rung.points, points, "" if passed else more.get("reason", "why"))

    exercises = {e.id: tuple(outcome(e, n, r) for n, r in enumerate(e.rungs)) for e in EXERCISES}
    return Graded(
        student=student,
        key=key,
        file=more.get("file", f"{student}.ipynb"),
        digest="d",
        status=status,
        detail=more.get("detail", ""),
        exercises=exercises,
        output=more.get("output", {}),
        cells=more.get("cells", ()),
    )


def nasty_class(text_of=str) -> list[Graded]:
    """One student for each nasty name, which is also file, detail, reason, output and error."""
    return [
        graded(
            name,
            f"s-{number:08x}",
            file=name,
            detail=name,
            reason=name,
            output={e.id: name for e in EXERCISES},
            cells=((1, name),),
            status="stopped",
        )
        for number, name in enumerate(map(text_of, NASTY))
    ]


def write_class(out: Path, answers: dict[str, dict[str, str]], chapters=("00", "02")) -> None:
    """Have `out` as a grading run leaves it before it writes pages: no code, these answers."""
    exercises = [e for chapter in chapters for e in chosen(chapter)]
    out.mkdir(parents=True)
    settle(out, 1, exercises, True, Limits())
    records = [
        Graded(
            student=student,
            key=key_of(student, student),
            file=f"{visible(student)}.ipynb",
            digest="d",
            status="ok",
            detail="",
            exercises={e.id: no_points(e, "nothing was written") for e in exercises},
            output={},
            cells=(),
            handed_in="0" * 12,
            answers=theirs,
        )
        for student, theirs in answers.items()
    ]
    (out / GRADED).write_text("".join(record.to_json() + "\n" for record in records))
