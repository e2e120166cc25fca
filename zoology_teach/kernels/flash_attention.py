"""Causal attention with online softmax, optionally in a sliding window (chapter 13).

    out[t] = sum_s p[t, s] v[s]     p[t] = softmax_s(q[t] . k[s] / sqrt(d)),  t - window < s <= t

q, k, v, out (B, H, N, d), d <= 128. Bytes: 4 B H N d numbers to read and write; the N x N scores
never leave the chip. Flops: 4 d a visible pair, the floor from a few hundred tokens on. Backward
recomputes p from lse, the logarithm of each row's sum: 14 d a pair, 4 d of them because dq and
dk, dv are two kernels, so that no two programs add to one number.
"""

import math
from functools import partial
from typing import Any

import torch
from torch import Tensor

from zoology_teach.checks import require, require_int
from zoology_teach.kernels.attention_tiles import (
    add_product,
    check,
    constants,
    load,
    per_row,
    score,
    store,
    take_in,
    takes,
)
from zoology_teach.kernels.derivatives import beyond_one_gradient, gradients_of_reference
from zoology_teach.kernels.dispatch import launch, tl, triton, uses_triton


def reference(q: Tensor, k: Tensor, v: Tensor, window: int | None = None) -> Tensor:
    """The definition: every score, a mask, a softmax."""
    t = torch.arange(q.shape[2], device=q.device)
    lag = t[:, None] - t
    seen = (lag >= 0) & (lag < (window or len(t)))
    scores = q @ k.transpose(2, 3) / math.sqrt(q.shape[3])
    return scores.masked_fill(~seen, -torch.inf).softmax(3) @ v


@triton.jit
def visible(t0, N, window, BM: tl.constexpr, BN: tl.constexpr):
    """Tokens first..stop-1 are seen by rows t0..t0+BM-1; start..diagonal-1 by all of them."""
    stop = tl.minimum(t0 + BM, N)
    diagonal = t0 // BN * BN
    start = tl.minimum(tl.cdiv(tl.maximum(stop - window, 0), BN) * BN, diagonal)
    return tl.maximum(t0 - window + 1, 0) // BN * BN, start, diagonal, stop


