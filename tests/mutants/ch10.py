"""Plausible wrong solutions of chapter 10, each with the rung that must catch it."""

import torch


def _means(losses, slices):
    """(S,): the mean loss over each slice, nan where it is empty."""
    return (losses * slices).sum((1, 2)).double() / slices.sum((1, 2))


def mean_of_exps(losses, slices):
    return _means(losses.exp(), slices)


def counts_the_zeros(losses, slices):
    return (losses * slices).mean((1, 2)).exp()


def rows_alike(losses, slices):
    return ((losses * slices).sum(2) / slices.sum(2)).nanmean(1).exp()


def one_slice_a_token(losses, slices):
    first = slices & (slices.int().cumsum(0) == 1)
    return _means(losses, first).exp()


def empty_is_one(losses, slices):
    return ((losses * slices).sum((1, 2)) / slices.sum((1, 2)).clamp(min=1)).exp()


def leaves_out_the_empty(losses, slices):
    return torch.stack([losses[chosen].mean().exp() for chosen in slices if chosen.any()])


def _before(tokens, at_first=-1):
    """(N,): the token before each position."""
    return torch.cat([tokens.new_full((1,), at_first), tokens[:-1]])


def _spread(reads):
    reads = reads.double()
    return reads / reads.sum(1, keepdim=True).clamp(min=1)


def _reads(tokens):
    return (tokens[:, None] == _before(tokens)).tril()


def looks_ahead(tokens):
    return _spread(tokens[:, None] == _before(tokens))


def the_token_itself(tokens):
    return _spread((tokens[:, None] == tokens).tril(-1))


def the_latest_only(tokens):
    reads = _reads(tokens)
    later = reads.flip(1).cumsum(1).flip(1) - reads.long()
    return (reads & (later == 0)).double()


def one_for_each(tokens):
    return _reads(tokens).double()


def nothing_is_nan(tokens):
    return _reads(tokens).double().log().softmax(1)


def wraps_round(tokens):
    return _spread((tokens[:, None] == tokens.roll(1)).tril())


def _difference(a, b, mask, document, draws):
    """(R,): the counts of each draw, times the sums of each document."""
    times = torch.stack([(draws == d).sum(1) for d in range(draws.shape[1])], dim=1).double()
    per_token = times[:, document] * mask
    return (per_token * (a - b)).sum(1) / per_token.sum(1)


def perplexities(a, b, mask, document, draws):
    nothing = torch.zeros_like(a)
    of_a, of_b = (_difference(x, nothing, mask, document, draws) for x in (a, b))
    return of_a.exp() - of_b.exp()


def all_tokens(a, b, mask, document, draws):
    return _difference(a, b, torch.ones_like(mask), document, draws)


def divides_by_all(a, b, mask, document, draws):
    return _difference(a * mask, b * mask, torch.ones_like(mask), document, draws)


def documents_alike(a, b, mask, document, draws):
    chosen = [mask & (document == d) for d in range(draws.shape[1])]
    means = torch.stack([(a - b)[m].mean() for m in chosen])
    return means[draws].nanmean(1)


def once_only(a, b, mask, document, draws):
    kept = torch.stack([torch.isin(document, drawn) & mask for drawn in draws])
    return (kept * (a - b)).sum(1) / kept.sum(1)


def no_token_is_0(a, b, mask, document, draws):
    return _difference(a, b, mask, document, draws).nan_to_num()


MUTANTS = [
    ("10.a", "exp of the mean", mean_of_exps),
    ("10.a", "only its own tokens", counts_the_zeros),
    ("10.a", "every token alike", rows_alike),
    ("10.a", "slices that overlap", one_slice_a_token),
    ("10.a", "an empty slice", empty_is_one),
    ("10.a", "an empty slice", leaves_out_the_empty),
    ("10.b", "nothing after t", looks_ahead),
    ("10.b", "the follower", the_token_itself),
    ("10.b", "all alike", the_latest_only),
    ("10.b", "all alike", one_for_each),
    ("10.b", "nothing to read", nothing_is_nan),
    ("10.b", "the first token", wraps_round),
    ("10.c", "a minus b, in nats", perplexities),
    ("10.c", "the slice", all_tokens),
    ("10.c", "the slice", divides_by_all),
    ("10.c", "documents by their tokens", documents_alike),
    ("10.c", "drawn twice", once_only),
    ("10.c", "no token", no_token_is_0),
]
