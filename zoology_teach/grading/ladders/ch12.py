"""Ladders of chapter 12: kernels for a masked sum, a short convolution and its gradient."""

import torch
from torch import Tensor

from zoology_teach.grading.inputs import randn
from zoology_teach.grading.ladder import Call, Exercise
from zoology_teach.grading.launches import LAUNCH, Launched, launch, poisoned
from zoology_teach.grading.truths import convolution_by_matrices

A = Exercise("12.a", "scale_and_add", "Scale and add", minutes=10, difficulty=1, kernel=True)
B = Exercise("12.b", "short_conv", "A short convolution", minutes=25, difficulty=2, kernel=True)
C = Exercise("12.c", "grad_input", "What reaches the input", minutes=25, difficulty=3, kernel=True)
EXERCISES = [A, B, C]


def add(call: Call, generator: torch.Generator, n: int, block: int) -> Launched:
    """Check a x + y for n numbers."""
    x, y = randn(generator, 2, n)
    found = launch(call, a=-1.5, x=x, y=y, out=poisoned(n, block), block=block)
    return found.expect(y - 1.5 * x, share=block)


@A.rung("a kernel does it", 2, LAUNCH)
def _(call: Call, generator: torch.Generator) -> None:
    x, y = randn(generator, 2, 16)
    launch(call, a=-1.5, x=x, y=y, out=poisoned(16, 16), block=16).expect_read("x", "y")


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
        add(call, generator, n, block).expect_untouched()


@A.rung("smaller than a block", 1, "One program, most of whose lanes are masked, must do.")
def _(call: Call, generator: torch.Generator) -> None:
    for n, block in ((3, 32), (1, 4), (1, 1)):
        add(call, generator, n, block).expect_untouched()


def launch_convolution(call: Call, u: Tensor, h: Tensor, step: int, block: int) -> Launched:
    """Launch the student's h * u, taps `step` tokens apart."""
    (b, n, d) = u.shape
    return launch(call, u=u, h=h, step=step, out=poisoned(b * n, block, d), block=block)


def convolve(call: Call, u: Tensor, h: Tensor, block: int, *, step: int = 2) -> Launched:
    """Check h * u against matrices, in which the places between the taps are 0."""
    found = launch_convolution(call, u, h, step, block)
    wide = torch.zeros(len(h), (h.shape[1] - 1) * step + 1)
    wide[:, ::step] = h
    return found.expect(convolution_by_matrices(u, wide).flatten(0, 1), share=block * u.shape[2])


@B.rung("a kernel does it", 2, LAUNCH)
def _(call: Call, generator: torch.Generator) -> None:
    u, h = randn(generator, 1, 8, 4), randn(generator, 4, 3)
    launch_convolution(call, u, h, 1, 8).expect_read("u", "h")


@B.rung("one tap", 1, "With a single tap there is no past: y = h_0 u, channel by channel.")
def _(call: Call, generator: torch.Generator) -> None:
    convolve(call, randn(generator, 1, 8, 4), randn(generator, 4, 1), 8)


@B.rung(
    "a spike shows the filter",
    2,
    "A spike at time 2 must give h_0 at time 2, h_1 at 2 + step, h_2 at 2 + 2 step: are the taps "
    "side by side, reversed, read from the wrong place, or is it the future that you read?",
)
def _(call: Call, generator: torch.Generator) -> None:
    u = torch.zeros(1, 8, 4)
    u[0, 2] = 1
    convolve(call, u, randn(generator, 4, 3), 8)


@B.rung("over the edge of a tile", 1, "A program reads the rows before its own: they exist.")
def _(call: Call, generator: torch.Generator) -> None:
    for step in (2, 5):
        convolve(call, randn(generator, 1, 16, 4), randn(generator, 4, 3), 4, step=step)


@B.rung("sequences stay apart", 2, "The first tokens read the sequence before: mask t >= lag step.")
def _(call: Call, generator: torch.Generator) -> None:
    for n, d in ((4, 2), (8, 4)):
        convolve(call, randn(generator, 2, n, d), randn(generator, d, 3), 16)


@B.rung("ragged rows", 1, "B N need not be a multiple of block: round the grid up.")
def _(call: Call, generator: torch.Generator) -> None:
    for b, n, d, block in ((1, 10, 2, 8), (2, 11, 4, 8), (1, 3, 4, 16)):
        convolve(call, randn(generator, b, n, d), randn(generator, d, 3), block)


@B.rung(
    "only its own numbers",
    2,
    "A lane beyond the last row, or beyond the last channel, must not store: the channel after "
    "the last is the next row's first.",
)
def _(call: Call, generator: torch.Generator) -> None:
    for d, n in ((3, 3), (4, 11), (5, 8), (3, 11)):
        convolve(call, randn(generator, 2, n, d), randn(generator, d, 3), 8).expect_untouched()


