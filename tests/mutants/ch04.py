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


def with_holes(h: Tensor, dilation: int) -> Tensor:
    spread = torch.zeros(len(h), (h.shape[1] - 1) * dilation + 1)
    spread[:, ::dilation] = h
    return spread


def the_chapters_own(u, h, dilation):
    return conv(u, h)


def counts_the_holes(u, h, dilation):
    return conv(u, with_holes(h, dilation + 1))


def keeps_the_tail(u, h, dilation):
    h = with_holes(h, dilation)
    return conv(pad(u, (0, 0, 0, h.shape[1] - 1)), h)


def reversed_filter(u, h, dilation):
    return conv(u, with_holes(h.flip(1), dilation))


def without_padding(u, h, dilation):
    h = with_holes(h, dilation)
    return by_fft(u, h, max(u.shape[1], h.shape[1]))


def previous_tokens_only(u, h, dilation):
    return pad(conv(u, with_holes(h, dilation))[:, :-1], (0, 0, 1, 0))


def share(u, write):
    return (u @ write).sigmoid()[..., None]


def the_chapters_base_conv(u, weight, bias_proj, filter, bias_conv, write):
    return (u @ weight + bias_proj) * (conv(u, filter) + bias_conv)


def transposed_weight(u, weight, bias_proj, filter, bias_conv, write):
    read = conv(share(u, write) * u, filter) + bias_conv
    return u + (u @ weight.T + bias_proj) * read


def gates_what_was_convolved(u, weight, bias_proj, filter, bias_conv, write):
    return u + (u @ weight + bias_proj) * (share(u, write) * conv(u, filter) + bias_conv)


def a_share_for_each_channel(u, weight, bias_proj, filter, bias_conv, write):
    written = (u * write).sigmoid() * u
    return u + (u @ weight + bias_proj) * (conv(written, filter) + bias_conv)


def projects_what_is_written(u, weight, bias_proj, filter, bias_conv, write):
    written = share(u, write) * u
    return u + (written @ weight + bias_proj) * (conv(written, filter) + bias_conv)


def wraps_round(u, weight, bias_proj, filter, bias_conv, write):
    length = max(u.shape[1], filter.shape[1])
    read = by_fft(share(u, write) * u, filter, length) + bias_conv
    return u + (u @ weight + bias_proj) * read


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
    ("04.a", "a spike shows the filter", the_chapters_own),
    ("04.a", "a spike shows the filter", counts_the_holes),
    ("04.a", "a spike shows the filter", reversed_filter),
    ("04.a", "shape", keeps_the_tail),
    ("04.a", "one tap", previous_tokens_only),
    ("04.a", "nothing from the future", without_padding),
    ("04.b", "only the skip", the_chapters_base_conv),
    ("04.b", "only the gate that reads", transposed_weight),
    ("04.b", "only the gate that reads", projects_what_is_written),
    ("04.b", "what a token writes", gates_what_was_convolved),
    ("04.b", "what a token writes", a_share_for_each_channel),
    ("04.b", "what a token writes", wraps_round),
    ("04.c", "one pair, one query", no_shift),
    ("04.c", "two keys stay apart", no_writing_gate),
    ("04.c", "two keys stay apart", no_reading_gate),
    ("04.c", "a number without a key is lost", sticky_key),
    ("04.c", "a key told twice", overwrites),
    ("04.c", "nothing wraps round", rolls),
]
