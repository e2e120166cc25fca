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


def number(value: object) -> float:
    """`value`, or nan where it is no finite number: no comparison with nan holds."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return float("nan")
    return value if abs(value) < float("inf") else float("nan")


def require_positive(argument: str, value: object) -> None:
    """Raise ``ValueError`` unless `value` is a number above 0 and finite."""
    require(number(value) > 0, argument, value, "positive and finite")


def require_bool(argument: str, value: object) -> None:
    """Raise ``ValueError`` unless `value` is True or False."""
    require(isinstance(value, bool), argument, value, "True or False")


def require_seed(argument: str, value: object) -> None:
    """Raise ``ValueError`` unless `value` is an integer in 0 .. 2**32 - 1.

    PyTorch's generator on the CPU takes no notice of more bits: two seeds would draw the same.
    """
    fits = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**32
    require(fits, argument, value, "an integer in 0 .. 2**32 - 1")


def choose(argument: str, name: str, choices: Mapping[str, T]) -> T:
    """``choices[name]``; raise ``ValueError`` that lists the names there are."""
    require(name in choices, argument, name, f"one of {', '.join(choices)}")
    return choices[name]
