"""Plausible wrong answers to the exercises of chapter 04, and the rung that catches each."""

import torch
from torch import Tensor
from torch.nn.functional import pad


def conv(u: Tensor, h: Tensor) -> Tensor:
    n = u.shape[1]
    y = torch.zeros_like(u)
    for lag in range(min(n, h.shape[1])):
        y[:, lag:] += h[:, lag] * u[:, : n - lag]
    return y


def by_fft(u: Tensor, h: Tensor, length: int) -> Tensor:
    spectrum = torch.fft.rfft(u, n=length, dim=1) * torch.fft.rfft(h.T, n=length, dim=0)
    return torch.fft.irfft(spectrum, n=length, dim=1)[:, : u.shape[1]]


def keeps_the_tail(u: Tensor, h: Tensor) -> Tensor:
    return by_fft(pad(u, (0, 0, 0, h.shape[1] - 1)), h, u.shape[1] + h.shape[1] - 1)


def reversed_filter(u: Tensor, h: Tensor) -> Tensor:
    return conv(u, h.flip(1))


def without_padding(u: Tensor, h: Tensor) -> Tensor:
    return by_fft(u, h, max(u.shape[1], h.shape[1]))


def centred(u: Tensor, h: Tensor) -> Tensor:
    half = h.shape[1] // 2
    return conv(pad(u, (0, 0, 0, half)), h)[:, half:]


def previous_tokens_only(u: Tensor, h: Tensor) -> Tensor:
    return pad(conv(u, h)[:, :-1], (0, 0, 1, 0))


def transposed_weight(u, weight, bias_proj, filter, bias_conv):
    return (u @ weight.T + bias_proj) * (conv(u, filter) + bias_conv)


def convolves_the_projection(u, weight, bias_proj, filter, bias_conv):
    projected = u @ weight + bias_proj
    return projected * (conv(projected, filter) + bias_conv)


def adds_instead(u, weight, bias_proj, filter, bias_conv):
    return (u @ weight + bias_proj) + (conv(u, filter) + bias_conv)


def squashed_gate(u, weight, bias_proj, filter, bias_conv):
    return torch.sigmoid(u @ weight + bias_proj) * (conv(u, filter) + bias_conv)


def wraps_round(u, weight, bias_proj, filter, bias_conv):
    length = max(u.shape[1], filter.shape[1])
    return (u @ weight + bias_proj) * (by_fft(u, filter, length) + bias_conv)


def no_shift(codes: Tensor, numbers: Tensor) -> Tensor:
    return (codes * (codes * numbers[..., None]).cumsum(dim=1)).sum(-1)


def no_writing_gate(codes: Tensor, numbers: Tensor) -> Tensor:
    return codes.any(-1) * numbers.cumsum(dim=1)


def no_reading_gate(codes: Tensor, numbers: Tensor) -> Tensor:
    previous = pad(codes[:, :-1], (0, 0, 1, 0))
    return codes.any(-1) * (previous * numbers[..., None]).cumsum(dim=1).sum(-1)


def sticky_key(codes: Tensor, numbers: Tensor) -> Tensor:
    previous = pad(codes[:, :-1], (0, 0, 1, 0))
    for t in range(1, codes.shape[1]):
        empty = ~previous[:, t].any(-1, keepdim=True)
        previous[:, t] += empty * previous[:, t - 1]
    return (codes * (previous * numbers[..., None]).cumsum(dim=1)).sum(-1)


def overwrites(codes: Tensor, numbers: Tensor) -> Tensor:
    answers, book = torch.zeros_like(numbers), torch.zeros(len(codes), codes.shape[2])
    previous = torch.zeros_like(book)
    for t in range(codes.shape[1]):
        told = previous.bool() & (numbers[:, t, None] != 0)
        book = torch.where(told, numbers[:, t, None].expand_as(book), book)
        answers[:, t] = (codes[:, t] * book).sum(-1)
        previous = codes[:, t]
    return answers


def rolls(codes: Tensor, numbers: Tensor) -> Tensor:
    written = codes.roll(1, dims=1) * numbers[..., None]
    return (codes * written.cumsum(dim=1)).sum(-1)


MUTANTS = [
    ("04.a", "shape", keeps_the_tail),
    ("04.a", "a spike shows the filter", reversed_filter),
    ("04.a", "a spike shows the filter", centred),
    ("04.a", "one tap", previous_tokens_only),
    ("04.a", "nothing from the future", without_padding),
    ("04.b", "only the gate", transposed_weight),
    ("04.b", "only the convolution", convolves_the_projection),
    ("04.b", "only the gate", adds_instead),
    ("04.b", "only the gate", squashed_gate),
    ("04.b", "only the convolution", wraps_round),
    ("04.c", "one pair, one query", no_shift),
    ("04.c", "two keys stay apart", no_writing_gate),
    ("04.c", "two keys stay apart", no_reading_gate),
    ("04.c", "a number without a key is lost", sticky_key),
    ("04.c", "a key told twice", overwrites),
    ("04.c", "agrees with a dictionary", rolls),
]
