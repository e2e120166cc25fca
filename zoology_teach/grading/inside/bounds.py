"""What bounds a message between the grader and student code, and the error beyond the bounds."""

from dataclasses import dataclass

INTEGER_LIMIT = 2**1000  # what a float can still be compared with
DIGITS = 40  # the most characters of a float in hexadecimal; the longest double has 24
LONGEST_SIDE = 2**40  # of a tensor


class WireError(ValueError):
    """What arrived, or was to be sent, is no frame within the bounds; says why."""


@dataclass(frozen=True)
class Bounds:
    """The most that one frame may hold, in bytes and counts; `depth` is that of nesting."""

    header: int = 1 << 20
    body: int = 16 << 20
    tensors: int = 256
    dimensions: int = 8
    depth: int = 16
    items: int = 20_000


REQUEST = Bounds(header=16 << 20, body=64 << 20)  # what the grader itself sends


def need(condition: bool, complaint: str) -> None:
    """Raise WireError with the complaint unless the condition holds."""
    if not condition:
        raise WireError(complaint)
