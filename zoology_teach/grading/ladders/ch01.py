"""Ladders of chapter 01: rare repeats, shares of a gap, what followed before in a row."""

from typing import Any

import torch
from torch import Tensor

from zoology_teach.grading.diagnosis import written
from zoology_teach.grading.inputs import different, doubles, rand
from zoology_teach.grading.ladder import Call, Exercise, expect, expect_shape

A = Exercise("01.a", "rare_repeats", "Rare repeats", minutes=15, difficulty=1)
B = Exercise("01.b", "gap_shares", "Take the gap apart", minutes=20, difficulty=2)
C = Exercise("01.c", "copy_distribution", "What followed before", minutes=35, difficulty=3)
EXERCISES = [A, B, C]


def expect_marks(found: Any, where: list[int], size: int) -> None:
    """Assert that exactly these positions are marked."""
    expect_shape(found, (size,))
    assert found.dtype == torch.bool, f"dtype {found.dtype}, expected torch.bool"
    marked = found.nonzero().flatten().tolist()
    assert marked == where, f"you mark positions {marked}, expected {where}"


def repeats_one_by_one(row: list[int], training: list[int], n: int, threshold: int) -> list[int]:
    """Positions of the row at which a rare n-gram ends again."""
    found = []
    for i in range(n, len(row)):
        gram = row[i - n + 1 : i + 1]
        again = any(row[j - n + 1 : j + 1] == gram for j in range(n - 1, i))
        times = sum(training[j : j + n] == gram for j in range(len(training) - n + 1))
        if again and times <= threshold:
            found.append(i)
    return found


NOTHING = torch.full((3,), 99)


@A.rung("shape", 1, "Return a bool for each token, (N,); where nothing repeats none is True.")
def _(call: Call, generator: torch.Generator) -> None:
    row = torch.tensor(different(generator, 9))
    expect_marks(call(row, NOTHING, 2, 20), [], 9)


@A.rung("the bigram, not the token", 1, "A token that repeats in other company is no hit.")
def _(call: Call, generator: torch.Generator) -> None:
    a, b, c, d = different(generator, 4)
    expect_marks(call(torch.tensor([a, b, c, b, d, a]), NOTHING, 2, 20), [], 6)


@A.rung("the second time", 1, "Mark the last token of the bigram, from its second time on.")
def _(call: Call, generator: torch.Generator) -> None:
    a, b, c, d, e = different(generator, 5)
    expect_marks(call(torch.tensor([a, b, c, d, a, b, e, a, b]), NOTHING, 2, 20), [5, 8], 9)


@A.rung("counted in training", 2, "Rare means rare in training; the row's own repeats are not it.")
def _(call: Call, generator: torch.Generator) -> None:
    a, b = different(generator, 2)
    found = call(torch.tensor([a, b] * 6), NOTHING, 2, 3)
    expect_marks(found, list(range(3, 12)), 12)


@A.rung("at most the threshold", 1, "A bigram is rare if its count is <= threshold.")
def _(call: Call, generator: torch.Generator) -> None:
    a, b, c, d, e = different(generator, 5)
    row = torch.tensor([a, b, e, c, d, a, b, c, d])
    for threshold in (0, int(torch.randint(1, 9, (1,), generator=generator))):
        training = torch.tensor([a, b, e] * threshold + [c, d, e] * (threshold + 1))
        expect_marks(call(row, training, 2, threshold), [6], 9)


@A.rung("overlapping", 1, "In a a a a the bigram a a occurs three times.")
def _(call: Call, generator: torch.Generator) -> None:
    a, b = different(generator, 2)
    row, training = torch.tensor([b, a, a, a]), torch.tensor([b, a, a, a, a])
    expect_marks(call(row, training, 2, 3), [3], 4)
    expect_marks(call(row, training, 2, 2), [], 4)


