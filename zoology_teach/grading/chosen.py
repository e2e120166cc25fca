"""Which exercises a class is graded on: those asked for that this machine can judge."""

import os
import sys
from collections.abc import Sequence
from functools import cache

from zoology_teach.checks import require
from zoology_teach.doctor import failure_of
from zoology_teach.grading.ladder import Exercise
from zoology_teach.grading.ladders import EXERCISES


def chosen(chapter: str | None) -> list[Exercise]:
    """The graded exercises of a chapter, or of all. Raises ValueError for an unknown chapter."""
    chapters = sorted({name[:2] for name in EXERCISES})
    require(chapter is None or chapter in chapters, "exercise", chapter, f"one of {chapters}")
    return [EXERCISES[name] for name in sorted(EXERCISES) if chapter in (None, name[:2])]


def judgeable(exercises: Sequence[Exercise]) -> tuple[list[Exercise], list[str]]:
    """Those that can be judged on this machine, and a sentence about the others.

    A kernel can be judged where Triton's interpreter gives a known sum; elsewhere it would cost
    everybody their marks. Raises ValueError where nothing can be judged.
    """
    kernels = [exercise for exercise in exercises if exercise.kernel]
    why = failure_in_a_process() if kernels else ""
    if not why:
        return list(exercises), []
    names = ", ".join(exercise.id for exercise in kernels)
    kept = [exercise for exercise in exercises if not exercise.kernel]
    require(bool(kept), "exercise", names, f"graded where Triton's interpreter runs: {why}")
    return kept, [f"{names} are left out: they need Triton's interpreter, and {why}"]


@cache
def failure_in_a_process() -> str:
    """Why no kernel is interpreted in a process of its own, as in the sandbox; "" where one is."""
    command = [sys.executable, "-m", "zoology_teach.kernels.smallest"]
    return failure_of(command, {**os.environ, "TRITON_INTERPRET": "1"})
