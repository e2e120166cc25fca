"""Plausible wrong solutions of chapter 11, each with the rung that must catch it."""

import math

import torch


def _layer(n, d, window, taps, *, pairs=None, pair=4, convolutions=3):
    if pairs is None:
        w = min(n, window)
        pairs = w * (w + 1) // 2 + (n - w) * w
    return 8 * n * d * d + 2 * convolutions * n * taps * d + pair * pairs * d


def counts_multiply_adds(batch, n, d, window, taps):
    return batch * _layer(n, d, window, taps) // 2


def forgets_the_weighted_sum(batch, n, d, window, taps):
    return batch * _layer(n, d, window, taps, pair=2)


def one_convolution(batch, n, d, window, taps):
    return batch * _layer(n, d, window, taps, convolutions=1)


def future_pairs_too(batch, n, d, window, taps):
    return batch * _layer(n, d, window, taps, pairs=n * min(n, window))


def no_window(batch, n, d, window, taps):
    return batch * _layer(n, d, n, taps)


def window_not_clipped(batch, n, d, window, taps):
    pairs = window * (window + 1) // 2 + (n - window) * window
    return batch * _layer(n, d, window, taps, pairs=pairs)


def _roofline(
    products, peak, bandwidth, *, mac=2, size=4, result=1, copies=None, join=torch.maximum
):
    B, n, k, m, shared = products.double().T
    flops = mac * B * n * k * m
    if copies is None:
        copies = torch.where(shared == 1, 1, B)
    moved = size * (B * n * k + (copies(B) if callable(copies) else copies) * k * m)
    moved = moved + size * result * B * n * m
    return torch.stack([flops / moved, join(flops / peak, moved / bandwidth)], dim=1)


def multiply_adds_as_flops(products, peak, bandwidth):
    return _roofline(products, peak, bandwidth, mac=1)


def forgets_to_write(products, peak, bandwidth):
    return _roofline(products, peak, bandwidth, result=0)


def numbers_for_bytes(products, peak, bandwidth):
    return _roofline(products, peak, bandwidth, size=1)


def weights_for_everyone(products, peak, bandwidth):
    return _roofline(products, peak, bandwidth, copies=lambda B: B)


def one_state_for_all(products, peak, bandwidth):
    return _roofline(products, peak, bandwidth, copies=lambda B: torch.ones_like(B))


def one_after_the_other(products, peak, bandwidth):
    return _roofline(products, peak, bandwidth, join=torch.add)


def _crossing(lengths, a, b, *, r=None, meet=None, index=-1, never=math.inf, always=None):
    r = a.log() - b.log() if r is None else r
    behind = (r <= 0).nonzero().flatten().tolist()
    if not behind:
        return lengths[0].item() if always is None else always
    if r[-1] <= 0:
        return never
    i = behind[index]
    share = -r[i] / (r[i + 1] - r[i])
    if meet is not None:
        return meet(lengths[i], lengths[i + 1], share).item()
    return (lengths[i] * (lengths[i + 1] / lengths[i]) ** share).item()


def the_next_measured_length(lengths, a, b):
    return _crossing(lengths, a, b, meet=lambda low, high, share: high)


def straight_lines_without_logarithms(lengths, a, b):
    return _crossing(
        lengths, a, b, r=a - b, meet=lambda low, high, share: low + share * (high - low)
    )


def logarithm_of_the_length_only(lengths, a, b):
    return _crossing(lengths, a, b, r=a - b)


def infinity_without_a_crossing(lengths, a, b):
    return _crossing(lengths, a, b, always=math.inf)


def the_last_length_for_never(lengths, a, b):
    return _crossing(lengths, a, b, never=lengths[-1].item())


def first_crossing(lengths, a, b):
    r = a.log() - b.log()
    up = ((r[:-1] <= 0) & (r[1:] > 0)).nonzero().flatten().tolist()
    if not up:
        return lengths[0].item() if (r > 0).all() else math.inf
    share = -r[up[0]] / (r[up[0] + 1] - r[up[0]])
    return (lengths[up[0]] * (lengths[up[0] + 1] / lengths[up[0]]) ** share).item()


MUTANTS = [
    ("11.a", "one token", counts_multiply_adds),
    ("11.a", "one token", forgets_the_weighted_sum),
    ("11.a", "the taps", one_convolution),
    ("11.a", "only what is seen", future_pairs_too),
    ("11.a", "the window", no_window),
    ("11.a", "a window longer than the sequence", window_not_clipped),
    ("11.b", "a multiply-add is two", multiply_adds_as_flops),
    ("11.b", "three matrices of four bytes", forgets_to_write),
    ("11.b", "three matrices of four bytes", numbers_for_bytes),
    ("11.b", "weights are read once", weights_for_everyone),
    ("11.b", "each its own state", one_state_for_all),
    ("11.b", "the slower of two", one_after_the_other),
    ("11.c", "at a measured length", the_next_measured_length),
    ("11.c", "between two lengths", straight_lines_without_logarithms),
    ("11.c", "between two lengths", logarithm_of_the_length_only),
    ("11.c", "faster all along", infinity_without_a_crossing),
    ("11.c", "never so far", the_last_length_for_never),
    ("11.c", "the last crossing counts", first_crossing),
]
