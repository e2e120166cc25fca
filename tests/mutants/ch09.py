"""Plausible wrong solutions of chapter 09, each with the rung that must catch it."""

import torch


def _same(tokens):
    return tokens[:, :, None] == tokens[:, None, :]


def seen_anywhere(tokens, blank):
    elsewhere = _same(tokens) & ~torch.eye(tokens.shape[1]).bool()
    return elsewhere.any(2) & (tokens != blank)


def same_as_the_one_before(tokens, blank):
    seen = torch.zeros_like(tokens, dtype=torch.bool)
    seen[:, 1:] = tokens[:, 1:] == tokens[:, :-1]
    return seen & (tokens != blank)


def counts_the_blank(tokens, blank):
    return _same(tokens).tril(-1).any(2)


def blank_is_zero(tokens, blank):
    return _same(tokens).tril(-1).any(2) & (tokens != 0)


def second_time_only(tokens, blank):
    return (_same(tokens).tril(-1).sum(2) == 1) & (tokens != blank)


def seen_in_the_batch(tokens, blank):
    flat = tokens.flatten()[None]
    return (_same(flat).tril(-1).any(2) & (flat != blank)).view(tokens.shape)


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


def _seen(k, at):
    return torch.arange(k.shape[1]) <= at[..., None]


def strictly_before(q, k, v, at):
    seen = torch.arange(k.shape[1]) < at[..., None]
    return (_attend(q, k, v, seen) * seen) @ v


def sees_everything(q, k, v, at):
    used = (at >= 0)[..., None]
    return (_attend(q, k, v, used.expand(*at.shape, k.shape[1])) * used) @ v


def place_in_the_list(q, k, v, at):
    place = torch.arange(at.shape[1]).expand(at.shape)
    seen = _seen(k, place.where(at >= 0, -1))
    return (_attend(q, k, v, seen) * seen) @ v


def too_loud(q, k, v, at):
    seen = _seen(k, at)
    return (_attend(q, k, v, seen, scale=False) * seen) @ v


def unused_is_the_mean(q, k, v, at):
    return _attend(q, k, v, _seen(k, at)) @ v


def unused_is_nan(q, k, v, at):
    return _attend(q, k, v, _seen(k, at), fill=-torch.inf) @ v


MUTANTS = [
    ("09.a", "comes back", seen_anywhere),
    ("09.a", "comes back", same_as_the_one_before),
    ("09.a", "the blank", counts_the_blank),
    ("09.a", "the blank", blank_is_zero),
    ("09.a", "every later time", second_time_only),
    ("09.a", "each sequence its own", seen_in_the_batch),
    ("09.b", "no look ahead", top_k_of_all),
    ("09.b", "rising", the_first_k),
    ("09.b", "falling", one_too_many),
    ("09.b", "falling", counts_itself),
    ("09.b", "ties", equal_is_larger),
    ("09.b", "each sequence its own", first_sequence_for_all),
    ("09.c", "its own place", strictly_before),
    ("09.c", "its own place", sees_everything),
    ("09.c", "not beyond its position", place_in_the_list),
    ("09.c", "loudness", too_loud),
    ("09.c", "unused slots", unused_is_the_mean),
    ("09.c", "unused slots", unused_is_nan),
]
