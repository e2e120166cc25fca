"""One clear error for wrong input: the argument, its value and what is allowed."""

from dataclasses import dataclass, fields
from functools import wraps
from typing import Any, dataclass_transform


def require(condition: bool, argument: str, value: object, allowed: str) -> None:
    """Raise ``ValueError`` naming `argument`, its `value` and what is `allowed`."""
    if not condition:
        raise ValueError(f"{argument} = {value!r}: must be {allowed}")


def require_int(argument: str, value: object, minimum: int) -> None:
    """Raise ``ValueError`` unless `value` is an integer >= `minimum` (a bool is not one)."""
    is_int = isinstance(value, int) and not isinstance(value, bool)
    require(is_int and value >= minimum, argument, value, f"an integer >= {minimum}")


def require_positive(argument: str, value: object) -> None:
    """Raise ``ValueError`` unless `value` is a number above 0 and finite."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    require(is_number and 0 < value < float("inf"), argument, value, "positive and finite")


@dataclass_transform(frozen_default=True)
def config(cls: type) -> type:
    """A frozen dataclass in which an unknown field is a ValueError that lists the known ones."""
    cls = dataclass(frozen=True)(cls)
    known = [field.name for field in fields(cls)]
    plain_init = cls.__init__

    @wraps(plain_init)
    def init(self: Any, *values: Any, **named: Any) -> None:
        for name in named:
            require(name in known, f"field of {cls.__name__}", name, f"one of {known}")
        plain_init(self, *values, **named)

    cls.__init__ = init
    return cls
