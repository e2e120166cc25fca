"""Plausible wrong solutions of chapter 06, each with the rung that must catch it."""

import math

import torch


def linear_in_the_width(widths, accuracies, level):
    return _cross(widths, accuracies, level, lambda w: w, lambda x: x)


def no_infinity(widths, accuracies, level):
    found = _cross(widths, accuracies, level, torch.log2, lambda x: 2**x)
    return float(widths[-1]) if found == math.inf else found


def always_interpolates(widths, accuracies, level):
    low, high = accuracies[0], accuracies[1]
    if level < low:
        part = (level - low) / (high - low)
        return float(widths[0] * (widths[1] / widths[0]) ** part)
    return _cross(widths, accuracies, level, torch.log2, lambda x: 2**x)


def nearest_point(widths, accuracies, level):
    if level > accuracies.max():
        return math.inf
    return float(widths[(accuracies - level).abs().argmin()])


def last_crossing(widths, accuracies, level):
    below = (accuracies < level).nonzero().flatten()
    if len(below) == 0:
        return float(widths[0])
    i = int(below[-1])
    if i == len(widths) - 1:
        return math.inf
    return _cross(widths[i:], accuracies[i:], level, torch.log2, lambda x: 2**x)


def _cross(widths, accuracies, level, there, back):
    if accuracies[0] >= level:
        return float(widths[0])
    for i in range(len(widths) - 1):
        low, high = accuracies[i], accuracies[i + 1]
        if high >= level:
            a, b = there(widths[i]), there(widths[i + 1])
            return float(back(a + (level - low) / (high - low) * (b - a)))
    return math.inf


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


def sums_over_the_batch(keys, values, queries, candidates):
    memory = (keys * values).sum(dim=(0, 1))
    return ((queries * memory) @ candidates.T).argmax(-1)


def forgets_the_query(keys, values, queries, candidates):
    memory = (keys * values).sum(1, keepdim=True)
    return (memory.expand_as(queries) @ candidates.T).argmax(-1)


def only_the_first_pair(keys, values, queries, candidates):
    memory = (keys * values)[:, :1]
    return ((queries * memory) @ candidates.T).argmax(-1)


def returns_codes(keys, values, queries, candidates):
    memory = (keys * values).sum(1, keepdim=True)
    return queries * memory


def answers_every_key(keys, values, queries, candidates):
    memory = (keys * values).sum(1, keepdim=True)
    answers = ((keys * memory) @ candidates.T).argmax(-1)
    return answers[:, : queries.shape[1]]


def rounds_the_memory(keys, values, queries, candidates):
    memory = (keys * values).sum(1, keepdim=True).sign()
    return ((queries * memory) @ candidates.T).argmax(-1)


MUTANTS = [
    ("06.a", "halfway is a geometric mean", linear_in_the_width),
    ("06.a", "never reached", no_infinity),
    ("06.a", "below the first stair", always_interpolates),
    ("06.a", "halfway is a geometric mean", nearest_point),
    ("06.a", "the first crossing counts", last_crossing),
    ("06.b", "one pair of cells", same_width),
    ("06.b", "signs do not cancel", signed),
    ("06.b", "a mean, not a sum", summed),
    ("06.b", "any table", main_diagonal_only),
    ("06.b", "a mean, not a sum", squared),
    ("06.c", "each sequence has its own memory", sums_over_the_batch),
    ("06.c", "one pair", forgets_the_query),
    ("06.c", "many pairs", only_the_first_pair),
    ("06.c", "shape", returns_codes),
    ("06.c", "queries in any order", answers_every_key),
    ("06.c", "as blurred as the definition", rounds_the_memory),
]
