"""The causal convolution with a filter as long as the sequence, by Toeplitz tiles (chapter 13).

    y[b, d, t] = sum_{s <= t} h[d, t - s] u[b, d, s]            u, y (B, D, N); h (D, N)

Cut one channel's time into tiles of P numbers. Column c = tile * B + batch of a matrix U holds one
tile of one sequence, so that k tiles earlier is k B columns to the left:

    Y[:, c] = sum_k T_k U[:, c - k B]          T_k[t, s] = h[k P + t - s], 0 at a negative index

This is attention whose score depends on t - s only, with columns in the part of head_dim. The
gradient for u looks k tiles ahead, with T_k transposed. The gradient for h is, for each k, the
product of grad's columns with u's k B to the left, summed along its diagonals.

Floors for numbers of e bytes: B D N (2 + 1 / B) e bytes and B D N (N + P) flops, for (16, 768,
2048) in bfloat16 on an H100 35 us and 66 us. Any B, D, N; time is the last dimension, and unless
N is a multiple of 16 the input is copied. An inf or NaN may spoil earlier numbers of its tile.
"""

from typing import Any

import torch
from torch import Tensor

from zoology_teach.checks import require
from zoology_teach.kernels.derivatives import beyond_one_gradient, gradients_of_reference
from zoology_teach.kernels.dispatch import launch, must_widen, runs_on, tl, triton, uses_triton

# The longest sequence for which "auto" takes Triton, by the bytes of a number. Arithmetic, not a
# measurement: benchmarks/kernels.py times both sides again where there is a GPU. On an H100 the
# passes of torch.fft over memory, at 3.35 TB/s, take the same time whatever N is; the tiles take N
# flops a number, at 989 TFLOP/s from 16-bit tensor cores and at 67 TFLOP/s in float32. Chapter 13
# counts that they are equal at N = 22,000 and at 1,200; 0.4 of it leaves the kernel room to reach
# 0.4 of that speed.
CROSSING = {2: 8192, 4: 512, 8: 0}


def reference(u: Tensor, h: Tensor) -> Tensor:
    """The definition by FFT. Padding to 2N keeps the end from wrapping round to the start."""
    n = u.shape[-1]
    wide = torch.promote_types(u.dtype, torch.float32)
    spectrum = torch.fft.rfft(u.to(wide), n=2 * n) * torch.fft.rfft(h.to(wide), n=2 * n)
    return torch.fft.irfft(spectrum, n=2 * n)[..., :n].to(u.dtype)


@triton.jit
def convolve_kernel(
    u, h, y, B, D, N,
    REVERSE: tl.constexpr, WIDEN: tl.constexpr, ACC: tl.constexpr, P: tl.constexpr,
    BC: tl.constexpr,
):  # fmt: skip
    """One program: BC columns of one channel. REVERSE looks k tiles ahead instead of back."""
    d = tl.program_id(1).to(tl.int64)
    first = tl.program_id(0) * BC
    c = first + tl.arange(0, BC)[None, :]
    row, column = tl.arange(0, P)[:, None], tl.arange(0, P)[None, :]
    channel = ((c % B) * D + d) * N
    t = c // B * P + row
    lag = column - row if REVERSE else row - column
    tiles = tl.cdiv(N, P)
    reach = tiles - first // B if REVERSE else tl.minimum((first + BC - 1) // B + 1, tiles)
    total = tl.zeros((P, BC), ACC)
    for k in range(reach):
        l = lag + k * P
        toeplitz = tl.load(h + d * N + l, mask=(l >= 0) & (l < N), other=0.0)
        s = t + k * P if REVERSE else t - k * P
        tile = tl.load(u + channel + s, mask=(s >= 0) & (s < N), other=0.0)
        if WIDEN:
            toeplitz, tile = toeplitz.to(ACC), tile.to(ACC)
        total = tl.dot(toeplitz, tile, total, input_precision="ieee", out_dtype=ACC)
    tl.store(y + channel + t, total, mask=t < N)


@triton.jit
def filter_grad_kernel(
    u, grad, shares, B, D, N,
    WIDEN: tl.constexpr, ACC: tl.constexpr, P: tl.constexpr, BC: tl.constexpr,
):  # fmt: skip
    """One program: M[t, s], what grad at t and u at s, k tiles before, give to the lag t - s."""
    k, d = tl.program_id(0), tl.program_id(1).to(tl.int64)
    row, column = tl.arange(0, P)[:, None], tl.arange(0, P)[None, :]
    tiles = tl.cdiv(N, P)
    total = tl.zeros((P, P), ACC)
    for first in range(k * B, tiles * B, BC):
        c = first + tl.arange(0, BC)[None, :]
        channel = ((c % B) * D + d) * N
        t = c // B * P + row
        later = tl.load(grad + channel + t, mask=t < N, other=0.0)
        tile = tl.load(u + channel + t - k * P, mask=t - k * P < N, other=0.0)
        if WIDEN:
            later, tile = later.to(ACC), tile.to(ACC)
        total = tl.dot(later, tl.trans(tile), total, input_precision="ieee", out_dtype=ACC)
    # Column m gathers lag m, on and below the diagonal of M, and lag m - P, above it. The first is
    # the filter's tap k P + m, the second tap (k - 1) P + m: one share each, so no two programs
    # write to one number.
    diagonals = tl.gather(total, (row - column) & (P - 1), axis=1)
    share = shares + (d * tiles + k) * P + tl.arange(0, P)
    tl.store(share, tl.sum(tl.where(row >= column, diagonals, 0.0), axis=0))
    tl.store(share + D * tiles * P, tl.sum(tl.where(row < column, diagonals, 0.0), axis=0))


