"""Ladders of chapter 06: reading a staircase, its collapse, and a memory of signs."""

import math

import torch
from torch import Tensor

from zoology_teach.grading.inputs import signs
from zoology_teach.grading.ladder import Call, Exercise, expect, expect_number, expect_shape

A = Exercise("06.a", "needed_width", "The width a level needs", minutes=15, difficulty=1)
B = Exercise("06.b", "collapse_error", "The collapse, as a number", minutes=20, difficulty=2)
C = Exercise("06.c", "holographic_recall", "A memory of signs", minutes=25, difficulty=2)
EXERCISES = [A, B, C]


def staircase(generator: torch.Generator, steps: int = 5) -> tuple[Tensor, Tensor]:
    """Widths that double and accuracies that rise, well apart."""
    widths = 16.0 * 2 ** torch.arange(steps)
    rises = 0.05 + torch.rand(steps, generator=generator)
    return widths, 0.9 * rises.cumsum(0) / rises.sum()


@A.rung("on a measured point", 1, "At a measured accuracy the answer is that point's own width.")
def _(call: Call, generator: torch.Generator) -> None:
    widths, accuracies = staircase(generator)
    for i in range(1, 5):
        found = call(widths, accuracies, accuracies[i].item())
        expect_number(found, widths[i].item(), tolerance=1e-3)


@A.rung("below the first stair", 1, "A level the narrowest model already reaches needs its width.")
def _(call: Call, generator: torch.Generator) -> None:
    widths, accuracies = staircase(generator)
    expect_number(call(widths, accuracies, accuracies[0].item() / 2), 16.0)


@A.rung("never reached", 1, "If no width reaches the level, return math.inf.")
def _(call: Call, generator: torch.Generator) -> None:
    widths, accuracies = staircase(generator)
    found = call(widths, accuracies, 0.95)
    if isinstance(found, Tensor) and found.numel() == 1:
        found = found.item()
    assert found == math.inf, f"you return {found!r}"


@A.rung("halfway is a geometric mean", 2, "Widths double: interpolate log2(width), not the width.")
def _(call: Call, generator: torch.Generator) -> None:
    widths = torch.tensor([16.0, 64.0])
    found = call(widths, torch.tensor([0.2, 0.6]), 0.4)
    expect_number(found, 32.0, tolerance=1e-3)


@A.rung("the first crossing counts", 1, "A noisy staircase can cross twice: take the first time.")
def _(call: Call, generator: torch.Generator) -> None:
    widths = torch.tensor([8.0, 16.0, 32.0, 64.0])
    found = call(widths, torch.tensor([0.1, 0.5, 0.3, 0.7]), 0.5)
    expect_number(found, 16.0, tolerance=1e-3)


@A.rung("anywhere between", 2, "The crossing is not where the line on the log axis has it.")
def _(call: Call, generator: torch.Generator) -> None:
    widths, accuracies = staircase(generator)
    level = (0.3 * accuracies[2] + 0.7 * accuracies[3]).item()
    expect_number(call(widths, accuracies, level), 64.0 * 2**0.7, tolerance=1e-3)


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
    curve = torch.rand(6, generator=generator)
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
    for shape in ((3, 4), (2, 7), (5, 2)):
        table = torch.rand(shape, generator=generator)
        expect_number(call(table), by_loop(table), tolerance=1e-5)


@C.rung("shape", 1, "Return one candidate number per query: int64 of shape (B, Q).")
def _(call: Call, generator: torch.Generator) -> None:
    keys, candidates = signs(generator, 3, 4, 8), signs(generator, 10, 8)
    found = call(keys, keys, signs(generator, 3, 2, 8), candidates)
    expect_shape(found, (3, 2))
    assert found.dtype == torch.int64, f"dtype {found.dtype}"


@C.rung("one pair", 1, "With a single pair nothing interferes: key * (key * value) is the value.")
def _(call: Call, generator: torch.Generator) -> None:
    keys, candidates = signs(generator, 5, 1, 64), signs(generator, 12, 64)
    answer = torch.randint(12, (5, 1), generator=generator)
    expect(call(keys, candidates[answer], keys, candidates), answer)


@C.rung("each sequence has its own memory", 1, "Sum over the pairs, not over the batch.")
def _(call: Call, generator: torch.Generator) -> None:
    key, candidates = signs(generator, 1, 1, 64), signs(generator, 6, 64)
    answer = torch.tensor([[0], [3], [5]])
    keys = key.expand(3, 1, 64)
    expect(call(keys, candidates[answer], keys, candidates), answer)


@C.rung("many pairs", 2, "Every pair must be in the memory, and the query must be multiplied in.")
def _(call: Call, generator: torch.Generator) -> None:
    keys, candidates = signs(generator, 4, 6, 1024), signs(generator, 40, 1024)
    answer = torch.stack([torch.randperm(40, generator=generator)[:6] for _ in range(4)])
    expect(call(keys, candidates[answer], keys, candidates), answer)


@C.rung("queries in any order", 1, "Answer the queries that are asked, in their order.")
def _(call: Call, generator: torch.Generator) -> None:
    keys, candidates = signs(generator, 2, 5, 1024), signs(generator, 30, 1024)
    answer = torch.randint(30, (2, 5), generator=generator)
    order = torch.tensor([3, 0])
    expect(call(keys, candidates[answer], keys[:, order], candidates), answer[:, order])


@C.rung("as blurred as the definition", 2, "In a crowded memory your answers are not the sum's.")
def _(call: Call, generator: torch.Generator) -> None:
    keys, candidates = signs(generator, 3, 7, 15), signs(generator, 20, 15)
    answer = torch.randint(20, (3, 7), generator=generator)
    expected = torch.empty(3, 7, dtype=torch.int64)
    for b in range(3):
        memory = sum(keys[b, i] * candidates[answer[b, i]] for i in range(7))
        for q in range(7):
            scores = torch.stack([(keys[b, q] * memory) @ c for c in candidates])
            expected[b, q] = scores.argmax()
    expect(call(keys, candidates[answer], keys, candidates), expected)
