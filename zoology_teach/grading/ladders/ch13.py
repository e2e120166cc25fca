"""Ladders of 13.a and 13.b: a Toeplitz tile, a softmax in one pass."""

import math

import torch
from torch import Tensor

from zoology_teach.grading.inputs import randn, runs, wide
from zoology_teach.grading.ladder import Call, Exercise
from zoology_teach.grading.launches import LAUNCH, Launched, launch, poisoned
from zoology_teach.grading.truths import toeplitz_entry_by_entry

A = Exercise("13.a", "toeplitz_tile", "The tile of lag k", minutes=15, difficulty=1, kernel=True)
B = Exercise("13.b", "softmax_average", "One pass of softmax", 25, difficulty=2, kernel=True)
EXERCISES = [A, B]


def fill(call: Call, generator: torch.Generator, n: int, k: int, block: int) -> Launched:
    """Check T_k entry by entry. Taps beyond the n-th are NaN."""
    h = torch.full((n + 3 * block,), float("nan"))
    h[:n] = randn(generator, n)
    expected = toeplitz_entry_by_entry(h[:n], k, block)
    return launch_tile(call, h, n, k, block).expect(expected, share=block * block)


def launch_tile(call: Call, h: Tensor, n: int, k: int, block: int) -> Launched:
    """Launch the student's T_k."""
    return launch(call, h=h, n=n, k=k, out=poisoned(block, block, block), block=block)


@A.rung("a kernel does it", 2, LAUNCH)
def _(call: Call, generator: torch.Generator) -> None:
    launch_tile(call, randn(generator, 16), 16, 0, 16).expect_read("h")


@A.rung(
    "below the diagonal",
    2,
    "Down a column the lag grows, along a row it shrinks: entry (t, s) holds tap k P + t - s.",
)
def _(call: Call, generator: torch.Generator) -> None:
    fill(call, generator, 64, 1, 16)


@A.rung("further below", 1, "With each tile below the diagonal all lags are P larger.")
def _(call: Call, generator: torch.Generator) -> None:
    for n, k, block in ((64, 2, 16), (128, 3, 16), (128, 2, 32)):
        fill(call, generator, n, k, block)


@A.rung("on the diagonal", 2, "In T_0 a negative lag is the future: those entries are 0.")
def _(call: Call, generator: torch.Generator) -> None:
    fill(call, generator, 64, 0, 16)


@A.rung("the end of the filter", 2, "A lag of n or more has no tap: those entries are 0.")
def _(call: Call, generator: torch.Generator) -> None:
    for n, k in ((20, 1), (5, 0), (16, 1)):
        fill(call, generator, n, k, 16)


@A.rung("nothing behind the end", 1, "P rows of P numbers are yours, and no more.")
def _(call: Call, generator: torch.Generator) -> None:
    fill(call, generator, 40, 1, 16).expect_untouched()


def launch_average(call: Call, z: Tensor, v: Tensor, block: int) -> Launched:
    """Launch the student's softmax(z) v."""
    return launch(call, z=z, v=v, out=poisoned(len(z), block, v.shape[1]), block=block)


def average(call: Call, z: Tensor, v: Tensor, block: int) -> Launched:
    """Check softmax(z) v against float64."""
    expected = (z.double().softmax(1) @ v.double()).float()
    return launch_average(call, z, v, block).expect(expected, share=v.shape[1])


BLOCKS = wide(runs((1, 16), (2, 16), (4, 16)), 2)  # values of three blocks


@B.rung("a kernel does it", 2, LAUNCH)
def _(call: Call, generator: torch.Generator) -> None:
    launch_average(call, randn(generator, 3, 16), randn(generator, 16, 2), 16).expect_read("z", "v")


@B.rung("one block", 1, "Weights e^z, divided by their sum, times the rows of v: a row a program.")
def _(call: Call, generator: torch.Generator) -> None:
    average(call, randn(generator, 3, 16), randn(generator, 16, 2), 16)


@B.rung("the highest score first", 1, "Both sums go on over all blocks; divide at the end.")
def _(call: Call, generator: torch.Generator) -> None:
    average(call, runs((6, 1), (0, 47))[None], BLOCKS, 16)
    z = randn(generator, 3, 48)
    z[:, 0] = 6
    average(call, z, randn(generator, 48, 4), 16)


@B.rung(
    "a higher score later",
    2,
    "When the maximum rises, the accumulator and the sum must both shrink by e^(old - new).",
)
def _(call: Call, generator: torch.Generator) -> None:
    average(call, runs((0, 16), (2, 16), (5, 16))[None], BLOCKS, 16)
    average(call, randn(generator, 3, 48).sort(1).values, randn(generator, 48, 4), 16)


@B.rung("huge scores", 2, "The power e^300 overflows: take the highest score so far off first.")
def _(call: Call, generator: torch.Generator) -> None:
    for shift in (300, -300):
        average(call, torch.full((1, 32), float(shift)), BLOCKS[:32], 16)
        average(call, randn(generator, 2, 32) + shift, randn(generator, 32, 4), 16)


@B.rung("a ragged end", 1, "A lane beyond the last score weighs nothing: load minus infinity.")
def _(call: Call, generator: torch.Generator) -> None:
    average(call, torch.full((1, 21), -4.0), BLOCKS[:21], 16)
    for n in (21, 3, 1):
        average(call, randn(generator, 2, n) - 4, randn(generator, n, 4), 16)


@B.rung(
    "a block that is not seen",
    2,
    "After a block of minus infinities the maximum must not be minus infinity: -inf - -inf is NaN.",
)
def _(call: Call, generator: torch.Generator) -> None:
    average(call, runs((-math.inf, 16), (1, 32))[None], BLOCKS, 16)
    z = randn(generator, 2, 48)
    z[0, :16] = z[0, 40:] = z[1, 16:32] = -math.inf
    average(call, z, randn(generator, 48, 4), 16)


@B.rung("only its own numbers", 1, "A lane beyond the last channel must not store.")
def _(call: Call, generator: torch.Generator) -> None:
    for m, n, c in ((2, 4, 3), (3, 20, 5), (2, 33, 3), (1, 4, 1)):
        average(call, randn(generator, m, n), randn(generator, n, c), 16).expect_untouched()
