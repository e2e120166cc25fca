"""Plausible wrong solutions of chapter 08, each with the rung that must catch it."""

import torch


def _filter(tokens, blank, entry=lambda lag: lag - 1, times=lambda same: same.any(dim=1).float()):
    h = torch.zeros(tokens.shape)
    for lag in range(1, tokens.shape[1]):
        now, before = tokens[:, lag:], tokens[:, :-lag]
        h[:, entry(lag)] = times((now == before) & (now != blank))
    return h


def lag_itself(tokens, blank):
    return _filter(tokens, blank, entry=lambda lag: lag)


def counts_the_filler(tokens, blank):
    return _filter(tokens, -1)


def filler_is_zero(tokens, blank):
    return _filter(tokens, 0)


def counts_repeats(tokens, blank):
    return _filter(tokens, blank, times=lambda same: same.sum(dim=1).float())


def one_filter_for_all(tokens, blank):
    return _filter(tokens, blank).amax(dim=0).expand(tokens.shape)


def last_occurrence_only(tokens, blank):
    h = torch.zeros(tokens.shape)
    for example, row in enumerate(tokens.tolist()):
        seen = {}
        for t, token in enumerate(row):
            if token in seen and token != blank:
                h[example, t - seen[token] - 1] = 1
            seen[token] = t
    return h


def _weights(fq, fk):
    return fq @ fk.mT


def reads_the_future(fq, fk, v):
    w = _weights(fq, fk)
    return w @ v / w.sum(-1, keepdim=True)


def reads_before_it_writes(fq, fk, v):
    w = _weights(fq, fk).tril(-1)
    return w @ v / w.sum(-1, keepdim=True).clamp(min=1e-6)


def no_denominator(fq, fk, v):
    return _weights(fq, fk).tril() @ v


def divides_by_the_last_sum(fq, fk, v):
    w = _weights(fq, fk).tril()
    return w @ v / w.sum(-1)[:, -1:, None]


def keys_and_queries_exchanged(fq, fk, v):
    w = _weights(fk, fq).tril()
    return w @ v / w.sum(-1, keepdim=True)


def softmax_of_products(fq, fk, v):
    visible = torch.ones(fq.shape[1], fq.shape[1]).tril().bool()
    return _weights(fq, fk).masked_fill(~visible, -torch.inf).softmax(-1) @ v


def _matrix(delta, b, c, a, passed):
    decay = torch.exp(passed[..., None] * a)
    return torch.einsum("ti,tsi,si,s->ts", c, decay, b, delta).tril()


def _passed(delta):
    reach = delta.cumsum(0)
    return (reach[:, None] - reach).clamp(min=0)


def fades_while_it_enters(delta, b, c, a):
    reach = delta.cumsum(0)
    return _matrix(delta, b, c, a, (reach[:, None] - reach + delta).clamp(min=0))


def present_step_does_not_fade(delta, b, c, a):
    reach = delta.cumsum(0) - delta
    return _matrix(delta, b, c, a, (reach[:, None] - reach).clamp(min=0))


def one_decay_for_all(delta, b, c, a):
    return _matrix(delta, b, c, a.mean().expand_as(a), _passed(delta))


def forgets_the_step(delta, b, c, a):
    return _matrix(torch.ones_like(delta), b, c, a, _passed(delta))


def reads_with_b(delta, b, c, a):
    return _matrix(delta, c, b, a, _passed(delta))


def divides_by_what_underflows(delta, b, c, a):
    reach = torch.exp(delta.cumsum(0)[:, None] * a)
    return ((c * reach) @ (b * delta[:, None] / reach).T).tril()


MUTANTS = [
    ("08.a", "one repeat", lag_itself),
    ("08.a", "the filler does not count", counts_the_filler),
    ("08.a", "the filler does not count", filler_is_zero),
    ("08.a", "open or not", counts_repeats),
    ("08.a", "each example its own", one_filter_for_all),
    ("08.a", "as the definition says", last_occurrence_only),
    ("08.b", "one value", no_denominator),
    ("08.b", "one value", divides_by_the_last_sum),
    ("08.b", "one value", reads_before_it_writes),
    ("08.b", "a running mean", reads_the_future),
    ("08.b", "the query chooses", keys_and_queries_exchanged),
    ("08.b", "the query chooses", softmax_of_products),
    ("08.c", "what enters", forgets_the_step),
    ("08.c", "what enters", reads_with_b),
    ("08.c", "what fades", fades_while_it_enters),
    ("08.c", "what fades", present_step_does_not_fade),
    ("08.c", "as the recurrence says", one_decay_for_all),
    ("08.c", "long steps", divides_by_what_underflows),
]
