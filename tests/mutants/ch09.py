"""Plausible wrong solutions of chapter 09, each with the rung that must catch it."""

import torch


def _same(tokens):
    return tokens[:, :, None] == tokens[:, None, :]


def _after_row_0(found, tokens):
    return torch.cat([torch.zeros_like(tokens[:, :1]).bool(), found], dim=1)


def _pairs(tokens, earlier=lambda same: same.tril(-1)):
    same = _same(tokens)
    return _after_row_0(earlier(same[:, 1:, 1:] & same[:, :-1, :-1]).any(2), tokens)


def _used(tokens, blank):
    used = tokens != blank
    return used & _after_row_0(used[:, :-1], tokens)


def the_chapters_single_tokens(tokens, blank):
    return _same(tokens).tril(-1).any(2) & (tokens != blank)


def both_seen_anywhere(tokens, blank):
    seen = the_chapters_single_tokens(tokens, blank)
    return seen & _after_row_0(seen[:, :-1], tokens)


def in_either_order(tokens, blank):
    same = _same(tokens)
    turned = (same[:, 1:, :-1] & same[:, :-1, 1:]).tril(-1).any(2)
    return (_pairs(tokens) | _after_row_0(turned, tokens)) & _used(tokens, blank)


def pairs_may_not_overlap(tokens, blank):
    return _pairs(tokens, lambda same: same.tril(-2)) & _used(tokens, blank)


def only_its_own_token_is_no_blank(tokens, blank):
    return _pairs(tokens) & (tokens != blank)


def seen_in_the_batch(tokens, blank):
    apart = torch.cat([tokens, torch.full_like(tokens[:, :1], blank)], dim=1)
    flat = apart.flatten()[None]
    return (_pairs(flat) & _used(flat, blank)).view(apart.shape)[:, :-1]


def _larger(f):
    return f[:, None, :] > f[:, :, None]


def top_k_of_all(f, k):
    chosen = f.topk(min(k, f.shape[1]), dim=1).indices
    return torch.zeros_like(f, dtype=torch.bool).scatter(1, chosen, True)


def the_first_k(f, k):
    return (torch.arange(f.shape[1]) < k).expand(f.shape)


def one_too_many(f, k):
    return _larger(f).tril(-1).sum(2) <= k


def counts_itself(f, k):
    return (f[:, None, :] >= f[:, :, None]).tril().sum(2) < k


def equal_is_larger(f, k):
    return (f[:, None, :] >= f[:, :, None]).tril(-1).sum(2) < k


def first_sequence_for_all(f, k):
    return (_larger(f).tril(-1).sum(2) < k)[:1].expand(f.shape)


def _attend(q, k, v, seen, scale=True, fill=-1e30):
    scores = q @ k.mT
    if scale:
        scores = scores / k.shape[-1] ** 0.5
    return scores.masked_fill(~seen, fill).softmax(-1)


def _seen(k, at, window):
    back = at[..., None] - torch.arange(k.shape[1])
    return (back >= 0) & (back < window)


def the_chapters_rows(q, k, v, at, window):
    seen = torch.arange(k.shape[1]) <= at[..., None]
    return (_attend(q, k, v, seen) * seen) @ v


def one_more(q, k, v, at, window):
    seen = _seen(k, at, window + 1)
    return (_attend(q, k, v, seen) * seen) @ v


def place_in_the_list(q, k, v, at, window):
    place = torch.arange(at.shape[1]).expand(at.shape)
    seen = _seen(k, place.where(at >= 0, -1), window)
    return (_attend(q, k, v, seen) * seen) @ v


def too_loud(q, k, v, at, window):
    seen = _seen(k, at, window)
    return (_attend(q, k, v, seen, scale=False) * seen) @ v


def unused_is_the_mean(q, k, v, at, window):
    return _attend(q, k, v, _seen(k, at, window)) @ v


def unused_is_nan(q, k, v, at, window):
    return _attend(q, k, v, _seen(k, at, window), fill=-torch.inf) @ v


MUTANTS = [
    ("09.a", "a pair comes back", the_chapters_single_tokens),
    ("09.a", "a pair comes back", in_either_order),
    ("09.a", "side by side", both_seen_anywhere),
    ("09.a", "every later time", pairs_may_not_overlap),
    ("09.a", "the blank", only_its_own_token_is_no_blank),
    ("09.a", "each sequence its own", seen_in_the_batch),
    ("09.b", "no look ahead", top_k_of_all),
    ("09.b", "rising", the_first_k),
    ("09.b", "falling", one_too_many),
    ("09.b", "falling", counts_itself),
    ("09.b", "ties", equal_is_larger),
    ("09.b", "each sequence its own", first_sequence_for_all),
    ("09.c", "only itself", the_chapters_rows),
    ("09.c", "only itself", one_more),
    ("09.c", "only itself", place_in_the_list),
    ("09.c", "loudness", too_loud),
    ("09.c", "unused slots", unused_is_the_mean),
    ("09.c", "unused slots", unused_is_nan),
]
