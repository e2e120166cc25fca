"""Ladders of chapter 08: weighed lags, a state that fades, one that ends with its document."""

import torch
from torch import Tensor

from zoology_teach.grading.inputs import rand, randn
from zoology_teach.grading.ladder import Call, Exercise, expect
from zoology_teach.tasks import mqar

A = Exercise(
    "08.a", "autocorrelation_filter", "The lags of an example, weighed", minutes=15, difficulty=1
)
B = Exercise("08.b", "linear_attention", "Write, fade, read", minutes=20, difficulty=2)
C = Exercise(
    "08.c",
    "selective_matrix",
    "The matrix of a selective state that ends with its document",
    minutes=30,
    difficulty=3,
)
EXERCISES = [A, B, C]


def lags(n: int, shares: dict[int, float]) -> Tensor:
    """(1, n): the share of each lag l at l - 1."""
    h = torch.zeros(1, n)
    for lag, share in shares.items():
        h[0, lag - 1] = share
    return h


@A.rung("one token", 1, "A sequence of one token has nothing to go back to: its filter is 0.")
def _(call: Call, generator: torch.Generator) -> None:
    expect(call(torch.tensor([[4]]), 0), torch.zeros(1, 1))


@A.rung("one repeat", 1, "A token that goes back l tokens opens entry l - 1, the way to the value.")
def _(call: Call, generator: torch.Generator) -> None:
    expect(call(torch.tensor([[5, 6]]), 0), torch.zeros(1, 2))
    expect(call(torch.tensor([[5, 6, 5]]), 0), lags(3, {2: 1.0}))


@A.rung("a share, not a switch", 1, "Divide by the number of tokens that occurred before.")
def _(call: Call, generator: torch.Generator) -> None:
    expect(call(torch.tensor([[3, 3, 4, 7, 4]]), 0), lags(5, {1: 0.5, 2: 0.5}))
    expect(call(torch.tensor([[3, 4, 3, 4, 8, 8]]), 0), lags(6, {1: 1 / 3, 2: 2 / 3}))


@A.rung("the latest occurrence", 1, "A token goes back to where it stood last, not further.")
def _(call: Call, generator: torch.Generator) -> None:
    expect(call(torch.tensor([[3, 3, 3]]), 0), lags(3, {1: 1.0}))
    expect(call(torch.tensor([[5, 9, 8, 5, 7, 5]]), 0), lags(6, {2: 0.5, 3: 0.5}))


@A.rung(
    "the filler does not count", 1, "Fillers open no lag and are no tokens, whichever their id."
)
def _(call: Call, generator: torch.Generator) -> None:
    tokens = torch.tensor([[5, 0, 5, 0, 0, 5]])
    expect(call(tokens, 0), lags(6, {2: 0.5, 3: 0.5}))
    expect(call(tokens, 5), lags(6, {1: 0.5, 2: 0.5}))


@A.rung("each example its own", 1, "Do not mix the sequences of a batch.")
def _(call: Call, generator: torch.Generator) -> None:
    expected = torch.cat([lags(4, {1: 0.5, 2: 0.5}), lags(4, {3: 1.0}), lags(4, {})])
    expect(call(torch.tensor([[1, 2, 1, 1], [1, 2, 3, 1], [4, 3, 2, 1]]), 0), expected)


@A.rung("as the definition says", 2, "Count, token by token, how far back each stood last.")
def _(call: Call, generator: torch.Generator) -> None:
    tokens = mqar.sample(3, 32, 6, 32, filler="random", seed=generator).inputs
    tokens[0, 0] = tokens[0, -1] = 5
    expected = torch.zeros(3, 32)
    for example, row in enumerate(tokens.tolist()):
        gaps = [
            t - max(s for s in range(t) if row[s] == row[t])
            for t in range(32)
            if row[t] and row[t] in row[:t]
        ]
        for gap in gaps:
            expected[example, gap - 1] += 1 / len(gaps)
    expect(call(tokens, 0), expected)


