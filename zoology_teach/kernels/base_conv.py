"""BaseConv in one operation: projection, short convolution, gate and both biases (chapter 12).

    y = (u weight^T + bias_proj) ⊙ (filter * u + bias_conv)

u, y (B, N, D); weight (D, D) as in nn.Linear, out by in; filter (D, k); biases (D,).

Floors at (16, 2048, 768) in 16 bits. The matmul's 38.7 GFLOP take 48 µs at 800 TFLOP/s, and
reading u and writing y, 100 MB, take 34 µs at 3.0 TB/s; PyTorch's separate operations move some
300 MB more. Two ways, and `fuses` chooses between them:
- The convolution and the gate are the epilogue of the matmul: one kernel reads u and writes y,
  and the projection where backward will ask for it.
- cuBLAS projects, and one kernel (`short_conv`) convolves and gates: three passes more, but a
  matmul that no Triton kernel reaches in float32, and seldom at large widths.
Backward is that of `short_conv` with a gate, and two matmuls in cuBLAS, one of which adds to the
convolution's part of u's gradient. Limits: k <= 8.
"""

from typing import Any

import torch
from torch import Tensor

from zoology_teach.checks import require
from zoology_teach.kernels import short_conv as conv
from zoology_teach.kernels.derivatives import beyond_one_gradient, gradients_of_reference
from zoology_teach.kernels.dispatch import launch, must_widen, tl, triton, uses_triton

# The widest D for which the matmul is fused, by the bytes of a number. Arithmetic, not a
# measurement: benchmarks/kernels.py times the operation where there is a GPU. Tensor cores leave
# a 16-bit matmul limited by memory up to about D = 500, so saved passes pay; up to twice that
# they pay for a matmul slower than cuBLAS's. In float32 only the saved launches do.
WIDEST_FUSED = {2: 1024, 4: 128, 8: 0}


def reference(
    u: Tensor, weight: Tensor, bias_proj: Tensor, filter: Tensor, bias_conv: Tensor
) -> Tensor:
    """The definition: a projection times a convolution."""
    return torch.nn.functional.linear(u, weight, bias_proj) * conv.reference(u, filter, bias_conv)


@triton.jit
def fused_kernel(
    u, weight, bias_proj, filter, bias_conv, y, gate, M, N, D: tl.constexpr,
    TAPS: tl.constexpr, ACC: tl.constexpr, WIDEN: tl.constexpr,
    BM: tl.constexpr, BD: tl.constexpr, BK: tl.constexpr,
):  # fmt: skip
    """One program: BM of the M = B N rows, BD channels; `gate` None is not kept.

    Neighbouring programs share their rows of u, so these come from the L2 cache, as does the
    whole of `weight`.
    """
    tiles: tl.constexpr = (D + BD - 1) // BD
    row = tl.program_id(0) // tiles * BM + tl.arange(0, BM)[:, None]
    d = tl.program_id(0) % tiles * BD + tl.arange(0, BD)[None, :]
    start = row.to(tl.int64) * D
    total = tl.zeros((BM, BD), ACC)
    for first in range(0, D, BK):
        k = first + tl.arange(0, BK)
        x = tl.load(u + start + k[None, :], mask=(row < M) & (k[None, :] < D), other=0.0)
        w = tl.load(weight + d * D + k[:, None], mask=(d < D) & (k[:, None] < D), other=0.0)
        if WIDEN:
            x, w = x.to(ACC), w.to(ACC)
        total = tl.dot(x, w, total, input_precision="ieee", out_dtype=ACC)
    total += tl.load(bias_proj + d, mask=d < D, other=0.0).to(ACC)
    inside = (row < M) & (d < D)
    if gate is not None:
        tl.store(gate + start + d, total, mask=inside)
    total *= conv.convolve(u, filter, bias_conv, start + d, row % N, d, inside, D, TAPS, ACC)
    tl.store(y + start + d, total, mask=inside)


def fuses(u: Tensor) -> bool:
    """Whether one kernel does all of it for inputs like `u`."""
    return u.shape[2] <= WIDEST_FUSED[u.dtype.itemsize]


def tiles(d: int, itemsize: int, taps: int) -> dict[str, int]:
    """Rows BM, channels BD, summands BK of a step, and launch options of the fused kernel.

    The largest tiles that, compiled for sm_80 and sm_90, spill no registers and fit in the 99 KiB
    of shared memory of an RTX 3090. Many taps leave registers for half the channels only.
    """
    width = max(16, 1 << (d - 1).bit_length())
    if itemsize > 2:
        return {"BM": 64, "BD": min(64, width), "BK": 16, "num_warps": 4, "num_stages": 3}
    wide = d > 64 and taps <= 4
    tile = {"BM": 128, "BD": 128 if wide else min(64, width), "BK": min(64, width)}
    return {**tile, "num_warps": 4 if taps <= 4 and not wide else 8, "num_stages": 3}


