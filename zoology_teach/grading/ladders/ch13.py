"""Ladders of chapter 13: a Toeplitz tile, a softmax in one pass, attention of selected rows."""

import math

import torch
from torch import Tensor

from zoology_teach.grading.inputs import randn, runs, wide
from zoology_teach.grading.ladder import Call, Exercise
from zoology_teach.grading.launches import LAUNCH, Launched, launch, poisoned

A = Exercise("13.a", "toeplitz_tile", "The tile of lag k", minutes=15, difficulty=1, kernel=True)
B = Exercise("13.b", "softmax_average", "One pass of softmax", 25, difficulty=2, kernel=True)
C = Exercise("13.c", "sparse_rows", "Selected rows", minutes=40, difficulty=3, kernel=True)
EXERCISES = [A, B, C]


def fill(call: Call, generator: torch.Generator, n: int, k: int, block: int) -> Launched:
    """Check T_k entry by entry. Taps beyond the n-th are NaN."""
    h = torch.full((n + 3 * block,), float("nan"))
    h[:n] = randn(generator, n)
    expected = torch.zeros(block, block)
    for t in range(block):
        for s in range(block):
            if 0 <= k * block + t - s < n:
                expected[t, s] = h[k * block + t - s]
    found = launch_tile(call, h, n, k, block)
    return found.expect(expected, share=block * block)


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


def select(
    call: Call, q: Tensor, k: Tensor, v: Tensor, positions: Tensor, block: int, unseen: int = 0
) -> Launched:
    """Check the rows one by one in float64.

    The last `unseen` keys and values are NaN for the student, and seen by no row.
    """
    d = q.shape[1]
    expected = torch.stack([
        (k[: t + 1].double() @ x.double() / math.sqrt(d)).softmax(0) @ v[: t + 1].double()
        for x, t in zip(q, positions.tolist(), strict=True)
    ])  # fmt: skip
    k, v = k.clone(), v.clone()
    k[len(k) - unseen :] = v[len(v) - unseen :] = float("nan")
    found = launch_rows(call, q, k, v, positions, block)
    return found.expect(expected.float(), share=block * d)


def launch_rows(
    call: Call, q: Tensor, k: Tensor, v: Tensor, positions: Tensor, block: int
) -> Launched:
    """Launch the student's attention of selected rows."""
    out = poisoned(len(q), block, q.shape[1])
    return launch(call, q=q, k=k, v=v, positions=positions, out=out, block=block)


def draw(generator: torch.Generator, rows: int, n: int, d: int) -> tuple[Tensor, Tensor, Tensor]:
    """q (rows, d), k and v (n, d)."""
    return randn(generator, rows, d), randn(generator, n, d), randn(generator, n, d)


def even(rows: int, v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """q (rows, 16) and k (n, 16) of zeros, v (n,) in 16 channels: a row is a mean."""
    return torch.zeros(rows, 16), torch.zeros(len(v), 16), wide(v, 16)


def shuffled(generator: torch.Generator, n: int) -> Tensor:
    """0 .. n - 1 in random order."""
    return torch.randperm(n, generator=generator)


@C.rung("a kernel does it", 2, LAUNCH)
def _(call: Call, generator: torch.Generator) -> None:
    launch_rows(call, *even(1, torch.ones(16)), torch.tensor([15]), 16).expect_read("q", "k", "v")


@C.rung("the last row", 1, "A row at position N - 1 sees all: softmax(q k^T / sqrt(d)) v.")
def _(call: Call, generator: torch.Generator) -> None:
    last = wide(runs((0, 15), (1, 1)), 16)
    select(call, torch.ones(1, 16), last, last, torch.tensor([15]), 16)
    select(call, *draw(generator, 1, 16, 16), torch.tensor([15]), 16)


@C.rung("no future", 2, "The row at position t sees tokens 0 .. t, t included, and none later.")
def _(call: Call, generator: torch.Generator) -> None:
    for problem in (even(16, torch.arange(16.0)), draw(generator, 16, 16, 16)):
        select(call, *problem, torch.arange(16), 16)


@C.rung("its position, not its number", 2, "Row i sees as far as positions[i], not as far as i.")
def _(call: Call, generator: torch.Generator) -> None:
    positions = shuffled(generator, 15)[:8].sort().values + 1
    positions[-1] = 15
    for problem in (even(8, torch.arange(16.0)), draw(generator, 8, 16, 16)):
        select(call, *problem, positions, 16)


@C.rung(
    "several blocks of tokens",
    2,
    "The loop goes on until the last row has seen its own position, and the sums with it: both "
    "shrink when the maximum rises.",
)
def _(call: Call, generator: torch.Generator) -> None:
    positions = torch.arange(2, 48, 3)
    values, scores = BLOCKS[:, 0], runs((0, 16), (0.5, 16), (1, 16))
    select(call, torch.ones(16, 16), wide(scores, 16), wide(values, 16), positions, 16)
    q, k, v = draw(generator, 16, 48, 16)
    k = k[(q.mean(0) @ k.T).argsort()]  # scores tend to rise
    select(call, q, k, v, positions, 16)


@C.rung("in any order", 2, "The loop ends with the highest position, wherever that row stands.")
def _(call: Call, generator: torch.Generator) -> None:
    positions = torch.arange(1, 48, 3).flip(0).contiguous()
    for problem in (even(16, BLOCKS[:, 0]), draw(generator, 16, 48, 16)):
        select(call, *problem, positions, 16)
    select(call, *draw(generator, 32, 48, 16), shuffled(generator, 48)[:32], 16)


@C.rung("what nobody sees stays unread", 2, "A token no row may see is not read: end the loop.")
def _(call: Call, generator: torch.Generator) -> None:
    for problem in (even(16, torch.ones(64)), draw(generator, 16, 64, 16)):
        select(call, *problem, shuffled(generator, 32)[:16], 16, unseen=32)


@C.rung(
    "ragged, and only its own numbers",
    2,
    "K, N and d need not be multiples of anything: mask what is loaded and what is stored.",
)
def _(call: Call, generator: torch.Generator) -> None:
    for rows, n, d in ((2, 3, 2), (5, 21, 5), (19, 23, 8), (1, 1, 1)):
        positions = shuffled(generator, n)[:rows]
        select(call, *draw(generator, rows, n, d), positions, 16).expect_untouched()
