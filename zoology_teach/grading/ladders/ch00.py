"""Chapter 00, three warm-ups: count questions, score answers, look a value up."""

import math

import torch
from torch import Tensor

from zoology_teach.grading.inputs import rand, randn
from zoology_teach.grading.ladder import Call, Exercise, expect, expect_number, expect_shape
from zoology_teach.tasks.examples import IGNORED

A = Exercise("00.a", "count_questions", "Count the questions", minutes=5, difficulty=1)
B = Exercise("00.b", "score", "Score the answers", minutes=10, difficulty=1)
C = Exercise("00.c", "look_up", "Look it up", minutes=10, difficulty=1)
EXERCISES = [A, B, C]


def random_labels(rows: int, n: int, vocab_size: int, generator: torch.Generator) -> Tensor:
    """(rows, n) labels of which about half ask something."""
    labels = torch.randint(vocab_size, (rows, n), generator=generator)
    silent = torch.rand(rows, n, generator=generator) < 0.5
    return labels.masked_fill(silent, IGNORED)


@A.rung("shape", points=1, mistake="Return int64 counts, one for each row: (B,).")
def _(call: Call, generator: torch.Generator) -> None:
    answer = call(random_labels(3, 8, 20, generator))
    expect_shape(answer, (3,))
    assert answer.dtype == torch.int64, f"dtype {answer.dtype}, expected torch.int64"


@A.rung(
    "nothing asked",
    points=1,
    mistake="A label of -100 means that nothing is asked: do not count it.",
)
def _(call: Call, generator: torch.Generator) -> None:
    expect(call(torch.full((2, 5), IGNORED)), torch.tensor([0, 0]))


@A.rung("everything asked", points=1, mistake="Count positions, do not add up the labels.")
def _(call: Call, generator: torch.Generator) -> None:
    labels = torch.randint(1, 20, (2, 6), generator=generator)
    expect(call(labels), torch.tensor([6, 6]))


@A.rung("token 0", points=1, mistake="0 is a token like any other: a label of 0 is a question.")
def _(call: Call, generator: torch.Generator) -> None:
    expect(call(torch.tensor([[0, IGNORED, 0], [IGNORED, 0, 7]])), torch.tensor([2, 2]))


@A.rung("agreement", points=1, mistake="Counting position by position gives other numbers.")
def _(call: Call, generator: torch.Generator) -> None:
    labels = random_labels(6, 15, 4, generator)
    counts = [sum(label != IGNORED for label in row) for row in labels.tolist()]
    expect(call(labels), torch.tensor(counts))


def logits_for(guesses: Tensor, vocab_size: int, generator: torch.Generator) -> Tensor:
    """(B, N, V) random scores whose largest is at `guesses` (B, N)."""
    logits = randn(generator, *guesses.shape, vocab_size)
    return logits.scatter(2, guesses[..., None], 10.0)


SIZES = ((1, 2, 3), (2, 5, 12))  # B, N, V


@B.rung("all right", points=1, mistake="When every guess is the label, the score is 1.")
def _(call: Call, generator: torch.Generator) -> None:
    for b, n, v in SIZES:
        labels = torch.randint(1, v, (b, n), generator=generator)
        expect_number(call(logits_for(labels, v, generator), labels), 1.0)


@B.rung("all wrong", points=1, mistake="When no guess is the label, the score is 0.")
def _(call: Call, generator: torch.Generator) -> None:
    for b, n, v in SIZES:
        labels = torch.randint(1, v, (b, n), generator=generator)
        expect_number(call(logits_for((labels + 1) % v, v, generator), labels), 0.0)


@B.rung("largest score", points=1, mistake="The guess is the largest score, even when all are < 0.")
def _(call: Call, generator: torch.Generator) -> None:
    for b, n, v in SIZES:
        labels = torch.randint(1, v, (b, n), generator=generator)
        expect_number(call(logits_for(labels, v, generator) - 50, labels), 1.0)


@B.rung("only what is asked", points=2, mistake="Positions with label -100 do not count at all.")
def _(call: Call, generator: torch.Generator) -> None:
    labels = torch.tensor([[3, IGNORED, IGNORED, 1, IGNORED, 2]])
    guesses = torch.tensor([[3, 1, 2, 3, 0, 2]])
    expect_number(call(logits_for(guesses, 4, generator), labels), 2 / 3)


@B.rung("token 0", points=1, mistake="0 is a token like any other: a label of 0 is a question.")
def _(call: Call, generator: torch.Generator) -> None:
    labels = torch.tensor([[0, 2, IGNORED, 0]])
    guesses = torch.tensor([[0, 1, 0, 1]])
    expect_number(call(logits_for(guesses, 4, generator), labels), 1 / 3)


