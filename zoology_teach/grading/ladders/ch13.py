"""Ladders of chapter 13: a Toeplitz tile, a softmax in one pass, attention of selected rows."""

import math

import torch
from torch import Tensor

from zoology_teach.grading.inputs import randn
from zoology_teach.grading.ladder import Call, Exercise
from zoology_teach.grading.launches import LAUNCH, Launched, launch, poisoned

A = Exercise("13.a", "toeplitz_tile", "The tile of lag k", minutes=15, difficulty=1, kernel=True)
B = Exercise("13.b", "softmax_average", "One pass of softmax", 25, difficulty=2, kernel=True)
C = Exercise("13.c", "sparse_rows", "Selected rows", minutes=40, difficulty=3, kernel=True)
EXERCISES = [A, B, C]
BLOCK = 16  # of 13.c
Drawn = tuple[Tensor, Tensor, Tensor]  # q, k, v


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
    "Down a column the lag grows, along a row it shrinks: entry (t, s) holds tap k P + t - s",
)
def _(call: Call, generator: torch.Generator) -> None:
    fill(call, generator, 64, 1, 16)


@A.rung("further below", 1, "k tiles below the diagonal all lags are k P larger.")
def _(call: Call, generator: torch.Generator) -> None:
    fill(call, generator, 128, 3, 16)
    fill(call, generator, 128, 2, 32)


@A.rung("on the diagonal", 2, "In T_0 a negative lag is the future: those entries are 0.")
def _(call: Call, generator: torch.Generator) -> None:
    fill(call, generator, 64, 0, 16)


@A.rung("the end of the filter", 2, "A lag of n or more has no tap: those entries are 0.")
def _(call: Call, generator: torch.Generator) -> None:
    fill(call, generator, 20, 1, 16)
    fill(call, generator, 5, 0, 16)
    fill(call, generator, 16, 1, 16)


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


@B.rung("a kernel does it", 2, LAUNCH)
def _(call: Call, generator: torch.Generator) -> None:
    launch_average(call, randn(generator, 3, 16), randn(generator, 16, 4), 16).expect_read("z", "v")


@B.rung("one block", 1, "Weights e^z, divided by their sum, times the rows of v: a row a program.")
def _(call: Call, generator: torch.Generator) -> None:
    average(call, randn(generator, 3, 16), randn(generator, 16, 4), 16)


@B.rung("the highest score first", 1, "Both sums go on over all blocks; divide at the end.")
def _(call: Call, generator: torch.Generator) -> None:
    z = randn(generator, 3, 48)
    z[:, 0] = 6
    average(call, z, randn(generator, 48, 4), 16)


@B.rung(
    "a higher score later",
    2,
    "When the maximum rises, the accumulator and the sum must both shrink by e^(old - new)",
)
def _(call: Call, generator: torch.Generator) -> None:
    average(call, randn(generator, 3, 48).sort(1).values, randn(generator, 48, 4), 16)


@B.rung("huge scores", 2, "e^300 overflows: take the highest score so far off first.")
def _(call: Call, generator: torch.Generator) -> None:
    for shift in (300, -300):
        average(call, randn(generator, 2, 32) + shift, randn(generator, 32, 4), 16)


@B.rung("a ragged end", 1, "A lane beyond the last score weighs nothing: load minus infinity.")
def _(call: Call, generator: torch.Generator) -> None:
    for n in (21, 3, 1):
        average(call, randn(generator, 2, n) - 4, randn(generator, n, 4), 16)


@B.rung(
    "a block that is not seen",
    2,
    "After a block of minus infinities the maximum must not be minus infinity: -inf - -inf is NaN",
)
def _(call: Call, generator: torch.Generator) -> None:
    z = randn(generator, 2, 48)
    z[0, :16] = z[0, 40:] = z[1, 16:32] = -math.inf
    average(call, z, randn(generator, 48, 4), 16)


@B.rung("only its own numbers", 1, "A lane beyond the last channel must not store.")
def _(call: Call, generator: torch.Generator) -> None:
    for m, n, c in ((3, 20, 5), (2, 33, 3), (1, 4, 1)):
        average(call, randn(generator, m, n), randn(generator, n, c), 16).expect_untouched()


