"""Plausible wrong solutions of chapter 08, each with the rung that must catch it."""

import torch


def _agree(tokens, blank, lag):
    now, before = tokens[:, lag:], tokens[:, :-lag]
    return (now == before) & (now != blank)


def _shares(tokens, blank, entry=lambda lag: lag - 1, latest=True):
    h = torch.zeros(tokens.shape)
    found = torch.zeros_like(tokens, dtype=torch.bool)
    for lag in range(1, tokens.shape[1]):
        new = _agree(tokens, blank, lag)
        if latest:
            new &= ~found[:, lag:]
        h[:, entry(lag)] = new.sum(dim=1).float()
        found[:, lag:] |= new
    return h / h.sum(dim=1, keepdim=True).clamp(min=1)


def the_chapters_open_lags(tokens, blank):
    h = torch.zeros(tokens.shape)
    for lag in range(1, tokens.shape[1]):
        h[:, lag - 1] = _agree(tokens, blank, lag).any(dim=1).float()
    return h


def lag_itself(tokens, blank):
    return _shares(tokens, blank, entry=lambda lag: lag)


def every_occurrence(tokens, blank):
    return _shares(tokens, blank, latest=False)


def counts_the_filler(tokens, blank):
    return _shares(tokens, -1)


def share_of_all_tokens(tokens, blank):
    h = _shares(tokens, blank)
    repeats = torch.stack(
        [(row[:, None] == row).tril(-1).any(1) & (row != blank) for row in tokens]
    )
    return h * repeats.sum(1, keepdim=True) / tokens.shape[1]


def one_filter_for_all(tokens, blank):
    return _shares(tokens, blank).mean(dim=0).expand(tokens.shape)


def _fade(n, keep):
    place = torch.arange(n)
    return keep ** (place[:, None] - place).clamp(min=0)


def _weights(fq, fk, keep):
    return (_fade(fq.shape[1], keep) * (fq @ fk.mT)).tril()


def the_chapters_own_for_a_batch(fq, fk, v, keep):
    w = (fq @ fk.mT).tril()
    return w @ v / w.sum(-1, keepdim=True)


def only_the_sum_fades(fq, fk, v, keep):
    return _weights(fq, fk, keep) @ v / (fq @ fk.mT).tril().sum(-1, keepdim=True)


def fades_the_new_too(fq, fk, v, keep):
    return keep * _weights(fq, fk, keep) @ v / _weights(fq, fk, keep).sum(-1, keepdim=True)


def fades_by_the_place(fq, fk, v, keep):
    w = (keep ** torch.arange(v.shape[1]) * (fq @ fk.mT)).tril()
    return w @ v / w.sum(-1, keepdim=True)


def keys_and_queries_exchanged(fq, fk, v, keep):
    w = _weights(fk, fq, keep)
    return w @ v / w.sum(-1, keepdim=True)


def power_by_power(fq, fk, v, keep):
    left = max(keep, 1e-30) ** torch.arange(v.shape[1])[:, None]
    w = ((left * fq) @ (fk / left).mT).tril()
    return w @ v / w.sum(-1, keepdim=True)


def _matrix(delta, b, c, a, ends, passed=None, before=None):
    reach = delta.cumsum(0)
    passed = reach[:, None] - reach if passed is None else passed
    decay = torch.exp(passed.clamp(min=0)[..., None] * a)
    document = ends.cumsum(0) - ends if before is None else before
    same = document[:, None] == document
    return torch.einsum("ti,tsi,si,s->ts", c, decay, b, delta).tril() * same


def the_chapters_matrix(delta, b, c, a, ends):
    return _matrix(delta, b, c, a, 0 * ends)


def the_end_starts_the_next(delta, b, c, a, ends):
    return _matrix(delta, b, c, a, ends, before=ends.cumsum(0))


def fades_while_it_enters(delta, b, c, a, ends):
    reach = delta.cumsum(0)
    return _matrix(delta, b, c, a, ends, passed=reach[:, None] - reach + delta)


def one_decay_for_all(delta, b, c, a, ends):
    return _matrix(delta, b, c, a.mean().expand_as(a), ends)


def reads_with_b(delta, b, c, a, ends):
    return _matrix(delta, c, b, a, ends)


def divides_by_what_underflows(delta, b, c, a, ends):
    reach = torch.exp(delta.cumsum(0)[:, None] * a)
    document = ends.cumsum(0) - ends
    return ((c * reach) @ (b * delta[:, None] / reach).T).tril() * (document[:, None] == document)


MUTANTS = [
    ("08.a", "a share, not a switch", the_chapters_open_lags),
    ("08.a", "one repeat", lag_itself),
    ("08.a", "the latest occurrence", every_occurrence),
    ("08.a", "the filler does not count", counts_the_filler),
    ("08.a", "one repeat", share_of_all_tokens),
    ("08.a", "each example its own", one_filter_for_all),
    ("08.b", "what fades", the_chapters_own_for_a_batch),
    ("08.b", "one value", only_the_sum_fades),
    ("08.b", "one token", fades_the_new_too),
    ("08.b", "what fades", fades_by_the_place),
    ("08.b", "the query chooses", keys_and_queries_exchanged),
    ("08.b", "forgotten at once", power_by_power),
    ("08.c", "a document ends", the_chapters_matrix),
    ("08.c", "a document ends", the_end_starts_the_next),
    ("08.c", "what enters", reads_with_b),
    ("08.c", "one token", fades_while_it_enters),
    ("08.c", "as the recurrence says", one_decay_for_all),
    ("08.c", "long steps", divides_by_what_underflows),
]
