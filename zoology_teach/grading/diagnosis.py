"""What a wrong answer has in common with the right one, and how a call reads in a message."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

MOST_NUMBERS = 128  # of a tensor that is written out
MOST_CHARACTERS = 900  # of a call
FACTORS = range(2, 101)  # of one number: with more of them a factor shows by itself
TELLING = 3  # different numbers that do not come to stand elsewhere by chance


def common_mistake(actual: Tensor, expected: Tensor) -> str:
    """How a whole answer of the right shape is off, in words; "" where no common mistake fits.

    A factor, a sum, the wrong sign, a transpose, one position late or early, another order.
    """
    a, e = actual.double(), expected.double()
    if not a.isfinite().all() or not e.isfinite().all():
        return ""
    return _scaled(a, e) or _moved(a, e)


def exchanged(shape: Sequence[int], expected: Sequence[int]) -> str:
    """Whether two neighbouring dimensions of a shape are exchanged, in words."""
    for i in range(len(expected) - 1):
        swapped = [*expected[:i], expected[i + 1], expected[i], *expected[i + 2 :]]
        if list(shape) == swapped:
            return f"dimensions {i} and {i + 1} are exchanged"
    return ""


def _scaled(a: Tensor, e: Tensor) -> str:
    """A factor or a sum that all numbers share."""
    if not e.any():
        return ""
    factor = float((a * e).sum() / (e * e).sum())
    if _alike(a, -e):
        return "the sign is the other one"
    if factor > 1e-9 and _alike(a, factor * e) and (_varies(e) or _is_simple(factor)):
        return f"what you return is {factor:.4g} times that"
    more = float((a - e).mean())
    if _varies(e) and _alike(a - e, torch.full_like(a, more)):
        return f"every number is {abs(more):.4g} too {'large' if more > 0 else 'small'}"
    return ""


def _is_simple(factor: float) -> bool:
    """Whether a positive factor is a small whole number, or one over it."""
    sizes = (factor, 1 / factor)
    return any(abs(s - round(s)) < 1e-4 * s and round(s) in FACTORS for s in sizes)


def _moved(a: Tensor, e: Tensor) -> str:
    """The right numbers in other places."""
    if a.ndim >= 2 and a.shape[-1] == a.shape[-2] and _alike(a.mT, e):
        return "it is the transpose of that"
    for dim in range(a.ndim - 1, -1, -1):
        n = a.shape[dim] - 1
        if n < 2:
            continue
        for words, mine, right in (("late", 1, 0), ("early", 0, 1)):
            part = e.narrow(dim, right, n)
            if len(part.unique()) >= TELLING and _alike(a.narrow(dim, mine, n), part):
                return f"yours stands one position {words} in dimension {dim}"
    if len(e.unique()) >= TELLING and _alike(a.flatten().sort().values, e.flatten().sort().values):
        return "these are the right numbers in another order"
    return ""


def _varies(e: Tensor) -> bool:
    return len(e.unique()) > 1


def _alike(a: Tensor, b: Tensor) -> bool:
    return torch.allclose(a, b, rtol=1e-4, atol=1e-6)


def called(function: str, arguments: Sequence[Any], keywords: Mapping[str, Any]) -> str:
    """A call as it would be typed, with tensors as lists of numbers, large ones by their shape."""
    parts = [written(value) for value in arguments]
    parts += [f"{name}={written(value)}" for name, value in keywords.items()]
    text = ", ".join(parts)
    if len(text) > MOST_CHARACTERS:
        text = text[:MOST_CHARACTERS] + " …"
    return f"{function}({text})"


def written(value: Any) -> str:
    """A value of a call in few characters."""
    if isinstance(value, Tensor):
        if value.numel() > 1 and value.isnan().all():
            return f"<nan of shape {tuple(value.shape)}>"
        if value.numel() > MOST_NUMBERS:
            return f"<{str(value.dtype).removeprefix('torch.')} of shape {tuple(value.shape)}>"
        return written(value.tolist())
    if isinstance(value, list | tuple):
        inside = ", ".join(map(written, value))
        return f"[{inside}]" if isinstance(value, list) else f"({inside})"
    if isinstance(value, float):
        is_whole = abs(value) < 1e7 and value == int(value)
        return str(int(value)) if is_whole else f"{value:.4g}"
    if isinstance(value, str | int | None):  # a bool is an int
        return repr(value)
    return getattr(value, "__name__", type(value).__name__)