@A.rung(
    "n-grams of any length",
    2,
    "With n = 1 it is the token, with n = 3 a trigram; a short row has none.",
)
def _(call: Call, generator: torch.Generator) -> None:
    a, b, c, d = different(generator, 4)
    row = torch.tensor([a, b, c, d, b, c, a, b, c])
    expect_marks(call(row, NOTHING, 1, 0), [4, 5, 6, 7, 8], 9)
    expect_marks(call(row, NOTHING, 3, 0), [8], 9)
    expect_marks(call(row[:2], NOTHING, 3, 0), [], 2)


@A.rung("as counted one by one", 1, "Counting every n-gram by hand marks other tokens.")
def _(call: Call, generator: torch.Generator) -> None:
    for n, size in ((1, 9), (2, 9), (1, 60), (2, 60), (3, 60), (4, 60)):
        row = torch.randint(3, (size,), generator=generator)
        training = torch.randint(3, (3 * size,), generator=generator)
        threshold = 3 * size // 3**n
        marks = repeats_one_by_one(row.tolist(), training.tolist(), n, threshold)
        expect_marks(call(row, training, n, threshold), marks, size)


@B.rung("one slice is all", 1, "Return (R, S); a single slice holds the whole gap, 1.")
def _(call: Call, generator: torch.Generator) -> None:
    model = 20 + 10 * rand(generator, 3, 1).double()
    expect(call(model, doubles([15.0]), doubles([1.0])), torch.ones_like(model))


@B.rung("logarithms", 2, "The gap is a difference of log perplexities, not of perplexities.")
def _(call: Call, generator: torch.Generator) -> None:
    baseline = doubles([2.0, 50.0])
    model = baseline * doubles([1.5], [3.0])
    expect(call(model, baseline, doubles([0.5, 0.5])), torch.full_like(model, 0.5))


@B.rung("weighted by tokens", 1, "A slice counts as much as it has tokens.")
def _(call: Call, generator: torch.Generator) -> None:
    first = round(0.1 + 0.2 * rand(generator, 1).item(), 3)
    shares, baseline = doubles([first, 1 - first]), doubles([2.0, 50.0])
    expect(call(2 * baseline[None], baseline, shares), shares[None])


@B.rung(
    "the whole from its parts", 2, "Overall, logarithms of perplexities are averaged over tokens."
)
def _(call: Call, generator: torch.Generator) -> None:
    baseline, shares = doubles([2.0, 12.0, 30.0]), doubles([0.1, 0.7, 0.2])
    model = doubles([5.0, 12.0, 30.0], [2.0, 12.0, 45.0])
    expect(call(model, baseline, shares), doubles([1.0, 0.0, 0.0], [0.0, 0.0, 1.0]))


@B.rung("more than all", 2, "Where the model is better a share is negative, another above 1.")
def _(call: Call, generator: torch.Generator) -> None:
    ratio, shares = doubles([8.0, 0.5, 1.0]), doubles([0.5, 0.25, 0.25])
    baseline = 2 + 50 * rand(generator, 3).double()
    expect(call((ratio * baseline)[None], baseline, shares), doubles([[1.2, -0.2, 0.0]]))


@B.rung("no gap", 1, "A model that is not worse overall has no gap: nan for its row only.")
def _(call: Call, generator: torch.Generator) -> None:
    baseline, shares = doubles([4.0, 16.0]), doubles([0.5, 0.5])
    model = doubles([4.0, 16.0], [8.0, 16.0], [8.0, 4.0])
    found = call(model, baseline, shares)
    expect_shape(found, (3, 2))
    expect(found[1], doubles([1.0, 0.0]))
    for row in (0, 2):
        assert found[row].isnan().all(), f"row {row} is {written(found[row])}, expected nan"


@B.rung("as summed token by token", 1, "Summing the losses of all tokens gives other shares.")
def _(call: Call, generator: torch.Generator) -> None:
    which = torch.arange(400) % 7 % 4
    baseline, model = 2 + 10 * rand(generator, 4).double(), 12 + 10 * rand(generator, 2, 4).double()
    more = model[:, which].log() - baseline[which].log()
    gap = torch.stack([more[:, which == s].sum(1) for s in range(4)], dim=1)
    found = call(model, baseline, torch.bincount(which).double() / 400)
    expect(found, gap / gap.sum(dim=1, keepdim=True))


