"""The causal depthwise short convolution (chapter 12).

    y[b, t, d] = sum_{l < k} filter[d, l] u[b, t - l, d] + bias[d]     u, y (B, N, D); filter (D, k)

Floors in bytes: read u, write y; the k taps come from the cache. 2 k flops a number: far too
few to matter, so the only thing to save is passes over the memory. k <= 8.
"""

import torch
from torch import Tensor

from zoology_teach.checks import require
from zoology_teach.kernels.dispatch import tl, triton, uses_triton

MAX_TAPS = 8
BLOCK_N, BLOCK_D = 32, 64


def reference(u: Tensor, filter: Tensor, bias: Tensor | None = None) -> Tensor:
    """The definition: a sum of shifted copies."""
    y = u * filter[:, 0]
    for lag in range(1, min(filter.shape[1], u.shape[1])):
        y = y + torch.nn.functional.pad(u[:, :-lag], (0, 0, lag, 0)) * filter[:, lag]
    return y if bias is None else y + bias


@triton.jit
def forward_kernel(
    u,
    filter,
    bias,
    y,
    N,
    D,
    TAPS: tl.constexpr,
    ACC: tl.constexpr,
    BN: tl.constexpr,
    BD: tl.constexpr,
):
    """One program: BN tokens of BD channels of one sequence."""
    t = tl.program_id(1) * BN + tl.arange(0, BN)[:, None]
    d = tl.program_id(2) * BD + tl.arange(0, BD)[None, :]
    start = tl.program_id(0).to(tl.int64) * N * D
    total = tl.load(bias + d, mask=d < D, other=0.0).to(ACC) + tl.zeros((BN, BD), ACC)
    for lag in tl.static_range(TAPS):
        seen = (t >= lag) & (t - lag < N) & (d < D)
        tile = tl.load(u + start + (t - lag) * D + d, mask=seen, other=0.0).to(ACC)
        total += tile * tl.load(filter + d * TAPS + lag, mask=d < D, other=0.0).to(ACC)
    tl.store(y + start + t * D + d, total, mask=(t < N) & (d < D))


@triton.jit
def backward_kernel(
    u, filter, grad, grad_u, grad_filter, N, D,
    TAPS: tl.constexpr, ACC: tl.constexpr, BN: tl.constexpr, BD: tl.constexpr,
):  # fmt: skip
    """grad_u of the tile, and the tile's share of grad_filter in a row of its own: no atomics."""
    t = tl.program_id(1) * BN + tl.arange(0, BN)[:, None]
    d = tl.program_id(2) * BD + tl.arange(0, BD)[None, :]
    start = tl.program_id(0).to(tl.int64) * N * D
    tile = (t < N) & (d < D)
    here = tl.load(u + start + t * D + d, mask=tile, other=0.0).to(ACC)
    total = tl.zeros((BN, BD), ACC)
    share = grad_filter + (tl.program_id(0) * tl.num_programs(1) + tl.program_id(1)) * D * TAPS
    for lag in tl.static_range(TAPS):
        ahead = tl.load(
            grad + start + (t + lag) * D + d, mask=(t + lag < N) & (d < D), other=0.0
        ).to(ACC)
        total += ahead * tl.load(filter + d * TAPS + lag, mask=d < D, other=0.0).to(ACC)
        tl.store(share + d * TAPS + lag, tl.sum(ahead * here, axis=0)[None, :], mask=d < D)
    tl.store(grad_u + start + t * D + d, total, mask=tile)


@torch.library.custom_op("zoology_teach::short_conv", mutates_args=())
def _forward(u: Tensor, filter: Tensor, bias: Tensor) -> Tensor:
    y = torch.empty_like(u)
    forward_kernel[_grid(u)](u, filter, bias, y, *u.shape[1:], **_constants(u, filter))
    return y


@torch.library.custom_op("zoology_teach::short_conv_backward", mutates_args=())
def _backward(u: Tensor, filter: Tensor, grad: Tensor) -> tuple[Tensor, Tensor]:
    grid, grad_u = _grid(u), torch.empty_like(u)
    dtype = torch.float64 if u.dtype == torch.float64 else torch.float32
    shares = torch.empty(grid[0] * grid[1], *filter.shape, dtype=dtype, device=u.device)
    backward_kernel[grid](u, filter, grad, grad_u, shares, *u.shape[1:], **_constants(u, filter))
    return grad_u, shares.sum(0).to(filter.dtype)


@_forward.register_fake
def _(u, filter, bias):
    return torch.empty_like(u)


@_backward.register_fake
def _(u, filter, grad):
    return torch.empty_like(u), torch.empty_like(filter)


def _save(ctx, inputs, output):
    u, filter, _ = inputs
    ctx.save_for_backward(u, filter)


def _differentiate(ctx, grad):
    grad_u, grad_filter = _backward(*ctx.saved_tensors, grad.contiguous())
    return grad_u, grad_filter, grad.sum((0, 1))


_forward.register_autograd(_differentiate, setup_context=_save)


def short_conv(
    u: Tensor, filter: Tensor, bias: Tensor | None = None, *, impl: str = "auto"
) -> Tensor:
    """u (B, N, D), filter (D, k), bias (D,) -> y (B, N, D), for k <= 8; see `mixers`' ShortConv.

    Raises ValueError for shapes that do not fit and for an `impl` that cannot run here.
    """
    _check(u, filter, bias)
    if not uses_triton(impl, u=u, filter=filter, bias=bias):
        return reference(u, filter, bias)
    bias = u.new_zeros(u.shape[2]) if bias is None else bias
    return _forward(u.contiguous(), filter.contiguous(), bias.contiguous())


def _check(u: Tensor, filter: Tensor, bias: Tensor | None) -> None:
    require(u.dim() == 3, "u shape", tuple(u.shape), "(B, N, D)")
    d = u.shape[2]
    fits = filter.dim() == 2 and filter.shape[0] == d and 1 <= filter.shape[1] <= MAX_TAPS
    require(fits, "filter shape", tuple(filter.shape), f"({d}, k) with k <= {MAX_TAPS}")
    if bias is not None:
        require(bias.shape == (d,), "bias shape", tuple(bias.shape), f"({d},)")


def _grid(u: Tensor) -> tuple[int, int, int]:
    b, n, d = u.shape
    return b, triton.cdiv(n, BLOCK_N), triton.cdiv(d, BLOCK_D)


def _constants(u: Tensor, filter: Tensor) -> dict:
    acc = tl.float64 if u.dtype == torch.float64 else tl.float32
    return {"TAPS": filter.shape[1], "ACC": acc, "BN": BLOCK_N, "BD": BLOCK_D}
