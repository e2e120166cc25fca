"""A ladder: the rungs that a solution climbs, each a few assertions with a name and points.

A rung reaches the student's function only through `call`. In a notebook `call` is the
function itself; a grader can put a process boundary there without a change to any rung.
"""

import re
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from zoology_teach.checks import require
from zoology_teach.grading.diagnosis import called, common_mistake, exchanged

Call = Callable[..., Any]
Test = Callable[[Call, torch.Generator], None]
NOT_WRITTEN = "not written yet"
UNTRIED = ("not tried", "no points")  # how the reason of a rung begins that nobody climbed


@dataclass(frozen=True)
class Rung:
    """One check: `test(call, generator)` asserts; `mistake` names the likely cause."""

    name: str
    points: int
    mistake: str
    test: Test


@dataclass
class Exercise:
    """A graded exercise: its id ("02.a"), the function it asks for, its rungs in order.

    One that asks for a `kernel` can be judged only where Triton runs. `report` is the open
    question that asks what came of it, such as "06.f".
    """

    id: str
    function: str
    title: str
    minutes: int
    difficulty: int
    kernel: bool = False
    report: str = ""
    rungs: list[Rung] = field(default_factory=list)

    def rung(self, name: str, points: int, mistake: str) -> Callable[[Test], Test]:
        """Decorator: add the function below as the next rung."""
        require(all(r.name != name for r in self.rungs), "rung name", name, f"new in {self.id}")

        def add(test: Test) -> Test:
            self.rungs.append(Rung(name, points, mistake, test))
            return test

        return add

    @property
    def points(self) -> int:
        """The most that can be earned."""
        return sum(rung.points for rung in self.rungs)


@dataclass(frozen=True)
class Outcome:
    """What happened on one rung; `reason` is empty when it passed.

    `call` is the last call of the student's function before the rung was lost, as one would
    type it; "" where there was none or the function is not written.
    """

    rung: str
    points: int
    earned: int
    reason: str = ""
    call: str = ""


def explained(outcomes: Sequence[Outcome]) -> list[tuple[Outcome, str]]:
    """Each outcome with what a student reads beside it: only the first lost rung is explained.

    What comes after it often falls by the same mistake. A rung that was not tried says so.
    """
    first = next((outcome for outcome in outcomes if not outcome.earned), None)
    said = []
    for outcome in outcomes:
        untried = outcome.reason if outcome.reason.startswith(UNTRIED) else ""
        said.append((outcome, reading(outcome) if outcome is first else untried))
    return said


def reading(outcome: Outcome) -> str:
    """The reason of a lost rung, and the call to try it with."""
    return f"{outcome.reason} Tried: {outcome.call}" if outcome.call else outcome.reason


class CallFailed(Exception):
    """The student's function raised, or gave back something that is no tensor or number."""

    @classmethod
    def raised(cls, kind: str, message: str) -> "CallFailed":
        """For a function that raised an error of type `kind`; the reason is one line."""
        if kind == "NotImplementedError":
            return cls(NOT_WRITTEN)
        line = next(filter(str.strip, message.splitlines()), "").strip()[:200]
        return cls(f"your function raised {kind}{': ' if line else ''}{without_addresses(line)}")


def without_addresses(text: str) -> str:
    """`text` with the addresses of objects in it left out: they differ from run to run."""
    return re.sub(r"0x[0-9a-fA-F]+", "0x...", text)


def climb(exercise: Exercise, call: Call, seed: int) -> list[Outcome]:
    """Try every rung, each with random inputs of its own drawn from `seed`."""
    return [_try(exercise, rung, call, seed) for rung in exercise.rungs]


def _try(exercise: Exercise, rung: Rung, call: Call, seed: int) -> Outcome:
    name = f"{seed}/{exercise.id}/{rung.name}"
    generator = torch.Generator().manual_seed(zlib.crc32(name.encode()))
    asked: tuple[tuple[Any, ...], dict[str, Any]] | None = None

    def remembered(*arguments: Any, **keywords: Any) -> Any:
        nonlocal asked
        asked = arguments, keywords
        return call(*arguments, **keywords)

    try:
        rung.test(remembered, generator)
    except CallFailed as failure:
        reason = str(failure)
        if reason == NOT_WRITTEN:
            return Outcome(rung.name, rung.points, 0, reason)
    except AssertionError as failure:
        said = " ".join(str(failure).split())[:500]  # an answer may be quoted in it, of any length
        reason = rung.mistake + (f" ({said})" if said else "")
    except Exception as error:  # an answer that no assertion foresaw
        kind = type(error).__name__
        reason = f"{rung.mistake} (your answer cannot be judged: {kind})"
    else:
        return Outcome(rung.name, rung.points, rung.points)
    tried = called(exercise.function, *asked) if asked else ""
    return Outcome(rung.name, rung.points, 0, reason, tried)


def expect(actual: Any, expected: Tensor, *, tolerance: float = 1e-4) -> None:
    """Assert that `actual` is a tensor of `expected`'s shape, kind and values.

    Integers must be equal; floats close to `tolerance` relative and absolute, without NaN.
    """
    expect_shape(actual, tuple(expected.shape))
    if actual.is_mps:  # a Mac's GPU has no float64 to compare in
        actual = actual.cpu()
    if expected.dtype.is_floating_point:
        assert actual.dtype.is_floating_point, f"dtype {actual.dtype}, expected a float"
        right = torch.isclose(
            actual.double(), expected.double(), rtol=tolerance, atol=tolerance, equal_nan=False
        )
    else:
        assert actual.dtype == expected.dtype, f"dtype {actual.dtype}, expected {expected.dtype}"
        right = actual == expected
    if not right.all():
        where = tuple((~right).nonzero()[0].tolist())
        mistake = common_mistake(actual, expected)
        raise AssertionError(
            f"at {list(where)} you return {actual[where].item() + 0:.4g}, "
            f"expected {expected[where].item() + 0:.4g}" + (f"; {mistake}" if mistake else "")
        )


def expect_shape(actual: Any, shape: tuple[int, ...]) -> None:
    """Assert that `actual` is a tensor of that shape."""
    assert isinstance(actual, Tensor), f"you return a {type(actual).__name__}, expected a tensor"
    mistake = exchanged(actual.shape, shape)
    assert tuple(actual.shape) == shape, f"shape {tuple(actual.shape)}, expected {shape}" + (
        f": {mistake}" if mistake else ""
    )


def number_in(value: Any, subject: str) -> float:
    """The number that `value` is, or holds as a tensor; `subject` begins what is said if none."""
    if isinstance(value, Tensor) and value.numel() == 1:
        value = value.item()
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    assert is_number, f"{subject} a {type(value).__name__}, expected a number"
    return value


def expect_number(actual: Any, expected: float, *, tolerance: float = 1e-4) -> None:
    """Assert that `actual` is a number, or a tensor of one, close to `expected`."""
    actual = number_in(actual, "you return")
    error = abs(actual - expected)
    if not error <= tolerance * max(1.0, abs(expected)):
        mistake = common_mistake(*torch.tensor([[actual], [expected]], dtype=torch.float64))
        raise AssertionError(
            f"you return {actual:.6g}, expected {expected:.6g}"
            + (f"; {mistake}" if mistake else "")
        )
