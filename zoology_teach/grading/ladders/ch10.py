"""Ladders of chapter 10: perplexity by slice, what an induction head reads, documents drawn."""

from typing import Any

import torch
from torch import Generator, Tensor

from zoology_teach.grading.inputs import different, doubles, flags, hundredths, rand
from zoology_teach.grading.ladder import Call, Exercise, expect, expect_shape
from zoology_teach.grading.truths import (
    differences_one_by_one,
    followers_one_by_one,
    perplexities_one_by_one,
)

A = Exercise("10.a", "slice_perplexity", "Perplexity by slice", minutes=15, difficulty=1)
B = Exercise("10.b", "follower_weights", "What an induction head reads", minutes=25, difficulty=2)
C = Exercise("10.c", "resampled_difference", "Is the difference real?", minutes=30, difficulty=3)
EXERCISES = [A, B, C]


def nats(*size: int, generator: Generator) -> Tensor:
    """Losses from 0 to 6 nats."""
    return hundredths(6 * rand(generator, *size))


def expect_or_nan(found: Any, expected: list[float]) -> None:
    """As `expect` for a tensor of one dimension, and nan exactly where `expected` has it."""
    expect_shape(found, (len(expected),))
    nothing = doubles(expected).isnan()
    for i in nothing.nonzero().flatten().tolist():
        assert found[i].isnan(), f"at [{i}] you return {found[i].item():.4g}, expected nan"
    expect(found.masked_fill(nothing, 0), doubles(expected).masked_fill(nothing, 0))


@A.rung("shape", 1, "Return one perplexity for each slice: shape (S,).")
def _(call: Call, generator: Generator) -> None:
    slices = rand(generator, 3, 2, 5) < 0.5
    found = call(nats(2, 5, generator=generator), slices)
    expect_shape(found, (3,))
    assert found.dtype.is_floating_point, f"dtype {found.dtype}, expected a float"


@A.rung("exp of the mean", 2, "Average the losses first and take exp at the end.")
def _(call: Call, generator: Generator) -> None:
    losses = nats(2, 8, generator=generator)
    everything = torch.ones(1, 2, 8, dtype=torch.bool)
    expect(call(losses, everything), doubles(perplexities_one_by_one(losses, everything)))


@A.rung("only its own tokens", 2, "Tokens outside a slice count neither as losses nor as zeros.")
def _(call: Call, generator: Generator) -> None:
    losses = nats(2, 6, generator=generator)
    slices = torch.stack([flags("110000", "000011"), flags("001000", "100000")])
    expect(call(losses, slices), doubles(perplexities_one_by_one(losses, slices)))


@A.rung("every token alike", 2, "A row counts by its tokens in the slice: no means of row means.")
def _(call: Call, generator: Generator) -> None:
    losses = hundredths(nats(3, 6, generator=generator) / 3)
    losses[0] += 2
    slices = flags("000001", "111110", "000000")[None]
    expect(call(losses, slices), doubles(perplexities_one_by_one(losses, slices)))


@A.rung("slices that overlap", 1, "A token may be in many slices and counts in each of them.")
def _(call: Call, generator: Generator) -> None:
    losses = nats(2, 6, generator=generator)
    slices = torch.stack([flags("000100", "010010"), flags("011100", "110011")])
    both_ways = torch.cat([slices, slices.flip(0)])
    expect(call(losses, both_ways), doubles(perplexities_one_by_one(losses, both_ways)))


@A.rung("an empty slice", 1, "A slice without tokens has no perplexity: nan, at its place.")
def _(call: Call, generator: Generator) -> None:
    losses = nats(2, 4, generator=generator)
    slices = torch.stack([flags("0110", "0000"), flags("0000", "0000"), flags("1000", "0111")])
    expect_or_nan(call(losses, slices), perplexities_one_by_one(losses, slices))


@A.rung("as summed token by token", 1, "Going through the tokens one by one gives others.")
def _(call: Call, generator: Generator) -> None:
    rare = torch.tensor([0.9, 0.3, 0.05])[:, None, None]
    for b, n in ((1, 3), (2, 6), (5, 40)):
        losses, slices = nats(b, n, generator=generator), rand(generator, 3, b, n) < rare
        expect_or_nan(call(losses, slices), perplexities_one_by_one(losses, slices))


def expect_row(call: Call, tokens: list[int], t: int, expected: dict[int, float]) -> None:
    """Assert the weights of one row, by position; all others are 0."""
    found = call(torch.tensor(tokens))
    expect_shape(found, (len(tokens), len(tokens)))
    wanted = torch.zeros(len(tokens), dtype=torch.float64)
    for s, weight in expected.items():
        wanted[s] = weight
    try:
        expect(found[t], wanted)
    except AssertionError as error:
        raise AssertionError(f"row {t}: {error}") from None


@B.rung("shape", 1, "Return floats, a row for each token, a column for each place: (N, N).")
def _(call: Call, generator: Generator) -> None:
    found = call(torch.randint(5, (7,), generator=generator))
    expect_shape(found, (7, 7))
    assert found.dtype.is_floating_point, f"dtype {found.dtype}, expected a float"


@B.rung("nothing after t", 2, "Row t may not look beyond t: at t + 1 stands the answer itself.")
def _(call: Call, generator: Generator) -> None:
    found = call(torch.randint(4, (12,), generator=generator))
    expect_shape(found, (12, 12))
    ahead = (found.nan_to_num() != 0).triu(1).nonzero().tolist()
    assert not ahead, f"row {ahead[0][0]} has weight at {ahead[0][1]}"


