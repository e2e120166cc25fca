"""The causal depthwise short convolution, with the gate that may follow it (chapter 12).

    y[b, t, d] = (sum_{l < k} filter[d, l] u[b, t - l, d] + bias[d]) gate[b, t, d]

u, gate, y (B, N, D); filter (D, k); bias (D,); without `bias` and `gate` they are 0 and 1.

Floors. Bytes: forward reads u and gate and writes y; backward reads u, gate and y's gradient and
writes two gradients; taps and shifted rows come from the caches. At (16, 2048, 768) in 16 bits a
tensor is 50 MB, 17 µs at 3.0 TB/s: 50 µs forward, 84 µs backward, 34 and 50 without the gate.
Flops: 2 k + 2 a number, too few to matter; what fusing saves is passes over the memory, of which
each of PyTorch's operations makes 3. Limits: k <= 8, because the taps are unrolled.
"""

from typing import Any

import torch
from torch import Tensor

from zoology_teach.checks import require
from zoology_teach.kernels.derivatives import beyond_one_gradient, gradients_of_reference
from zoology_teach.kernels.dispatch import launch, runs_on, tl, triton, uses_triton

MAX_TAPS = 8


def reference(
    u: Tensor, filter: Tensor, bias: Tensor | None = None, gate: Tensor | None = None
) -> Tensor:
    """The definition: a sum of shifted copies."""
    y = u * filter[:, 0]
    for lag in range(1, min(filter.shape[1], u.shape[1])):
        y = y + torch.nn.functional.pad(u[:, :-lag], (0, 0, lag, 0)) * filter[:, lag]
    y = y if bias is None else y + bias
    return y if gate is None else y * gate


@triton.jit
def convolve(
    u, filter, bias, place, t, d, inside, D: tl.constexpr, TAPS: tl.constexpr, ACC: tl.constexpr
):
    """h * u + bias on a tile: numbers at `place` in u, tokens t (rows, 1), channels d (1, cols)."""
    total = tl.zeros(place.shape, ACC)
    if bias is not None:
        total += tl.load(bias + d, mask=d < D, other=0.0).to(ACC)
    for lag in tl.static_range(TAPS):
        tile = tl.load(u + place - lag * D, mask=inside & (t >= lag), other=0.0).to(ACC)
        total += tile * tl.load(filter + d * TAPS + lag, mask=d < D, other=0.0).to(ACC)
    return total


@triton.jit
def forward_kernel(
    u, filter, bias, gate, y, M, N, D: tl.constexpr,
    TAPS: tl.constexpr, ACC: tl.constexpr, BM: tl.constexpr, BD: tl.constexpr,
):  # fmt: skip
    """One program: BM of the M = B N rows, BD channels. Row r is token r % N of its sequence."""
    tiles: tl.constexpr = (D + BD - 1) // BD
    row = tl.program_id(0) // tiles * BM + tl.arange(0, BM)[:, None]
    d = tl.program_id(0) % tiles * BD + tl.arange(0, BD)[None, :]
    place = row.to(tl.int64) * D + d
    inside = (row < M) & (d < D)
    total = convolve(u, filter, bias, place, row % N, d, inside, D, TAPS, ACC)
    if gate is not None:
        total *= tl.load(gate + place, mask=inside, other=0.0).to(ACC)
    tl.store(y + place, total, mask=inside)


