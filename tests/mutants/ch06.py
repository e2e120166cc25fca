"""Plausible wrong solutions of chapter 06, each with the rung that must catch it."""

import math

import torch


def _hold(worst, widths, level, there=torch.log2, back=torch.exp2):
    below = (worst < level).nonzero().flatten().tolist()
    if not below:
        return float(widths[0])
    if below[-1] == len(widths) - 1:
        return math.inf
    return _between(worst, widths, level, below[-1], there, back)


def _between(worst, widths, level, i, there=torch.log2, back=torch.exp2):
    part = (level - worst[i]) / (worst[i + 1] - worst[i])
    low, high = there(widths[i]), there(widths[i + 1])
    return float(back(low + part * (high - low)))


def linear_in_the_width(widths, accuracies, level):
    return _hold(accuracies.amin(0), widths, level, lambda w: w, lambda x: x)


def no_infinity(widths, accuracies, level):
    found = _hold(accuracies.amin(0), widths, level)
    return float(widths[-1]) if found == math.inf else found


def mean_of_the_seeds(widths, accuracies, level):
    return _hold(accuracies.mean(0), widths, level)


def the_chapters_crossing_of_the_mean(widths, accuracies, level):
    return first_crossing(widths, accuracies.mean(0, keepdim=True), level)


def first_crossing(widths, accuracies, level):
    worst = accuracies.amin(0)
    if worst[0] >= level:
        return float(widths[0])
    for i in range(len(widths) - 1):
        if worst[i + 1] >= level:
            return _between(worst, widths, level, i)
    return math.inf


def next_measured_width(widths, accuracies, level):
    found = _hold(accuracies.amin(0), widths, level)
    return found if found == math.inf else float(widths[widths >= found - 1e-3][0])


def same_width(accuracy):
    return (accuracy[:-1] - accuracy[1:]).abs().mean()


def signed(accuracy):
    return (accuracy[:-1, :-1] - accuracy[1:, 1:]).mean()


def summed(accuracy):
    return (accuracy[:-1, :-1] - accuracy[1:, 1:]).abs().sum()


def main_diagonal_only(accuracy):
    diagonal = accuracy.diagonal()
    return (diagonal[:-1] - diagonal[1:]).abs().mean()


def squared(accuracy):
    return (accuracy[:-1, :-1] - accuracy[1:, 1:]).square().mean().sqrt()


def _read(memory, queries, candidates):
    return ((queries * memory) @ candidates.T).argmax(-1)


def _fading(keys, values, keep):
    age = torch.arange(keys.shape[1]).flip(0)
    return (keep ** age[:, None] * keys * values).sum(1, keepdim=True)


def the_chapters_sum(keys, values, queries, candidates, keep):
    return _read((keys * values).sum(1, keepdim=True), queries, candidates)


def the_first_pair_wins(keys, values, queries, candidates, keep):
    return _read(_fading(keys.flip(1), values.flip(1), keep), queries, candidates)


def sums_over_the_batch(keys, values, queries, candidates, keep):
    return _read(_fading(keys, values, keep).sum(0), queries, candidates)


def forgets_the_query(keys, values, queries, candidates, keep):
    return _read(_fading(keys, values, keep), torch.ones_like(queries), candidates)


def answers_every_key(keys, values, queries, candidates, keep):
    return _read(_fading(keys, values, keep), keys, candidates)[:, : queries.shape[1]]


def only_the_last_pair_is_fresh(keys, values, queries, candidates, keep):
    written = keys * values
    memory = keep * written[:, :-1].sum(1, keepdim=True) + written[:, -1:]
    return _read(memory, queries, candidates)


def _plan(d, n, seconds, each, low, high):
    return {
        "d_model": d,
        "seq_len": n,
        "seconds_each": each,
        "seeds": int(seconds / each),
        "low": low,
        "high": high,
    }


def from_the_book(pairs, seconds):
    return _plan(64, 64, seconds, 4.4, 0.7, 0.8)


def a_short_cell(pairs, seconds):
    return _plan(8 * pairs, 4 * pairs, seconds, 3.0, 0.4, 0.5)


def seconds_of_a_step(pairs, seconds):
    return _plan(8 * pairs, 96, seconds, 0.01, 0.4, 0.5)


def three_seeds_always(pairs, seconds):
    return _plan(8 * pairs, 96, seconds, 4.0, 0.4, 0.5) | {"seeds": 3}


def nothing_can_go_wrong(pairs, seconds):
    return _plan(8 * pairs, 96, seconds, 4.0, 0.0, 1.0)


def by_width_per_token(pairs, seconds):
    return _plan(48, 96, seconds, 4.5, 0.4, 0.5)


MUTANTS = [
    ("06.a", "halfway is a geometric mean", linear_in_the_width),
    ("06.a", "never reached", no_infinity),
    ("06.a", "the worst seed", mean_of_the_seeds),
    ("06.a", "the worst seed", the_chapters_crossing_of_the_mean),
    ("06.a", "reached and lost again", first_crossing),
    ("06.a", "halfway is a geometric mean", next_measured_width),
    ("06.b", "one pair of cells", same_width),
    ("06.b", "signs do not cancel", signed),
    ("06.b", "a mean, not a sum", summed),
    ("06.b", "any table", main_diagonal_only),
    ("06.b", "a mean, not a sum", squared),
    ("06.c", "told twice", the_chapters_sum),
    ("06.c", "told twice", the_first_pair_wins),
    ("06.c", "each sequence has its own memory", sums_over_the_batch),
    ("06.c", "one pair", forgets_the_query),
    ("06.c", "queries in any order", answers_every_key),
    ("06.c", "as blurred as the definition", only_the_last_pair_is_fresh),
    ("06.e", "a new cell", from_the_book),
    ("06.e", "a cell between the measured ones", a_short_cell),
    ("06.e", "what a seed costs", seconds_of_a_step),
    ("06.e", "what the budget pays", three_seeds_always),
    ("06.e", "it can be wrong", nothing_can_go_wrong),
    ("06.e", "what the table says", by_width_per_token),
]
