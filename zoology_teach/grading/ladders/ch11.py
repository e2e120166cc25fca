"""Ladders of chapter 11: FLOPs of a layer, the roofline, a crossing length."""

import math
from typing import Any

import torch
from torch import Tensor

from zoology_teach.grading.inputs import draw
from zoology_teach.grading.ladder import Call, Exercise, expect, expect_number, expect_shape

A = Exercise("11.a", "layer_flops", "Count a layer", minutes=15, difficulty=1)
B = Exercise("11.b", "roofline", "Roofline", minutes=20, difficulty=2)
C = Exercise("11.c", "crossing", "Where the curves cross", minutes=25, difficulty=2)
EXERCISES = [A, B, C]


def expect_count(found: Any, expected: int) -> None:
    """Assert that a count is exact."""
    expect_number(found, expected, tolerance=0)


def counted(batch: int, n: int, d: int, window: int, *, taps: int) -> int:
    """The FLOPs of the layer, one token after the other."""
    flops = 0
    for t in range(n):
        flops += 4 * 2 * d * d + 3 * 2 * taps * d
        seen = sum(0 <= t - s < window for s in range(n))
        flops += seen * (2 * d + 2 * d)
    return batch * flops


@A.rung("a whole number", 1, "FLOPs are counted: return an int.")
def _(call: Call, generator: torch.Generator) -> None:
    found = call(1, 6, 4, 6, 3)
    kind = type(found).__name__
    assert isinstance(found, int) and not isinstance(found, bool), f"you return a {kind}"
    assert found > 0, "a layer does something"


@A.rung("one token", 2, "Four products of 2 d² and one pair: 2 d for its score, 2 d for its sum.")
def _(call: Call, generator: torch.Generator) -> None:
    for d in (1, draw(generator, 5, 40)):
        expect_count(call(1, 1, d, 1, 0), 8 * d * d + 4 * d)


@A.rung("the taps", 1, "Three convolutions, one each for q, k and v: 2 n taps d FLOPs each.")
def _(call: Call, generator: torch.Generator) -> None:
    d, taps = draw(generator, 3, 20), draw(generator, 2, 6)
    expect_count(call(1, 1, d, 1, taps), 8 * d * d + 4 * d + 6 * taps * d)


@A.rung("only what is seen", 2, "Token t sees t tokens, itself included: n (n + 1) / 2 pairs.")
def _(call: Call, generator: torch.Generator) -> None:
    n, d = draw(generator, 4, 12), draw(generator, 3, 20)
    expect_count(call(1, n, d, n, 0), counted(1, n, d, n, taps=0))


@A.rung("the window", 2, "After the first `window` tokens each sees `window` tokens, not all.")
def _(call: Call, generator: torch.Generator) -> None:
    for window in (1, draw(generator, 2, 8)):
        expect_count(call(1, 20, 5, window, 2), counted(1, 20, 5, window, taps=2))


@A.rung("a window longer than the sequence", 1, "No token sees more tokens than there are.")
def _(call: Call, generator: torch.Generator) -> None:
    n = draw(generator, 3, 9)
    expect_count(call(1, n, 4, n + draw(generator, 2, 50), 0), counted(1, n, 4, n, taps=0))


@A.rung("as counted one by one", 1, "Every sequence of the batch costs the same again.")
def _(call: Call, generator: torch.Generator) -> None:
    for _ in range(4):
        sizes = [draw(generator, low, high) for low, high in ((2, 6), (1, 30), (1, 20), (1, 40))]
        taps = draw(generator, 0, 5)
        expect_count(call(*sizes, taps), counted(*sizes, taps=taps))


def random_products(generator: torch.Generator, rows: int, shared: int) -> Tensor:
    """Rows [B, n, k, m, shared] with B > 1."""
    sizes = torch.randint(2, 40, (rows, 4), generator=generator)
    return torch.cat([sizes, torch.full((rows, 1), shared)], dim=1)


def expected_roofline(products: Tensor, peak: float, bandwidth: float) -> Tensor:
    """Intensity and seconds, row by row."""
    found = []
    for batch, n, k, m, shared in products.tolist():
        flops = sum(2 * n * k * m for _ in range(batch))
        numbers = sum(n * k + n * m + (0 if shared else k * m) for _ in range(batch))
        moved = 4 * (numbers + (k * m if shared else 0))
        found.append((flops / moved, max(flops / peak, moved / bandwidth)))
    return torch.tensor(found, dtype=torch.float64)


def expect_intensity(found: Any, products: Tensor) -> None:
    """Assert that the first column is right."""
    expect_shape(found, (len(products), 2))
    expect(found[:, 0], expected_roofline(products, 1.0, 1.0)[:, 0])


