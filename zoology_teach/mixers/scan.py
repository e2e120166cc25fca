"""The linear recurrence behind every gated or selective state (chapter 08).

    s_t = a_t ⊙ s_{t-1} + x_t,   s_{-1} = 0                              a, x, s (B, N, ...)

Cumulative sums could write it as P_t sum_i x_i / P_i with P_t = a_1 ... a_t, but P_t soon
underflows and the division fails. Here nothing is divided: the sequence is cut into chunks
that start from zero side by side, then each chunk gets what the last one hands over,

    s_t  +=  (a_c ... a_t) s_{c-1}                                      c the chunk's start

and the product may vanish without harm. With chunks of about √N tokens that is 2√N steps
one after the other. O(N) work.
"""

import math
from typing import Any

import torch
from einops import rearrange
from torch import Tensor

from zoology_teach.checks import require
from zoology_teach.kernels import scan as kernel
from zoology_teach.kernels.derivatives import beyond_one_gradient, transformed

# A CPU is busy enough with this many numbers a step: chunks would only add passes.
BUSY = 4096


def linear_scan(a: Tensor, x: Tensor) -> Tensor:
    """s_t = a_t s_{t-1} + x_t along dimension 1, for x (B, N, ...) and a of a shape that
    broadcasts to it in the later dimensions -> s (B, N, ...). Any decay, 0 and 1 included.

    16-bit numbers are summed in float32. Raises ValueError for shapes that do not fit, and for
    an empty x.
    """
    require(x.numel() > 0, "x shape", tuple(x.shape), "(B, N, ...), none of them 0")
    fits = a.dim() == x.dim() >= 2 and all(
        p in (1, q) for p, q in zip(a.shape, x.shape, strict=False)
    )
    fits = fits and a.shape[:2] == x.shape[:2]
    require(fits, "a shape", tuple(a.shape), f"(B, N, ...) broadcasting to {tuple(x.shape)}")
    if kernel.takes(x) and x.dim() > 2:
        flat = (z.expand_as(x).flatten(2).to(x.dtype) for z in (a, x))
        return kernel.linear_scan(*flat).view_as(x)
    if min(a.itemsize, x.itemsize) < 4:
        return linear_scan(a.float(), x.float()).to(x.dtype)
    return (_one_by_one if transformed(a, x) else _LinearScan.apply)(a, x)


def _one_by_one(a: Tensor, x: Tensor) -> Tensor:
    """The definition."""
    s, states = torch.zeros_like(x[:, 0]), []
    for a_t, x_t in zip(a.unbind(1), x.unbind(1), strict=True):
        s = a_t * s + x_t
        states.append(s)
    return torch.stack(states, dim=1)


class _LinearScan(torch.autograd.Function):
    """The gradient of a recurrence is the same recurrence, run from the end:

    g_t = a_{t+1} g_{t+1} + ∂/∂s_t,   ∂/∂x_t = g_t,   ∂/∂a_t = g_t s_{t-1}.
    """

    @staticmethod
    def forward(ctx: Any, a: Tensor, x: Tensor) -> Tensor:
        s = _scan(a, x)
        ctx.save_for_backward(a, s)
        return s

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        a, s = ctx.saved_tensors
        after = torch.cat([a[:, 1:], torch.zeros_like(a[:, :1])], dim=1)
        if beyond_one_gradient(grad):
            g = linear_scan(after.flip(1), grad.flip(1)).flip(1)
            before = torch.cat([torch.zeros_like(s[:, :1]), s[:, :-1]], dim=1)
            return (g * before).sum_to_size(a.shape), g
        g = _scan(after, grad, backwards=True)
        grad_a = torch.zeros_like(a)
        grad_a[:, 1:] = (g[:, 1:] * s[:, :-1]).sum_to_size(grad_a[:, 1:].shape)
        return grad_a, g


def _scan(a: Tensor, x: Tensor, backwards: bool = False) -> Tensor:
    """The recurrence from the first token to the last, or from the last to the first."""
    n = x.shape[1]
    plain = x.is_cpu and x[:, 0].numel() >= BUSY
    length = n if plain else math.isqrt(n - 1) + 1
    a, x = (_chunks(z, length) for z in (a, x))
    s = torch.empty_like(x)

    # All chunks side by side, each from a state of 0.
    before = torch.zeros_like(x[:, :, 0])
    steps = list(zip(a.unbind(2), x.unbind(2), s.unbind(2), strict=True))
    for a_t, x_t, s_t in reversed(steps) if backwards else steps:
        before = torch.addcmul(x_t, a_t, before, out=s_t)

    # One chunk after another: what the last one hands over reaches each token, decayed.
    if s.shape[1] > 1:
        reach = a.flip(2).cumprod(2).flip(2) if backwards else a.cumprod(2)
        handed_over = torch.zeros_like(s[:, 0, :1])
        chunks = list(zip(reach.unbind(1), s.unbind(1), strict=True))
        for reach_c, s_c in reversed(chunks) if backwards else chunks:
            s_c.addcmul_(reach_c, handed_over)
            handed_over = s_c[:, :1] if backwards else s_c[:, -1:]
    return rearrange(s, "b c l ... -> b (c l) ...")[:, :n]


def _chunks(z: Tensor, length: int) -> Tensor:
    """(B, N, ...) -> (B, chunks, length, ...), with zeros at the end."""
    missing = -z.shape[1] % length
    if missing:
        z = torch.cat([z, z.new_zeros(z.shape[0], missing, *z.shape[2:])], dim=1)
    return rearrange(z, "b (c l) ... -> b c l ...", l=length)
