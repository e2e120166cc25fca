"""Causal attention of selected rows only, each to its whole past (chapter 13).

    out[i] = sum_{s <= positions[i]} p[i, s] v[s]       p[i] = softmax_s(q[i] . k[s] / sqrt(d))

q, out (B, H, k, d); k, v (B, H, N, d); positions (B, k), in any order, repeated if need be; a
negative one is an unused slot, which is 0 and has no gradient. Rows not selected cost nothing:
flops 4 d a visible pair forward, 14 d backward, at most k N pairs; bytes 2 B H (N + k) d numbers.
It is flash attention over a list of rows, in the order of their positions, so that the rows of
one program end at nearly the same token. Few rows in few heads leave most of a GPU idle: a
program walks through its whole past alone.
"""

import math
from functools import partial
from typing import Any

import torch
from torch import Tensor

from zoology_teach.checks import require
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
from zoology_teach.kernels.derivatives import (
    beyond_one_gradient,
    gradients_of_reference,
    transformed,
)
from zoology_teach.kernels.dispatch import launch, tl, triton, uses_triton


def reference(q: Tensor, k: Tensor, v: Tensor, positions: Tensor) -> Tensor:
    """The definition: every score of the selected rows, a mask, a softmax."""
    seen = torch.arange(k.shape[2], device=q.device) <= positions[:, None, :, None]
    scores = q @ k.transpose(2, 3) / math.sqrt(q.shape[3])
    lowest = torch.finfo(q.dtype).min  # finite, so that a row that sees nothing is not NaN
    return (scores.masked_fill(~seen, lowest).softmax(3) * seen) @ v


