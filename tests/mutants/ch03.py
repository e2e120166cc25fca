"""Plausible wrong solutions of chapter 03 and the rung that must catch each of them."""

import math

import torch


def scores_of(q, k, scale):
    return scale * q @ k.transpose(-1, -2)


def future_of(n, diagonal=1):
    return torch.ones(n, n, dtype=torch.bool).triu(diagonal)


def no_mask(q, k, v, scale):
    return scores_of(q, k, scale).softmax(dim=-1) @ v


def mask_with_zero_scores(q, k, v, scale):
    scores = scores_of(q, k, scale).masked_fill(future_of(q.shape[1]), 0.0)
    return scores.softmax(dim=-1) @ v


def mask_after_softmax(q, k, v, scale):
    weights = scores_of(q, k, scale).softmax(dim=-1).masked_fill(future_of(q.shape[1]), 0.0)
    return weights @ v


def scaled_twice(q, k, v, scale):
    scores = scores_of(q, k, scale / math.sqrt(q.shape[-1]))
    return scores.masked_fill(future_of(q.shape[1]), -math.inf).softmax(dim=-1) @ v


def queries_and_keys_exchanged(q, k, v, scale):
    scores = scores_of(k, q, scale).masked_fill(future_of(q.shape[1]), -math.inf)
    # The mirror image of the scores: who is asked asks.
    return scores.softmax(dim=-1) @ v


def plain_exponentials(q, k, v, scale):
    loud = scores_of(q, k, scale).exp().masked_fill(future_of(q.shape[1]), 0.0)
    return loud / loud.sum(dim=-1, keepdim=True) @ v


def digits(count, c):
    return torch.arange(count)[:, None] >> torch.arange(c) & 1


def zeros_and_ones(count):
    return 1.0 * digits(count, max(1, math.ceil(math.log2(count))))


def one_hot(count):
    return torch.eye(count)


def rounded_down(count):
    return 2.0 * digits(count, max(1, int(math.log2(count)))) - 1


def no_channel_for_one(count):
    return 2.0 * digits(count, math.ceil(math.log2(count))) - 1


def random_signs(count):
    c = max(1, math.ceil(math.log2(count)))
    generator = torch.Generator().manual_seed(count)
    signs = torch.randint(2, (count, c), generator=generator)
    signs[:1], signs[1:2] = 0, 1
    return 2.0 * signs - 1


def induction(tokens, codes, scale, *, gate=True, lag=1, flag_weight=None, half_scale=True):
    half, c = codes.shape
    is_key = ((tokens > 0) & (tokens < half)).float()[..., None]
    flag = (tokens >= half).float()[..., None]
    own = codes[tokens % half] * is_key
    before = own.roll(lag, dims=1)
    before[:, 0 if lag > 0 else -1] = 0
    code = own + before * (flag if gate else 1)
    weight = c if flag_weight is None else flag_weight
    fits = code @ code.transpose(1, 2) + weight * flag.transpose(1, 2)
    scores = scale / (2 if half_scale else 1) * fits
    return scores.masked_fill(future_of(tokens.shape[1]), -math.inf).softmax(dim=-1)


def whole_scale(tokens, codes, scale):
    return induction(tokens, codes, scale, half_scale=False)


def flag_counts_one(tokens, codes, scale):
    return induction(tokens, codes, scale, flag_weight=1)


def shifted_the_other_way(tokens, codes, scale):
    return induction(tokens, codes, scale, lag=-1)


def shift_everywhere(tokens, codes, scale):
    return induction(tokens, codes, scale, gate=False)


def values_hand_on_their_code(tokens, codes, scale):
    half, c = codes.shape
    is_key = ((tokens > 0) & (tokens < half)).float()[..., None]
    flag = (tokens >= half).float()[..., None]
    any_code = codes[tokens % half] * (tokens > 0).float()[..., None]
    before = torch.cat([torch.zeros_like(any_code[:, :1]), any_code[:, :-1]], dim=1)
    code = codes[tokens % half] * is_key + before * flag
    scores = scale / 2 * (code @ code.transpose(1, 2) + c * flag.transpose(1, 2))
    return scores.masked_fill(future_of(tokens.shape[1]), -math.inf).softmax(dim=-1)


def blanks_have_a_code(tokens, codes, scale):
    half, c = codes.shape
    is_key = (tokens < half).float()[..., None]
    flag = (tokens >= half).float()[..., None]
    own = codes[tokens % half] * is_key
    before = torch.cat([torch.zeros_like(own[:, :1]), own[:, :-1]], dim=1)
    code = own + before * flag
    scores = scale / 2 * (code @ code.transpose(1, 2) + c * flag.transpose(1, 2))
    return scores.masked_fill(future_of(tokens.shape[1]), -math.inf).softmax(dim=-1)


MUTANTS = [
    ("03.a", "no scores, no choice", no_mask),
    ("03.a", "no scores, no choice", mask_with_zero_scores),
    ("03.a", "no scores, no choice", mask_after_softmax),
    ("03.a", "scale", scaled_twice),
    ("03.a", "who asks whom", queries_and_keys_exchanged),
    ("03.a", "loud scores", plain_exponentials),
    ("03.b", "only signs", zeros_and_ones),
    ("03.b", "shape", one_hot),
    ("03.b", "any count", rounded_down),
    ("03.b", "a single key", no_channel_for_one),
    ("03.b", "all different", random_signs),
    ("03.c", "keys find keys", blanks_have_a_code),
    ("03.c", "keys find keys", whole_scale),
    ("03.c", "the flag", flag_counts_one),
    ("03.c", "the shift", shifted_the_other_way),
    ("03.c", "keys find keys", shift_everywhere),
    ("03.c", "the gate", values_hand_on_their_code),
]