@triton.jit
def backward_kernel(
    u, filter, bias, gate, grad, grad_u, grad_gate, sums, M, N, D: tl.constexpr,
    TAPS: tl.constexpr, SUMS: tl.constexpr, ACC: tl.constexpr, BM: tl.constexpr, BD: tl.constexpr,
):  # fmt: skip
    """The gradients of the tile, and its share of the sums over rows in lines of its own.

    SUMS lines (D,) a tile of rows: TAPS for the filter, one for bias, one for the gate's sum.
    No atomics: the lines are added afterwards, in an order that never changes.
    """
    tiles: tl.constexpr = (D + BD - 1) // BD
    row = tl.program_id(0) // tiles * BM + tl.arange(0, BM)[:, None]
    d = tl.program_id(0) % tiles * BD + tl.arange(0, BD)[None, :]
    place = row.to(tl.int64) * D + d
    inside = (row < M) & (d < D)
    line = sums + (tl.program_id(0) // tiles).to(tl.int64) * SUMS * D + d
    here = tl.load(u + place, mask=inside, other=0.0).to(ACC)
    total = tl.zeros((BM, BD), ACC)
    for lag in tl.static_range(TAPS):
        # Of the convolution's gradient, what token t + lag sends back to t.
        seen = inside & (row % N + lag < N)
        ahead = tl.load(grad + place + lag * D, mask=seen, other=0.0).to(ACC)
        if gate is not None:
            ahead *= tl.load(gate + place + lag * D, mask=seen, other=0.0).to(ACC)
        total += ahead * tl.load(filter + d * TAPS + lag, mask=d < D, other=0.0).to(ACC)
        tl.store(line + lag * D, tl.sum(ahead * here, axis=0)[None, :], mask=d < D)
        if lag == 0:
            tl.store(line + TAPS * D, tl.sum(ahead, axis=0)[None, :], mask=d < D)
    tl.store(grad_u + place, total, mask=inside)
    if gate is not None:
        total = convolve(u, filter, bias, place, row % N, d, inside, D, TAPS, ACC)
        total *= tl.load(grad + place, mask=inside, other=0.0).to(ACC)
        tl.store(grad_gate + place, total, mask=inside)
        tl.store(line + (TAPS + 1) * D, tl.sum(total, axis=0)[None, :], mask=d < D)


def forward(u: Tensor, filter: Tensor, bias: Tensor | None, gate: Tensor | None) -> Tensor:
    """y (B, N, D) by the kernel: `short_conv` of contiguous tensors that fit."""
    y, (n, d) = torch.empty_like(u), u.shape[1:]
    constants, grid = _constants(u, filter)
    launch(forward_kernel, grid, u, filter, bias, gate, y, u.shape[0] * n, n, d, **constants)
    return y


def backward(
    u: Tensor, filter: Tensor, bias: Tensor | None, gate: Tensor | None, grad: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of u and gate (empty without one), and the sums (k + 1 or k + 2, D)."""
    grad_u, grad_gate, sums = _empty_gradients(u, filter, bias, gate, grad)
    (b, n, d), (constants, grid) = u.shape, _constants(u, filter)
    lines, wide = len(sums), torch.promote_types(u.dtype, torch.float32)
    shares = u.new_empty(triton.cdiv(b * n, constants["BM"]), lines, d, dtype=wide)
    tensors = (u, filter, bias, gate, grad, grad_u, grad_gate, shares)
    launch(backward_kernel, grid, *tensors, b * n, n, d, SUMS=lines, **constants)
    return grad_u, grad_gate, sums.copy_(shares.sum(0))


def _empty_gradients(
    u: Tensor, filter: Tensor, bias: Tensor | None, gate: Tensor | None, grad: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    grad_gate = u.new_empty(0) if gate is None else torch.empty_like(u)
    lines = filter.shape[1] + (1 if gate is None else 2)
    return torch.empty_like(u), grad_gate, u.new_empty(lines, u.shape[2])


def _constants(u: Tensor, filter: Tensor) -> tuple[dict[str, Any], tuple[int]]:
    """What a launch of either kernel fixes, and its grid.

    A program takes 4096 numbers, 16 a thread: enough loads in flight, few enough registers.
    64 channels are a line of 128 bytes in 16 bits; where D has fewer, it takes more rows.
    """
    b, n, d = u.shape
    width = min(64, triton.next_power_of_2(d))
    tile = {"BM": 4096 // width, "BD": width, "num_warps": 8}
    acc = tl.float64 if u.dtype == torch.float64 else tl.float32
    grid = (triton.cdiv(b * n, tile["BM"]) * triton.cdiv(d, width),)
    return {"TAPS": filter.shape[1], "ACC": acc, **tile}, grid


_forward = torch.library.custom_op("zoology_teach::short_conv", forward, mutates_args=())
_backward = torch.library.custom_op("zoology_teach::short_conv_backward", backward, mutates_args=())


_forward.register_fake(lambda u, filter, bias, gate: torch.empty_like(u))
_backward.register_fake(_empty_gradients)


def _save(ctx: Any, inputs: tuple[Tensor | None, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _differentiate(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    u, filter, bias, gate = ctx.saved_tensors
    if beyond_one_gradient():
        return tuple(gradients_of_reference(reference, ctx.saved_tensors, grad))
    grad_u, grad_gate, sums = _backward(u, filter, bias, gate, grad.contiguous())
    taps = filter.shape[1]
    grad_bias = None if bias is None else sums[taps]
    return grad_u, sums[:taps].T, grad_bias, None if gate is None else grad_gate


_forward.register_autograd(_differentiate, setup_context=_save)


def takes(u: Tensor, filter: Tensor) -> bool:
    """Whether "auto" means the kernel: on a GPU, for at most MAX_TAPS taps."""
    return runs_on(u) and filter.shape[1] <= MAX_TAPS


def short_conv(
    u: Tensor, filter: Tensor, bias: Tensor | None = None, gate: Tensor | None = None,
    *, impl: str = "auto",
) -> Tensor:  # fmt: skip
    """u (B, N, D), filter (D, k), bias (D,), gate (B, N, D) -> y (B, N, D).

    A second derivative is the reference's, which also takes k > 8 unless impl="triton". Raises
    ValueError for what does not fit together or cannot run here.
    """
    check(impl, u, filter, bias)
    if gate is not None:
        require(gate.shape == u.shape, "gate shape", tuple(gate.shape), f"u's, {tuple(u.shape)}")
    if not uses_triton(impl, takes(u, filter), u=u, filter=filter, bias=bias, gate=gate):
        return reference(u, filter, bias, gate)
    bias, gate = (x if x is None else x.contiguous() for x in (bias, gate))
    return _forward(u.contiguous(), filter.contiguous(), bias, gate)


def check(
    impl: str, u: Tensor, filter: Tensor, bias: Tensor | None, bias_name: str = "bias"
) -> None:
    """Raise ValueError where the shapes of the convolution do not fit, or not the kernel."""
    require(u.dim() == 3 and u.shape[2] > 0, "u shape", tuple(u.shape), "(B, N, D), D >= 1")
    d, shape = u.shape[2], tuple(filter.shape)
    fits = len(shape) == 2 and shape[0] == d and shape[1] >= 1
    require(fits, "filter shape", shape, f"({d}, k) with k >= 1")
    few = impl != "triton" or shape[1] <= MAX_TAPS
    require(few, "filter shape", shape, f"({d}, k) with k <= {MAX_TAPS} for impl='triton'")
    if bias is not None:
        require(bias.shape == (d,), f"{bias_name} shape", tuple(bias.shape), f"({d},)")
