"""Plausible wrong solutions of chapter 07, each with the rung that must catch it."""

import math

import torch
from torch.nn.functional import pad


def _scores(keys, values, answers):
    return (keys * (keys * values[answers]).sum(0)) @ values.T


def right_value_competes(keys, values, answers):
    scores = _scores(keys, values, answers)
    return scores.gather(1, answers[:, None])[:, 0] - scores.amax(1)


def rivals_in_memory_only(keys, values, answers):
    scores = _scores(keys, values, answers)
    right = scores.gather(1, answers[:, None])[:, 0]
    stored = torch.full_like(scores, -1e4)
    stored[:, answers] = scores[:, answers]
    stored[:, 0] = scores[:, 0]  # something must remain when one pair is alone
    stored[:, -1] = torch.where(torch.tensor(len(answers) == 1), scores[:, -1], stored[:, -1])
    return right - stored.scatter(1, answers[:, None], -torch.inf).amax(1)


def absolute_margin(keys, values, answers):
    scores = _scores(keys, values, answers)
    right = scores.gather(1, answers[:, None])[:, 0]
    return (right - scores.scatter(1, answers[:, None], -torch.inf).amax(1)).abs()


def mean_rival(keys, values, answers):
    scores = _scores(keys, values, answers)
    right = scores.gather(1, answers[:, None])[:, 0]
    return right - (scores.sum(1) - right) / (len(values) - 1)


def clips_the_memory(keys, values, answers):
    memory = (keys * values[answers]).sum(0).sign()
    scores = (keys * memory) @ values.T
    right = scores.gather(1, answers[:, None])[:, 0]
    return right - scores.scatter(1, answers[:, None], -torch.inf).amax(1)


def one_margin_for_all(keys, values, answers):
    scores = _scores(keys, values, answers)
    right = scores.gather(1, answers[:, None])[:, 0]
    return (right - scores.scatter(1, answers[:, None], -torch.inf).amax(1)).min()


def _index(bits, asked, keys, values, *, left=False, alice_low=False, bob_low=False):
    b = int(math.log2(len(values)))
    missing = -len(bits) % b
    groups = pad(bits, (missing, 0) if left else (0, missing)).view(-1, b)
    up, down = torch.arange(b), torch.arange(b - 1, -1, -1)
    numbers = (groups * 2 ** (up if alice_low else down)).sum(1)
    state = (keys[: len(numbers)] * values[numbers]).sum(0)
    read = ((keys[asked // b] * state) @ values.T).argmax(1)
    return read >> (asked % b if bob_low else b - 1 - asked % b) & 1


def hands_the_bits_over(bits, asked, keys, values):
    return bits[asked]


def first_bit_is_the_lowest(bits, asked, keys, values):
    return _index(bits, asked, keys, values, alice_low=True, bob_low=True)


def alice_and_bob_disagree(bits, asked, keys, values):
    return _index(bits, asked, keys, values, bob_low=True)


def fills_on_the_left(bits, asked, keys, values):
    return _index(bits, asked, keys, values, left=True)


def answers_every_bit(bits, asked, keys, values):
    return _index(bits, torch.arange(len(bits)), keys, values)[: len(asked)]


def returns_the_values(bits, asked, keys, values):
    b = int(math.log2(len(values)))
    groups = pad(bits, (0, -len(bits) % b)).view(-1, b)
    numbers = (groups * 2 ** torch.arange(b - 1, -1, -1)).sum(1)
    state = (keys[: len(numbers)] * values[numbers]).sum(0)
    return ((keys[asked // b] * state) @ values.T).argmax(1)


def _pair(states):
    seen = {}
    for message, state in enumerate(states.tolist()):
        other = seen.setdefault(state, message)
        if other != message:
            return other, message
    return None


def same_message_twice(states):
    pair = _pair(states)
    return torch.tensor([-1, -1, -1] if pair is None else [pair[1], pair[1], 0])


def always_the_lowest_bit(states):
    pair = _pair(states)
    return torch.tensor([-1, -1, -1] if pair is None else [*pair, 0])


def the_bits_weight(states):
    pair = _pair(states)
    if pair is None:
        return torch.tensor([-1, -1, -1])
    differ = pair[0] ^ pair[1]
    return torch.tensor([*pair, differ & -differ])


def against_the_first(states):
    same = (states[1:] == states[0]).nonzero().flatten().tolist()
    if not same:
        return torch.tensor([-1, -1, -1])
    message = same[0] + 1
    return torch.tensor([0, message, (message & -message).bit_length() - 1])


def always_finds_something(states):
    pair = _pair(states) or (0, 1)
    differ = pair[0] ^ pair[1]
    return torch.tensor([*pair, (differ & -differ).bit_length() - 1])


def counts_the_states(states):
    table = torch.full((len(states),), -1)
    for message, state in enumerate(states.tolist()):
        slot = state % len(states)  # takes two states for one
        if table[slot] >= 0:
            differ = int(table[slot]) ^ message
            return torch.tensor([int(table[slot]), message, (differ & -differ).bit_length() - 1])
        table[slot] = message
    return torch.tensor([-1, -1, -1])


MUTANTS = [
    ("07.a", "the right value is no rival", right_value_competes),
    ("07.a", "any value can be the best rival", rivals_in_memory_only),
    ("07.a", "a lost answer is negative", absolute_margin),
    ("07.a", "one pair", mean_rival),
    ("07.a", "as crowded as the definition", clips_the_memory),
    ("07.a", "shape", one_margin_for_all),
    ("07.b", "as wrong as its state", hands_the_bits_over),
    ("07.b", "one group", first_bit_is_the_lowest),
    ("07.b", "one group", alice_and_bob_disagree),
    ("07.b", "a last group that is not full", fills_on_the_left),
    ("07.b", "only what is asked, in its order", answers_every_bit),
    ("07.b", "shape", returns_the_values),
    ("07.c", "one bit", same_message_twice),
    ("07.c", "a bit in which they differ", always_the_lowest_bit),
    ("07.c", "one bit", the_bits_weight),
    ("07.c", "two messages with one state", against_the_first),
    ("07.c", "none to be found", always_finds_something),
    ("07.c", "any numbers as states", counts_the_states),
]
