"""Ladders of chapter 05: the loss by hand, a whole schedule, three kinds of answers."""

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from zoology_teach.grading.inputs import draw, rand, randn
from zoology_teach.grading.ladder import Call, Exercise, expect, expect_number, expect_shape
from zoology_teach.grading.truths import kinds_one_by_one, rates_one_by_one

A = Exercise("05.a", "loss_at_positions", "The loss by hand", minutes=15, difficulty=1)
B = Exercise("05.b", "schedule", "A whole schedule", minutes=15, difficulty=2)
C = Exercise("05.c", "three_kinds", "Three kinds of answers", minutes=20, difficulty=2)
EXERCISES = [A, B, C]

IGNORED = -100


def some_labels(generator: torch.Generator, rows: int, n: int, vocab: int, asked: int) -> Tensor:
    """(rows, n) labels with `asked` questions a row, at random places; the rest is -100."""
    places = torch.rand(rows, n, generator=generator).topk(asked).indices
    answers = torch.randint(vocab, (rows, asked), generator=generator)
    return torch.full((rows, n), IGNORED).scatter(1, places, answers)


def number(value: Any) -> float:
    """`value` as a float, after making sure that it is a finite number."""
    expect_number(value, 0.0, tolerance=1e9)
    return float(value)


def expect_loss(call: Call, logits: Tensor, labels: Tensor) -> None:
    """Assert the cross-entropy in float64."""
    truth = cross_entropy(logits.double().flatten(0, 1), labels.flatten())
    expect_number(call(logits, labels), truth.item())


@A.rung(
    "a single question",
    1,
    "One question costs logsumexp(logits) minus the logit of the right token: a log, and minus.",
)
def _(call: Call, generator: torch.Generator) -> None:
    logits = randn(generator, 1, 1, 4)
    total = sum(math.exp(z) for z in logits.flatten().tolist())
    expect_number(call(logits, torch.tensor([[2]])), math.log(total) - logits[0, 0, 2].item())


@A.rung("equal logits", 1, "Equal logits cost ln V at every question, so ln V on average.")
def _(call: Call, generator: torch.Generator) -> None:
    for b, n, v in ((1, 2, 2), (3, 5, 7)):
        labels = torch.randint(v, (b, n), generator=generator)
        expect_number(call(torch.full((b, n, v), 0.5), labels), math.log(v))


@A.rung(
    "the unasked do not count",
    2,
    "The loss changed with logits at a position labelled -100 (expected is the loss before): "
    "leave those rows out.",
)
def _(call: Call, generator: torch.Generator) -> None:
    for b, n, v, asked in ((1, 2, 2, 1), (2, 6, 5, 2)):
        logits, labels = randn(generator, b, n, v), some_labels(generator, b, n, v, asked)
        other = torch.where((labels == IGNORED)[..., None], randn(generator, b, n, v), logits)
        expect_number(call(other, labels), number(call(logits, labels)))


@A.rung(
    "an average over the questions",
    2,
    "Divide by the number of asked positions, not by B times N and not by B.",
)
def _(call: Call, generator: torch.Generator) -> None:
    for b, n, v, asked in ((1, 3, 2, 2), (3, 8, 6, 2)):
        expect_loss(call, randn(generator, b, n, v), some_labels(generator, b, n, v, asked))


@A.rung(
    "rows that ask unequally",
    2,
    "Every question weighs the same: do not average each row first.",
)
def _(call: Call, generator: torch.Generator) -> None:
    logits = torch.tensor([[[0.0, 2.0], [1.0, 0.0]], [[0.0, 0.0], [3.0, 0.0]]])
    expect_loss(call, logits, torch.tensor([[1, IGNORED], [0, 1]]))
    labels = some_labels(generator, 3, 8, 6, asked=7)
    labels[0, 1:] = IGNORED
    labels[0, 0] = 3
    labels[1] = IGNORED
    expect_loss(call, randn(generator, 3, 8, 6), labels)


@A.rung(
    "large logits",
    2,
    "The exp of a large logit overflows and log of a tiny probability is -inf: use logsumexp.",
)
def _(call: Call, generator: torch.Generator) -> None:
    expect_loss(call, torch.tensor([[[0.0, 400.0], [-400.0, 0.0]]]), torch.tensor([[1, 0]]))
    labels = some_labels(generator, 2, 6, 8, asked=3)
    expect_loss(call, 400 * randn(generator, 2, 6, 8), labels)


def uniform(generator: torch.Generator, low: float, high: float) -> float:
    """A number drawn evenly from low .. high, to two decimals."""
    return round(low + (high - low) * rand(generator).item(), 2)


@B.rung("one rate an update", 1, "The result is one float tensor of shape (steps,).")
def _(call: Call, generator: torch.Generator) -> None:
    steps = draw(generator, 20, 40)
    rates = call(steps, 5, 0.01, 0.001)
    expect_shape(rates, (steps,))
    assert rates.dtype.is_floating_point, f"dtype {rates.dtype}, expected a float"


@B.rung("neither climb nor fall", 1, "With warmup 0 and floor = peak every rate is the peak.")
def _(call: Call, generator: torch.Generator) -> None:
    peak = uniform(generator, 0.5, 2)
    expect(call(9, 0, peak, peak), torch.full((9,), peak))


