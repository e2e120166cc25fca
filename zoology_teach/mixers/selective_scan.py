"""Mamba's recurrence and its readout without all the states in memory (chapter 08).

    s_t = exp(Δ_t A) ⊙ s_{t-1} + B_t (Δ_t ⊙ x_t)^T                    Δ, x, y (B, N, E); A (S, E)
    y_t = s_t^T C_t                                                   B, C (B, N, S); s (B, S, E)

All decays and all states would be (B, N, S, E), S times the input. Here the sequence goes by in
blocks of about √N tokens. Forward keeps only the state that each block starts from; backward
takes the blocks from the last to the first and computes the states of each again. So some √N
states are there at a time instead of N, and they stay in the cache. This is the recomputation
of Gu and Dao, arXiv:2312.00752, Section 3.3.2, block by block.
"""

import math
from typing import Any

import torch
from einops import einsum
from torch import Tensor

from zoology_teach.kernels import scan as kernel
from zoology_teach.kernels.derivatives import (
    beyond_one_gradient,
    gradients_of_reference,
    transformed,
)
from zoology_teach.mixers.scan import linear_scan


def selective_scan(dt: Tensor, a: Tensor, b: Tensor, c: Tensor, x: Tensor) -> Tensor:
    """y (B, N, E) from steps dt and inputs x (B, N, E), a (S, E), b and c (B, N, S).

    On a GPU by the kernel of `linear_scan`. 16-bit numbers are summed in float32.
    """
    inputs = (dt, a, b, c, x)
    if kernel.takes(x) or transformed(*inputs):
        return _by_linear_scan(*inputs)
    if min(z.itemsize for z in inputs) < 4:
        return selective_scan(*(z.float() for z in inputs)).to(x.dtype)
    return _SelectiveScan.apply(dt, a.contiguous(), b, c, x)


def _by_linear_scan(dt: Tensor, a: Tensor, b: Tensor, c: Tensor, x: Tensor) -> Tensor:
    """The definition, with all decays and states in memory."""
    decay, write = torch.exp(dt[:, :, None] * a), (dt * x)[:, :, None] * b[..., None]
    return einsum(linear_scan(decay, write), c, "b n s e, b n s -> b n e")


class _SelectiveScan(torch.autograd.Function):
    """The gradient of the state runs backwards, g_t = C_t ∂y_t^T + exp(Δ_{t+1} A) ⊙ g_{t+1}."""

    @staticmethod
    def forward(ctx: Any, *inputs: Tensor) -> Tensor:
        dt, a, b, c, x = inputs
        s, starts, y = x.new_zeros(len(x), *a.shape), [], torch.empty_like(x)
        for block in _blocks(x):
            starts.append(s)
            _, states = _states(dt[:, block], a, b[:, block], x[:, block], s)
            y[:, block] = (c[:, block, None] @ states).squeeze(2)
            s = states[:, -1].clone()
        ctx.save_for_backward(*inputs, *starts)
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        dt, a, b, c, x, *starts = ctx.saved_tensors
        if beyond_one_gradient(grad):
            return tuple(gradients_of_reference(_by_linear_scan, (dt, a, b, c, x), grad))
        return _gradients(dt, a, b, c, x, starts, grad)


def _gradients(
    dt: Tensor, a: Tensor, b: Tensor, c: Tensor, x: Tensor, starts: list[Tensor], grad: Tensor
) -> tuple[Tensor, ...]:
    """Of dt, a, b, c and x, block after block from the end."""
    to_dt, to_a, to_b, to_c, to_x = (torch.zeros_like(z) for z in (dt, a, b, c, x))
    after = torch.zeros_like(starts[0])  # what g of the next block adds to this block's last g
    for block, start in reversed(list(zip(_blocks(x), starts, strict=True))):
        dt_, b_, c_, x_, grad_ = (z[:, block] for z in (dt, b, c, x, grad))
        decay, states = _states(dt_, a, b_, x_, start)
        g = grad_[:, :, None] * c_[..., None]
        g[:, -1] += after
        for t in reversed(range(g.shape[1] - 1)):
            g[:, t].addcmul_(decay[:, t + 1], g[:, t + 1])
        after = decay[:, 0] * g[:, 0]

        to_c[:, block] = (states @ grad_[..., None]).squeeze(3)
        to_b[:, block] = (g @ (dt_ * x_)[..., None]).squeeze(3)
        to_write = (b_[:, :, None] @ g).squeeze(2)  # of Δ_t ⊙ x_t
        to_x[:, block] = to_write * dt_
        to_exponent = g.mul_(decay)  # of Δ_t A
        to_exponent[:, 1:] *= states[:, :-1]
        to_exponent[:, 0] *= start
        to_dt[:, block] = to_write * x_ + (to_exponent * a).sum(2)
        to_a += to_exponent.mul_(dt_[:, :, None]).sum((0, 1))
    return to_dt, to_a, to_b, to_c, to_x


def _states(dt: Tensor, a: Tensor, b: Tensor, x: Tensor, s: Tensor) -> tuple[Tensor, Tensor]:
    """The decays and the states of one block, (B, block, S, E), from the state `s` before it."""
    decay = (dt[:, :, None] * a).exp_()
    states = (dt * x)[:, :, None] * b[..., None]
    for decay_t, state in zip(decay.unbind(1), states.unbind(1), strict=True):
        s = state.addcmul_(decay_t, s)
    return decay, states


def _blocks(x: Tensor) -> list[slice]:
    """The tokens of x (B, N, E), about √N at a time."""
    n = x.shape[1]
    length = math.isqrt(n - 1) + 1
    return [slice(i, i + length) for i in range(0, n, length)]