def select(
    call: Call, qkv: Drawn, positions: Tensor, window: int, unseen: tuple[int, int] = (0, 0)
) -> Launched:
    """Check the rows, which see `window` tokens, one by one in float64.

    So many of the first and of the last keys and values are NaN for the student: `unseen`.
    """
    q, k, v = qkv
    d, expected = q.shape[1], []
    for x, t in zip(q.double(), positions.tolist(), strict=True):
        seen = slice(max(0, t + 1 - window), t + 1)
        expected.append((k[seen].double() @ x / math.sqrt(d)).softmax(0) @ v[seen].double())
    k, v = k.clone(), v.clone()
    for hidden in (slice(0, unseen[0]), slice(len(k) - unseen[1], None)):
        k[hidden] = v[hidden] = float("nan")
    found = launch_rows(call, (q, k, v), positions, window)
    return found.expect(torch.stack(expected).float(), share=BLOCK * d)


def launch_rows(call: Call, qkv: Drawn, positions: Tensor, window: int) -> Launched:
    """Launch the student's attention of selected rows."""
    q, k, v = qkv
    out = poisoned(len(q), BLOCK, q.shape[1])
    inputs = {"q": q, "k": k, "v": v, "positions": positions, "window": window}
    return launch(call, **inputs, out=out, block=BLOCK)


def draw(generator: torch.Generator, rows: int, n: int, d: int) -> Drawn:
    """q (rows, d), k and v (n, d)."""
    return randn(generator, rows, d), randn(generator, n, d), randn(generator, n, d)


def shuffled(generator: torch.Generator, n: int) -> Tensor:
    """0 .. n - 1 in random order."""
    return torch.randperm(n, generator=generator)


@C.rung("a kernel does it", 2, LAUNCH)
def _(call: Call, generator: torch.Generator) -> None:
    found = launch_rows(call, draw(generator, 1, 16, 16), torch.tensor([15]), 16)
    found.expect_read("q", "k", "v")


@C.rung("the last row", 1, "With w = N a row at N - 1 sees all: softmax(q k^T / sqrt(d)) v.")
def _(call: Call, generator: torch.Generator) -> None:
    select(call, draw(generator, 1, 16, 16), torch.tensor([15]), 16)


@C.rung("no future", 2, "The row at position t sees tokens up to t, t included, and none later.")
def _(call: Call, generator: torch.Generator) -> None:
    select(call, draw(generator, 16, 16, 16), torch.arange(16), 16)


@C.rung(
    "its position, its window",
    2,
    "Row i sees from positions[i] - w + 1 to positions[i]: w tokens, wherever i is in the list",
)
def _(call: Call, generator: torch.Generator) -> None:
    positions = shuffled(generator, 15)[:8].sort().values + 1
    positions[-1] = 15
    for window in (5, 1):
        select(call, draw(generator, 8, 16, 16), positions, window)


@C.rung(
    "several blocks of tokens",
    2,
    "The loop goes on until the last row has seen its own position, and the sums with it: both "
    "shrink when the maximum rises",
)
def _(call: Call, generator: torch.Generator) -> None:
    q, k, v = draw(generator, 16, 48, 16)
    k = k[(q.mean(0) @ k.T).argsort()]  # scores tend to rise
    select(call, (q, k, v), torch.arange(2, 48, 3)[:16], 40)


@C.rung(
    "in any order",
    2,
    "The loop goes from the oldest token that any of its rows sees to the highest position, "
    "wherever those rows stand",
)
def _(call: Call, generator: torch.Generator) -> None:
    positions = torch.arange(1, 48, 3).flip(0).contiguous()
    select(call, draw(generator, 16, 48, 16), positions, 20)
    select(call, draw(generator, 32, 48, 16), shuffled(generator, 48)[:32], 7)


@C.rung(
    "what nobody sees stays unread",
    2,
    "Tokens that no row of a program may see are not read: begin late, and end the loop. A lane "
    "without a row must not count",
)
def _(call: Call, generator: torch.Generator) -> None:
    for rows in (16, 11):
        positions = shuffled(generator, 16)[:rows] + 24
        select(call, draw(generator, rows, 80, 16), positions, 8, unseen=(16, 24))


@C.rung(
    "ragged, and only its own numbers",
    2,
    "K, N and d need not be multiples of anything: round the grid up, mask each load and store",
)
def _(call: Call, generator: torch.Generator) -> None:
    for rows, n, d, window in ((5, 21, 5, 30), (19, 23, 8, 6), (1, 1, 1, 1)):
        positions = shuffled(generator, n)[:rows]
        select(call, draw(generator, rows, n, d), positions, window).expect_untouched()
