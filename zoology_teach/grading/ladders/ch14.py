"""Ladders of chapter 14: a memory that fades, numbers kept, how far ahead an output looks."""

from collections.abc import Iterator

import torch
from torch import Generator, Tensor

from zoology_teach.grading.inputs import hundredths, rand, randn
from zoology_teach.grading.ladder import Call, Exercise, expect, expect_number, expect_shape

A = Exercise("14.a", "fading_memory", "A memory that fades", minutes=25, difficulty=2)
B = Exercise("14.b", "numbers_kept", "Numbers kept", minutes=10, difficulty=1)
C = Exercise("14.c", "look_ahead", "How far ahead", minutes=20, difficulty=2)
EXERCISES = [A, B, C]


def problems(generator: Generator, *sizes: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """q and k (b, n, d), v (b, n, e): ones that remember 1, 2, 4, then random ones."""
    b, n, d, e = sizes
    one = torch.ones(b, 3, 1)
    yield one, one, torch.tensor([1.0, 2.0, 4.0]).expand(b, 3)[..., None]
    yield randn(generator, b, n, d), randn(generator, b, n, d), randn(generator, b, n, e)


def by_steps(q: Tensor, k: Tensor, v: Tensor, keep: Tensor) -> Tensor:
    """S <- keep S + v k^T, y = S q: token by token, sequence by sequence, in float64."""
    y = torch.zeros(v.shape, dtype=torch.float64)
    for b in range(len(q)):
        state = torch.zeros(v.shape[2], k.shape[2], dtype=torch.float64)
        for t in range(q.shape[1]):
            state = keep[b].double() * state + torch.outer(v[b, t], k[b, t]).double()
            y[b, t] = state @ q[b, t].double()
    return y.float()


@A.rung("shape", 1, "Return one row of e numbers for each token: (B, N, e).")
def _(call: Call, generator: Generator) -> None:
    for q, k, v in problems(generator, 2, 5, 4, 3):
        expect_shape(call(q, k, v, torch.tensor([0.5, 0.9])), tuple(v.shape))


@A.rung("one token", 1, "A token reads what it has just written itself: y = (q . k) v.")
def _(call: Call, generator: Generator) -> None:
    q, k, v = (randn(generator, 2, 1, d) for d in (2, 2, 1))
    expect(call(q, k, v, torch.tensor([0.5, 0.9])), (q * k).sum(2, keepdim=True) * v)


@A.rung("nothing fades", 2, "With keep = 1 every earlier token counts alike, and no later one.")
def _(call: Call, generator: Generator) -> None:
    keep = torch.ones(2)
    for q, k, v in problems(generator, 2, 7, 4, 3):
        expect(call(q, k, v, keep), by_steps(q, k, v, keep))


@A.rung(
    "everything fades", 1, "With keep = 0 only the token itself is left: 0 to the power 0 is 1."
)
def _(call: Call, generator: Generator) -> None:
    for q, k, v in problems(generator, 2, 7, 4, 3):
        expect(call(q, k, v, torch.zeros(2)), (q * k).sum(2, keepdim=True) * v)


@A.rung("by the distance", 2, "What was written s tokens ago has faded by keep to the power s.")
def _(call: Call, generator: Generator) -> None:
    keep = torch.tensor([0.5, 0.5])
    for q, k, v in problems(generator, 2, 7, 4, 3):
        first = v * torch.eye(v.shape[1])[0, :, None]  # it alone is remembered
        expect(call(q, k, first, keep), by_steps(q, k, first, keep))


@A.rung("each at its own", 1, "Every sequence fades at a speed of its own: keep is (B,).")
def _(call: Call, generator: Generator) -> None:
    keep = torch.tensor([0.3, 0.95])
    for q, k, v in problems(generator, 2, 9, 4, 3):
        expect(call(q, k, v, keep), by_steps(q, k, v, keep))


@A.rung("a long sequence", 2, "Do not divide by powers of keep: they vanish. Subtract exponents.")
def _(call: Call, generator: Generator) -> None:
    for (q, k, v), faint in zip(problems(generator, 2, 300, 4, 3), (1e-30, 0.5), strict=True):
        keep = torch.tensor([faint, 0.7])
        expect(call(q, k, v, keep), by_steps(q, k, v, keep), tolerance=1e-3)


@B.rung("one head", 1, "A head keeps a table of d_value times d_key numbers.")
def _(call: Call, generator: Generator) -> None:
    expect_number(call(1, 8, 8, 1, 20), 64)
    expect_number(call(1, 4, 10, 1, 20), 40)


@B.rung("heads", 1, "Every head has a table of its own; each of them is d_key wide already.")
def _(call: Call, generator: Generator) -> None:
    expect_number(call(4, 4, 6, 1, 20), 4 * 4 * 6)


@B.rung("convolutions", 2, "For all heads q, k and v each keep their last taps - 1 inputs.")
def _(call: Call, generator: Generator) -> None:
    expect_number(call(1, 4, 10, 4, 20), 40 + 3 * (4 + 4 + 10))
    expect_number(call(2, 4, 6, 3, 20), 48 + 2 * 2 * (4 + 4 + 6))


@B.rung("the first tokens", 1, "After n tokens a convolution cannot hold more than n inputs.")
def _(call: Call, generator: Generator) -> None:
    for n in (0, 1, 2, 3):
        expect_number(call(1, 4, 10, 4, n), 40 + n * (4 + 4 + 10))


@B.rung("it does not grow", 1, "The table and the last inputs: nothing grows with the sequence.")
def _(call: Call, generator: Generator) -> None:
    expect_number(call(2, 4, 6, 3, 10**6), 48 + 2 * 2 * (4 + 4 + 6))


@B.rung("as built", 2, "Build the tensors that a step hands on, and count their numbers.")
def _(call: Call, generator: Generator) -> None:
    for _ in range(5):
        sizes = torch.randint(1, 6, (5,), generator=generator).tolist()
        heads, d_key, d_value, taps, n = sizes
        held = [torch.zeros(heads, d_value, d_key)]
        recent = list(range(n))[max(0, n - taps + 1) :] if taps > 1 else []
        held += [torch.zeros(len(recent), heads * d) for d in (d_key, d_key, d_value)]
        expect_number(call(*sizes), sum(x.numel() for x in held))


def outputs(sees: Tensor, generator: Generator, size: float = 1.0) -> tuple[Tensor, Tensor]:
    """y (N, 3), and the outputs (N, N, 3) after input t was changed: those that `sees` (N, N)
    says, output i input t, have moved by about `size` in one channel.
    """
    n = len(sees)
    y = randn(generator, n, 3)
    moved = size * (1 + rand(generator, n, n)) * sees.T
    signs = torch.randint(2, (n, n), generator=generator) * 2 - 1
    channel = torch.randint(3, (n, n), generator=generator)
    change = torch.zeros(n, n, 3).scatter(2, channel[..., None], (moved * signs)[..., None])
    return y, y + change


@C.rung("shape", 1, "Return one whole number for each output: (N,), int64.")
def _(call: Call, generator: Generator) -> None:
    found = call(*outputs(torch.ones(5, 5).tril(), generator))
    expect_shape(found, (5,))
    assert found.dtype == torch.int64, f"dtype {found.dtype}, expected torch.int64"


@C.rung("an honest layer", 1, "An output may depend on its own input and on all before it.")
def _(call: Call, generator: Generator) -> None:
    for n in (3, 6):
        nothing = torch.zeros(n, dtype=torch.int64)
        expect(call(*outputs(torch.ones(n, n).tril(), generator)), nothing)
        expect(call(*outputs(torch.eye(n), generator)), nothing)


@C.rung("one ahead", 2, "All outputs after input t changed are in changed[t]; the last sees none.")
def _(call: Call, generator: Generator) -> None:
    for n in (3, 6):
        y, changed = outputs(torch.ones(n, n).tril(1), generator)
        for after in (changed, hundredths(2 * y - changed)):  # what went up, and what went down
            expect(call(y, after), torch.tensor([1] * (n - 1) + [0]))


@C.rung("the whole sequence", 1, "A mean over all tokens lets the first output see the last input.")
def _(call: Call, generator: Generator) -> None:
    for n in (3, 6):
        expect(call(*outputs(torch.ones(n, n), generator)), torch.arange(n - 1, -1, -1))


@C.rung("the farthest", 2, "Between what an output sees there may be gaps: take the farthest.")
def _(call: Call, generator: Generator) -> None:
    sees = torch.eye(4)
    sees[0, 3] = 1
    expect(call(*outputs(sees, generator)), torch.tensor([3, 0, 0, 0]))
    sees = torch.eye(7)
    sees[0, 4] = sees[2, 3] = sees[2, 6] = 1
    expect(call(*outputs(sees, generator)), torch.tensor([4, 0, 4, 0, 0, 0, 0]))


@C.rung("rounding", 1, "A change below 1e-6 is rounding, and no look ahead; one of 1e-4 is one.")
def _(call: Call, generator: Generator) -> None:
    y, moved = torch.zeros(3, 1), torch.ones(3, 3, 1)
    expect(call(y, 1e-8 * moved), torch.tensor([0, 0, 0]))
    expect(call(y, 1e-4 * moved), torch.tensor([2, 1, 0]))
    sees = torch.ones(6, 6).tril(2)
    y, loud = outputs(sees, generator, 1e-4)
    expect(call(y, loud), torch.tensor([2, 2, 2, 2, 1, 0]))
    y, faint = outputs(sees, generator, 1e-8)
    expect(call(y.double(), faint.double()), torch.zeros(6, dtype=torch.int64))
