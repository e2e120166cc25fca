"""Plausible wrong solutions of chapter 01, each with the rung that must catch it."""

from collections import Counter, defaultdict

import torch


def _grams(tokens, n):
    tokens = tokens.tolist()
    return [tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1)]


def _repeats(row, training, n, threshold, *, context=None, count=None, rare=None, at=None):
    count = Counter(_grams(training, n)) if count is None else count
    rare = (lambda times: times <= threshold) if rare is None else rare
    found, seen = torch.zeros(len(row), dtype=torch.bool), set(context or ())
    for i, gram in enumerate(_grams(row, n)):
        found[i + (n - 1 if at is None else at)] = gram in seen and rare(count[gram])
        seen.add(gram)
    return found


def any_token_that_repeats(row, training, n, threshold):
    return _repeats(row, training, 1, threshold)


def first_time_too(row, training, n, threshold):
    twice = [gram for gram, times in Counter(_grams(row, n)).items() if times > 1]
    return _repeats(row, training, n, threshold, context=twice)


def marks_where_it_begins(row, training, n, threshold):
    return _repeats(row, training, n, threshold, at=0)


def counts_the_row(row, training, n, threshold):
    return _repeats(row, training, n, threshold, count=Counter(_grams(row, n)))


def below_the_threshold(row, training, n, threshold):
    return _repeats(row, training, n, threshold, rare=lambda times: times < threshold)


def bigrams_always(row, training, n, threshold):
    return _repeats(row, training, 2, threshold)


def _shares(model, baseline, shares, *, change=torch.log, weights=None, overall=None):
    gap = (change(model) - change(baseline)) * (shares if weights is None else weights)
    whole = gap.sum(dim=1) if overall is None else overall
    return torch.where(whole[:, None] > 0, gap / whole[:, None], torch.nan)


def differences_of_perplexity(model, baseline, shares):
    return _shares(model, baseline, shares, change=lambda x: x)


def slices_alike(model, baseline, shares):
    return _shares(model, baseline, shares, weights=torch.ones_like(shares))


def mean_of_perplexities(model, baseline, shares):
    overall = (model @ shares).log() - (baseline @ shares).log()
    return _shares(model, baseline, shares, overall=overall)


def capped(model, baseline, shares):
    return _shares(model, baseline, shares).clamp(max=1)


def size_of_the_difference(model, baseline, shares):
    gap = (model.log() - baseline.log()).abs() * shares
    return gap / gap.sum(dim=1, keepdim=True)


def shares_of_nothing(model, baseline, shares):
    gap = (model.log() - baseline.log()) * shares
    return gap / gap.sum(dim=1, keepdim=True)


def _copy(row, vocab_size, *, orders=(2, 1), latest=False, pad=(), future=False, shift=0):
    tokens = [*pad, *row.tolist()]
    found = torch.zeros(len(row), vocab_size)
    followers = defaultdict(list)
    everything = defaultdict(list)
    for i in range(len(tokens) - 1):
        for n in (1, 2):
            if i + 1 >= n:
                everything[tuple(tokens[i + 1 - n : i + 1])].append(tokens[i + 1])
    for t in range(len(tokens)):
        for n in (1, 2):
            if t >= n:
                followers[tuple(tokens[t - n : t])].append(tokens[t])
        contexts = [tuple(tokens[t + 1 - n : t + 1]) for n in orders if t + 1 >= n]
        known = next((c for c in contexts if c in followers), None)
        place = t - len(pad) + shift
        if known is None or not 0 <= place < len(row):
            continue
        before = (everything if future else followers)[known]
        for token in before[-1:] if latest else before:
            found[place, token] += 1 / (1 if latest else len(before))
    return found


def one_position_late(row, vocab_size):
    return _copy(row, vocab_size, shift=1)


def two_tokens_only(row, vocab_size):
    return _copy(row, vocab_size, orders=(2,))


def the_latest_only(row, vocab_size):
    return _copy(row, vocab_size, latest=True)


def one_token_only(row, vocab_size):
    return _copy(row, vocab_size, orders=(1,))


def looks_ahead(row, vocab_size):
    return _copy(row, vocab_size, future=True)


def token_0_before_the_start(row, vocab_size):
    return _copy(row, vocab_size, pad=(0,))


MUTANTS = [
    ("01.a", "the bigram, not the token", any_token_that_repeats),
    ("01.a", "the second time", first_time_too),
    ("01.a", "the second time", marks_where_it_begins),
    ("01.a", "counted in training", counts_the_row),
    ("01.a", "at most the threshold", below_the_threshold),
    ("01.a", "n-grams of any length", bigrams_always),
    ("01.b", "logarithms", differences_of_perplexity),
    ("01.b", "weighted by tokens", slices_alike),
    ("01.b", "the whole from its parts", mean_of_perplexities),
    ("01.b", "more than all", capped),
    ("01.b", "more than all", size_of_the_difference),
    ("01.b", "no gap", shares_of_nothing),
    ("01.c", "what followed", one_position_late),
    ("01.c", "or else one token", two_tokens_only),
    ("01.c", "shares", the_latest_only),
    ("01.c", "two tokens know better", one_token_only),
    ("01.c", "the past only", looks_ahead),
    ("01.c", "the start", token_0_before_the_start),
]
