"""One clear error for wrong input: the argument, its value and what is allowed."""

from collections.abc import Mapping
from typing import TypeVar

T = TypeVar("T")


def require(condition: bool, argument: str, value: object, allowed: str) -> None:
    """Raise ``ValueError`` naming `argument`, its `value` and what is `allowed`."""
    if not condition:
        raise ValueError(f"{argument} = {value!r}: must be {allowed}")


def require_int(argument: str, value: object, minimum: int) -> None:
    """Raise ``ValueError`` unless `value` is an integer >= `minimum` (a bool is not one)."""
    fits = isinstance(value, int) and not isinstance(value, bool) and value >= minimum
    require(fits, argument, value, f"an integer >= {minimum}")


def require_positive(argument: str, value: object) -> None:
    """Raise ``ValueError`` unless `value` is a number above 0 and finite."""
    fits = (
        isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < float("inf")
    )
    require(fits, argument, value, "positive and finite")


def choose(argument: str, name: str, choices: Mapping[str, T]) -> T:
    """``choices[name]``; raise ``ValueError`` that lists the names there are."""
    require(name in choices, argument, name, f"one of {', '.join(choices)}")
    return choices[name]
