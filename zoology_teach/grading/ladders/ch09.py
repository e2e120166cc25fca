"""Ladders of chapter 09: tokens seen before, a top-k that is causal, attention of some rows."""

import math

import torch
from torch import Tensor

from zoology_teach.grading.inputs import flags
from zoology_teach.grading.ladder import Call, Exercise, expect, expect_shape

A = Exercise("09.a", "seen_before", "Seen before", minutes=10, difficulty=1)
B = Exercise("09.b", "causal_top_k", "A top-k that does not look ahead", minutes=20, difficulty=2)
C = Exercise("09.c", "asking_rows", "Rows that ask", minutes=30, difficulty=3)
EXERCISES = [A, B, C]


@A.rung("shape", 1, "Return one bool for every token: shape (B, N).")
def _(call: Call, generator: torch.Generator) -> None:
    found = call(torch.randint(1, 9, (3, 7), generator=generator), 0)
    expect_shape(found, (3, 7))
    assert found.dtype == torch.bool, f"dtype {found.dtype}, expected torch.bool"


@A.rung("comes back", 1, "A token that comes back was seen before; at its first place it was not.")
def _(call: Call, generator: torch.Generator) -> None:
    tokens = 1 + torch.randperm(40, generator=generator)[None, :8]
    expect(call(tokens, 0), flags("00000000"))
    tokens[0, 6] = tokens[0, 2]
    expect(call(tokens, 0), flags("00000010"))


@A.rung("the blank", 1, "The blank does not count, whichever id it has.")
def _(call: Call, generator: torch.Generator) -> None:
    tokens = torch.tensor([[5, 0, 7, 5, 0, 8]])
    expect(call(tokens, 0), flags("000100"))
    expect(call(tokens, 5), flags("000010"))
    expect(call(tokens, -1), flags("000110"))


@A.rung("every later time", 1, "The third and fourth time count like the second.")
def _(call: Call, generator: torch.Generator) -> None:
    expect(call(torch.tensor([[4, 4, 3, 4, 3, 4]]), 0), flags("010111"))


@A.rung("each sequence its own", 1, "A token of another sequence was not seen in this one.")
def _(call: Call, generator: torch.Generator) -> None:
    tokens = torch.tensor([[1, 2, 1], [1, 2, 3], [3, 3, 2]])
    expect(call(tokens, 0), flags("001", "000", "010"))


@A.rung("as the definition says", 2, "Compare each token with all earlier ones of its sequence.")
def _(call: Call, generator: torch.Generator) -> None:
    tokens = torch.randint(0, 12, (4, 24), generator=generator)
    expected = torch.zeros(4, 24, dtype=torch.bool)
    for b, row in enumerate(tokens.tolist()):
        for i, token in enumerate(row):
            expected[b, i] = token != 3 and token in row[:i]
    expect(call(tokens, 3), expected)


@A.rung("one token", 1, "The only token of a sequence was not seen before.")
def _(call: Call, generator: torch.Generator) -> None:
    expect(call(torch.tensor([[4], [5]]), 0), flags("0", "0"))


@B.rung("shape", 1, "Return one bool for every row: shape (B, N).")
def _(call: Call, generator: torch.Generator) -> None:
    found = call(torch.rand(3, 7, generator=generator), 2)
    expect_shape(found, (3, 7))
    assert found.dtype == torch.bool, f"dtype {found.dtype}, expected torch.bool"


@B.rung("no look ahead", 2, "What comes later may not change whether a row asks.")
def _(call: Call, generator: torch.Generator) -> None:
    f = torch.rand(2, 12, generator=generator)
    low, high = f.clone(), f.clone()
    low[:, 6:], high[:, 6:] = 0.0, 1.0
    with_low, with_high = call(low, 3), call(high, 3)
    for found in (with_low, with_high):
        expect_shape(found, (2, 12))
    expect(with_low[:, :6], with_high[:, :6])


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
    expect(call(torch.rand(2, 3, generator=generator), 5), torch.ones(2, 3, dtype=torch.bool))


def inputs(generator: torch.Generator, rows: int, n: int, d: int, e: int) -> tuple[Tensor, ...]:
    """q (2, rows, d), k (2, n, d), v (2, n, e)."""
    sizes = ((rows, d), (n, d), (n, e))
    return tuple(torch.randn(2, *size, generator=generator) for size in sizes)


def one_by_one(q: Tensor, k: Tensor, v: Tensor, at: Tensor) -> Tensor:
    """Row by row, key by key."""
    y = torch.zeros(*at.shape, v.shape[2])
    for b, row in enumerate(at.tolist()):
        for r, t in enumerate(row):
            scores = [math.exp(q[b, r] @ k[b, s] / math.sqrt(k.shape[2])) for s in range(t + 1)]
            for s, score in enumerate(scores):
                y[b, r] += score / sum(scores) * v[b, s]
    return y


@C.rung("shape", 1, "Return one row of e numbers for each row of q: (B, R, e).")
def _(call: Call, generator: torch.Generator) -> None:
    at = torch.tensor([[1, 4, 2], [0, 5, 5]])
    expect_shape(call(*inputs(generator, 3, 6, 4, 5), at), (2, 3, 5))


@C.rung("its own place", 1, "A row sees its own position too; at 0 it sees nothing else.")
def _(call: Call, generator: torch.Generator) -> None:
    q, k, v = inputs(generator, 1, 5, 4, 3)
    expect(call(q, k, v, torch.zeros(2, 1, dtype=torch.int64)), v[:, :1])


@C.rung("not beyond its position", 1, "Mask by `at`: keys after a row's position are not seen.")
def _(call: Call, generator: torch.Generator) -> None:
    q, k, v = inputs(generator, 2, 8, 4, 3)
    q[:] = 0  # all that is seen counts alike
    at = torch.tensor([[5, 2], [3, 6]])
    means = [[v[b, : t + 1].mean(dim=0) for t in row] for b, row in enumerate(at.tolist())]
    expect(call(q, k, v, at), torch.stack([torch.stack(row) for row in means]))


@C.rung("loudness", 1, "Divide the scores by the square root of the width of q and k.")
def _(call: Call, generator: torch.Generator) -> None:
    q, k, v = torch.ones(1, 1, 16), torch.zeros(1, 2, 16), torch.tensor([[[0.0], [1.0]]])
    k[0, 1, :4] = 1.0  # a score of 4, over sqrt(16)
    expect(call(q, k, v, torch.tensor([[1]])), torch.tensor([[[1 / (1 + math.exp(-1))]]]))


@C.rung("unused slots", 2, "A negative position gives 0: not NaN, not the mean of all values.")
def _(call: Call, generator: torch.Generator) -> None:
    q, k, v = inputs(generator, 3, 6, 4, 5)
    at = torch.tensor([[4, -1, -1], [-1, -1, -1]])
    expected = one_by_one(q, k, v, at)
    expect(call(q, k, v, at), expected)


@C.rung("as the definition says", 2, "Row by row and key by key the numbers are others.")
def _(call: Call, generator: torch.Generator) -> None:
    q, k, v = inputs(generator, 4, 9, 6, 3)
    at = torch.tensor([[8, 0, 3, 3], [5, -1, 7, 1]])
    expect(call(q, k, v, at), one_by_one(q, k, v, at))


@C.rung("every row", 1, "With all positions in order it is causal attention.")
def _(call: Call, generator: torch.Generator) -> None:
    q, k, v = inputs(generator, 7, 7, 4, 4)
    at = torch.arange(7).expand(2, 7).clone()
    expect(call(q, k, v, at), one_by_one(q, k, v, at))
