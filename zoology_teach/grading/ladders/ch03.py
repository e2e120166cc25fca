"""Ladders of chapter 03: causal attention, sign codes, induction by hand."""

import math

import torch
from torch import Generator, Tensor

from zoology_teach.grading.inputs import distinct_signs, rand, randn
from zoology_teach.grading.ladder import Call, Exercise, expect, expect_shape
from zoology_teach.grading.truths import attention_by_loops, induction_by_loops
from zoology_teach.tasks.mqar import MQAR

A = Exercise(
    "03.a", "causal_attention", "Causal attention that may look nowhere", minutes=10, difficulty=1
)
B = Exercise("03.b", "sign_codes", "Sign codes, two signs apart", minutes=10, difficulty=1)
C = Exercise("03.c", "induction_weights", "Induction by hand", minutes=25, difficulty=2)
EXERCISES = [A, B, C]


@A.rung("shape", 1, "Return one row for each position, as wide as v: (B, N, e).")
def _(call: Call, generator: Generator) -> None:
    q, k = randn(generator, 2, 4, 3), randn(generator, 2, 4, 3)
    expect_shape(call(q, k, randn(generator, 2, 4, 5), 1.0), (2, 4, 5))


@A.rung("one token", 1, "A single position shares its weight between itself and nothing.")
def _(call: Call, generator: Generator) -> None:
    one, v = torch.ones(1, 1, 1), torch.tensor([[[6.0]]])
    expect(call(0 * one, one, v, 1.0), torch.tensor([[[3.0]]]))


@A.rung(
    "no scores, no choice",
    1,
    "With all scores 0, t shares its weight among 0 .. t and nothing: mask the future before the "
    "softmax (with -inf, not with 0), and let t see itself.",
)
def _(call: Call, generator: Generator) -> None:
    zeros, v = torch.zeros(1, 3, 1), torch.tensor([[[2.0], [6.0], [4.0]]])
    expect(call(zeros, zeros, v, 1.0), torch.tensor([[[1.0], [8 / 3], [3.0]]]))


@A.rung("scale", 1, "Every score is multiplied by `scale` before the softmax, and by nothing else.")
def _(call: Call, generator: Generator) -> None:
    scale = 0.5 + rand(generator, 1).item()
    x, v = torch.ones(1, 1, 4), torch.ones(1, 1, 1)  # a score of 4
    share = 1 / (1 + math.exp(-4 * scale))
    expect(call(x, x, v, scale), torch.tensor([[[share]]]))


@A.rung(
    "who asks whom",
    2,
    "Row t of the scores is the query at t against every key, softmax over the keys: look for "
    "q and k exchanged, or for a softmax over the wrong dimension.",
)
def _(call: Call, generator: Generator) -> None:
    for n, d, e in ((2, 1, 1), (5, 3, 4)):
        q, k, v = (randn(generator, 1, n, width) for width in (d, d, e))
        y = call(q, k, v, 0.7)
        expect_shape(y, (1, n, e))
        expect(y[:, -1], attention_by_loops(q[0], k[0], v[0], 0.7)[None, -1])


@A.rung("agrees with loops", 2, "Every sequence of the batch is treated alone, at any width.")
def _(call: Call, generator: Generator) -> None:
    for n, d in ((2, 1), (9, 5)):
        q, k, v = (randn(generator, 3, n, width) for width in (d, d, 2))
        truth = [attention_by_loops(q[b], k[b], v[b], 0.4) for b in range(3)]
        expect(call(q, k, v, 0.4), torch.stack(truth))


@A.rung("loud scores", 1, "Large scores must not overflow: use softmax, not exp divided by a sum.")
def _(call: Call, generator: Generator) -> None:
    keys = torch.eye(3)[None]
    v = randn(generator, 1, 3, 2)
    expect(call(keys, keys, v, 1000.0), v)
    before = torch.stack([v[0, :t].sum(0) / (t + 1) for t in range(3)])
    expect(call(-keys, keys, v, 1000.0), before[None])


def checked_codes(call: Call, count: int) -> Tensor:
    """The student's codes as float64, after shape and entries have been looked at."""
    codes = call(count)
    width = 1 + next(c for c in range(64) if 2**c >= count)
    expect_shape(codes, (count, width))
    assert codes.dtype.is_floating_point, f"dtype {codes.dtype}, expected a float"
    expect(codes.abs().float(), torch.ones(count, width))
    return codes.double()


def expect_apart(codes: Tensor) -> None:
    """Assert that any two rows differ in two signs or more."""
    rows = codes.tolist()
    for i, row in enumerate(rows):
        for j in range(i):
            differ = sum(a != b for a, b in zip(row, rows[j], strict=True))
            assert differ >= 2, f"rows {j} and {i} of {len(rows)} differ in {differ} of their signs"


@B.rung("one key", 1, "A single key has one channel, and in it -1.0 or 1.0, as a float.")
def _(call: Call, generator: Generator) -> None:
    checked_codes(call, 1)


@B.rung("two keys", 1, "Two keys need two channels, in each -1.0 for one and 1.0 for the other.")
def _(call: Call, generator: Generator) -> None:
    expect_apart(checked_codes(call, 2))


