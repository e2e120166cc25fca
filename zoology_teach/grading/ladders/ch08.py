"""Ladders of chapter 08: the lags of an example, a state that is written, a selective matrix."""

import torch
from torch import Tensor

from zoology_teach.grading.ladder import Call, Exercise, expect, expect_shape
from zoology_teach.tasks import mqar

A = Exercise("08.a", "autocorrelation_filter", "The lags of an example", minutes=15, difficulty=1)
B = Exercise("08.b", "linear_attention", "Write, then read", minutes=20, difficulty=2)
C = Exercise(
    "08.c", "selective_matrix", "The matrix of a selective state", minutes=30, difficulty=3
)
EXERCISES = [A, B, C]


def open_lags(n: int, *lags: int) -> Tensor:
    """(1, n): 1 at l - 1 for each lag l."""
    h = torch.zeros(1, n)
    h[0, [lag - 1 for lag in lags]] = 1
    return h


@A.rung("shape", 1, "Return one float filter per example: shape (B, N).")
def _(call: Call, generator: torch.Generator) -> None:
    found = call(torch.randint(1, 9, (3, 7), generator=generator), 0)
    expect_shape(found, (3, 7))
    assert found.dtype.is_floating_point, f"dtype {found.dtype}, expected a float"


@A.rung("one repeat", 1, "A repeat l tokens apart opens entry l - 1, the way to the value.")
def _(call: Call, generator: torch.Generator) -> None:
    n, lag = 12, int(torch.randint(2, 9, (1,), generator=generator))
    tokens = 1 + torch.randperm(40, generator=generator)[None, :n]
    expect(call(tokens, 0), torch.zeros(1, n))
    tokens[0, 2 + lag] = tokens[0, 2]
    expect(call(tokens, 0), open_lags(n, lag))


@A.rung("the filler does not count", 1, "Two fillers are no repeat, whichever id the filler has.")
def _(call: Call, generator: torch.Generator) -> None:
    tokens = torch.tensor([[5, 9, 0, 5, 0]])
    expect(call(tokens, 0), open_lags(5, 3))
    expect(call(tokens, 5), open_lags(5, 2))


@A.rung("open or not", 1, "A lag that repeats twice is open, not open twice.")
def _(call: Call, generator: torch.Generator) -> None:
    expect(call(torch.tensor([[3, 4, 7, 3, 4, 8]]), 0), open_lags(6, 3))


@A.rung("each example its own", 1, "Do not mix the sequences of a batch.")
def _(call: Call, generator: torch.Generator) -> None:
    tokens = torch.tensor([[1, 2, 1, 3], [1, 2, 3, 1], [4, 3, 2, 1]])
    expected = torch.cat([open_lags(4, 2), open_lags(4, 3), torch.zeros(1, 4)])
    expect(call(tokens, 0), expected)


@A.rung("as the definition says", 2, "Compare all pairs of tokens, and every lag up to N - 1.")
def _(call: Call, generator: torch.Generator) -> None:
    tokens = mqar.sample(3, 32, 6, 32, filler="random", seed=generator).inputs
    tokens[0, 0] = tokens[0, -1] = 5
    expected = torch.zeros(3, 32)
    for example, row in enumerate(tokens.tolist()):
        for t in range(32):
            for s in range(t):
                if row[t] == row[s] != 0:
                    expected[example, t - s - 1] = 1
    expect(call(tokens, 0), expected)


@A.rung("one token", 1, "A sequence of one token has nothing to repeat.")
def _(call: Call, generator: torch.Generator) -> None:
    expect(call(torch.tensor([[4], [5]]), 0), torch.zeros(2, 1))


def features(generator: torch.Generator, *shape: int) -> Tensor:
    """Positive numbers, none near 0."""
    return 0.1 + torch.rand(shape, generator=generator)


@B.rung("shape", 1, "Return one row of d numbers for each token: (B, N, d).")
def _(call: Call, generator: torch.Generator) -> None:
    f = features(generator, 2, 5, 3)
    expect_shape(call(f, f, torch.randn(2, 5, 4, generator=generator)), (2, 5, 4))


@B.rung("one value", 1, "If all values are equal, so is every output: divide by the weights.")
def _(call: Call, generator: torch.Generator) -> None:
    fq, fk = features(generator, 2, 2, 6, 3)
    v = torch.randn(2, 1, 4, generator=generator).expand(2, 6, 4)
    expect(call(fq, fk, v), v)


@B.rung("a running mean", 1, "Equal features weigh all tokens so far alike, this one included.")
def _(call: Call, generator: torch.Generator) -> None:
    ones, v = torch.ones(1, 6, 1), torch.randn(1, 6, 2, generator=generator)
    means = torch.stack([v[:, : t + 1].mean(dim=1) for t in range(6)], dim=1)
    expect(call(ones, ones, v), means)


