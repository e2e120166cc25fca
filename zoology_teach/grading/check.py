"""`check("02.a", f)`: climb the ladder of an exercise in the notebook, at once."""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from zoology_teach.grading.ladder import CallFailed, Exercise, Outcome, climb, explained
from zoology_teach.grading.ladders import EXERCISES
from zoology_teach.grading.rendering import render
from zoology_teach.kernels import interpreter
from zoology_teach.kernels.trace import traced

PUBLIC_SEED = 2312_04927


@dataclass(frozen=True)
class Report:
    """The outcome of every rung of one exercise."""

    exercise: Exercise
    outcomes: list[Outcome]

    @property
    def earned(self) -> int:
        """Points earned."""
        return sum(outcome.earned for outcome in self.outcomes)

    @property
    def passed(self) -> bool:
        """Whether every rung was climbed."""
        return self.earned == self.exercise.points

    def __repr__(self) -> str:
        head = f"{self.exercise.id} {self.exercise.title}: {self.earned} of {self.exercise.points}"
        lines = [f"{head} points"]
        for outcome, said in explained(self.outcomes):
            lines.append(f"  {'ok  ' if outcome.earned else 'not '} {outcome.rung}")
            if said:
                lines.append(f"       {said}")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        return render(
            "check.html",
            exercise=self.exercise,
            rows=explained(self.outcomes),
            earned=self.earned,
        )


def check(exercise_id: str, f: Callable[..., Any]) -> Report:
    """Try `f` on every rung of exercise `exercise_id`, such as "02.a".

    Each call gets copies of its inputs. Raises ValueError for an unknown exercise, an `f` that
    cannot be called, and a kernel where Triton runs none; whatever `f` itself raises becomes the
    reason of a failed rung.
    """
    if exercise_id not in EXERCISES:
        raise ValueError(f"exercise = {exercise_id!r}: must be one of {sorted(EXERCISES)}")
    if not callable(f):
        raise ValueError(f"f = {f!r}: must be a function; pass its name without parentheses")

    def call(*arguments: Any) -> Any:
        copies = [a.clone() if isinstance(a, Tensor) else a for a in arguments]
        try:
            return traced(f, *copies) if exercise.kernel else f(*copies)
        except NotImplementedError as stub:
            raise CallFailed.raised("NotImplementedError", str(stub)) from None
        except (Exception, SystemExit) as error:
            raise CallFailed.raised(type(error).__name__, str(error)) from None

    exercise = EXERCISES[exercise_id]
    if exercise.kernel and (why := interpreter.failure()):
        interpreter.leave_ungraded(f"{exercise_id}: {why}")
        raise ValueError(f"exercise = {exercise_id!r}: cannot be judged here (no mark lost): {why}")
    is_usual = torch.get_default_device().type == "cpu"
    with nullcontext() if is_usual else torch.device("cpu"):  # where the inputs are drawn
        return Report(exercise, climb(exercise, call, PUBLIC_SEED))
