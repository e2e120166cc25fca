"""Plausible wrong solutions of chapter 03 and the rung that must catch each of them."""

import math

import torch


def scores_of(q, k, scale):
    return scale * q @ k.transpose(-1, -2)


def future_of(n, diagonal=1):
    return torch.ones(n, n, dtype=torch.bool).triu(diagonal)


def look(scores, v):
    """What the weights give, with a last place that is nothing."""
    nothing = torch.zeros_like(scores[..., :1])
    return torch.cat([scores, nothing], dim=-1).softmax(dim=-1)[..., :-1] @ v


def masked(scores, fill=-math.inf):
    return scores.masked_fill(future_of(scores.shape[-1]), fill)


def the_chapters_attention(q, k, v, scale):
    return masked(scores_of(q, k, scale)).softmax(dim=-1) @ v


def no_mask(q, k, v, scale):
    return look(scores_of(q, k, scale), v)


def mask_with_zero_scores(q, k, v, scale):
    return look(masked(scores_of(q, k, scale), 0.0), v)


def scaled_twice(q, k, v, scale):
    return look(masked(scores_of(q, k, scale / math.sqrt(q.shape[-1]))), v)


def queries_and_keys_exchanged(q, k, v, scale):
    return look(masked(scores_of(k, q, scale)), v)  # the mirror image: who is asked asks


def plain_exponentials(q, k, v, scale):
    loud = masked(scores_of(q, k, scale)).exp()
    return loud / (1 + loud.sum(dim=-1, keepdim=True)) @ v


def signs(count, c=None):
    """The digits of 0 .. count - 1, as in the chapter."""
    c = (count - 1).bit_length() if c is None else c
    return 2.0 * (torch.arange(count)[:, None] >> torch.arange(c) & 1) - 1


def with_parity(codes):
    return torch.cat([codes, codes.prod(dim=1, keepdim=True)], dim=1)


def the_chapters_own(count):
    return signs(count, max(1, math.ceil(math.log2(count))))


def zeros_and_ones(count):
    return (with_parity(signs(count)) + 1) / 2


def every_digit_twice(count):
    return torch.cat([signs(count)] * 2, dim=1) if count > 1 else torch.ones(1, 1)


def rounded_down(count):
    return with_parity(signs(count, int(math.log2(count))))


def odd_or_even_number(count):
    return torch.cat([signs(count), 2.0 * (torch.arange(count)[:, None] % 2) - 1], dim=1)


def random_signs(count):
    generator = torch.Generator().manual_seed(count)
    drawn = torch.randint(2, (count, (count - 1).bit_length() + 1), generator=generator)
    drawn[:1], drawn[1:2] = 0, 1
    return 2.0 * drawn - 1


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
    ("03.a", "one token", the_chapters_attention),
    ("03.a", "scale", scaled_twice),
    ("03.a", "who asks whom", queries_and_keys_exchanged),
    ("03.a", "loud scores", plain_exponentials),
    ("03.b", "two keys", the_chapters_own),
    ("03.b", "two keys", zeros_and_ones),
    ("03.b", "no channel too many", every_digit_twice),
    ("03.b", "no channel too many", rounded_down),
    ("03.b", "two signs apart", odd_or_even_number),
    ("03.b", "two signs apart", random_signs),
    ("03.c", "keys find keys", blanks_have_a_code),
    ("03.c", "keys find keys", whole_scale),
    ("03.c", "the flag", flag_counts_one),
    ("03.c", "the shift", shifted_the_other_way),
    ("03.c", "keys find keys", shift_everywhere),
    ("03.c", "the gate", values_hand_on_their_code),
]
