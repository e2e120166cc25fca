"""The ladder of 13.c: attention of selected rows, each in its window."""

import torch
from torch import Tensor

from zoology_teach.grading.inputs import plain_attention, randn, runs
from zoology_teach.grading.ladder import Call, Exercise
from zoology_teach.grading.launches import LAUNCH, Launched, launch, poisoned
from zoology_teach.grading.truths import rows_one_by_one

C = Exercise("13.c", "sparse_rows", "Selected rows", minutes=40, difficulty=3, kernel=True)
EXERCISES = [C]
BLOCK = 16
Drawn = tuple[Tensor, Tensor, Tensor]  # q, k, v
VALUES = runs((1, 16), (2, 16), (4, 16))  # of three blocks


def select(
    call: Call, qkv: Drawn, positions: Tensor, window: int, unseen: tuple[int, int] = (0, 0)
) -> Launched:
    """Check the rows, which see `window` tokens, one by one in float64.

    So many of the first and of the last keys and values are NaN for the student: `unseen`.
    """
    q, k, v = qkv
    expected = rows_one_by_one(q, k, v, positions, window)
    k, v = k.clone(), v.clone()
    for hidden in (slice(0, unseen[0]), slice(len(k) - unseen[1], None)):
        k[hidden] = v[hidden] = float("nan")
    found = launch_rows(call, (q, k, v), positions, window)
    return found.expect(expected, share=BLOCK * q.shape[1])


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
    problem, last = plain_attention(1, torch.zeros(16), torch.ones(16)), torch.tensor([15])
    launch_rows(call, problem, last, 16).expect_read("q", "k", "v")


@C.rung("the last row", 1, "With w = N a row at N - 1 sees all: softmax(q k^T / sqrt(d)) v.")
def _(call: Call, generator: torch.Generator) -> None:
    last = runs((0, 15), (1, 1))
    for problem in (plain_attention(1, last, last), draw(generator, 1, 16, 16)):
        select(call, problem, torch.tensor([15]), 16)


@C.rung("no future", 2, "The row at position t sees tokens up to t, t included, and none later.")
def _(call: Call, generator: torch.Generator) -> None:
    numbers = torch.arange(16.0)
    for problem in (plain_attention(16, 0 * numbers, numbers), draw(generator, 16, 16, 16)):
        select(call, problem, torch.arange(16), 16)


@C.rung(
    "its position, its window",
    2,
    "Row i sees from positions[i] - w + 1 to positions[i]: w tokens, wherever i is in the list.",
)
def _(call: Call, generator: torch.Generator) -> None:
    positions = shuffled(generator, 15)[:8].sort().values + 1
    positions[-1] = 15
    numbers = torch.arange(16.0)
    for window in (5, 1):
        for problem in (plain_attention(8, 0 * numbers, numbers), draw(generator, 8, 16, 16)):
            select(call, problem, positions, window)


@C.rung(
    "several blocks of tokens",
    2,
    "The loop goes on until the last row has seen its own position, and the sums with it: both "
    "shrink when the maximum rises.",
)
def _(call: Call, generator: torch.Generator) -> None:
    rising = plain_attention(16, runs((0, 16), (0.5, 16), (1, 16)), VALUES)
    q, k, v = draw(generator, 16, 48, 16)
    k = k[(q.mean(0) @ k.T).argsort()]  # scores tend to rise
    for problem in (rising, (q, k, v)):
        select(call, problem, torch.arange(2, 48, 3), 40)


@C.rung(
    "in any order",
    2,
    "The loop goes from the oldest token that any of its rows sees to the highest position, "
    "wherever those rows stand.",
)
def _(call: Call, generator: torch.Generator) -> None:
    positions = torch.arange(1, 48, 3).flip(0).contiguous()
    for problem in (
        plain_attention(16, torch.zeros(48), VALUES),
        draw(generator, 16, 48, 16),
    ):
        select(call, problem, positions, 20)
    select(call, draw(generator, 32, 48, 16), shuffled(generator, 48)[:32], 7)


@C.rung(
    "what nobody sees stays unread",
    2,
    "Tokens that no row of a program may see are not read: begin late, and end the loop. A lane "
    "without a row must not count.",
)
def _(call: Call, generator: torch.Generator) -> None:
    for rows in (16, 11):
        positions = shuffled(generator, 16)[:rows] + 24
        even = plain_attention(rows, torch.zeros(80), torch.ones(80))
        for problem in (even, draw(generator, rows, 80, 16)):
            select(call, problem, positions, 8, unseen=(16, 24))


@C.rung(
    "ragged, and only its own numbers",
    2,
    "K, N and d need not be multiples of anything: round the grid up, mask each load and store.",
)
def _(call: Call, generator: torch.Generator) -> None:
    for rows, n, d, window in ((2, 3, 2, 2), (5, 21, 5, 30), (19, 23, 8, 6), (1, 1, 1, 1)):
        positions = shuffled(generator, n)[:rows]
        select(call, draw(generator, rows, n, d), positions, window).expect_untouched()