@B.rung("shape", 1, "Return two floats for each row: intensity and seconds, (M, 2).")
def _(call: Call, generator: torch.Generator) -> None:
    found = call(random_products(generator, 3, 1), 1e3, 1e3)
    expect_shape(found, (3, 2))
    assert found.dtype.is_floating_point, f"dtype {found.dtype}"


@B.rung("a multiply-add is two", 1, "With endless bandwidth the time is 2 B n k m / peak.")
def _(call: Call, generator: torch.Generator) -> None:
    products = random_products(generator, 3, 1)
    found = call(products, 1e3, 1e30)
    expect_shape(found, (3, 2))
    expect(found[:, 1], expected_roofline(products, 1e3, 1e30)[:, 1])


@B.rung("three matrices of four bytes", 2, "Left, right and result move, 4 bytes a number.")
def _(call: Call, generator: torch.Generator) -> None:
    products = random_products(generator, 3, 1)
    products[:, 0] = 1  # one sequence: shared or not is the same
    expect_intensity(call(products, 1.0, 1.0), products)


@B.rung("weights are read once", 2, "A shared right matrix moves once for the whole batch.")
def _(call: Call, generator: torch.Generator) -> None:
    products = random_products(generator, 3, 1)
    expect_intensity(call(products, 1.0, 1.0), products)


@B.rung("each its own state", 1, "Right matrices that are not shared move once a sequence.")
def _(call: Call, generator: torch.Generator) -> None:
    products = random_products(generator, 3, 0)
    expect_intensity(call(products, 1.0, 1.0), products)


@B.rung("the slower of two", 2, "The time is the larger of FLOPs / peak and bytes / bandwidth.")
def _(call: Call, generator: torch.Generator) -> None:
    rows = [random_products(generator, 4, shared) for shared in (0, 1)]
    products = torch.cat([*rows, torch.tensor([[1, 1, 50, 50, 1], [1, 90, 90, 90, 1]])])
    for peak, bandwidth in ((1e3, 1e3), (5e3, 1e3), (1e4, 1e2)):
        expected = expected_roofline(products, peak, bandwidth)
        expect(call(products, peak, bandwidth), expected)


def times(*values: float) -> Tensor:
    """Measurements."""
    return torch.tensor(values, dtype=torch.float64)


LENGTHS = times(16, 32, 64, 128, 256)


@C.rung("a number", 1, "Return one number: b is faster from some length in between on.")
def _(call: Call, generator: torch.Generator) -> None:
    found = call(LENGTHS, LENGTHS**2, 60 * LENGTHS)
    found = found.item() if isinstance(found, Tensor) and found.numel() == 1 else found
    assert isinstance(found, int | float), f"you return a {type(found).__name__}"
    assert 16 <= found <= 256, f"you return {found:.4g}, the curves cross inside 16 .. 256"


@C.rung("at a measured length", 1, "Where the times are equal, b begins to be faster: there.")
def _(call: Call, generator: torch.Generator) -> None:
    for n in (32, 128):
        expect_number(call(LENGTHS, LENGTHS**2, n * LENGTHS), n)


@C.rung("between two lengths", 2, "Straight lines with logarithms on both axes: N and time.")
def _(call: Call, generator: torch.Generator) -> None:
    scale = 1e-6 * (1 + draw(generator, 0, 9))
    for n in (20, 48, 100 + draw(generator, 0, 20)):
        expect_number(call(LENGTHS, scale * LENGTHS**2, scale * n * LENGTHS), n)
        expect_number(call(LENGTHS, scale * LENGTHS, scale * n + 0 * LENGTHS), n)


@C.rung("faster all along", 1, "If b is faster everywhere, it is so from the first length on.")
def _(call: Call, generator: torch.Generator) -> None:
    expect_number(call(LENGTHS, LENGTHS**2, LENGTHS), 16)
    expect_number(call(times(512), times(3), times(2)), 512)


@C.rung("never so far", 1, "If b is not faster at the last length, the answer is infinity.")
def _(call: Call, generator: torch.Generator) -> None:
    for a, b in ((LENGTHS, LENGTHS**2), (LENGTHS, LENGTHS)):
        found = call(LENGTHS, a, b)
        kind = type(found).__name__
        assert isinstance(found, int | float | Tensor), f"you return a {kind}"
        assert float(found) == math.inf, f"you return {float(found):.4g}, expected inf"


@C.rung("the last crossing counts", 2, "Curves may cross several times: take the last time.")
def _(call: Call, generator: torch.Generator) -> None:
    once = times(1, 2, 0.5, 0.5, 2)  # faster at 32, not at 64 and 128, faster at 256
    expect_number(call(LENGTHS, once, torch.ones_like(once)), 128 * 2**0.5)
    back = call(LENGTHS, times(0.5, 2, 2, 2, 0.5), torch.ones_like(once))
    assert float(back) == math.inf, f"you return {float(back):.4g}, but at 256 b is not faster"