def followed_one_by_one(row: list[int], vocab_size: int) -> Tensor:
    """(N, V): at each position the followers before, of two tokens or else of one."""
    found = torch.zeros(len(row), vocab_size, dtype=torch.float64)
    for t in range(len(row)):
        two = [j for j in range(1, t) if row[j - 1 : j + 1] == row[t - 1 : t + 1]]
        one = [j for j in range(t) if row[j] == row[t]]
        for j in two or one:
            found[t, row[j + 1]] += 1 / len(two or one)
    return found


def expect_last(call: Call, row: list[int], expected: dict[int, float]) -> None:
    """Assert what may come after the whole row."""
    found = call(torch.tensor(row), 100)
    expect_shape(found, (len(row), 100))
    wanted = torch.zeros(100, dtype=torch.float64)
    for token, share in expected.items():
        wanted[token] = share
    expect(found[-1], wanted)


@C.rung("nothing to copy", 1, "Return floats (N, V); where no token repeats all are 0.")
def _(call: Call, generator: torch.Generator) -> None:
    row = torch.tensor(different(generator, 7))
    expect(call(row, 100), torch.zeros(7, 100, dtype=torch.float64))


@C.rung("what followed", 1, "Row t is about token t + 1: what followed the token at t before.")
def _(call: Call, generator: torch.Generator) -> None:
    x, a, b, y = different(generator, 4)
    expect_last(call, [x, a, b, y, x, a], {b: 1.0})


@C.rung("or else one token", 2, "If the last two tokens are new together, the last one counts.")
def _(call: Call, generator: torch.Generator) -> None:
    x, a, b, y = different(generator, 4)
    expect_last(call, [x, a, b, y, a], {b: 1.0})


@C.rung("shares", 1, "What followed twice out of three times gets 2/3.")
def _(call: Call, generator: torch.Generator) -> None:
    u, v, w, z, a, b, c = different(generator, 7)
    expect_last(call, [u, a, b, v, a, b, w, a, c, z, a], {b: 2 / 3, c: 1 / 3})


@C.rung("two tokens know better", 2, "If the last two stood there before, one alone is ignored.")
def _(call: Call, generator: torch.Generator) -> None:
    x, y, z, a, b, c = different(generator, 6)
    expect_last(call, [x, a, b, y, a, c, z, a, c, x, a], {b: 1.0})


@C.rung(
    "the past only", 2, "What comes later changed row t: expected is what the start alone gives."
)
def _(call: Call, generator: torch.Generator) -> None:
    row = torch.randint(4, (30,), generator=generator)
    for size, longer in ((3, 6), (5, 12), (12, 30), (20, 30)):
        alone, whole = call(row[:size], 4), call(row[:longer], 4)
        expect_shape(alone, (size, 4))
        expect_shape(whole, (longer, 4))
        expect(whole[:size].double(), alone.double())


@C.rung("the start", 1, "The first token has nothing before it, not token 0; a a a copies a.")
def _(call: Call, generator: torch.Generator) -> None:
    a, b, c, d = different(generator, 4)
    expect_last(call, [a, b, c, a, d, 0, a], {b: 0.5, d: 0.5})
    expect_last(call, [a, a], {a: 1.0})
    expect_last(call, [a, a, a], {a: 1.0})
    expect_last(call, [a], {})


@C.rung("as looked up one by one", 1, "Searching the row anew at each position gives others.")
def _(call: Call, generator: torch.Generator) -> None:
    for vocab_size, size in ((2, 6), (3, 60), (8, 80)):
        row = torch.randint(vocab_size, (size,), generator=generator)
        expect(call(row, vocab_size), followed_one_by_one(row.tolist(), vocab_size))