@B.rung(
    "long filters, one token, one channel",
    1,
    "Here k is larger than N, or B, N, D or step is 1: taps that reach before time 0 read 0.",
)
def _(call: Call, generator: torch.Generator) -> None:
    for b, n, d, taps, step in ((3, 2, 4, 5, 1), (3, 2, 4, 5, 3), (2, 1, 3, 2, 2), (1, 6, 1, 4, 2)):
        convolve(call, randn(generator, b, n, d), randn(generator, d, taps), 4, step=step)


def launch_gradient(call: Call, h: Tensor, g: Tensor, e: Tensor, step: int, block: int) -> Launched:
    """Launch the student's gradient of u."""
    (b, n, d) = e.shape
    return launch(call, h=h, g=g, e=e, step=step, out=poisoned(b * n, block, d), block=block)


def go_back(call: Call, h: Tensor, g: Tensor, e: Tensor, *, block: int, step: int = 2) -> Launched:
    """Check the gradient of u against autograd in float64."""
    b, n, d = e.shape
    u = torch.zeros(b, n, d, dtype=torch.float64, requires_grad=True)
    y = sum(
        torch.nn.functional.pad(u[:, : n - back], (0, 0, back, 0)) * h[:, back // step].double()
        for back in range(0, min(n, h.shape[1] * step), step)
    )
    (expected,) = torch.autograd.grad(y * g.double(), u, e.double())
    found = launch_gradient(call, h, g, e, step, block)
    return found.expect(expected.float().flatten(0, 1), share=block * d)


@C.rung("a kernel does it", 2, LAUNCH)
def _(call: Call, generator: torch.Generator) -> None:
    h, (g, e) = randn(generator, 4, 3), randn(generator, 2, 1, 8, 4)
    launch_gradient(call, h, g, e, 1, 8).expect_read("h", "e")


@C.rung("one tap", 1, "With one tap the gradient is h_0 times gate times e, token by token.")
def _(call: Call, generator: torch.Generator) -> None:
    go_back(call, randn(generator, 4, 1), *randn(generator, 2, 1, 8, 4), block=8)


@C.rung(
    "an error goes back in time",
    2,
    "An error at time 5 must reach time 5 with h_0, 5 - step with h_1, 5 - 2 step with h_2: the "
    "shift of the forward pass, reversed.",
)
def _(call: Call, generator: torch.Generator) -> None:
    e = torch.zeros(1, 8, 4)
    e[0, 5] = 1
    go_back(call, randn(generator, 4, 3), torch.ones(1, 8, 4), e, block=8)


@C.rung("the gate of the reader", 2, "Token t + l step has read u_t: its gate counts.")
def _(call: Call, generator: torch.Generator) -> None:
    e = torch.zeros(1, 8, 4)
    e[0, 5] = 1
    go_back(call, randn(generator, 4, 3), randn(generator, 1, 8, 4), e, block=8)


@C.rung("sequences stay apart", 2, "The last tokens read the next sequence: mask t + lag step < N.")
def _(call: Call, generator: torch.Generator) -> None:
    for b, n, d in ((2, 4, 2), (3, 8, 4)):
        go_back(call, randn(generator, d, 3), *randn(generator, 2, b, n, d), block=8)


@C.rung("ragged rows", 1, "B N need not be a multiple of block: round the grid up.")
def _(call: Call, generator: torch.Generator) -> None:
    for b, n, d, block in ((1, 10, 2, 8), (2, 11, 4, 8), (1, 3, 4, 16)):
        go_back(call, randn(generator, d, 3), *randn(generator, 2, b, n, d), block=block)


@C.rung(
    "only its own numbers",
    1,
    "A lane beyond the last row, or beyond the last channel, must not store.",
)
def _(call: Call, generator: torch.Generator) -> None:
    for d, n in ((3, 3), (4, 11), (5, 8), (3, 11)):
        h, (g, e) = randn(generator, d, 3), randn(generator, 2, 2, n, d)
        go_back(call, h, g, e, block=8).expect_untouched()


@C.rung(
    "long filters, one token, one channel",
    1,
    "Here k is larger than N, or B, N, D or step is 1: tokens beyond the last send nothing.",
)
def _(call: Call, generator: torch.Generator) -> None:
    for b, n, d, taps, step in ((3, 2, 4, 5, 1), (3, 2, 4, 5, 3), (2, 1, 3, 2, 2), (1, 6, 1, 4, 2)):
        h, (g, e) = randn(generator, d, taps), randn(generator, 2, b, n, d)
        go_back(call, h, g, e, block=4, step=step)