def features(generator: torch.Generator, *shape: int) -> Tensor:
    """Positive numbers, none near 0."""
    return 0.1 + rand(generator, *shape)


def by_writing(fq: Tensor, fk: Tensor, v: Tensor, keep: float) -> Tensor:
    """S and z of each sequence, token by token."""
    y = torch.empty_like(v)
    for example in range(len(v)):
        S, z = torch.zeros(fk.shape[2], v.shape[2]), torch.zeros(fk.shape[2])
        for t in range(v.shape[1]):
            S = keep * S + torch.outer(fk[example, t], v[example, t])
            z = keep * z + fk[example, t]
            y[example, t] = (fq[example, t] @ S) / (fq[example, t] @ z)
    return y


@B.rung("one token", 1, "A sequence of one token reads what it wrote itself: (B, 1, d).")
def _(call: Call, generator: torch.Generator) -> None:
    fq, fk = features(generator, 2, 1, 1, 2)
    v = randn(generator, 1, 1, 1)
    expect(call(fq, fk, v, 0.5), v)


@B.rung("one value", 1, "If all values are equal, so is every output: divide by faded weights.")
def _(call: Call, generator: torch.Generator) -> None:
    fq, fk = features(generator, 2, 1, 3, 2)
    v = randn(generator, 1, 1, 2).expand(1, 3, 2)
    expect(call(fq, fk, v, 0.5), v)


@B.rung("what fades", 2, "Each token fades once for every later one, up to the one that reads.")
def _(call: Call, generator: torch.Generator) -> None:
    ones, v = torch.ones(1, 3, 1), torch.tensor([[[0.0], [0.0], [7.0]]])
    expect(call(ones, ones, v, 0.5), torch.tensor([[[0.0], [0.0], [4.0]]]))
    expect(call(ones, ones, v.flip(1), 0.5), torch.tensor([[[7.0], [7 / 3], [1.0]]]))


@B.rung("the query chooses", 1, "Weigh each value by its key's features times the query's.")
def _(call: Call, generator: torch.Generator) -> None:
    fk = torch.eye(3)[None] + 0.01
    fq, v = fk[:, [0, 0, 1]], randn(generator, 1, 3, 2)
    expect(call(fq, fk, v, 0.9), by_writing(fq, fk, v, 0.9))


@B.rung("as the recurrence says", 2, "Your numbers are not those of S and z, token by token.")
def _(call: Call, generator: torch.Generator) -> None:
    for b, n, m, d in ((1, 3, 1, 1), (3, 9, 5, 4)):
        fq, fk = features(generator, 2, b, n, m)
        v = randn(generator, b, n, d)
        for keep in (0.7, 1.0):
            expect(call(fq, fk, v, keep), by_writing(fq, fk, v, keep))


@B.rung("forgotten at once", 1, "As keep ** t underflows, 1 / keep ** s overflows: use t - s.")
def _(call: Call, generator: torch.Generator) -> None:
    for n, keep in ((2, 0.0), (3, 1e-30), (400, 0.5)):
        fq, fk = features(generator, 2, 1, n, 2)
        v = randn(generator, 1, n, 1)
        expect(call(fq, fk, v, keep), by_writing(fq, fk, v, keep))


def selective(generator: torch.Generator, n: int, s: int) -> tuple[Tensor, ...]:
    """delta (n,), b, c (n, s), a (s,) of a random selective state."""
    b, c = randn(generator, 2, n, s)
    return 0.1 + rand(generator, n), b, c, -rand(generator, s)


