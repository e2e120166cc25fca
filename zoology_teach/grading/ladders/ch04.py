"""Ladders of chapter 04: a dilated convolution, BaseConv with two gates, running sums."""

from typing import Any

import torch
from torch import Tensor

from zoology_teach.grading.inputs import rand, randn
from zoology_teach.grading.ladder import Call, Exercise, expect, expect_shape
from zoology_teach.grading.truths import (
    base_conv_one_by_one,
    convolution_by_matrices,
    recall_by_dictionary,
)

A = Exercise("04.a", "causal_conv", "A dilated convolution", minutes=10, difficulty=1)
B = Exercise(
    "04.b", "base_conv", "BaseConv with a skip and a second gate", minutes=15, difficulty=2
)
C = Exercise("04.c", "running_recall", "Running recall", minutes=25, difficulty=3)
EXERCISES = [A, B, C]


def expect_no_look_ahead(call: Call, u: Tensor, *rest: Any) -> None:
    """Assert that only the last output changes with the last token."""
    changed = u.clone()
    changed[:, -1] += 1
    before, after = call(u, *rest), call(changed, *rest)
    for y in (before, after):
        expect_shape(y, tuple(u.shape))
    expect(after[:, :-1], before[:, :-1])


@A.rung("one tap", 1, "With a single tap there is no past: y = h_0 u, channel by channel.")
def _(call: Call, generator: torch.Generator) -> None:
    u, h = randn(generator, 1, 2, 2), randn(generator, 2, 1)
    expect(call(u, h, 2), u * h[:, 0])


@A.rung("shape", 1, "The output has the shape of u, (B, N, D), however far h reaches.")
def _(call: Call, generator: torch.Generator) -> None:
    expect_shape(call(randn(generator, 2, 4, 3), randn(generator, 3, 2), 2), (2, 4, 3))


@A.rung(
    "a spike shows the filter",
    3,
    "One spike at time 0 must reproduce the filter from lag 0 on, a tap every `dilation` tokens "
    "and 0 between them: is it reversed, moved, or without holes?",
)
def _(call: Call, generator: torch.Generator) -> None:
    u = torch.zeros(1, 5, 1)
    u[0, 0] = 1
    h = randn(generator, 1, 3)
    holes = torch.zeros(1, 5, 1)
    holes[0, ::2, 0] = h[0]
    expect(call(u, h, 2), holes)


@A.rung(
    "nothing from the future",
    1,
    "An output changed with a later input (expected is what you return with 1 less in the last "
    "token): pad in front, or pad the FFT, so that nothing wraps.",
)
def _(call: Call, generator: torch.Generator) -> None:
    expect_no_look_ahead(call, randn(generator, 1, 5, 1), randn(generator, 1, 3), 2)


@A.rung(
    "agrees with the matrix",
    2,
    "Values differ from a banded matrix a channel: check the lags, and that no channel mixes.",
)
def _(call: Call, generator: torch.Generator) -> None:
    for b, n, d, dilation in ((1, 5, 2, 2), (3, 9, 4, 2), (3, 9, 4, 3)):
        u, h = randn(generator, b, n, d), randn(generator, d, 3)
        expect(call(u, h, dilation), convolution_by_matrices(u, h, dilation))


@A.rung(
    "short and long filters",
    2,
    "The filter may end before the sequence does or reach beyond it: lags that reach before "
    "time 0 read 0.",
)
def _(call: Call, generator: torch.Generator) -> None:
    for n, taps, dilation in ((1, 5, 2), (4, 3, 9), (6, 9, 1), (7, 4, 2)):
        u, h = randn(generator, 2, n, 3), randn(generator, 3, taps)
        expect(call(u, h, dilation), convolution_by_matrices(u, h, dilation))


def problem(generator: torch.Generator, b: int, n: int, d: int, taps: int) -> list[Tensor]:
    """u, weight, bias_proj, filter, bias_conv, write at random."""
    shapes = ((b, n, d), (d, d), (d,), (d, taps), (d,), (d,))
    return [randn(generator, *shape) for shape in shapes]


@B.rung("only the skip", 2, "With W = 0 and b1 = 0 nothing is read, and u passes unchanged.")
def _(call: Call, generator: torch.Generator) -> None:
    u, weight, b1, *rest = problem(generator, 1, 2, 1, 2)
    expect(call(u, 0 * weight, 0 * b1, *rest), u)


@B.rung(
    "only the gate that reads",
    2,
    "With the filter 0 and b2 = 1 the output is u + u W + b1: W multiplies u itself, from the "
    "right, and nothing is transposed.",
)
def _(call: Call, generator: torch.Generator) -> None:
    u, weight, b1, h, b2, write = problem(generator, 1, 2, 2, 2)
    expect(call(u, weight, b1, 0 * h, torch.ones_like(b2), write), u + u @ weight + b1)


@B.rung(
    "what a token writes",
    2,
    "With W = 0 and b1 = 1 the output is u + h * (w u) + b2: each token is multiplied by its own "
    "share before it is convolved, and b2 is added after.",
)
def _(call: Call, generator: torch.Generator) -> None:
    u, weight, b1, h, b2, write = problem(generator, 1, 3, 2, 3)
    share = 1 / (1 + torch.exp(-(u * write).sum(-1, keepdim=True)))
    actual = call(u, 0 * weight, torch.ones_like(b1), h, b2, write)
    expect(actual, u + convolution_by_matrices(share * u, h) + b2)