@triton.jit
def forward_kernel(
    q, k, v, at, order, out, lse, H, K, N, D: tl.constexpr, PAD: tl.constexpr,
    SCALE: tl.constexpr, WIDEN: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr,
):  # fmt: skip
    """One program: BM rows of one head, sorted by position, and the tokens they see."""
    head = (tl.program_id(0) // tl.cdiv(K, BM)).to(tl.int64)
    i0 = tl.program_id(0) % tl.cdiv(K, BM) * BM
    i = i0 + tl.arange(0, BM)
    at, order = at + head // H * K, order + head // H * K
    k, v = k + head * N * D, v + head * N * D
    row = tl.load(order + i, mask=i < K, other=K)  # the i-th row is row order[i] of q
    t = tl.load(at + i, mask=i < K, other=-1)
    queries = load(q + head * K * D, row, K, D, PAD, WIDEN)
    best = tl.full((BM,), -3e38, lse.dtype.element_ty)
    total, acc = tl.zeros_like(best), tl.zeros((BM, PAD), best.dtype)
    bounds = 0, (tl.load(at + i0) + 1) // BN * BN, tl.load(at + tl.minimum(i0 + BM, K) - 1) + 1
    for part in tl.static_range(2):  # part 0 needs no mask
        for s0 in range(bounds[part], bounds[part + 1], BN):
            s = s0 + tl.arange(0, BN)
            keys, values = load(k, s, N, D, PAD, WIDEN), load(v, s, N, D, PAD, WIDEN)
            scores = score(queries, keys, t[:, None] - s[None, :], N, SCALE, part == 1)
            acc, best, total = take_in(acc, best, total, scores, values)
    some = tl.where(total > 0, total, 1.0)  # an unused slot has taken in nothing
    store(out + head * K * D, row, acc / some[:, None], K, D, PAD)
    row_lse = tl.where(total > 0, best + tl.log2(some), float("inf"))
    tl.store(lse + head * K + i, row_lse, mask=i < K)


@triton.jit
def query_kernel(
    q, k, v, at, order, out, lse, grad, delta, dq, H, K, N, D: tl.constexpr, PAD: tl.constexpr,
    SCALE: tl.constexpr, WIDEN: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr,
):  # fmt: skip
    """dq of BM rows: sum_s p (grad . v[s] - delta) k[s]; delta = grad . out is kept."""
    head = (tl.program_id(0) // tl.cdiv(K, BM)).to(tl.int64)
    i0 = tl.program_id(0) % tl.cdiv(K, BM) * BM
    i = i0 + tl.arange(0, BM)
    at, order = at + head // H * K, order + head // H * K
    k, v = k + head * N * D, v + head * N * D
    row = tl.load(order + i, mask=i < K, other=K)
    t = tl.load(at + i, mask=i < K, other=-1)
    queries = load(q + head * K * D, row, K, D, PAD, WIDEN)
    grads = load(grad + head * K * D, row, K, D, PAD, WIDEN)
    row_lse = tl.load(lse + head * K + i, mask=i < K, other=float("inf"))
    acc = tl.zeros((BM, PAD), row_lse.dtype)
    row_delta = tl.sum(load(out + head * K * D, row, K, D, PAD, WIDEN).to(acc.dtype) * grads, 1)
    bounds = 0, (tl.load(at + i0) + 1) // BN * BN, tl.load(at + tl.minimum(i0 + BM, K) - 1) + 1
    for part in tl.static_range(2):
        for s0 in range(bounds[part], bounds[part + 1], BN):
            s = s0 + tl.arange(0, BN)
            keys, values = load(k, s, N, D, PAD, WIDEN), load(v, s, N, D, PAD, WIDEN)
            scores = score(queries, keys, t[:, None] - s[None, :], N, SCALE, part == 1)
            dp = tl.dot(grads, tl.trans(values), input_precision="ieee") - row_delta[:, None]
            acc = add_product(acc, tl.exp2(scores - row_lse[:, None]) * dp, keys)
    store(dq + head * K * D, row, acc * (SCALE * 0.6931471805599453), K, D, PAD)
    tl.store(delta + head * K + i, row_delta, mask=i < K)


@triton.jit
def key_kernel(
    q, k, v, at, order, seen_from, lse, grad, delta, dk, dv, H, K, N,
    D: tl.constexpr, PAD: tl.constexpr, SCALE: tl.constexpr, WIDEN: tl.constexpr,
    BM: tl.constexpr, BN: tl.constexpr,
):  # fmt: skip
    """dk and dv of BN tokens, summed over the selected rows that see them, BM at a time."""
    blocks = tl.cdiv(N, BN)
    head, block = (tl.program_id(0) // blocks).to(tl.int64), tl.program_id(0) % blocks
    s = block * BN + tl.arange(0, BN)
    at, order = at + head // H * K, order + head // H * K
    keys = load(k + head * N * D, s, N, D, PAD, WIDEN)
    values = load(v + head * N * D, s, N, D, PAD, WIDEN)
    key_acc = tl.zeros((BN, PAD), lse.dtype.element_ty)
    value_acc = tl.zeros_like(key_acc)
    first = tl.load(seen_from + head // H * blocks + block)  # the first row that sees any of them
    for i0 in range(first, K, BM):
        i = i0 + tl.arange(0, BM)
        row = tl.load(order + i, mask=i < K, other=K)
        t = tl.load(at + i, mask=i < K, other=-1)
        queries = load(q + head * K * D, row, K, D, PAD, WIDEN)
        grads = load(grad + head * K * D, row, K, D, PAD, WIDEN)
        row_lse = tl.load(lse + head * K + i, mask=i < K, other=float("inf"))
        row_delta = tl.load(delta + head * K + i, mask=i < K, other=0.0)
        scores = score(keys, queries, t[None, :] - s[:, None], N, SCALE, True)
        p = tl.exp2(scores - row_lse[None, :])
        value_acc = add_product(value_acc, p, grads)
        dp = tl.dot(values, tl.trans(grads), input_precision="ieee") - row_delta[None, :]
        key_acc = add_product(key_acc, p * dp, queries)
    store(dk + head * N * D, s, key_acc * (SCALE * 0.6931471805599453), N, D, PAD)
    store(dv + head * N * D, s, value_acc, N, D, PAD)


@torch.library.custom_op("zoology_teach::sparse_attention", mutates_args=())
def _forward(q: Tensor, k: Tensor, v: Tensor, at: Tensor, order: Tensor) -> tuple[Tensor, Tensor]:
    out, lse = torch.empty_like(q), per_row(q)
    _launch(forward_kernel, "forward", q, k, (q, k, v, at, order, out, lse))
    return out, lse


@torch.library.custom_op("zoology_teach::sparse_attention_backward", mutates_args=())
def _backward(
    q: Tensor, k: Tensor, v: Tensor, at: Tensor, order: Tensor,
    out: Tensor, lse: Tensor, grad: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    dq, dk, dv, delta = (torch.empty_like(x) for x in (q, k, v, lse))
    _launch(query_kernel, "query", q, k, (q, k, v, at, order, out, lse, grad, delta, dq))
    starts = torch.arange(0, k.shape[2], constants("key", q)["BN"], device=q.device)
    seen_from = torch.searchsorted(at, starts.int().expand(len(at), -1).contiguous())
    _launch(key_kernel, "key", q, k, (q, k, v, at, order, seen_from, lse, grad, delta, dk, dv))
    return dq, dk, dv


def _launch(
    kernel: "triton.JITFunction", name: str, q: Tensor, k: Tensor, tensors: tuple[Tensor, ...]
) -> None:
    fixed, (b, h, rows, _), n = constants(name, q), q.shape, k.shape[2]
    blocks = triton.cdiv(n, fixed["BN"]) if name == "key" else triton.cdiv(rows, fixed["BM"])
    launch(kernel, (b * h * blocks,), *tensors, h, rows, n, **fixed)


@_forward.register_fake
def _(q: Tensor, k: Tensor, v: Tensor, at: Tensor, order: Tensor) -> tuple[Tensor, Tensor]:
    return torch.empty_like(q), per_row(q)


@_backward.register_fake
def _(
    q: Tensor, k: Tensor, v: Tensor, at: Tensor, order: Tensor,
    out: Tensor, lse: Tensor, grad: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    return torch.empty_like(q), torch.empty_like(k), torch.empty_like(v)


def _save(ctx: Any, inputs: tuple[Tensor, ...], output: tuple[Tensor, ...]) -> None:
    ctx.save_for_backward(*inputs, *output)


def _differentiate(ctx: Any, grad: Tensor, _: None) -> tuple[Tensor | None, ...]:
    if beyond_one_gradient():
        q, k, v, at, order, *_ = ctx.saved_tensors
        selected = partial(reference, positions=at.gather(1, order.argsort(1)))
        return *gradients_of_reference(selected, (q, k, v), grad), None, None
    return *_backward(*ctx.saved_tensors, grad.contiguous()), None, None


_forward.register_autograd(_differentiate, setup_context=_save)


def sparse_attention(
    q: Tensor, k: Tensor, v: Tensor, positions: Tensor, *, impl: str = "auto"
) -> Tensor:
    """q (B, H, k, d), k and v (B, H, N, d), integer positions (B, k) < N -> out (B, H, k, d).

    A second derivative is the reference's. Raises ValueError for shapes that do not fit, positions
    that are no int32 or int64 or reach N (not checked on a GPU, where they see all N tokens, nor
    by torch.compile and torch.func), heads wider than 128 with impl="triton" (the reference takes
    them otherwise), and an `impl` that cannot run here.
    """
    check(impl, q, k, v)
    shape, n = (q.shape[0], q.shape[2]), k.shape[2]
    in_triton = uses_triton(impl, takes(q, q.shape[3]), q=q, k=k, v=v)
    require(positions.shape == shape, "positions shape", tuple(positions.shape), f"{shape}")
    integer = positions.dtype in (torch.int32, torch.int64)
    require(integer, "positions dtype", positions.dtype, "torch.int32 or torch.int64")
    require(positions.device == q.device, "positions device", positions.device, f"{q.device}")
    known = positions.is_cpu and not torch.compiler.is_compiling() and not transformed()
    if known and positions.numel():
        require(int(positions.max()) < n, "positions", int(positions.max()), f"below N = {n}")
    if not in_triton:
        return reference(q, k, v, positions)
    at, order = positions.clamp(-1, n - 1).int().sort(dim=1, stable=True)
    return _forward(q.contiguous(), k.contiguous(), v.contiguous(), at, order.int())[0]