@B.rung(
    "no channel too many",
    1,
    "So many channels as count - 1 has binary digits, and one more, are enough.",
)
def _(call: Call, generator: Generator) -> None:
    for count in (3, 4):
        expect_shape(call(count), (count, 3))


@B.rung("two signs apart", 2, "Two keys differ in one sign or in none: the gap is not doubled.")
def _(call: Call, generator: Generator) -> None:
    for count in (3, 4, 16):
        expect_apart(checked_codes(call, count))


@B.rung("any count", 1, "One key above a power of two needs another channel.")
def _(call: Call, generator: Generator) -> None:
    for count in (5, 33, int(torch.randint(66, 127, (1,), generator=generator)) | 1):
        expect_apart(checked_codes(call, count))


@B.rung("scores", 2, "A code scores c with itself and at most c - 4 with any other.")
def _(call: Call, generator: Generator) -> None:
    codes = checked_codes(call, 100)
    scores = codes @ codes.T
    expect(scores.diagonal().float(), torch.full((100,), 8.0))
    best_other = (scores - 1000 * torch.eye(100)).max().item()
    assert best_other <= 4 + 1e-6, f"two different keys score {best_other:g}"


@C.rung("shape", 1, "Return one weight for each pair of positions: (B, N, N).")
def _(call: Call, generator: Generator) -> None:
    tokens = MQAR(8, 2, 8).sample(3, seed=generator).inputs
    expect_shape(call(tokens, distinct_signs(generator, 4), 2.0), (3, 8, 8))


@C.rung(
    "blanks",
    1,
    "Among blanks all scores are 0, so position t spreads its weight evenly over 0 .. t: a blank "
    "has no code and no flag, and the future has weight 0.",
)
def _(call: Call, generator: Generator) -> None:
    tokens = torch.zeros(1, 5, dtype=torch.int64)
    even = torch.ones(5, 5).tril() / torch.arange(1, 6)[:, None]
    expect(call(tokens, distinct_signs(generator, 4), 2.0), even[None])


@C.rung(
    "keys find keys",
    1,
    "A key has its own row of codes and carries nothing from before it, a blank has none at all; "
    "the score is half of `scale` times the product.",
)
def _(call: Call, generator: Generator) -> None:
    codes = distinct_signs(generator, 8)
    tokens = 1 + torch.randint(7, (1, 6), generator=generator)
    tokens[0, :2] = 0
    expect(call(tokens, codes, 1.0), induction_by_loops(tokens[0], codes, 1.0)[None])


@C.rung(
    "the flag",
    1,
    "Every position, a blank too, scores c higher at a value than elsewhere: the flag belongs "
    "to the position looked at, and is weighted with c.",
)
def _(call: Call, generator: Generator) -> None:
    codes = distinct_signs(generator, 4)
    value = 4 + int(torch.randint(4, (1,), generator=generator))
    tokens = torch.tensor([[0, value, 0, 0]])
    expect(call(tokens, codes, 1.0), induction_by_loops(tokens[0], codes, 1.0)[None])


@C.rung(
    "the shift",
    2,
    "A value carries the code of the key just before it, not its own and not that of the key "
    "after it.",
)
def _(call: Call, generator: Generator) -> None:
    codes = distinct_signs(generator, 8)
    one, two = (1 + torch.randperm(7, generator=generator)[:2]).tolist()
    tokens = torch.tensor([[one, 9, two, 12, 0, 0, one]])
    expect(call(tokens, codes, 1.0), induction_by_loops(tokens[0], codes, 1.0)[None])


@C.rung(
    "the gate",
    2,
    "A value carries the code before it only from a key: not from another value, not from a "
    "blank, and the first token has nothing before it (roll hands it the last one).",
)
def _(call: Call, generator: Generator) -> None:
    codes = distinct_signs(generator, 8)
    one, two = (1 + torch.randperm(7, generator=generator)[:2]).tolist()
    tokens = torch.tensor([[9, one, two, 0, 12, one, 10, 11, two]])
    expect(call(tokens, codes, 1.0), induction_by_loops(tokens[0], codes, 1.0)[None])


@C.rung("agrees with loops", 2, "Every sequence of a batch with random filler is treated alone.")
def _(call: Call, generator: Generator) -> None:
    for b, n, pairs, half in ((1, 8, 2, 4), (3, 24, 4, 16)):
        codes = distinct_signs(generator, half)
        tokens = MQAR(n, pairs, 2 * half, filler="random").sample(b, seed=generator).inputs
        truth = torch.stack([induction_by_loops(row, codes, 3.0) for row in tokens])
        expect(call(tokens, codes, 3.0), truth)


@C.rung(
    "answers MQAR", 2, "At scale 20 every query looks at the value of its key and nowhere else."
)
def _(call: Call, generator: Generator) -> None:
    for b, n, pairs, half in ((1, 8, 2, 4), (4, 64, 8, 64)):
        examples = MQAR(n, pairs, 2 * half).sample(b, seed=generator)
        weights = call(examples.inputs, distinct_signs(generator, half), 20.0)
        expect_shape(weights, (b, n, n))
        for row, labels, w in zip(examples.inputs, examples.labels, weights, strict=True):
            for t in (labels >= 0).nonzero()[:, 0].tolist():
                place = row.tolist().index(row[t].item()) + 1
                expect(w[t, place], torch.tensor(1.0), tolerance=1e-3)