@torch.library.custom_op("zoology_teach::base_conv", mutates_args=())
def _forward(
    u: Tensor, weight: Tensor, bias_proj: Tensor, filter: Tensor, bias_conv: Tensor, keep: bool
) -> tuple[Tensor, Tensor]:
    """y, and the projection for backward (empty unless `keep`)."""
    b, n, d = u.shape
    if not fuses(u):
        projected = torch.nn.functional.linear(u, weight, bias_proj)
        y = conv.forward(u, filter, bias_conv, projected)
        return y, projected if keep else u.new_empty(0)
    y, gate = torch.empty_like(u), torch.empty_like(u) if keep else None
    tile = tiles(d, u.dtype.itemsize, filter.shape[1])
    grid = (triton.cdiv(b * n, tile["BM"]) * triton.cdiv(d, tile["BD"]),)
    launch(
        fused_kernel, grid, u, weight, bias_proj, filter, bias_conv, y, gate, b * n, n, d,
        TAPS=filter.shape[1], ACC=tl.float64 if u.dtype == torch.float64 else tl.float32,
        WIDEN=must_widen(u), **tile,
    )  # fmt: skip
    return y, u.new_empty(0) if gate is None else gate


@torch.library.custom_op("zoology_teach::base_conv_backward", mutates_args=())
def _backward(
    u: Tensor, weight: Tensor, filter: Tensor, bias_conv: Tensor, gate: Tensor, grad: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of u and weight, and the sums (k + 2, D) of `short_conv.backward`."""
    grad_u, grad_gate, sums = conv.backward(u, filter, bias_conv, gate, grad)
    grad_u.flatten(0, 1).addmm_(grad_gate.flatten(0, 1), weight)
    return grad_u, grad_gate.flatten(0, 1).T @ u.flatten(0, 1), sums


@_forward.register_fake
def _(
    u: Tensor, weight: Tensor, bias_proj: Tensor, filter: Tensor, bias_conv: Tensor, keep: bool
) -> tuple[Tensor, Tensor]:
    return torch.empty_like(u), torch.empty_like(u) if keep else u.new_empty(0)


@_backward.register_fake
def _(
    u: Tensor, weight: Tensor, filter: Tensor, bias_conv: Tensor, gate: Tensor, grad: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    return (
        torch.empty_like(u),
        torch.empty_like(weight),
        u.new_empty(filter.shape[1] + 2, len(weight)),
    )


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    *tensors, _ = inputs
    ctx.save_for_backward(*tensors, output[1])


def _differentiate(ctx: Any, grad: Tensor, _: None) -> tuple[Tensor | None, ...]:
    *inputs, gate = ctx.saved_tensors
    if beyond_one_gradient():
        return *gradients_of_reference(reference, inputs, grad), None
    u, weight, _, filter, bias_conv = inputs
    grad_u, grad_weight, sums = _backward(u, weight, filter, bias_conv, gate, grad.contiguous())
    return grad_u, grad_weight, sums[-1], sums[:-2].T, sums[-2], None


_forward.register_autograd(_differentiate, setup_context=_save)


takes = conv.takes  # of u and filter: with more than MAX_TAPS taps neither way has a kernel


def base_conv(
    u: Tensor, weight: Tensor, bias_proj: Tensor, filter: Tensor, bias_conv: Tensor,
    *, impl: str = "auto",
) -> Tensor:  # fmt: skip
    """u (B, N, D), weight (D, D), bias_proj (D,), filter (D, k), bias_conv (D,) -> y (B, N, D).

    The paper's y := (u W + b1) ⊙ (h * u + b2), Section 4, with W transposed. A second
    derivative is the reference's, which also takes k > 8 unless impl="triton". Raises ValueError
    for shapes, dtypes and devices that do not fit together, and for an `impl` that cannot run
    here.
    """
    conv.check(impl, u, filter, bias_conv, "bias_conv")
    d = u.shape[2]
    require(weight.shape == (d, d), "weight shape", tuple(weight.shape), f"({d}, {d})")
    require(bias_proj.shape == (d,), "bias_proj shape", tuple(bias_proj.shape), f"({d},)")
    given = {"weight": weight, "bias_proj": bias_proj, "filter": filter, "bias_conv": bias_conv}
    if not uses_triton(impl, takes(u, filter), u=u, **given):
        return reference(u, **given)
    inputs = [x.contiguous() for x in (u, *given.values())]
    keep = torch.is_grad_enabled() and any(x.requires_grad for x in inputs)
    return _forward(*inputs, keep)[0]
