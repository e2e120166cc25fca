"""Causal softmax attention on a CPU, which leaves out most pairs that nobody may see.

    y_t = sum_{s<=t} softmax_s(q_t . k_s / √d) v_s                    q, k, v, y (B, H, N, d)

PyTorch's own spares pairs in blocks of 512 keys, so in a short sequence none. Here a quarter of
the queries at a time meets the keys up to its own end: 10 of 16 blocks of pairs. The weights
are kept for backward, which is why long sequences and narrow heads, where they would take more
than the products, go to PyTorch's.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from zoology_teach.kernels.derivatives import (
    beyond_one_gradient,
    gradients_of_reference,
    transformed,
)

LONGEST = 512  # beyond it PyTorch's own spares pairs too, and it keeps no weights
WIDE = 64  # below it a head's weights cost more time than its products


def causal_attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """q, k, v (B, H, N, d) -> (B, H, N, d): every query sees the keys up to its own."""
    flat = [x.flatten(0, 1) for x in (q, k, v)]
    if transformed(*flat):
        return _in_plain_operations(*flat).view(q.shape)
    here = q.is_cpu and not torch.is_autocast_enabled("cpu")
    if here and q.itemsize >= 4 and q.shape[2] <= LONGEST and q.shape[3] >= WIDE:
        return _InBlocks.apply(*flat).view(q.shape)
    return scaled_dot_product_attention(q, k, v, is_causal=True)


def masked_attention(q: Tensor, k: Tensor, v: Tensor, visible: Tensor) -> Tensor:
    """The same of q (..., P, d), where `visible`, bools that broadcast to (..., P, N), says so."""
    if transformed(q, k, v):
        return _of_visible(q, k, v, visible)
    return scaled_dot_product_attention(q, k, v, attn_mask=visible)


def _in_plain_operations(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """The definition, for q, k, v (B H, N, d)."""
    past = torch.ones(q.shape[1], q.shape[1], dtype=torch.bool, device=q.device).tril()
    return _of_visible(q, k, v, past)


def _of_visible(q: Tensor, k: Tensor, v: Tensor, visible: Tensor) -> Tensor:
    """A row that sees nothing is 0, as PyTorch's own gives it."""
    scores = q @ k.mT * q.shape[-1] ** -0.5
    weights = scores.masked_fill(~visible, -torch.inf).softmax(dim=-1)
    return weights.masked_fill(~visible.any(-1, keepdim=True), 0.0) @ v


class _InBlocks(torch.autograd.Function):
    """With P = softmax(Q K^T / √d), row by row, and D = ∂Y V^T:

    ∂V = P^T ∂Y,   S = P ⊙ (D - sum_s P ⊙ D) / √d,   ∂Q = S K,   ∂K = S^T Q.
    """

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        y, kept, scale = torch.empty_like(q), [], q.shape[2] ** -0.5
        for mine, past in _blocks(q):
            hidden = q.new_full((mine.stop - mine.start, mine.stop), -torch.inf)
            scores = torch.baddbmm(
                hidden.triu_(mine.start + 1), q[:, mine], k[:, past].mT, alpha=scale
            )
            kept.append(scores.softmax(dim=2))
            y[:, mine] = kept[-1] @ v[:, past]
        ctx.save_for_backward(q, k, v, *kept)
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, *kept = ctx.saved_tensors
        if beyond_one_gradient(grad):
            return tuple(gradients_of_reference(_in_plain_operations, (q, k, v), grad))
        to_q, to_k, to_v = torch.empty_like(q), torch.zeros_like(k), torch.zeros_like(v)
        scale = q.shape[2] ** -0.5
        for (mine, past), weights in zip(_blocks(q), kept, strict=True):
            to_v[:, past].baddbmm_(weights.mT, grad[:, mine])
            to_weights = grad[:, mine] @ v[:, past].mT
            to_scores = torch._softmax_backward_data(to_weights, weights, 2, weights.dtype)
            to_q[:, mine] = to_scores.mul_(scale) @ k[:, past]
            to_k[:, past].baddbmm_(to_scores.mT, q[:, mine])
        return to_q, to_k, to_v


def _blocks(q: Tensor) -> Iterator[tuple[slice, slice]]:
    """A quarter of the queries at a time, and the keys up to the last of them."""
    n = q.shape[1]
    length = -(-n // 4)
    for start in range(0, n, length):
        stop = min(start + length, n)
        yield slice(start, stop), slice(0, stop)
