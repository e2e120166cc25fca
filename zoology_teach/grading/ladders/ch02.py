"""Chapter 02, the task: Definition 3.1 as a function, the race for the slots, the filler."""

import torch
from torch import Tensor

from zoology_teach.grading.ladder import Call, Exercise, expect, expect_shape
from zoology_teach.tasks import mqar
from zoology_teach.tasks.examples import IGNORED

A = Exercise("02.a", "answers", "Answer by the definition", minutes=15, difficulty=1)
B = Exercise("02.b", "query_positions", "Run the race", minutes=15, difficulty=2)
C = Exercise("02.c", "fill", "Fill without a key", minutes=25, difficulty=3)
EXERCISES = [A, B, C]


def shuffled(low: int, high: int, size: int, generator: torch.Generator) -> Tensor:
    """`size` different integers of low .. high-1."""
    return low + torch.randperm(high - low, generator=generator)[:size]


def by_definition(inputs: Tensor) -> Tensor:
    """Definition 3.1 by comparing every position with every earlier one."""
    n = inputs.shape[1]
    position = torch.arange(n)
    earlier = position[:, None] > position
    match = (inputs[:, :, None] == inputs[:, None]) & earlier & (inputs != 0)[:, :, None]
    latest = torch.where(match, position, -1).amax(dim=2)
    return torch.where(latest >= 0, inputs.gather(1, latest.clamp(min=0) + (latest >= 0)), IGNORED)


@A.rung("shape", points=1, mistake="Return int64 labels of the shape of inputs, (B, N).")
def _(call: Call, generator: torch.Generator) -> None:
    inputs = torch.randint(0, 5, (3, 7), generator=generator)
    answer = call(inputs)
    expect_shape(answer, (3, 7))
    assert answer.dtype == torch.int64, f"dtype {answer.dtype}, expected torch.int64"


@A.rung("new tokens", points=1, mistake="A token that has not occurred before asks nothing: -100.")
def _(call: Call, generator: torch.Generator) -> None:
    inputs = shuffled(1, 50, 12, generator).view(1, 12)
    expect(call(inputs), torch.full((1, 12), IGNORED))


@A.rung(
    "one pair",
    points=1,
    mistake="Where a token comes back the answer is the token after the earlier occurrence.",
)
def _(call: Call, generator: torch.Generator) -> None:
    key, value, other = shuffled(1, 50, 3, generator).tolist()
    inputs = torch.tensor([[key, value, other, key]])
    expect(call(inputs), torch.tensor([[IGNORED, IGNORED, IGNORED, value]]))


@A.rung(
    "blanks", points=1, mistake="Token 0 is the blank; however often it stands there, no label."
)
def _(call: Call, generator: torch.Generator) -> None:
    key, value = shuffled(1, 50, 2, generator).tolist()
    inputs = torch.tensor([[0, key, value, 0, 0, key, 0]])
    expect(call(inputs), torch.tensor([[IGNORED] * 5 + [value, IGNORED]]))


@A.rung(
    "the latest",
    points=2,
    mistake="Look back no further: of several earlier occurrences, the latest one answers.",
)
def _(call: Call, generator: torch.Generator) -> None:
    key, first, second = shuffled(1, 50, 3, generator).tolist()
    inputs = torch.tensor([[key, first, key, second, key]])
    expect(call(inputs), torch.tensor([[IGNORED, IGNORED, first, IGNORED, second]]))


@A.rung("rows", points=1, mistake="Each row is a sequence of its own; nothing carries over.")
def _(call: Call, generator: torch.Generator) -> None:
    inputs = shuffled(1, 50, 6, generator).repeat(2, 1)
    expect(call(inputs), torch.full((2, 6), IGNORED))


@A.rung("MQAR", points=2, mistake="The labels of the library's own MQAR sequences differ.")
def _(call: Call, generator: torch.Generator) -> None:
    for sizes in ((1, 8, 2, 8), (8, 32, 4, 64)):
        batch = mqar.sample(*sizes, seed=generator)
        expect(call(batch.inputs), batch.labels)