@B.rung("the query chooses", 1, "Weigh each value by its key's features times the query's.")
def _(call: Call, generator: torch.Generator) -> None:
    fk = torch.eye(3)[None] + 1e-6
    fq = torch.cat([fk[:, :1], fk[:, :1], fk[:, 1:2]], dim=1)
    v = torch.randn(1, 3, 2, generator=generator)
    expect(call(fq, fk, v), v[:, [0, 0, 1]], tolerance=1e-3)


@B.rung("as the recurrence says", 2, "Your numbers are not those of S and z, token by token.")
def _(call: Call, generator: torch.Generator) -> None:
    fq, fk = features(generator, 2, 3, 9, 5)
    v = torch.randn(3, 9, 4, generator=generator)
    expected = torch.empty(3, 9, 4)
    for example in range(3):
        S, z = torch.zeros(5, 4), torch.zeros(5)
        for t in range(9):
            S = S + torch.outer(fk[example, t], v[example, t])
            z = z + fk[example, t]
            expected[example, t] = (fq[example, t] @ S) / (fq[example, t] @ z)
    expect(call(fq, fk, v), expected)


@B.rung("one token", 1, "A sequence of one token reads what it wrote itself.")
def _(call: Call, generator: torch.Generator) -> None:
    fq, fk = features(generator, 2, 2, 1, 3)
    v = torch.randn(2, 1, 2, generator=generator)
    expect(call(fq, fk, v), v)


def selective(generator: torch.Generator, n: int, s: int) -> tuple[Tensor, ...]:
    """delta (n,), b, c (n, s), a (s,) of a random selective state."""
    b, c = torch.randn(2, n, s, generator=generator)
    delta, a = torch.rand(n, generator=generator), -torch.rand(s, generator=generator)
    return 0.1 + delta, b, c, a


def by_recurrence(delta: Tensor, b: Tensor, c: Tensor, a: Tensor) -> Tensor:
    """M (N, N), column by column: what the recurrence makes of each unit input."""
    n = len(delta)
    M = torch.zeros(n, n)
    for source in range(n):
        state = torch.zeros_like(a)
        for t in range(n):
            state = torch.exp(delta[t] * a) * state
            if t == source:
                state = state + delta[t] * b[t]
            M[t, source] = (c[t] * state).sum()
    return M


@C.rung("shape", 1, "Return a matrix of all outputs by all inputs, (N, N).")
def _(call: Call, generator: torch.Generator) -> None:
    expect_shape(call(*selective(generator, 6, 3)), (6, 6))


@C.rung("a running sum", 1, "Without decay, and with ones, M is a lower triangle of ones.")
def _(call: Call, generator: torch.Generator) -> None:
    one = torch.ones(5, 1)
    expect(call(torch.ones(5), one, one, torch.zeros(1)), torch.ones(5, 5).tril())


@C.rung("what enters", 1, "Input s enters as delta_s b_s and is read by c_t, not the reverse.")
def _(call: Call, generator: torch.Generator) -> None:
    delta, b, c, _ = selective(generator, 5, 3)
    expected = ((c @ b.T) * delta).tril()
    expect(call(delta, b, c, torch.zeros(3)), expected)


@C.rung("what fades", 2, "From s to t the steps s+1 .. t fade it: delta_t does, delta_s does not.")
def _(call: Call, generator: torch.Generator) -> None:
    one, delta = torch.ones(3, 1), torch.tensor([1.0, 2.0, 4.0])
    found = call(delta, one, one, torch.tensor([-0.5]))
    faded = torch.exp(-0.5 * torch.tensor([[0.0, 0, 0], [2, 0, 0], [6, 4, 0]])).tril()
    expect(found, faded * delta)


@C.rung(
    "as the recurrence says", 2, "M x is not the y of the recurrence; each state has its own a."
)
def _(call: Call, generator: torch.Generator) -> None:
    inputs = selective(generator, 8, 4)
    expect(call(*inputs), by_recurrence(*inputs))


@C.rung("long steps", 1, "e^(a (sum to t - sum to s)) overflows for s > t: clamp before exp.")
def _(call: Call, generator: torch.Generator) -> None:
    delta, b, c, a = selective(generator, 8, 2)
    delta = 100 * (torch.arange(8) % 2).float() + delta
    expect(call(delta, b, c, a - 1), by_recurrence(delta, b, c, a - 1))


@C.rung("one token", 1, "With one token M is the number c_0 . delta_0 b_0.")
def _(call: Call, generator: torch.Generator) -> None:
    delta, b, c, a = selective(generator, 1, 3)
    expect(call(delta, b, c, a), (delta * (b * c).sum()).view(1, 1))
