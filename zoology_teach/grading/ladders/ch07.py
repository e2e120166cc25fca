"""Ladders of chapter 07: margins of a memory, N bits through it, a state with too few bits."""

import math
from typing import Any

import torch
from torch import Tensor

from zoology_teach.grading.inputs import distinct_signs, draw, sign_table, signs, walsh
from zoology_teach.grading.ladder import Call, Exercise, expect, expect_shape

A = Exercise("07.a", "margins", "Margins", minutes=15, difficulty=1)
B = Exercise("07.b", "index", "N bits through a state", minutes=30, difficulty=3)
C = Exercise("07.c", "fooled", "A state with too few bits", minutes=20, difficulty=2)
EXERCISES = [A, B, C]


def margins_by_loop(keys: Tensor, values: Tensor, answers: Tensor) -> Tensor:
    """The definition, one score at a time."""
    memory = sum(k * values[a] for k, a in zip(keys, answers, strict=True))
    found = []
    for key, answer in zip(keys, answers.tolist(), strict=True):
        scores = [((key * memory) @ v).item() for v in values]
        right = scores.pop(answer)
        found.append(right - max(scores))
    return torch.tensor(found)


ALIKE = torch.ones(3, 1)  # three keys that a memory of one number cannot tell apart


@A.rung("shape", 1, "Return one number for every pair: shape (K,).")
def _(call: Call, generator: torch.Generator) -> None:
    keys, values = signs(generator, 3, 4), signs(generator, 5, 4)
    expect_shape(call(keys, values, torch.arange(3)), (3,))


@A.rung("the right value is no rival", 2, "Leave the right value out of the maximum.")
def _(call: Call, generator: torch.Generator) -> None:
    value = signs(generator, 1, 4)
    expect(call(value, torch.cat([value, -value]), torch.tensor([0])), torch.tensor([8.0]))
    keys, values = signs(generator, 3, 512), signs(generator, 6, 512)
    answers = torch.tensor([4, 0, 2])
    found = call(keys, values, answers)
    expect_shape(found, (3,))
    assert (found > 100).all(), "the scores of such a roomy memory lie far apart"


@A.rung("one pair", 1, "With one pair the right score is m, and a rival has its overlap with v.")
def _(call: Call, generator: torch.Generator) -> None:
    key, value = signs(generator, 1, 16), signs(generator, 1, 16)
    near = value.clone()
    near[0, :3] *= -1  # overlap 16 - 6
    expect(call(key, torch.cat([-value, value, near]), torch.tensor([1])), torch.tensor([6.0]))


@A.rung("any value can be the best rival", 1, "Rivals are all other values, in the memory or not.")
def _(call: Call, generator: torch.Generator) -> None:
    near = torch.tensor([[1.0, 1, 1, 1], [1, 1, 1, -1]])
    for keys, values in ((near, walsh(4)), (signs(generator, 2, 64), signs(generator, 4, 64))):
        values = torch.cat([values, values[3:]])  # a twin of a right value, never stored itself
        found = call(keys, values, torch.tensor([3, 1]))
        expect_shape(found, (2,))
        expect(found[:1], torch.zeros(1))


@A.rung("a lost answer is negative", 1, "The sign matters: right score minus rival, not its size.")
def _(call: Call, generator: torch.Generator) -> None:
    answers = torch.tensor([0, 0, 1])
    expect(call(ALIKE, sign_table(2), answers), torch.tensor([2.0, 2, -2]))
    keys, values = signs(generator, 30, 12), signs(generator, 40, 12)
    answers = torch.randint(40, (30,), generator=generator)
    found = call(keys, values, answers)
    expect_shape(found, (30,))
    assert (found < 0).any(), "in a crowded memory some margins are below 0"


@A.rung("as crowded as the definition", 2, "In a crowded memory your margins are not the sum's.")
def _(call: Call, generator: torch.Generator) -> None:
    answers = torch.tensor([0, 0, 0])
    expect(call(ALIKE, sign_table(2), answers), torch.tensor([6.0, 6, 6]))
    for pairs, size, m in ((2, 3, 1), (7, 20, 15), (12, 12, 40)):
        keys, values = signs(generator, pairs, m), signs(generator, size, m)
        answers = torch.randint(size, (pairs,), generator=generator)
        expect(call(keys, values, answers), margins_by_loop(keys, values, answers))


