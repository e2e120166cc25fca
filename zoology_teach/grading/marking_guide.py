"""solutions/ and the ladders -> solutions/marking_guide.md: what earns points, what loses them."""

from pathlib import Path

from zoology_teach.grading.ladder import Exercise
from zoology_teach.grading.ladders import EXERCISES
from zoology_teach.grading.manual import OPEN_POINTS, rubrics_of

DIFFICULTY = {1: "easy", 2: "medium", 3: "hard"}
INTRODUCTION = """# Marking guide

Written by `zoology-teach release` from the ladders and the solutions; change those, not this file.

Each graded exercise is a ladder. Its rungs are tried one by one; a rung that a student misses
costs its points and shows the sentence beside it, which names the usual mistake. Open questions
are read by the teacher, up to {points} points each, by what a good answer contains.
"""


def marking_guide(sources: list[Path]) -> str:
    """The guide, as Markdown, to the exercises in these solution files."""
    parts = [INTRODUCTION.format(points=OPEN_POINTS)]
    for source in sources:
        number = source.stem[:2]
        parts.append(f"## Chapter {number}\n\n[Solutions]({source.name})\n")
        parts += [_ladder(e) for e in EXERCISES.values() if e.id[:2] == number]
        for id, title, rubric in rubrics_of(source):
            parts.append(f"### {id} {title}\n\nOpen, up to {OPEN_POINTS} points.\n\n{rubric}\n")
    return "\n".join(parts)


def _ladder(exercise: Exercise) -> str:
    about = (
        f"{exercise.points} points, {exercise.minutes} minutes, {DIFFICULTY[exercise.difficulty]}."
    )
    rows = [f"| {rung.name} | {rung.points} | {rung.mistake} |" for rung in exercise.rungs]
    table = "\n".join(["| Rung | Points | The usual mistake |", "|---|---|---|", *rows])
    return f"### {exercise.id} {exercise.title}\n\n{about}\n\n{table}\n"