@B.rung("the follower", 2, "Look at what came after the earlier token, and nowhere else.")
def _(call: Call, generator: Generator) -> None:
    x, a, b, y, z = different(generator, 5)
    expect_row(call, [x, a, b, y, a, z], 4, {2: 1.0})


@B.rung("all alike", 1, "Two followers get 1/2 each, three 1/3, the latest no more than others.")
def _(call: Call, generator: Generator) -> None:
    x, a, b, y, c, z = different(generator, 6)
    expect_row(call, [x, a, b, y, a, c, z, a, y], 7, {2: 1 / 2, 5: 1 / 2})
    expect_row(call, [a, b, x, a, b, y, a, c, a, z], 8, {1: 1 / 3, 4: 1 / 3, 7: 1 / 3})


@B.rung("twice in a row", 1, "In a a the second a is a follower of a: s = t is allowed.")
def _(call: Call, generator: Generator) -> None:
    x, a, z = different(generator, 3)
    expect_row(call, [x, a, a, z], 2, {2: 1.0})
    expect_row(call, [x, a, a, a, z], 3, {2: 1 / 2, 3: 1 / 2})


@B.rung("nothing to read", 1, "A row whose token is new is 0 everywhere: not nan, not spread out.")
def _(call: Call, generator: Generator) -> None:
    tokens = different(generator, 6)
    for t in range(5):
        expect_row(call, tokens, t, {})


@B.rung("the first token", 1, "Before position 0 stands nothing: not the last token, not token 0.")
def _(call: Call, generator: Generator) -> None:
    a, b, c = different(generator, 3)
    expect_row(call, [a, b, c, a], 3, {1: 1.0})
    expect_row(call, [b, 0, c, 0], 3, {2: 1.0})
    expect_row(call, [a], 0, {})


@B.rung("as looked up one by one", 1, "Searching the row anew for each token gives others.")
def _(call: Call, generator: Generator) -> None:
    for vocab_size, size in ((2, 5), (3, 20), (9, 40)):
        tokens = torch.randint(vocab_size, (size,), generator=generator)
        expect(call(tokens), followers_one_by_one(tokens.tolist()))


def two_models(generator: Generator, size: int) -> tuple[Tensor, Tensor]:
    """Losses (size,) of a and b; a loses about 1 nat more."""
    return nats(size, generator=generator) + 1, nats(size, generator=generator)


def expect_draws(call: Call, *arguments: Tensor) -> None:
    """Assert the difference of every draw."""
    expect_or_nan(call(*arguments), differences_one_by_one(*arguments))


def everywhere(size: int) -> Tensor:
    """The slice of all tokens."""
    return torch.ones(size, dtype=torch.bool)


@C.rung("shape", 1, "Return one difference for each draw: shape (R,).")
def _(call: Call, generator: Generator) -> None:
    a, b = two_models(generator, 12)
    draws = torch.randint(3, (5, 3), generator=generator)
    found = call(a, b, everywhere(12), torch.arange(12) // 4, draws)
    expect_shape(found, (5,))
    assert found.dtype.is_floating_point, f"dtype {found.dtype}, expected a float"


@C.rung("a minus b, in nats", 2, "Subtract mean losses, b's from a's; perplexities do not come in.")
def _(call: Call, generator: Generator) -> None:
    a, b = two_models(generator, 6)
    draws = torch.zeros(2, 1, dtype=torch.int64)
    expect_draws(call, a, b, everywhere(6), torch.zeros(6, dtype=torch.int64), draws)


@C.rung("the slice", 2, "Sum the slice's tokens only, and divide by their number, not by all.")
def _(call: Call, generator: Generator) -> None:
    a, b = two_models(generator, 8)
    a += 3 * torch.arange(8)
    mask = flags("01100100")[0]
    draws = torch.zeros(1, 1, dtype=torch.int64)
    expect_draws(call, a, b, mask, torch.zeros(8, dtype=torch.int64), draws)


@C.rung("documents by their tokens", 2, "A document counts by its tokens: no mean of their means.")
def _(call: Call, generator: Generator) -> None:
    a, b = two_models(generator, 10)
    document = torch.tensor([0] * 7 + [1] * 2 + [2])
    a += 3 * document
    expect_draws(call, a, b, everywhere(10), document, torch.tensor([[0, 1, 2], [2, 0, 1]]))


@C.rung("drawn twice", 1, "A document drawn twice counts twice, its losses and its tokens.")
def _(call: Call, generator: Generator) -> None:
    a, b = two_models(generator, 9)
    document = torch.arange(9) // 3
    a += 3 * document
    draws = torch.tensor([[0, 0, 2], [1, 2, 2], [1, 1, 1]])
    expect_draws(call, a, b, everywhere(9), document, draws)


@C.rung("no token", 1, "Draws without a token of the slice have no difference: nan, not 0.")
def _(call: Call, generator: Generator) -> None:
    a, b = two_models(generator, 6)
    document, mask = torch.arange(6) // 2, flags("100010")[0]
    draws = torch.tensor([[0, 1, 2], [1, 1, 1], [0, 0, 0]])
    expect_draws(call, a, b, mask, document, draws)


@C.rung("as drawn one by one", 1, "Collecting the tokens of every drawn document gives others.")
def _(call: Call, generator: Generator) -> None:
    for size, draws in ((4, 2), (12, 3), (150, 20)):
        a, b = two_models(generator, size)
        document = torch.randint(5, (size,), generator=generator) ** 2 % 7  # 3, 5, 6 stay empty
        a += document
        mask = rand(generator, size) < 0.3
        drawn = torch.randint(7, (draws, 7), generator=generator)
        expect_draws(call, a, b, mask, document, drawn)