def by_recurrence(delta: Tensor, b: Tensor, c: Tensor, a: Tensor, ends: Tensor) -> Tensor:
    """M (N, N), column by column: what the recurrence makes of each unit input."""
    n = len(delta)
    M = torch.zeros(n, n)
    for source in range(n):
        state = torch.zeros_like(a)
        for t in range(n):
            state = torch.exp(delta[t] * a) * state
            if t > 0 and ends[t - 1]:
                state = torch.zeros_like(a)
            if t == source:
                state = state + delta[t] * b[t]
            M[t, source] = (c[t] * state).sum()
    return M


@C.rung("one token", 1, "M is c_0 . delta_0 b_0, (1, 1): what enters has not faded.")
def _(call: Call, generator: torch.Generator) -> None:
    delta, b, c, a = selective(generator, 1, 2)
    expect(call(delta, b, c, a, torch.tensor([0])), (delta * (b * c).sum()).view(1, 1))


@C.rung("a running sum", 1, "Without decay and ends, and with ones, M is a lower triangle of ones.")
def _(call: Call, generator: torch.Generator) -> None:
    one = torch.ones(2, 1)
    found = call(one[:, 0], one, one, torch.zeros(1), torch.tensor([0, 0]))
    expect(found, torch.tensor([[1.0, 0], [1, 1]]))


@C.rung("a document ends", 2, "An end keeps what it read, itself too, from all later tokens.")
def _(call: Call, generator: torch.Generator) -> None:
    one, zero = torch.ones(3, 1), torch.zeros(1)
    first, second = torch.tensor([1, 0, 0]), torch.tensor([0, 1, 0])
    expect(
        call(one[:, 0], one, one, zero, first), torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 1, 1]])
    )
    expect(
        call(one[:, 0], one, one, zero, second), torch.tensor([[1.0, 0, 0], [1, 1, 0], [0, 0, 1]])
    )


@C.rung("what enters", 1, "Input s enters as delta_s b_s and is read by c_t, not the reverse.")
def _(call: Call, generator: torch.Generator) -> None:
    delta, b, c, _ = selective(generator, 3, 2)
    expected = ((c @ b.T) * delta).tril()
    expected[1:, 0] = 0
    expect(call(delta, b, c, torch.zeros(2), torch.tensor([1, 0, 0])), expected)


@C.rung("what fades", 2, "From s to t the steps s+1 .. t fade it: delta_t does, delta_s does not.")
def _(call: Call, generator: torch.Generator) -> None:
    one, delta = torch.ones(4, 1), torch.tensor([1.0, 2.0, 4.0, 1.0])
    found = call(delta, one, one, torch.tensor([-0.5]), torch.tensor([0, 0, 1, 0]))
    passed = torch.tensor([[0.0, 0, 0, 0], [2, 0, 0, 0], [6, 4, 0, 0], [0, 0, 0, 0]])
    faded = torch.exp(-0.5 * passed).tril()
    faded[3, :3] = 0
    expect(found, faded * delta)


@C.rung(
    "as the recurrence says", 1, "M x is not the y of the recurrence; each state has its own a."
)
def _(call: Call, generator: torch.Generator) -> None:
    for s, ends in ((2, [0, 0]), (4, [0, 0, 1, 0, 0, 0, 1, 1])):
        inputs = (*selective(generator, len(ends), s), torch.tensor(ends))
        expect(call(*inputs), by_recurrence(*inputs))


@C.rung("long steps", 1, "For s > t e^(a (sum to t - sum to s)) overflows: clamp before exp.")
def _(call: Call, generator: torch.Generator) -> None:
    one = torch.ones(2, 1)
    found = call(torch.tensor([1.0, 200.0]), one, one, torch.tensor([-1.0]), torch.tensor([0, 0]))
    expect(found, torch.tensor([[1.0, 0], [0, 200]]))
    delta, b, c, a = selective(generator, 8, 2)
    delta = 100 * (torch.arange(8) % 2).float() + delta
    ends = torch.tensor([0, 0, 0, 1, 0, 0, 0, 0])
    expect(call(delta, b, c, a - 1, ends), by_recurrence(delta, b, c, a - 1, ends))