def convolve(u: Tensor, h: Tensor, reverse: bool) -> Tensor:
    """u (B, D, N), h (D, N) -> y (B, D, N): the convolution, or `reverse`, its gradient for u."""
    y, (b, d, n) = torch.empty_like(u), u.shape
    p, columns, options = _blocks(u)
    grid = (triton.cdiv(b * triton.cdiv(n, p), columns), d)
    launch(convolve_kernel, grid, u, h, y, b, d, n, REVERSE=reverse, BC=columns, **options)
    return y


@torch.library.custom_op("zoology_teach::long_conv", mutates_args=())
def _forward(u: Tensor, h: Tensor) -> Tensor:
    return convolve(u, h, reverse=False)


@torch.library.custom_op("zoology_teach::long_conv_input_grad", mutates_args=())
def _input_grad(h: Tensor, grad: Tensor) -> Tensor:
    return convolve(grad, h, reverse=True)


@torch.library.custom_op("zoology_teach::long_conv_filter_grad", mutates_args=())
def _filter_grad(u: Tensor, grad: Tensor) -> Tensor:
    b, d, n = u.shape
    p, columns, options = _blocks(u)
    tiles, columns = triton.cdiv(n, p), min(columns, 64)
    wide = torch.promote_types(u.dtype, torch.float32)
    shares = torch.empty(2, d, tiles, p, dtype=wide, device=u.device)
    launch(filter_grad_kernel, (tiles, d), u, grad, shares, b, d, n, BC=columns, **options)
    shares[0, :, :-1] += shares[1, :, 1:]
    return shares[0].flatten(1)[:, :n].to(u.dtype).contiguous()


_forward.register_fake(lambda u, h: torch.empty_like(u))
_input_grad.register_fake(lambda h, grad: torch.empty_like(grad))
_filter_grad.register_fake(lambda u, grad: u.new_empty(u.shape[1:]))


def _save(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _differentiate(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    if beyond_one_gradient():
        return tuple(gradients_of_reference(reference, ctx.saved_tensors, grad))
    (u, h), grad = ctx.saved_tensors, grad.contiguous()
    need_u, need_h = ctx.needs_input_grad
    return _input_grad(h, grad) if need_u else None, _filter_grad(u, grad) if need_h else None


_forward.register_autograd(_differentiate, setup_context=_save)


def takes(u: Tensor, h: Tensor) -> bool:
    """Whether "auto" means the kernel: on a GPU, for a filter as long as u, up to `CROSSING`."""
    fits = u.dim() == 3 and h.shape == u.shape[1:]
    return runs_on(u) and fits and u.shape[2] <= CROSSING[u.dtype.itemsize]


def long_conv(u: Tensor, h: Tensor, *, impl: str = "auto") -> Tensor:
    """u (B, D, N), h (D, N) -> y (B, D, N), y[b, d, t] = sum_{s <= t} h[d, t - s] u[b, d, s].

    On a GPU "auto" takes Triton up to `CROSSING` and torch.fft beyond. A second derivative is the
    reference's. Raises ValueError for shapes that do not fit and for an `impl` that cannot run
    here. Chapter 13.
    """
    require(u.dim() == 3 and u.shape[1] > 0, "u shape", tuple(u.shape), "(B, D, N), D >= 1")
    require(h.shape == u.shape[1:], "h shape", tuple(h.shape), f"{tuple(u.shape[1:])}")
    in_triton, n = uses_triton(impl, takes(u, h), u=u, h=h), u.shape[2]
    if not u.numel():  # nothing, but with gradients of 0
        return u * h
    if not in_triton:
        return reference(u, h)
    if n % 16:  # rows that start anywhere are read number by number, and registers overflow
        u, h = (torch.nn.functional.pad(x, (0, -n % 16)) for x in (u, h))
    return _forward(u.contiguous(), h.contiguous())[..., :n]


def _blocks(u: Tensor) -> tuple[int, int, dict[str, Any]]:
    """P, the columns of a program, and what both kernels are launched with.

    A number of u that is read serves P products and one of T_k as many as there are columns:
    larger is better, until registers are full. But programs multiply with the future's zeros too,
    a share P / N + columns / (all columns) of the work, so short sequences get the smaller tile.
    """
    b, _, n = u.shape
    most = 256 // u.dtype.itemsize
    p = min(most, 128 if n >= 4096 else 64, max(16, triton.next_power_of_2(n)))
    columns = min(most, max(32, triton.next_power_of_2(b * triton.cdiv(n, p))))
    acc = tl.float64 if u.dtype == torch.float64 else tl.float32
    options = {"ACC": acc, "WIDEN": must_widen(u), "P": p}
    return p, columns, {**options, "num_warps": 8 if p == 128 else 4, "num_stages": 3}
