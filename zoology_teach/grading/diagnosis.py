"""What a wrong answer has in common with the right one, and how a call reads in a message."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

import torch
from torch import Tensor

MOST_NUMBERS = 4096  # of a tensor that is written out
MOST_CHARACTERS = 900  # of a call
LONG_RUN = 30  # characters of equal neighbours after the first; such a run is counted
FACTORS = range(2, 101)  # of one number: with more of them a factor shows by itself
TELLING = 3  # different numbers that do not come to stand elsewhere by chance


def common_mistake(actual: Tensor, expected: Tensor) -> str:
    """How a whole answer of the right shape is off, in words; "" where no common mistake fits.

    A factor, a sum, the wrong sign, a transpose, one position late or early, another order.
    """
    a, e = actual.double(), expected.double()
    if not a.isfinite().all() or not e.isfinite().all():
        return ""
    return _scaled(a, e, expected.dtype.is_floating_point) or _moved(a, e)


def exchanged(shape: Sequence[int], expected: Sequence[int]) -> str:
    """Whether two neighbouring dimensions of a shape are exchanged, in words."""
    for i in range(len(expected) - 1):
        swapped = [*expected[:i], expected[i + 1], expected[i], *expected[i + 2 :]]
        if list(shape) == swapped:
            return f"dimensions {i} and {i + 1} are exchanged"
    return ""


def _scaled(a: Tensor, e: Tensor, is_measured: bool) -> str:
    """A factor or a sum that all numbers share; a lone token or position has none."""
    if not e.any():
        return ""
    factor = float((a * e).sum() / (e * e).sum())
    if _alike(a, -e):
        return "the sign is the other one"
    telling = _varies(e[e != 0]) or (is_measured and factor > 1e-9 and _is_simple(factor))
    if factor > 1e-9 and telling and _alike(a, factor * e):
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
    """A call as it would be typed, with tensors as lists of numbers.

    Where that is too long the largest tensors are given by their shape.
    """
    values = [*arguments, *keywords.values()]
    texts = [written(value) for value in values]
    for i in sorted(range(len(texts)), key=lambda i: -len(texts[i])):
        if len(", ".join(texts)) > MOST_CHARACTERS and isinstance(values[i], Tensor):
            texts[i] = _outline(values[i])
    names = [""] * len(arguments) + [f"{name}=" for name in keywords]
    text = ", ".join(name + text for name, text in zip(names, texts, strict=True))
    if len(text) > MOST_CHARACTERS:
        text = text[:MOST_CHARACTERS] + " …"
    return f"{function}({text})"


def written(value: Any) -> str:
    """A value of a call in few characters."""
    if isinstance(value, Tensor):
        return written(value.tolist()) if value.numel() <= MOST_NUMBERS else _outline(value)
    if isinstance(value, list):
        return _listed([written(item) for item in value])
    if isinstance(value, tuple):
        return f"({', '.join(map(written, value))})"
    if isinstance(value, float):
        is_whole = abs(value) < 1e7 and value == int(value)
        return str(int(value)) if is_whole else f"{value:.6g}"
    if isinstance(value, str | int | None):  # a bool is an int
        return repr(value)
    return getattr(value, "__name__", type(value).__name__)


def _listed(texts: Sequence[str]) -> str:
    """A list of these, long runs as in [0] * 16 + [5, 1]."""
    parts: list[str] = []
    apart: list[str] = []
    for text, run in groupby(texts):
        equal = list(run)
        if (len(text) + 2) * (len(equal) - 1) < LONG_RUN:
            apart += equal
            continue
        if apart:
            parts.append(f"[{', '.join(apart)}]")
        parts.append(f"[{text}] * {len(equal)}")
        apart = []
    if apart or not parts:
        parts.append(f"[{', '.join(apart)}]")
    return " + ".join(parts)


def _outline(value: Tensor) -> str:
    return f"<{str(value.dtype).removeprefix('torch.')} of shape {tuple(value.shape)}>"