@A.rung(
    "edges",
    points=1,
    mistake="A token twice in a row follows itself, and a sequence of one token asks nothing.",
)
def _(call: Call, generator: torch.Generator) -> None:
    token = int(torch.randint(1, 50, (), generator=generator))
    expect(call(torch.full((2, 1), token)), torch.full((2, 1), IGNORED))
    expect(call(torch.tensor([[token, token]])), torch.tensor([[IGNORED, token]]))
    inputs = torch.randint(0, 6, (4, 20), generator=generator)
    expect(call(inputs), by_definition(inputs))


def race_step_by_step(waiting: Tensor, num_pairs: int, power: float) -> Tensor:
    """One arrival after another, each the smallest that is left."""
    rows = []
    for row in waiting.tolist():
        arrival = {g: t / (g + 1) ** (power - 1) for g, t in enumerate(row)}
        order = sorted(arrival, key=arrival.__getitem__)[:num_pairs]
        rows.append([2 * num_pairs + 2 * g for g in order])
    return torch.tensor(rows)


def waiting_times(rows: int, slots: int, generator: torch.Generator) -> Tensor:
    """(rows, slots) exponential waiting times, of mean 1, to three decimals."""
    times = torch.empty(rows, slots).exponential_(generator=generator)
    return (1000 * times + 1).floor() / 1000


@B.rung("shape", points=1, mistake="Return int64 positions (B, K): one for each pair.")
def _(call: Call, generator: torch.Generator) -> None:
    answer = call(waiting_times(4, 9, generator), 3, 0.5)
    expect_shape(answer, (4, 3))
    assert answer.dtype == torch.int64, f"dtype {answer.dtype}, expected torch.int64"


@B.rung("places", points=1, mistake="Slot g is position 2K + 2g: every other one behind the pairs.")
def _(call: Call, generator: torch.Generator) -> None:
    waiting = torch.tensor([[1.0, 1e3]])  # equal weights: slot 0 arrives long before slot 1
    expect(call(waiting, 2, 1.0), torch.tensor([[4, 6]]))


@B.rung("order", points=2, mistake="The order of arrival decides who is asked where; do not sort.")
def _(call: Call, generator: torch.Generator) -> None:
    arrivals = torch.randperm(6, generator=generator)
    waiting = 10.0 ** torch.stack([arrivals, 5 - arrivals])  # too far apart for weights to matter
    expect(call(waiting, 6, 1.0), race_step_by_step(waiting, 6, 1.0))
    expect(call(torch.tensor([[300.0, 1.0, 20.0]]), 3, 1.0), torch.tensor([[8, 10, 6]]))


@B.rung("weights", points=2, mistake="A heavy slot arrives early: divide the time by the weight.")
def _(call: Call, generator: torch.Generator) -> None:
    even = torch.ones(1, 5)  # only the weights differ: falling for a = -1, rising for a = 3
    expect(call(even, 5, -1.0), torch.tensor([[10, 12, 14, 16, 18]]))
    expect(call(even, 5, 3.0), torch.tensor([[18, 16, 14, 12, 10]]))


@B.rung("exponent", points=2, mistake="The weight of slot g is (g + 1) to the power a - 1.")
def _(call: Call, generator: torch.Generator) -> None:
    # Slot 1 is 2^(a-1) as heavy as slot 0: it wins just when it waits less than that.
    waiting = torch.tensor([[1.0, 0.55], [1.0, 0.45]])
    expect(call(waiting, 1, 0.0), torch.tensor([[2], [4]]))


@B.rung("agreement", points=1, mistake="A race run one arrival after another ends otherwise.")
def _(call: Call, generator: torch.Generator) -> None:
    for rows, slots, pairs in ((1, 4, 2), (16, 12, 5)):
        waiting = waiting_times(rows, slots, generator)
        for power in (0.01, 0.7, 1.5):
            expect(call(waiting, pairs, power), race_step_by_step(waiting, pairs, power))