@B.rung("every question alike", points=1, mistake="Do not average the rows' averages.")
def _(call: Call, generator: torch.Generator) -> None:
    labels = torch.tensor([[1, 2, 3, 1], [2, IGNORED, IGNORED, IGNORED]])
    guesses = torch.tensor([[1, 2, 3, 1], [3, 0, 0, 0]])
    expect_number(call(logits_for(guesses, 4, generator), labels), 4 / 5)


@B.rung("edges", points=1, mistake="No question: the score is 0, not nan; one question must work.")
def _(call: Call, generator: torch.Generator) -> None:
    silent = torch.full((1, 2), IGNORED)
    answer = call(randn(generator, 1, 2, 3), silent)
    if isinstance(answer, Tensor) and answer.numel() == 1:
        answer = answer.item()
    assert not (isinstance(answer, float) and math.isnan(answer)), "you return nan"
    expect_number(answer, 0.0)
    expect_number(call(torch.tensor([[[0.0, 1.0]]]), torch.tensor([[1]])), 1.0)


def best_by_cosine(query: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """One cosine after another, in plain Python."""
    chosen = []
    for q, row, value in zip(query.tolist(), keys.tolist(), values.tolist(), strict=True):
        cosine = [
            sum(x * y for x, y in zip(q, k, strict=True)) / math.hypot(*k) / math.hypot(*q)
            for k in row
        ]
        chosen.append(value[cosine.index(max(cosine))])
    return torch.tensor(chosen)


def some_values(rows: int, pairs: int, generator: torch.Generator) -> Tensor:
    """(rows, pairs) tokens, no token twice."""
    return torch.randperm(rows * pairs, generator=generator).view(rows, pairs)


@C.rung("shape", points=1, mistake="Return int64 values, one for each row: (B,).")
def _(call: Call, generator: torch.Generator) -> None:
    query, keys = randn(generator, 3, 4), randn(generator, 3, 5, 4)
    answer = call(query, keys, some_values(3, 5, generator))
    expect_shape(answer, (3,))
    assert answer.dtype == torch.int64, f"dtype {answer.dtype}, expected torch.int64"


@C.rung("one pair", points=1, mistake="With a single pair its value is the answer.")
def _(call: Call, generator: torch.Generator) -> None:
    keys, values = randn(generator, 2, 1, 3), some_values(2, 1, generator) + 7
    expect(call(randn(generator, 2, 3), keys, values), values[:, 0])


@C.rung("equal key", points=1, mistake="The key equal to the question has the largest cosine.")
def _(call: Call, generator: torch.Generator) -> None:
    keys, values = torch.eye(4)[None], some_values(1, 4, generator)
    wanted = int(torch.randint(4, (), generator=generator))
    expect(call(3 * keys[:, wanted], keys, values), values[:, wanted])


@C.rung("opposite", points=1, mistake="Opposite is not alike: keep the sign of the cosine.")
def _(call: Call, generator: torch.Generator) -> None:
    query = torch.tensor([[1.0, 0.0]])
    keys = torch.tensor([[[-1.0, 0.0], [0.5, 0.6]]])
    values = some_values(1, 2, generator)
    expect(call(query, keys, values), values[:, 1])


@C.rung("long keys", points=2, mistake="A long key must not win by its length: divide by it.")
def _(call: Call, generator: torch.Generator) -> None:
    query = torch.tensor([[1.0, 0.0]])
    keys = torch.tensor([[[0.5, 0.1], [3.0, 3.0], [9.0, 8.0]]])
    values = some_values(1, 3, generator)
    expect(call(query, keys, values), values[:, 0])


@C.rung("direction", points=1, mistake="Nearness is an angle here, not a distance.")
def _(call: Call, generator: torch.Generator) -> None:
    query = torch.tensor([[1.0, 1.0]])
    keys = torch.tensor([[[50.0, 49.0], [1.0, 0.4]]])
    values = some_values(1, 2, generator)
    expect(call(query, keys, values), values[:, 0])


@C.rung("agreement", points=2, mistake="One cosine after another gives other values.")
def _(call: Call, generator: torch.Generator) -> None:
    for rows, pairs in ((1, 3), (8, 6)):
        query, keys = randn(generator, rows, 3), randn(generator, rows, pairs, 3)
        keys = keys * (0.1 + 5 * rand(generator, rows, pairs, 1))
        values = some_values(rows, pairs, generator)
        expect(call(query, keys, values), best_by_cosine(query, keys, values))
