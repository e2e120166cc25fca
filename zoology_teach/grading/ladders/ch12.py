"""Ladders of chapter 12: kernels for a masked sum, a short convolution and its gradient.

Outputs go in full of NaN and with room behind what is to be written, so that a number no
program wrote is seen, and so is one that lies beyond the end.
"""

from typing import Any

import torch
from torch import Tensor

from zoology_teach.grading.inputs import randn
from zoology_teach.grading.ladder import Call, Exercise, expect, expect_shape
from zoology_teach.grading.truths import convolution_by_matrices

A = Exercise("12.a", "scale_and_add", "Scale and add", minutes=10, difficulty=1, kernel=True)
B = Exercise("12.b", "short_conv", "A short convolution", minutes=25, difficulty=2, kernel=True)
C = Exercise("12.c", "grad_input", "What reaches the input", minutes=25, difficulty=3, kernel=True)
EXERCISES = [A, B, C]


def launch(call: Call, *arguments: Any, out: Tensor, block: int) -> Tensor:
    """What the student's launcher makes of `out`; on a GPU where there is one."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    moved = [a.to(device) if isinstance(a, Tensor) else a for a in arguments]
    found = call(*moved, out.to(device), block)
    expect_shape(found, tuple(out.shape))
    return found.cpu()


def poisoned(rows: int, block: int, *columns: int) -> Tensor:
    """NaN, with room for a block and a half behind the rows that are to be written."""
    return torch.full((rows + 3 * block // 2, *columns), float("nan"))


def expect_untouched(found: Tensor) -> None:
    """Assert that the room behind the output is as it was."""
    touched = (~found.isnan()).flatten(1).any(1) if found.dim() > 1 else ~found.isnan()
    assert not touched.any(), f"you wrote {int(touched.sum())} places behind the end"


def add(call: Call, generator: torch.Generator, n: int, block: int) -> Tensor:
    """Check a x + y for n numbers; the room behind them is returned."""
    x, y = randn(generator, 2, n)
    found = launch(call, -1.5, x, y, out=poisoned(n, block), block=block)
    expect(found[:n], y - 1.5 * x)
    return found[n:]


@A.rung("one full block", 1, "With n = block one program does it all: load, a x + y, store.")
def _(call: Call, generator: torch.Generator) -> None:
    add(call, generator, 16, 16)


@A.rung(
    "several blocks",
    1,
    "Each program takes a block of its own, from program_id * BLOCK on, and there are n / block.",
)
def _(call: Call, generator: torch.Generator) -> None:
    add(call, generator, 32, 8)


@A.rung("a ragged end", 2, "The last, incomplete block needs a program too: round the grid up.")
def _(call: Call, generator: torch.Generator) -> None:
    add(call, generator, 19, 8)


@A.rung("nothing behind the end", 2, "Lanes with i >= n must not store: give the store a mask.")
def _(call: Call, generator: torch.Generator) -> None:
    for n, block in ((19, 8), (16, 8)):
        expect_untouched(add(call, generator, n, block))


@A.rung("smaller than a block", 1, "One program, most of whose lanes are masked, must do.")
def _(call: Call, generator: torch.Generator) -> None:
    for n, block in ((3, 32), (1, 4), (1, 1)):
        expect_untouched(add(call, generator, n, block))


def convolve(call: Call, u: Tensor, h: Tensor, block: int) -> Tensor:
    """Check h * u against matrices; the room behind it is returned."""
    (b, n, d), rows = u.shape, u.shape[0] * u.shape[1]
    found = launch(call, u, h, out=poisoned(rows, block, d), block=block)
    expect(found[:rows].view(b, n, d), convolution_by_matrices(u, h))
    return found[rows:]


@B.rung("one tap", 1, "With a single tap there is no past: y = h_0 u, channel by channel.")
def _(call: Call, generator: torch.Generator) -> None:
    convolve(call, randn(generator, 1, 8, 4), randn(generator, 4, 1), 8)


@B.rung(
    "a spike shows the filter",
    2,
    "A spike at time 2 must give h_0 at time 2, h_1 at 3, h_2 at 4: are the taps reversed, read "
    "from the wrong place (d * TAPS + lag), or is it the future that you read?",
)
def _(call: Call, generator: torch.Generator) -> None:
    u = torch.zeros(1, 8, 4)
    u[0, 2] = 1
    convolve(call, u, randn(generator, 4, 3), 8)


@B.rung("over the edge of a tile", 1, "A program reads the rows before its own: they exist.")
def _(call: Call, generator: torch.Generator) -> None:
    convolve(call, randn(generator, 1, 16, 4), randn(generator, 4, 3), 4)


@B.rung("sequences stay apart", 2, "The first tokens read the sequence before: mask t >= lag.")
def _(call: Call, generator: torch.Generator) -> None:
    convolve(call, randn(generator, 2, 8, 4), randn(generator, 4, 3), 16)


@B.rung("ragged rows", 1, "B N need not be a multiple of block: round the grid up.")
def _(call: Call, generator: torch.Generator) -> None:
    convolve(call, randn(generator, 2, 11, 4), randn(generator, 4, 3), 8)
    convolve(call, randn(generator, 1, 3, 4), randn(generator, 4, 3), 16)


@B.rung(
    "only its own numbers",
    2,
    "A lane beyond the last row, or beyond the last channel, must not store: the channel after "
    "the last is the next row's first",
)
def _(call: Call, generator: torch.Generator) -> None:
    for d, n in ((4, 11), (5, 8), (3, 11)):
        expect_untouched(convolve(call, randn(generator, 2, n, d), randn(generator, d, 3), 8))


@B.rung(
    "long filters, one token, one channel",
    1,
    "k may be larger than N, and B, N and D may be 1: lags that reach before time 0 read 0.",
)
def _(call: Call, generator: torch.Generator) -> None:
    for b, n, d, taps in ((3, 2, 4, 5), (2, 1, 3, 2), (1, 6, 1, 4)):
        convolve(call, randn(generator, b, n, d), randn(generator, d, taps), 4)


def go_back(call: Call, h: Tensor, g: Tensor, e: Tensor, *, block: int) -> Tensor:
    """Check the gradient of u against autograd in float64; the room behind is returned."""
    (b, n, d), rows = e.shape, e.shape[0] * e.shape[1]
    u = torch.zeros(b, n, d, dtype=torch.float64, requires_grad=True)
    y = sum(
        torch.nn.functional.pad(u[:, : n - lag], (0, 0, lag, 0)) * h[:, lag].double()
        for lag in range(min(n, h.shape[1]))
    )
    (expected,) = torch.autograd.grad(y * g.double(), u, e.double())
    found = launch(call, h, g, e, out=poisoned(rows, block, d), block=block)
    expect(found[:rows].view(b, n, d), expected.float())
    return found[rows:]


@C.rung("one tap", 1, "With one tap the gradient is h_0 times gate times e, token by token.")
def _(call: Call, generator: torch.Generator) -> None:
    go_back(call, randn(generator, 4, 1), *randn(generator, 2, 1, 8, 4), block=8)


@C.rung(
    "an error goes back in time",
    2,
    "An error at time 5 must reach time 5 with h_0, time 4 with h_1, time 3 with h_2: the shift "
    "of the forward pass, reversed",
)
def _(call: Call, generator: torch.Generator) -> None:
    e = torch.zeros(1, 8, 4)
    e[0, 5] = 1
    go_back(call, randn(generator, 4, 3), torch.ones(1, 8, 4), e, block=8)


@C.rung("the gate of the reader", 2, "Token t + l has read u_t, so it is its gate that counts.")
def _(call: Call, generator: torch.Generator) -> None:
    e = torch.zeros(1, 8, 4)
    e[0, 5] = 1
    go_back(call, randn(generator, 4, 3), randn(generator, 1, 8, 4), e, block=8)


@C.rung("sequences stay apart", 2, "The last tokens read the next sequence: mask t + lag < N.")
def _(call: Call, generator: torch.Generator) -> None:
    go_back(call, randn(generator, 4, 3), *randn(generator, 2, 3, 8, 4), block=8)


@C.rung("ragged rows", 1, "B N need not be a multiple of block: round the grid up.")
def _(call: Call, generator: torch.Generator) -> None:
    go_back(call, randn(generator, 4, 3), *randn(generator, 2, 2, 11, 4), block=8)
    go_back(call, randn(generator, 4, 3), *randn(generator, 2, 1, 3, 4), block=16)


@C.rung(
    "only its own numbers",
    1,
    "A lane beyond the last row, or beyond the last channel, must not store",
)
def _(call: Call, generator: torch.Generator) -> None:
    for d, n in ((4, 11), (5, 8), (3, 11)):
        h, (g, e) = randn(generator, d, 3), randn(generator, 2, 2, n, d)
        expect_untouched(go_back(call, h, g, e, block=8))


@C.rung(
    "long filters, one token, one channel",
    1,
    "k may be larger than N, and B, N and D may be 1: lags beyond the last token send nothing.",
)
def _(call: Call, generator: torch.Generator) -> None:
    for b, n, d, taps in ((3, 2, 4, 5), (2, 1, 3, 2), (1, 6, 1, 4)):
        go_back(call, randn(generator, d, taps), *randn(generator, 2, b, n, d), block=4)
