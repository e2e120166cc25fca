"""Ladders of chapter 09: pairs seen before, a top-k that is causal, rows with a window."""

import math
from itertools import pairwise

import torch
from torch import Tensor

from zoology_teach.grading.inputs import flags, rand, randn
from zoology_teach.grading.ladder import Call, Exercise, expect, expect_shape

A = Exercise("09.a", "seen_before", "Two tokens seen before", minutes=10, difficulty=1)
B = Exercise("09.b", "causal_top_k", "A top-k that does not look ahead", minutes=20, difficulty=2)
C = Exercise("09.c", "asking_rows", "Rows that ask, in a window", minutes=30, difficulty=3)
EXERCISES = [A, B, C]


@A.rung("one token", 1, "A single token ends no pair: one bool for every token, (B, N).")
def _(call: Call, generator: torch.Generator) -> None:
    expect(call(torch.tensor([[4]]), 0), flags("0"))
    expect(call(torch.tensor([[4], [4]]), 0), flags("0", "0"))


@A.rung("a pair comes back", 1, "Ask where the same two, in this order, are complete again.")
def _(call: Call, generator: torch.Generator) -> None:
    expect(call(torch.tensor([[5, 7, 5]]), 0), flags("000"))
    expect(call(torch.tensor([[5, 7, 5, 7]]), 0), flags("0001"))


@A.rung("side by side", 1, "Both came back, but not as this pair: apart, or turned round.")
def _(call: Call, generator: torch.Generator) -> None:
    expect(call(torch.tensor([[5, 8, 7, 5, 7]]), 0), flags("00000"))
    expect(call(torch.tensor([[7, 5, 8, 5, 7]]), 0), flags("00000"))


@A.rung("every later time", 1, "Pairs may overlap, and a third time counts like the second.")
def _(call: Call, generator: torch.Generator) -> None:
    expect(call(torch.tensor([[4, 4, 4]]), 0), flags("001"))
    expect(call(torch.tensor([[1, 2, 1, 2, 1, 2]]), 0), flags("000111"))


@A.rung("the blank", 1, "A pair with the blank in it does not count, whichever id the blank has.")
def _(call: Call, generator: torch.Generator) -> None:
    tokens = torch.tensor([[5, 0, 5, 0, 5, 5]])
    expect(call(tokens, 0), flags("000000"))
    expect(call(tokens, 5), flags("000000"))
    expect(call(tokens, -1), flags("000110"))


@A.rung("each sequence its own", 1, "A pair of another sequence was not seen in this one.")
def _(call: Call, generator: torch.Generator) -> None:
    tokens = torch.tensor([[1, 2, 1, 2], [1, 2, 3, 1], [3, 1, 2, 1]])
    expect(call(tokens, 0), flags("0001", "0000", "0000"))


@A.rung("as the definition says", 2, "Compare each pair with all earlier ones of its sequence.")
def _(call: Call, generator: torch.Generator) -> None:
    tokens = torch.randint(0, 5, (4, 24), generator=generator)
    expected = torch.zeros(4, 24, dtype=torch.bool)
    for b, row in enumerate(tokens.tolist()):
        pairs = list(pairwise(row))
        for i, pair in enumerate(pairs):
            expected[b, i + 1] = 3 not in pair and pair in pairs[:i]
    expect(call(tokens, 3), expected)


@B.rung("shape", 1, "Return one bool for every row: shape (B, N).")
def _(call: Call, generator: torch.Generator) -> None:
    found = call(rand(generator, 3, 7), 2)
    expect_shape(found, (3, 7))
    assert found.dtype == torch.bool, f"dtype {found.dtype}, expected torch.bool"


@B.rung(
    "no look ahead",
    2,
    "The first half changed with the gates behind it (expected is what 0 there gives).",
)
def _(call: Call, generator: torch.Generator) -> None:
    for half, k in ((2, 1), (6, 3)):
        f = rand(generator, 2, half)
        low, high = (torch.cat([f, torch.full_like(f, gate)], dim=1) for gate in (0.0, 1.0))
        with_low, with_high = call(low, k), call(high, k)
        for found in (with_low, with_high):
            expect_shape(found, (2, 2 * half))
        expect(with_high[:, :half], with_low[:, :half])


@B.rung("rising", 1, "Rows that exceed all before them all ask: more than k may be kept.")
def _(call: Call, generator: torch.Generator) -> None:
    expect(call(torch.arange(1.0, 7.0)[None] / 8, 2), flags("111111"))


@B.rung("falling", 1, "Of falling gates the first k ask: row i has i larger ones before it.")
def _(call: Call, generator: torch.Generator) -> None:
    expect(call(torch.arange(6.0, 0.0, -1)[None] / 8, 2), flags("110000"))


@B.rung("ties", 1, "An equal gate is not a larger one.")
def _(call: Call, generator: torch.Generator) -> None:
    expect(call(torch.tensor([[0.5, 0.2, 0.5, 0.6, 0.5]]), 1), flags("10110"))