@B.rung(
    "the climb",
    2,
    "Update 0 already has peak / warmup, and update warmup - 1 reaches the peak.",
)
def _(call: Call, generator: torch.Generator) -> None:
    warmup, peak = draw(generator, 4, 9), uniform(generator, 0.5, 2)
    rates = call(30, warmup, peak, 0.0)
    expect_shape(rates, (30,))
    expect(rates[:warmup], torch.arange(1, warmup + 1) * (peak / warmup))


@B.rung(
    "the fall",
    2,
    "From peak to 0 on half a cosine, peak / 2 (1 + cos(pi s / steps)): neither a line nor a wave.",
)
def _(call: Call, generator: torch.Generator) -> None:
    steps, peak = draw(generator, 10, 20), uniform(generator, 0.5, 2)
    expect(call(steps, 0, peak, 0.0), rates_one_by_one(steps, 0, peak, 0.0))


@B.rung(
    "the floor",
    2,
    "The cosine runs between peak and floor; cutting it off at the floor, or adding, is not that.",
)
def _(call: Call, generator: torch.Generator) -> None:
    steps, peak = draw(generator, 10, 20), uniform(generator, 0.5, 2)
    expect(call(steps, 0, peak, 0.3 * peak), rates_one_by_one(steps, 0, peak, 0.3 * peak))


@B.rung(
    "first climb, then fall",
    2,
    "The cosine starts where the climb ends: its progress is (s - warmup) / (steps - warmup).",
)
def _(call: Call, generator: torch.Generator) -> None:
    steps, warmup = draw(generator, 20, 40), draw(generator, 5, 15)
    peak = uniform(generator, 0.5, 2)
    expect(call(steps, warmup, peak, 0.1), rates_one_by_one(steps, warmup, peak, 0.1))


@B.rung("nothing but climb", 1, "With warmup = steps there is no fall: mind the division by zero.")
def _(call: Call, generator: torch.Generator) -> None:
    peak = uniform(generator, 0.5, 2)
    expect(call(8, 8, peak, 0.1), torch.arange(1, 9) * (peak / 8))


def one_hot(tokens: Tensor, vocab: int) -> Tensor:
    """Logits (B, N, V) that are largest at `tokens` (B, N)."""
    return 5.0 * torch.nn.functional.one_hot(tokens, vocab)


def distinct(generator: torch.Generator, rows: int, n: int, vocab: int) -> Tensor:
    """(rows, n) tokens, no two alike in a row."""
    return torch.rand(rows, vocab, generator=generator).topk(n).indices


def expect_kinds(call: Call, logits: Tensor, labels: Tensor) -> None:
    """Assert the three shares."""
    expect(call(logits, labels), kinds_one_by_one(logits, labels))


@C.rung("three shares", 1, "Return a tensor of three floats that add up to 1: one kind an answer.")
def _(call: Call, generator: torch.Generator) -> None:
    for rows, n, vocab in ((1, 2, 3), (4, 5, 8)):
        labels = distinct(generator, rows, n, vocab)
        guesses = labels.roll(1, 1).where(labels > labels.min(), labels)
        shares = call(one_hot(guesses, vocab), labels)
        expect_shape(shares, (3,))
        assert shares.dtype.is_floating_point, f"dtype {shares.dtype}, expected a float"
        expect_number(shares.sum(), 1.0)


@C.rung("all right", 1, "Where the largest logit is the label, everything is right: [1, 0, 0].")
def _(call: Call, generator: torch.Generator) -> None:
    labels = distinct(generator, 2, 3, 4)
    expect(call(one_hot(labels, 4), labels), torch.tensor([1.0, 0, 0]))


@C.rung(
    "listed but wrong",
    2,
    "A guess that is the answer to another question of its own row is of the second kind.",
)
def _(call: Call, generator: torch.Generator) -> None:
    labels = distinct(generator, 2, 3, 4)
    expect(call(one_hot(labels.roll(1, 1), 4), labels), torch.tensor([0.0, 1, 0]))


@C.rung(
    "listed elsewhere",
    2,
    "Only answers of the same row count as listed, not those of the other rows.",
)
def _(call: Call, generator: torch.Generator) -> None:
    labels = distinct(generator, 1, 4, 5).view(2, 2)
    expect(call(one_hot(labels.flip(0), 5), labels), torch.tensor([0.0, 0, 1]))


@C.rung(
    "the unasked do not count",
    2,
    "Leave out the positions labelled -100: they are no answers, and they are not in the total.",
)
def _(call: Call, generator: torch.Generator) -> None:
    expect_kinds(call, one_hot(torch.tensor([[0, 1]]), 2), torch.tensor([[0, IGNORED]]))
    labels = some_labels(generator, 6, 9, 6, asked=4)
    expect_kinds(call, torch.randn(6, 9, 6, generator=generator), labels)


@C.rung(
    "rows that ask unequally",
    2,
    "Rows may ask different numbers of questions, or none: every answer weighs the same.",
)
def _(call: Call, generator: torch.Generator) -> None:
    guesses = torch.tensor([[0, 0], [1, 0]])
    expect_kinds(call, one_hot(guesses, 2), torch.tensor([[0, IGNORED], [0, 1]]))
    labels = some_labels(generator, 6, 9, 6, asked=8)
    for row, kept in enumerate((1, 0, 2, 3, 9, 9)):
        labels[row, kept:] = IGNORED
    expect_kinds(call, torch.randn(6, 9, 6, generator=generator), labels)
