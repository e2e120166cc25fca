"""Ladders of chapter 06: a staircase of several seeds, its collapse, a memory of signs."""

import math

import torch
from torch import Tensor

from zoology_teach.grading.inputs import hundredths, rand, signs, walsh
from zoology_teach.grading.ladder import Call, Exercise, expect, expect_number, expect_shape

A = Exercise("06.a", "needed_width", "The width a level needs", minutes=15, difficulty=1)
B = Exercise("06.b", "collapse_error", "The collapse, as a number", minutes=20, difficulty=2)
C = Exercise("06.c", "holographic_recall", "A memory of signs that fades", minutes=25, difficulty=2)
EXERCISES = [A, B, C]


def held_from(widths: list[float], worst: list[float], level: float) -> float:
    """The definition: the narrowest start from which no measured width is below the level."""
    start = len(widths)
    while start > 0 and worst[start - 1] >= level:
        start -= 1
    if start in (0, len(widths)):
        return widths[0] if start == 0 else math.inf
    part = (level - worst[start - 1]) / (worst[start] - worst[start - 1])
    low, high = math.log2(widths[start - 1]), math.log2(widths[start])
    return 2 ** (low + part * (high - low))


@A.rung("the narrowest holds it", 1, "A level that every width holds needs the narrowest only.")
def _(call: Call, generator: torch.Generator) -> None:
    expect_number(call(torch.tensor([16.0]), torch.tensor([[0.5], [0.7]]), 0.4), 16.0)
    accuracies = torch.tensor([[0.5, 0.6], [0.7, 0.5]])
    expect_number(call(torch.tensor([16.0, 32.0]), accuracies, 0.5), 16.0)


@A.rung("never reached", 1, "If the widest does not hold the level, return math.inf.")
def _(call: Call, generator: torch.Generator) -> None:
    found = call(torch.tensor([16.0, 32.0]), torch.tensor([[0.2, 0.6], [0.7, 0.5]]), 0.6)
    if isinstance(found, Tensor) and found.numel() == 1:
        found = found.item()
    assert found == math.inf, f"you return {found!r}"


@A.rung("halfway is a geometric mean", 2, "Widths double: interpolate log2(width), not the width.")
def _(call: Call, generator: torch.Generator) -> None:
    found = call(torch.tensor([16.0, 64.0]), torch.tensor([[0.2, 0.6]]), 0.4)
    expect_number(found, 32.0, tolerance=1e-3)


@A.rung("the worst seed", 1, "At each width the lowest of the seeds counts, whichever it is.")
def _(call: Call, generator: torch.Generator) -> None:
    accuracies = torch.tensor([[0.2, 0.9, 1.0], [0.3, 0.6, 0.9]])
    found = call(torch.tensor([16.0, 64.0, 256.0]), accuracies, 0.4)
    expect_number(found, 32.0, tolerance=1e-3)


@A.rung("reached and lost again", 1, "The level must hold at all wider widths too.")
def _(call: Call, generator: torch.Generator) -> None:
    widths, accuracies = torch.tensor([8.0, 16.0, 32.0, 64.0]), torch.tensor([[0.1, 0.5, 0.3, 0.7]])
    expect_number(call(widths, accuracies, 0.5), 32.0 * 2**0.5, tolerance=1e-3)


@A.rung("any staircase", 2, "The width is not where the curve of the worst seeds passes for good.")
def _(call: Call, generator: torch.Generator) -> None:
    widths = 16.0 * 2 ** torch.arange(6)
    for _ in range(3):
        accuracies = hundredths(torch.linspace(0.0, 0.7, 6) + 0.3 * rand(generator, 4, 6))
        worst = [min(column) for column in accuracies.T.tolist()]
        expected = held_from(widths.tolist(), worst, 0.5)
        expect_number(call(widths, accuracies, 0.5), expected, tolerance=1e-3)


def by_loop(accuracy: Tensor) -> float:
    """Definition of the collapse error, cell by cell."""
    differences = [
        abs(accuracy[i, j].item() - accuracy[i + 1, j + 1].item())
        for i in range(accuracy.shape[0] - 1)
        for j in range(accuracy.shape[1] - 1)
    ]
    return sum(differences) / len(differences)


@B.rung("one pair of cells", 1, "Compare (K, d) with (2K, 2d): one row down and one column right.")
def _(call: Call, generator: torch.Generator) -> None:
    expect_number(call(torch.tensor([[0.5, 0.9], [0.1, 0.4]])), 0.1)


@B.rung("a perfect collapse", 1, "A table that depends on d / K only has error 0.")
def _(call: Call, generator: torch.Generator) -> None:
    curve = rand(generator, 6)
    rows = [[curve[j - i + 2].item() for j in range(4)] for i in range(3)]
    expect_number(call(torch.tensor(rows)), 0.0, tolerance=1e-6)