@B.rung("each sequence its own", 1, "Rows compete within their sequence only.")
def _(call: Call, generator: torch.Generator) -> None:
    f = torch.tensor([[0.9, 0.8, 0.7], [0.1, 0.2, 0.3], [0.3, 0.1, 0.2]])
    expect(call(f, 1), flags("100", "111", "100"))


@B.rung("as the definition says", 2, "Count, for each row, the earlier rows with a larger gate.")
def _(call: Call, generator: torch.Generator) -> None:
    f = torch.randint(0, 10, (3, 20), generator=generator) / 10
    expected = torch.zeros(3, 20, dtype=torch.bool)
    for b, row in enumerate(f.tolist()):
        for i, gate in enumerate(row):
            expected[b, i] = sum(earlier > gate for earlier in row[:i]) < 4
    expect(call(f, 4), expected)


@B.rung("more than there are", 1, "With k beyond N every row asks.")
def _(call: Call, generator: torch.Generator) -> None:
    expect(call(rand(generator, 2, 3), 5), torch.ones(2, 3, dtype=torch.bool))


def inputs(generator: torch.Generator, rows: int, n: int, d: int, e: int) -> tuple[Tensor, ...]:
    """q (2, rows, d), k (2, n, d), v (2, n, e)."""
    sizes = ((rows, d), (n, d), (n, e))
    return tuple(randn(generator, 2, *size) for size in sizes)


def one_by_one(q: Tensor, k: Tensor, v: Tensor, at: Tensor, window: int) -> Tensor:
    """Row by row, key by key."""
    y = torch.zeros(*at.shape, v.shape[2])
    for b, row in enumerate(at.tolist()):
        for r, t in enumerate(row):
            seen = [s for s in range(t + 1) if t - s < window]
            scores = [math.exp(q[b, r] @ k[b, s] / math.sqrt(k.shape[2])) for s in seen]
            for s, score in zip(seen, scores, strict=True):
                y[b, r] += score / sum(scores) * v[b, s]
    return y


@C.rung("only itself", 1, "With a window of 1 a row sees its own position: row r the one at[b, r].")
def _(call: Call, generator: torch.Generator) -> None:
    q, k, v = inputs(generator, 1, 3, 2, 1)
    at = torch.tensor([[2], [1]])
    expect(call(q, k, v, at, 1), torch.stack([v[0, 2:], v[1, 1:2]]))


@C.rung(
    "the window", 2, "A row sees at[b, r] and window - 1 positions before it, none of them twice."
)
def _(call: Call, generator: torch.Generator) -> None:
    q, k, v = (
        torch.zeros(1, 4, 1),
        torch.zeros(1, 4, 1),
        torch.tensor([[[8.0], [4.0], [2.0], [0.0]]]),
    )
    at = torch.tensor([[3, 0, 1, 2]])
    expect(call(q, k, v, at, 2), torch.tensor([[[1.0], [8.0], [6.0], [3.0]]]))
    expect(call(q, k, v, at, 3), torch.tensor([[[2.0], [8.0], [6.0], [14 / 3]]]))


@C.rung("loudness", 1, "Divide the scores by the square root of the width of q and k.")
def _(call: Call, generator: torch.Generator) -> None:
    q, k = torch.ones(1, 1, 4), torch.tensor([[[9.0] * 4, [0.0] * 4, [0.5] * 4]])
    v = torch.tensor([[[0.0], [0.0], [1.0]]])  # scores 0 and 2 are seen, over sqrt(4)
    share = 1 / (1 + math.exp(-1))
    expect(call(q, k, v, torch.tensor([[2]]), 2), torch.tensor([[[share]]]))


@C.rung("unused slots", 2, "A negative position gives 0: not NaN, and no mean of values.")
def _(call: Call, generator: torch.Generator) -> None:
    q, k, v = inputs(generator, 2, 3, 2, 1)
    at = torch.tensor([[2, -1], [-1, -1]])
    expect(call(q, k, v, at, 2), one_by_one(q, k, v, at, 2))


@C.rung("as the definition says", 2, "Row by row and key by key the numbers are others.")
def _(call: Call, generator: torch.Generator) -> None:
    for sizes, places in (
        ((1, 3, 1, 1), [[2], [1]]),
        ((4, 9, 6, 3), [[8, 0, 3, 3], [5, -1, 7, 1]]),
    ):
        q, k, v = inputs(generator, *sizes)
        at = torch.tensor(places)
        expect(call(q, k, v, at, 3), one_by_one(q, k, v, at, 3))


@C.rung("a wide window", 1, "A window beyond the sequence is causal attention.")
def _(call: Call, generator: torch.Generator) -> None:
    q, k, v = inputs(generator, 4, 4, 3, 2)
    at = torch.arange(4).expand(2, 4).clone()
    expect(call(q, k, v, at, 9), one_by_one(q, k, v, at, 9))
