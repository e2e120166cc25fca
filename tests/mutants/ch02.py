"""Wrong solutions of chapter 02 that a student might hand in."""

import torch


def _answers(inputs, *, overwrite=True, blank=True, carry=False, follow=1):
    labels = torch.full_like(inputs, -100)
    follower = {}
    for b, row in enumerate(inputs.tolist()):
        if not carry:
            follower = {}
        for i, token in enumerate(row):
            if i > 0 and (overwrite or row[i - 1] not in follower):
                follower[row[i - 1]] = token if follow else row[i - 1]
            if (token != 0 or not blank) and token in follower:
                labels[b, i] = follower[token]
    return labels


def first_occurrence(inputs):
    return _answers(inputs, overwrite=False)


def blank_is_a_question(inputs):
    return _answers(inputs, blank=False)


def one_dictionary_for_all_rows(inputs):
    return _answers(inputs, carry=True)


def the_key_itself(inputs):
    return _answers(inputs, follow=0)


def zero_where_nothing_is_asked(inputs):
    return _answers(inputs).clamp(min=0)


def token_twice_in_a_row(inputs):
    labels = _answers(inputs)
    labels[:, 1:][inputs[:, 1:] == inputs[:, :-1]] = -100
    return labels


def _race(waiting, num_pairs, power):
    weights = torch.arange(1, waiting.shape[1] + 1) ** (power - 1.0)
    return (waiting / weights).topk(num_pairs, largest=False).indices


def times_the_weight(waiting, num_pairs, power):
    weights = torch.arange(1, waiting.shape[1] + 1) ** (power - 1.0)
    slots = (waiting * weights).topk(num_pairs, largest=False).indices
    return 2 * num_pairs + 2 * slots


def exponent_a(waiting, num_pairs, power):
    return 2 * num_pairs + 2 * _race(waiting, num_pairs, power + 1.0)


def exponent_halved(waiting, num_pairs, power):
    return 2 * num_pairs + 2 * _race(waiting, num_pairs, (power - 1.0) / 2 + 1.0)


def sorted_positions(waiting, num_pairs, power):
    return (2 * num_pairs + 2 * _race(waiting, num_pairs, power)).sort(dim=1).values


def every_slot_one_token(waiting, num_pairs, power):
    return 2 * num_pairs + _race(waiting, num_pairs, power)


def slots_not_positions(waiting, num_pairs, power):
    return _race(waiting, num_pairs, power)


def one_step_only(inputs, keys, rank):
    steps = (rank[:, :, None] >= keys[:, None]).sum(dim=2)
    return torch.where(inputs == 0, rank + steps, inputs)


def unsorted_keys(inputs, keys, rank):
    token = rank
    for key in keys.T:
        token = token + (token >= key[:, None])
    return torch.where(inputs == 0, token, inputs)


def fills_everything(inputs, keys, rank):
    token = rank
    for key in keys.sort(dim=1).values.T:
        token = token + (token >= key[:, None])
    return token


def avoids_all_keys_of_the_batch(inputs, keys, rank):
    token = rank
    for key in keys.unique():
        token = token + (token >= key)
    return torch.where(inputs == 0, token, inputs)


def lands_on_the_key(inputs, keys, rank):
    token = rank
    for key in keys.sort(dim=1).values.T:
        token = token + (token > key[:, None])
    return torch.where(inputs == 0, token, inputs)


def naive_filler(inputs, keys, rank):
    return torch.where(inputs == 0, rank, inputs)


MUTANTS = [
    ("02.a", "new tokens", zero_where_nothing_is_asked),
    ("02.a", "one pair", the_key_itself),
    ("02.a", "blanks", blank_is_a_question),
    ("02.a", "the latest", first_occurrence),
    ("02.a", "rows", one_dictionary_for_all_rows),
    ("02.a", "edges", token_twice_in_a_row),
    ("02.b", "places", slots_not_positions),
    ("02.b", "places", every_slot_one_token),
    ("02.b", "order", sorted_positions),
    ("02.b", "weights", times_the_weight),
    ("02.b", "exponent", exponent_halved),
    ("02.b", "exponent", exponent_a),
    ("02.c", "what is there stays", fills_everything),
    ("02.c", "one key", naive_filler),
    ("02.c", "one key", lands_on_the_key),
    ("02.c", "neighbours", one_step_only),
    ("02.c", "any order", unsorted_keys),
    ("02.c", "rows", avoids_all_keys_of_the_batch),
]