@B.rung(
    "the two meet in a product",
    2,
    "Gate and convolution are multiplied elementwise: not added, no activation on the gate.",
)
def _(call: Call, generator: torch.Generator) -> None:
    for sizes in ((1, 2, 1, 2), (2, 6, 4, 6)):
        arguments = problem(generator, *sizes)
        expect(call(*arguments), base_conv_one_by_one(*arguments))


@B.rung("nothing from the future", 1, "An output changed when the last token of u grew by 1.")
def _(call: Call, generator: torch.Generator) -> None:
    expect_no_look_ahead(call, *problem(generator, 1, 3, 2, 3))


@B.rung(
    "one token, one channel, short filters",
    1,
    "It must also work for N = 1, D = 1, and for filters shorter or longer than the sequence.",
)
def _(call: Call, generator: torch.Generator) -> None:
    for n, d, taps in ((1, 3, 1), (6, 1, 6), (7, 3, 2), (3, 2, 8)):
        arguments = problem(generator, 2, n, d, taps)
        expect(call(*arguments), base_conv_one_by_one(*arguments))


def story(events: list[tuple[str, int, float]], num_keys: int) -> tuple[Tensor, Tensor]:
    """codes (1, N, C) and numbers (1, N) from ("key", k, -), ("value", -, s), ("blank", -, -)."""
    codes, numbers = torch.zeros(1, len(events), num_keys), torch.zeros(1, len(events))
    for t, (kind, key, number) in enumerate(events):
        if kind == "key":
            codes[0, t, key] = 1
        if kind == "value":
            numbers[0, t] = number
    return codes, numbers


def key(k: int) -> tuple[str, int, float]:
    """The event that key `k` stands there."""
    return ("key", k, 0.0)


def value(s: float) -> tuple[str, int, float]:
    """The event that the value `s` stands there."""
    return ("value", 0, s)


BLANK = ("blank", 0, 0.0)


def random_story(generator: torch.Generator, b: int, n: int, c: int) -> tuple[Tensor, Tensor]:
    """Key, value or blank at each position; values are positive numbers."""
    kind = torch.randint(3, (b, n), generator=generator)
    keys = torch.randint(c, (b, n), generator=generator)
    codes = torch.nn.functional.one_hot(keys, c).float() * (kind == 0)[..., None]
    numbers = (1 + rand(generator, b, n)) * (kind == 1)
    return codes, numbers


@C.rung("shape", 1, "Return one number for every position: (B, N).")
def _(call: Call, generator: torch.Generator) -> None:
    expect_shape(call(*random_story(generator, 3, 8, 4)), (3, 8))


@C.rung("one pair, one query", 1, "In k v . k the last position answers v, all others 0.")
def _(call: Call, generator: torch.Generator) -> None:
    s = 1 + rand(generator, 1).item()
    expect(call(*story([key(1), value(s), BLANK, key(1)], 3)), torch.tensor([[0.0, 0, 0, s]]))


@C.rung(
    "two keys stay apart",
    2,
    "The answer for one key contains the other's number: write only into the channel of the "
    "key just before the value, and read only the query's channel.",
)
def _(call: Call, generator: torch.Generator) -> None:
    s, r = (1 + rand(generator, 2)).tolist()
    events = [key(0), value(s), key(2), value(r), key(2), key(0)]
    expect(call(*story(events, 3)), torch.tensor([[0.0, 0, 0, 0, r, s]]))


@C.rung(
    "a number without a key is lost",
    1,
    "A number belongs to the key directly before it: after a blank or a value there is none.",
)
def _(call: Call, generator: torch.Generator) -> None:
    s, r = (1 + rand(generator, 2)).tolist()
    events = [key(1), value(s), value(r), BLANK, value(r), key(1)]
    expect(call(*story(events, 2)), torch.tensor([[0.0, 0, 0, 0, 0, s]]))


@C.rung(
    "a key told twice",
    2,
    "A running sum cannot overwrite: after k 3 k 4 the answer is 7, and the second k hears 3.",
)
def _(call: Call, generator: torch.Generator) -> None:
    s, r = (1 + rand(generator, 2)).tolist()
    events = [key(1), value(s), key(1), value(r), BLANK, key(1)]
    expect(call(*story(events, 2)), torch.tensor([[0.0, 0, s, 0, 0, s + r]]))


@C.rung(
    "nothing wraps round",
    1,
    "A value at time 0 has no key before it, and the last key must not serve as one; "
    "one token and one key must work too.",
)
def _(call: Call, generator: torch.Generator) -> None:
    s = 1 + rand(generator, 1).item()
    expect(call(*story([value(s), key(0), BLANK, key(0)], 2)), torch.zeros(1, 4))
    expect(call(*story([key(0)], 1)), torch.zeros(1, 1))


@C.rung("agrees with a dictionary", 2, "On random sequences the answers differ from a look-up.")
def _(call: Call, generator: torch.Generator) -> None:
    for sizes in ((1, 6, 2), (1, 9, 2), (4, 30, 5)):
        codes, numbers = random_story(generator, *sizes)
        expect(call(codes, numbers), recall_by_dictionary(codes, numbers))
