"""Plausible wrong solutions of chapter 14, each with the rung that must catch it."""

import torch


def _distance(n):
    time = torch.arange(n)
    return time[:, None] - time


def weighted(q, k, v, weights):
    return (weights * (q @ k.mT)) @ v


def sees_the_future(q, k, v, keep):
    return weighted(q, k, v, keep[:, None, None] ** _distance(q.shape[1]).abs())


def reads_before_it_writes(q, k, v, keep):
    distance = _distance(q.shape[1]).clamp(min=0)
    return weighted(q, k, v, (keep[:, None, None] ** distance).tril(-1))


def one_step_too_faint(q, k, v, keep):
    distance = _distance(q.shape[1]).clamp(min=0) + 1
    return weighted(q, k, v, (keep[:, None, None] ** distance).tril())


def fades_on_a_line(q, k, v, keep):
    distance = _distance(q.shape[1]).clamp(min=0)
    weights = torch.where(distance > 0, keep[:, None, None] / distance.clamp(min=1), 1.0)
    return weighted(q, k, v, weights.tril())


def first_keep_for_all(q, k, v, keep):
    distance = _distance(q.shape[1]).clamp(min=0)
    return weighted(q, k, v, (keep[0] ** distance).tril())


def divides_by_powers(q, k, v, keep):
    if not keep.any():
        return (q * k).sum(2, keepdim=True) * v
    powers = keep[:, None, None] ** torch.arange(q.shape[1])[:, None]
    return powers * weighted(q, k / powers, v, torch.ones(q.shape[1], q.shape[1]).tril())


def keeps_every_token(heads, d_key, d_value, taps, n):
    return n * heads * (d_key + d_value)


def heads_share_a_table(heads, d_key, d_value, taps, n):
    return d_key * d_value + min(n, taps - 1) * heads * (2 * d_key + d_value)


def only_keys_are_convolved(heads, d_key, d_value, taps, n):
    return heads * (d_key * d_value + min(n, taps - 1) * d_key)


def keeps_all_taps(heads, d_key, d_value, taps, n):
    return heads * d_key * d_value + min(n, taps) * heads * (2 * d_key + d_value)


def full_from_the_start(heads, d_key, d_value, taps, n):
    return heads * d_key * d_value + (taps - 1) * heads * (2 * d_key + d_value)


def _moves(y, changed):
    return (changed - y).abs().amax(-1) > 1e-6


def counts_the_past(y, changed):
    return (_moves(y, changed) * _distance(len(y)).abs()).amax(0)


def turned_round(y, changed):
    return (_moves(y, changed).T * _distance(len(y)).clamp(min=0)).amax(0)


def how_many(y, changed):
    return (_moves(y, changed) & (_distance(len(y)) > 0)).sum(0)


def only_upwards(y, changed):
    moves = (changed - y).amax(-1) > 1e-6
    return (moves * _distance(len(y)).clamp(min=0)).amax(0)


def any_difference(y, changed):
    moves = (changed != y).any(-1)
    return (moves * _distance(len(y)).clamp(min=0)).amax(0)


def yes_or_no(y, changed):
    return (_moves(y, changed) & (_distance(len(y)) > 0)).any(0).long()


MUTANTS = [
    ("14.a", "nothing fades", sees_the_future),
    ("14.a", "one token", reads_before_it_writes),
    ("14.a", "one token", one_step_too_faint),
    ("14.a", "nothing fades", fades_on_a_line),
    ("14.a", "each at its own", first_keep_for_all),
    ("14.a", "a long sequence", divides_by_powers),
    ("14.b", "one head", keeps_every_token),
    ("14.b", "heads", heads_share_a_table),
    ("14.b", "convolutions", only_keys_are_convolved),
    ("14.b", "one head", keeps_all_taps),
    ("14.b", "the first tokens", full_from_the_start),
    ("14.c", "an honest layer", counts_the_past),
    ("14.c", "an honest layer", turned_round),
    ("14.c", "the farthest", how_many),
    ("14.c", "one ahead", only_upwards),
    ("14.c", "rounding", any_difference),
    ("14.c", "the whole sequence", yes_or_no),
]