@B.rung("edges", points=1, mistake="One slot and one pair, or as many pairs as slots, must work.")
def _(call: Call, generator: torch.Generator) -> None:
    expect(call(waiting_times(2, 1, generator), 1, 0.01), torch.tensor([[2], [2]]))
    waiting = waiting_times(3, 8, generator)
    expect(call(waiting, 8, 0.01), race_step_by_step(waiting, 8, 0.01))


def allowed(keys: Tensor, size: int) -> Tensor:
    """(B, size): the first `size` tokens that are no key of the row, in order."""
    listed = [[t for t in range(size + len(row)) if t not in row][:size] for row in keys.tolist()]
    return torch.tensor(listed)


@C.rung("shape", points=1, mistake="Return int64 tokens of the shape of inputs, (B, N).")
def _(call: Call, generator: torch.Generator) -> None:
    inputs, keys = torch.zeros(2, 6, dtype=torch.int64), torch.tensor([[3, 5], [1, 2]])
    answer = call(inputs, keys, torch.randint(8, (2, 6), generator=generator))
    expect_shape(answer, (2, 6))
    assert answer.dtype == torch.int64, f"dtype {answer.dtype}, expected torch.int64"


@C.rung("what is there stays", points=1, mistake="Only blanks (0) are filled; other tokens stay.")
def _(call: Call, generator: torch.Generator) -> None:
    inputs = torch.randint(10, 20, (3, 8), generator=generator)
    rank = torch.randint(8, (3, 8), generator=generator)
    expect(call(inputs, torch.tensor([[1], [2], [3]]), rank), inputs)


@C.rung("small ranks", points=1, mistake="Below the smallest key nothing moves: token = rank.")
def _(call: Call, generator: torch.Generator) -> None:
    rank = torch.randint(1, 9, (2, 10), generator=generator)
    expect(call(torch.zeros_like(rank), torch.tensor([[9, 12], [30, 20]]), rank), rank)


@C.rung("one key", points=1, mistake="A rank that reaches the key steps over it, itself included.")
def _(call: Call, generator: torch.Generator) -> None:
    key = int(torch.randint(2, 6, (), generator=generator))
    rank = torch.arange(9)[None]
    expect(call(torch.zeros_like(rank), torch.tensor([[key]]), rank), rank + (rank >= key))


@C.rung("neighbours", points=2, mistake="One step can land on the next key: step over that too.")
def _(call: Call, generator: torch.Generator) -> None:
    start = int(torch.randint(2, 6, (), generator=generator))
    keys = torch.tensor([[start, start + 1, start + 2]])
    rank = torch.arange(12)[None]
    expect(call(torch.zeros_like(rank), keys, rank), allowed(keys, 12))


@C.rung("any order", points=1, mistake="Keys come unsorted; the result must not depend on order.")
def _(call: Call, generator: torch.Generator) -> None:
    keys = torch.tensor([[9, 2, 7, 3]])
    rank = torch.arange(16)[None]
    expect(call(torch.zeros_like(rank), keys, rank), allowed(keys, 16))


@C.rung("rows", points=1, mistake="Each row avoids its own keys, not those of the others.")
def _(call: Call, generator: torch.Generator) -> None:
    keys = torch.tensor([[4, 1], [8, 6], [2, 10]])
    rank = torch.arange(14).repeat(3, 1)
    expect(call(torch.zeros_like(rank), keys, rank), allowed(keys, 14))


@C.rung("agreement", points=2, mistake="A list of the allowed tokens, counted off, disagrees.")
def _(call: Call, generator: torch.Generator) -> None:
    for rows, n, pairs, vocab_size in ((1, 8, 2, 8), (20, 32, 6, 32)):
        inputs = mqar.sample(rows, n, pairs, vocab_size, seed=generator).inputs
        keys, free = inputs[:, 0 : 2 * pairs : 2], vocab_size - pairs
        rank = torch.randint(free, (rows, n), generator=generator)
        filled = torch.where(inputs == 0, allowed(keys, free).gather(1, rank), inputs)
        expect(call(inputs, keys, rank), filled)