def played(bits: Tensor, asked: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """Both sides of INDEX by their definition, with text as the binary digits."""
    b = int(math.log2(len(values)))
    text = "".join(str(bit) for bit in bits.tolist())
    text += "0" * (-len(text) % b)
    numbers = [int(text[i : i + b], 2) for i in range(0, len(text), b)]
    state = sum(keys[g] * values[number] for g, number in enumerate(numbers))
    answers = []
    for i in asked.tolist():
        scores = torch.stack([(keys[i // b] * state) @ value for value in values])
        answers.append(int(f"{scores.argmax().item():0{b}b}"[i % b]))
    return torch.tensor(answers)


def message(generator: torch.Generator, n: int) -> Tensor:
    """n random bits."""
    return torch.randint(2, (n,), generator=generator)


@B.rung("shape", 1, "Return one answer for each bit that is asked: int64 of shape (Q,).")
def _(call: Call, generator: torch.Generator) -> None:
    small = torch.tensor([1, 0]), torch.tensor([1, 0]), signs(generator, 1, 2), sign_table(4)
    keys, values = signs(generator, 6, 64), signs(generator, 4, 64)
    for arguments in (small, (message(generator, 12), torch.tensor([3, 0, 7]), keys, values)):
        found = call(*arguments)
        expect_shape(found, tuple(arguments[1].shape))
        assert found.dtype == torch.int64, f"dtype {found.dtype}, expected torch.int64"
        strange = found[(found != 0) & (found != 1)].tolist()
        assert not strange, f"you return {strange[0]}, every answer is 0 or 1"


@B.rung("one bit a value", 1, "With two values each bit is a value of its own: 0 or 1.")
def _(call: Call, generator: torch.Generator) -> None:
    bits = torch.tensor([1, 0])
    expect(call(bits, torch.arange(2), walsh(4)[[0, 2]], walsh(4)[:2]), bits)
    keys, values = signs(generator, 10, 4096), signs(generator, 2, 4096)
    bits = torch.tensor([1, 0, 0, 1, 1, 1, 0, 1, 0, 0])
    expect(call(bits, torch.arange(10), keys, values), bits)


@B.rung("one group", 2, "The first bit of a group is the highest, for Alice and for Bob.")
def _(call: Call, generator: torch.Generator) -> None:
    for number, reversed_number in ((4, 1), (1, 4), (6, 3), (3, 6)):
        key, values = signs(generator, 1, 3), distinct_signs(generator, 8)
        values[reversed_number] = values[0]  # the number read backwards is lost
        bits = torch.tensor([int(digit) for digit in f"{number:03b}"])
        expect(call(bits, torch.arange(3), key, values), bits)


@B.rung("N bits come back", 2, "A roomy state must give every bit back: here 96, then 200.")
def _(call: Call, generator: torch.Generator) -> None:
    bits = torch.tensor([1, 0, 1, 1])
    expect(call(bits, torch.arange(4), walsh(8)[[0, 4]], walsh(8)[:4]), bits)
    for n, b in ((96, 4), (200, 8)):
        keys, values = signs(generator, n // b, 4096), signs(generator, 2**b, 4096)
        bits = message(generator, n)
        expect(call(bits, torch.arange(n), keys, values), bits)


@B.rung("a last group that is not full", 1, "Fill the last group with zeros on its right.")
def _(call: Call, generator: torch.Generator) -> None:
    values, bits = sign_table(4), torch.tensor([1])
    values[1] = values[0]  # the number that it would be with the zero on its left
    expect(call(bits, torch.tensor([0]), signs(generator, 1, 2), values), bits)
    for n in (9, 10, 11):
        keys, values = signs(generator, 3, 2048), signs(generator, 16, 2048)
        # Filled on the right the last value is 8, 12 or 14. Lose what it could be otherwise.
        values[1] = values[3] = values[7] = values[0]
        bits = torch.ones(n, dtype=torch.int64)
        expect(call(bits, torch.arange(n), keys, values), bits)


@B.rung("only what is asked, in its order", 1, "Answer the bits in `asked`, in that order.")
def _(call: Call, generator: torch.Generator) -> None:
    bits, asked = torch.tensor([1, 0]), torch.tensor([1, 0, 1])
    expect(call(bits, asked, signs(generator, 1, 2), sign_table(4)), bits[asked])
    keys, values = signs(generator, 20, 4096), signs(generator, 8, 4096)
    bits = message(generator, 30)
    asked = torch.randint(30, (50,), generator=generator)
    expect(call(bits, asked, keys, values), bits[asked])


@B.rung("as wrong as its state", 2, "From a small state Bob is often wrong: read M, not the bits.")
def _(call: Call, generator: torch.Generator) -> None:
    bits = torch.tensor([1, 1, 0])
    expect(call(bits, torch.arange(3), ALIKE, sign_table(2)), torch.tensor([1, 1, 1]))
    for n, b, m in ((60, 3, 21), (50, 1, 15), (41, 4, 33)):
        keys, values = signs(generator, -(-n // b), m), signs(generator, 2**b, m)
        bits, asked = message(generator, n), torch.arange(n)
        expect(call(bits, asked, keys, values), played(bits, asked, keys, values))


def expect_fooled(found: Any, states: Tensor) -> None:
    """Assert that `found` is a triple that the table of states confirms."""
    expect_shape(found, (3,))
    assert found.dtype == torch.int64, f"dtype {found.dtype}, expected torch.int64"
    x, y, bit = found.tolist()
    assert x != -1, "you say there is none, but two messages share a state"
    n = len(states).bit_length() - 1
    assert 0 <= x < 2**n and 0 <= y < 2**n, f"messages {x} and {y}: they run from 0 to {2**n - 1}"
    assert x != y, f"message {x} twice: they must be two"
    assert states[x] == states[y], f"messages {x} and {y} have different states"
    assert 0 <= bit < n, f"bit {bit}: bits run from 0 to {n - 1}"
    assert (x ^ y) >> bit & 1, f"messages {x:0{n}b} and {y:0{n}b} agree in bit {bit}"


@C.rung("one bit", 1, "With n = 1 and one state, the messages are 0 and 1 and the bit is 0.")
def _(call: Call, generator: torch.Generator) -> None:
    states = torch.full((2,), draw(generator, 0, 9))
    expect_fooled(call(states), states)


@C.rung("two messages with one state", 1, "Compare every message with all others, not with one.")
def _(call: Call, generator: torch.Generator) -> None:
    states = torch.tensor([5, 7, 7, 9])
    expect_fooled(call(states), states)


@C.rung("a bit in which they differ", 2, "Return the number of a bit that differs, lowest bit 0.")
def _(call: Call, generator: torch.Generator) -> None:
    for n, bit in ((2, 0), (2, 1), *((6, bit) for bit in range(6))):
        states = torch.randperm(2**n, generator=generator)
        x = draw(generator, 0, 2**n)
        states[x] = states[x ^ (1 << bit)]  # the only two, and they differ in this bit alone
        expect_fooled(call(states), states)


@C.rung("none to be found", 1, "If all states differ, return [-1, -1, -1].")
def _(call: Call, generator: torch.Generator) -> None:
    for n in (0, 1, 7):
        states = torch.randperm(2**n, generator=generator)
        expect(call(states), torch.tensor([-1, -1, -1]))


@C.rung("any numbers as states", 1, "States can be negative, huge, and far apart in the table.")
def _(call: Call, generator: torch.Generator) -> None:
    large = torch.randint(-(2**60), 2**60, (256,), generator=generator)
    large[201] = large[54]
    for states in (torch.tensor([5, -3, 2**40, -3]), large):
        expect_fooled(call(states), states)


@C.rung("every small state is fooled", 2, "2^n messages and fewer states: there always are two.")
def _(call: Call, generator: torch.Generator) -> None:
    for n, count in ((3, 7), (10, 1023), (16, 2**15)):
        states = torch.randint(count, (2**n,), generator=generator)
        expect_fooled(call(states), states)