@B.rung(
    "a mean, not a sum", 1, "Take the mean: divide by the pairs of cells, (rows-1) * (columns-1)."
)
def _(call: Call, generator: torch.Generator) -> None:
    table = torch.zeros(4, 5)
    table[0] = 0.6
    expect_number(call(table), 0.2)


@B.rung("signs do not cancel", 1, "Differences of both signs must add up: take absolute values.")
def _(call: Call, generator: torch.Generator) -> None:
    table = torch.tensor([[0.5, 0.5, 0.0], [0.0, 0.7, 0.3]])
    expect_number(call(table), 0.2)


@B.rung("any table", 2, "The pairs of cells are not those of the definition; count them on paper.")
def _(call: Call, generator: torch.Generator) -> None:
    for shape in ((2, 3), (3, 4), (2, 7), (5, 2)):
        table = rand(generator, *shape)
        expect_number(call(table), by_loop(table), tolerance=1e-5)


@C.rung("shape", 1, "Return one candidate number per query: int64 of shape (B, Q).")
def _(call: Call, generator: torch.Generator) -> None:
    keys, candidates = signs(generator, 2, 2, 4), signs(generator, 3, 4)
    found = call(keys, keys, signs(generator, 2, 1, 4), candidates, 0.5)
    expect_shape(found, (2, 1))
    assert found.dtype == torch.int64, f"dtype {found.dtype}"


@C.rung("one pair", 1, "With a single pair nothing interferes: key * (key * value) is the value.")
def _(call: Call, generator: torch.Generator) -> None:
    keys, candidates = torch.tensor([[[-1.0, 1.0]]]), torch.tensor([[-1.0, 1.0], [1.0, 1.0]])
    for answer in (0, 1):
        found = call(keys, candidates[None, None, answer], keys, candidates, 0.5)
        expect(found, torch.tensor([[answer]]))


@C.rung("told twice", 2, "The later value of a key wins: what was there fades before it is added.")
def _(call: Call, generator: torch.Generator) -> None:
    key, candidates = torch.tensor([[[-1.0, 1.0]]]), torch.tensor([[-1.0, 1.0], [1.0, 1.0]])
    for told in ([0, 1], [1, 0]):
        found = call(key.expand(1, 2, 2), candidates[told][None], key, candidates, 0.5)
        expect(found, torch.tensor([told[1:]]))


@C.rung("each sequence has its own memory", 1, "Sum over the pairs, not over the batch.")
def _(call: Call, generator: torch.Generator) -> None:
    key, candidates = signs(generator, 1, 1, 4), torch.tensor([[1.0, 1, 1, 1], [1, -1, 1, -1]])
    told = torch.tensor([[1, 0], [0, 1], [1, 0]])
    found = call(key.expand(3, 2, 4), candidates[told], key.expand(3, 1, 4), candidates, 0.5)
    expect(found, told[:, 1:])


@C.rung("queries in any order", 1, "Answer the queries that are asked, in their order.")
def _(call: Call, generator: torch.Generator) -> None:
    keys, candidates = walsh(8)[None, [0, 4]], walsh(8)[:4]  # nothing interferes
    values = candidates[None, [2, 1]]
    expect(call(keys, values, keys.flip(1), candidates, 0.75), torch.tensor([[1, 2]]))
    keys, candidates = signs(generator, 2, 4, 1024), signs(generator, 20, 1024)
    keys[:, 3] = keys[:, 0]
    answer = torch.stack([torch.randperm(20, generator=generator)[:4] for _ in range(2)])
    order = torch.tensor([2, 0, 1])
    found = call(keys, candidates[answer], keys[:, order], candidates, 0.75)
    expect(found, answer[:, [2, 3, 1]])


@C.rung("as blurred as the definition", 2, "Each pair fades once for every later one.")
def _(call: Call, generator: torch.Generator) -> None:
    keys, candidates = torch.ones(1, 3, 1), torch.tensor([[1.0], [-1.0]])
    found = call(keys, candidates[[0, 0, 1]][None], keys, candidates, 0.6)
    expect(found, torch.tensor([[1, 1, 1]]))  # 0.36 + 0.6 is less than 1
    keys, candidates = signs(generator, 3, 7, 33), signs(generator, 40, 33)
    answer = torch.randint(40, (3, 7), generator=generator)
    expected = torch.empty(3, 7, dtype=torch.int64)
    for b in range(3):
        memory = torch.zeros(33)
        for i in range(7):
            memory = 0.8 * memory + keys[b, i] * candidates[answer[b, i]]
        for q in range(7):
            scores = torch.stack([(keys[b, q] * memory) @ c for c in candidates])
            expected[b, q] = scores.argmax()
    expect(call(keys, candidates[answer], keys, candidates, 0.8), expected)
