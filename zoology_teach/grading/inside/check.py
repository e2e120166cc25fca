"""`check` where the ladders are not: any exercise is one without rungs, earned in full."""

from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

PUBLIC_SEED = 0


@dataclass(frozen=True)
class Report:
    """What notebooks ask a report for; the marks come from outside the sandbox."""

    exercise: SimpleNamespace
    outcomes: list[Any] = field(default_factory=list)
    earned: int = 0
    passed: bool = True

    def __repr__(self) -> str:
        return ""


def check(exercise_id: str, f: Callable[..., Any]) -> Report:
    """Try nothing: no rung is here."""
    name = getattr(f, "__name__", "")
    known = {"id": exercise_id, "function": name, "title": "", "rungs": [], "points": 0}
    return Report(SimpleNamespace(minutes=0, difficulty=0, **known))