@triton.jit
def forward_kernel(
    q, k, v, out, lse, N, window, D: tl.constexpr, PAD: tl.constexpr, SCALE: tl.constexpr,
    WIDEN: tl.constexpr, BANDED: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr,
):  # fmt: skip
    """One program: BM rows of one head, and the tokens they see, BN at a time."""
    head = (tl.program_id(0) // tl.cdiv(N, BM)).to(tl.int64) * N
    t0 = tl.program_id(0) % tl.cdiv(N, BM) * BM
    t = t0 + tl.arange(0, BM)
    k, v = k + head * D, v + head * D
    queries = load(q + head * D, t, N, D, PAD, WIDEN)
    best = tl.full((BM,), -3e38, lse.dtype.element_ty)  # finite: -inf - -inf would be NaN
    total, acc = tl.zeros_like(best), tl.zeros((BM, PAD), best.dtype)
    bounds = visible(t0, N, window, BM, BN)
    for part in tl.static_range(0 if BANDED else 1, 3):  # part 1, most of it, needs no mask
        for s0 in range(bounds[part], bounds[part + 1], BN):
            s = s0 + tl.arange(0, BN)
            keys, values = load(k, s, N, D, PAD, WIDEN), load(v, s, N, D, PAD, WIDEN)
            scores = score(queries, keys, t[:, None] - s[None, :], window, SCALE, part != 1)
            acc, best, total = take_in(acc, best, total, scores, values)
    total = tl.where(t < N, total, 1.0)  # rows past the end may have seen nothing
    store(out + head * D, t, acc / total[:, None], N, D, PAD)
    tl.store(lse + head + t, best + tl.log2(total), mask=t < N)


@triton.jit
def query_kernel(
    q, k, v, out, lse, grad, delta, dq, N, window,
    D: tl.constexpr, PAD: tl.constexpr, SCALE: tl.constexpr, WIDEN: tl.constexpr,
    BANDED: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr,
):  # fmt: skip
    """dq of BM rows: sum_s p (grad . v[s] - delta) k[s]; delta = grad . out is kept."""
    head = (tl.program_id(0) // tl.cdiv(N, BM)).to(tl.int64) * N
    t0 = tl.program_id(0) % tl.cdiv(N, BM) * BM
    t = t0 + tl.arange(0, BM)
    k, v = k + head * D, v + head * D
    queries = load(q + head * D, t, N, D, PAD, WIDEN)
    grads = load(grad + head * D, t, N, D, PAD, WIDEN)
    row_lse = tl.load(lse + head + t, mask=t < N, other=float("inf"))
    acc = tl.zeros((BM, PAD), row_lse.dtype)
    row_delta = tl.sum(load(out + head * D, t, N, D, PAD, WIDEN).to(acc.dtype) * grads, 1)
    bounds = visible(t0, N, window, BM, BN)
    for part in tl.static_range(0 if BANDED else 1, 3):
        for s0 in range(bounds[part], bounds[part + 1], BN):
            s = s0 + tl.arange(0, BN)
            keys, values = load(k, s, N, D, PAD, WIDEN), load(v, s, N, D, PAD, WIDEN)
            scores = score(queries, keys, t[:, None] - s[None, :], window, SCALE, part != 1)
            dp = tl.dot(grads, tl.trans(values), input_precision="ieee") - row_delta[:, None]
            acc = add_product(acc, tl.exp2(scores - row_lse[:, None]) * dp, keys)
    store(dq + head * D, t, acc * (SCALE * 0.6931471805599453), N, D, PAD)  # 1 / sqrt(d)
    tl.store(delta + head + t, row_delta, mask=t < N)


@triton.jit
def key_kernel(
    q, k, v, lse, grad, delta, dk, dv, N, window,
    D: tl.constexpr, PAD: tl.constexpr, SCALE: tl.constexpr, WIDEN: tl.constexpr,
    BANDED: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr,
):  # fmt: skip
    """dk and dv of BN tokens, summed over the rows that see them, BM at a time."""
    head = (tl.program_id(0) // tl.cdiv(N, BN)).to(tl.int64) * N
    s0 = tl.program_id(0) % tl.cdiv(N, BN) * BN
    s = s0 + tl.arange(0, BN)
    q, grad = q + head * D, grad + head * D
    keys = load(k + head * D, s, N, D, PAD, WIDEN)
    values = load(v + head * D, s, N, D, PAD, WIDEN)
    key_acc = tl.zeros((BN, PAD), lse.dtype.element_ty)
    value_acc = tl.zeros_like(key_acc)
    stop = tl.minimum(s0 + BN - 1 + window, N)
    near = tl.minimum(tl.cdiv(s0 + BN - 1, BM) * BM, stop)  # rows near..far-1 see all BN tokens
    far = tl.maximum(tl.minimum((s0 + window) // BM * BM, stop), near) if BANDED else stop
    bounds = s0 // BM * BM, near, far, stop
    for part in tl.static_range(0, 3 if BANDED else 2):
        for t0 in range(bounds[part], bounds[part + 1], BM):
            t = t0 + tl.arange(0, BM)
            queries, grads = load(q, t, N, D, PAD, WIDEN), load(grad, t, N, D, PAD, WIDEN)
            row_lse = tl.load(lse + head + t, mask=t < N, other=float("inf"))  # so that p is 0
            row_delta = tl.load(delta + head + t, mask=t < N, other=0.0)
            scores = score(keys, queries, t[None, :] - s[:, None], window, SCALE, part != 1)
            p = tl.exp2(scores - row_lse[None, :])
            value_acc = add_product(value_acc, p, grads)
            dp = tl.dot(values, tl.trans(grads), input_precision="ieee") - row_delta[None, :]
            key_acc = add_product(key_acc, p * dp, queries)
    store(dk + head * D, s, key_acc * (SCALE * 0.6931471805599453), N, D, PAD)
    store(dv + head * D, s, value_acc, N, D, PAD)


@torch.library.custom_op("zoology_teach::attention", mutates_args=())
def _forward(q: Tensor, k: Tensor, v: Tensor, window: int) -> tuple[Tensor, Tensor]:
    out, lse = torch.empty_like(q), per_row(q)
    _launch(forward_kernel, "forward", "BM", q, (q, k, v, out, lse), window)
    return out, lse


@torch.library.custom_op("zoology_teach::attention_backward", mutates_args=())
def _backward(
    q: Tensor, k: Tensor, v: Tensor, out: Tensor, lse: Tensor, grad: Tensor, window: int
) -> tuple[Tensor, Tensor, Tensor]:
    dq, dk, dv, delta = (torch.empty_like(x) for x in (q, k, v, lse))
    _launch(query_kernel, "query", "BM", q, (q, k, v, out, lse, grad, delta, dq), window)
    _launch(key_kernel, "key", "BN", q, (q, k, v, lse, grad, delta, dk, dv), window)
    return dq, dk, dv


def _launch(
    kernel: "triton.JITFunction",
    name: str,
    held: str,
    q: Tensor,
    tensors: tuple[Tensor, ...],
    window: int,
) -> None:
    fixed, (b, h, n, _) = constants(name, q), q.shape
    grid = (b * h * triton.cdiv(n, fixed[held]),)
    launch(kernel, grid, *tensors, n, window, BANDED=window < n, **fixed)


@_forward.register_fake
def _(q: Tensor, k: Tensor, v: Tensor, window: int) -> tuple[Tensor, Tensor]:
    return torch.empty_like(q), per_row(q)


@_backward.register_fake
def _(
    q: Tensor, k: Tensor, v: Tensor, out: Tensor, lse: Tensor, grad: Tensor, window: int
) -> tuple[Tensor, Tensor, Tensor]:
    return torch.empty_like(q), torch.empty_like(k), torch.empty_like(v)


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    *tensors, ctx.window = inputs
    ctx.save_for_backward(*tensors, *output)


def _differentiate(ctx: Any, grad: Tensor, _: None) -> tuple[Tensor | None, ...]:
    if beyond_one_gradient():
        windowed = partial(reference, window=ctx.window)
        return *gradients_of_reference(windowed, ctx.saved_tensors[:3], grad), None
    return *_backward(*ctx.saved_tensors, grad.contiguous(), ctx.window), None


_forward.register_autograd(_differentiate, setup_context=_save)


def attention(
    q: Tensor, k: Tensor, v: Tensor, window: int | None = None, *, impl: str = "auto"
) -> Tensor:
    """q, k, v (B, H, N, d) -> (B, H, N, d); position t sees tokens t - window + 1 .. t.

    A second derivative is the reference's. Raises ValueError for shapes that do not fit, a window
    below 1, heads wider than 128 with impl="triton" (the reference takes them otherwise), and an
    `impl` that cannot run here.
    """
    if window is not None:
        require_int("window", window, 1)
    check(impl, q, k, v)
    require(k.shape == q.shape, "k shape", tuple(k.shape), f"q's, {tuple(q.shape)}")
    if not uses_triton(impl, takes(q, q.shape[3]), q=q, k=k, v=v):
        return reference(q, k, v, window)
    n = q.shape[2]
    return _forward(q.contiguous(), k.contiguous(), v.contiguous(), min(window or n, n))[0]
