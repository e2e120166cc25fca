"""The linear recurrence behind a decaying or selective state (chapter 13).

    s_t = a_t ⊙ s_{t-1} + x_t,   s_{-1} = s0            a, x, s (B, N, D); s0 (B, D), or none: 0

Floors in bytes: read a and x, write s; 2 flops a number. The gradient g of x is the same
recurrence from the last token to the first, and gives the two others on its way:

    g_t = a_{t+1} ⊙ g_{t+1} + ∂/∂s_t,   ∂/∂a_t = g_t ⊙ s_{t-1},   ∂/∂s0 = a_0 ⊙ g_0

so backward reads a, s and ∂/∂s and writes two gradients. Two steps in a row are one step,
(a, x) then (a', x') being (a a', a' x + x'), and that rule may be applied in any grouping:
in a tree within a tile. Nothing is divided, so any decay will do, 0 and 1 included; products
of many |a| > 1 overflow, as their state would.
"""

from functools import partial
from typing import Any

import torch
from torch import Tensor

from zoology_teach.checks import require
from zoology_teach.kernels.derivatives import beyond_one_gradient
from zoology_teach.kernels.dispatch import launch, runs_on, tl, triton, uses_triton

# A row of a tile is one 128-byte line of the cache; three tiles of each tensor are under way.
BLOCK_N, LINE, NUM_WARPS, NUM_STAGES = 64, 128, 4, 3
# Fewer programs than this leave most of a GPU's 80 to 132 multiprocessors without work.
FEW_PROGRAMS, ENOUGH_PROGRAMS = 64, 256


def reference(a: Tensor, x: Tensor, s0: Tensor | None = None) -> Tensor:
    """The definition. The state is float32 (float64 for float64), as in the kernel."""
    wide = torch.promote_types(x.dtype, torch.float32)
    s, states = x.new_zeros(()) if s0 is None else s0, []
    for a_t, x_t in zip(a.to(wide).unbind(1), x.to(wide).unbind(1), strict=True):
        s = a_t * s + x_t
        states.append(s)
    return torch.stack(states, dim=1).to(x.dtype)


@triton.jit
def compose(a, x, a_next, x_next):
    """The step (a, x), then (a_next, x_next), as one."""
    return a * a_next, a_next * x + x_next


@triton.jit
def scan_kernel(
    a, x, s0, s, products, ends, states, grad_a, N, D, LENGTH,
    REVERSE: tl.constexpr, SUMMARY: tl.constexpr, STAGES: tl.constexpr,
    ACC: tl.constexpr, BN: tl.constexpr, BD: tl.constexpr,
):  # fmt: skip
    """One program: LENGTH tokens of BD channels of one sequence, a tile of BN tokens at a time.

    SUMMARY keeps only what the whole part does to a state: product * state + end. Without it
    the summaries of the parts before this one turn s0 into the state in which it starts.
    REVERSE takes the tokens from the last to the first, with x and s for ∂/∂s and g.
    """
    b, part = tl.program_id(0).to(tl.int64), tl.program_id(1)
    d = tl.program_id(2) * BD + tl.arange(0, BD)
    row = tl.arange(0, BN)[:, None]
    summary = (b * tl.num_programs(1)) * D + d
    state = tl.zeros((BD,), ACC)
    product = state + 1
    if not SUMMARY:
        first = tl.load(s0 + b * D + d, mask=d < D, other=0.0).to(ACC)
        if not REVERSE:
            state = first
        for before in range(part):
            state *= tl.load(products + summary + before * D, mask=d < D, other=0.0)
            state += tl.load(ends + summary + before * D, mask=d < D, other=0.0)
    end = min(part * LENGTH + LENGTH, N)
    for start in tl.range(part * LENGTH, end, BN, num_stages=STAGES):
        t = start + row
        if REVERSE:
            t = N - 1 - t
        tile = (t >= 0) & (t < N) & (d < D)[None, :]
        here = b * N * D + t * D + d[None, :]
        # From the end, the state that token t receives is decayed by a_{t+1}; none by a_N.
        decays = tile & (t + REVERSE < N)
        a_tile = tl.load(a + here + REVERSE * D, mask=decays, other=0.0).to(ACC)
        x_tile = tl.load(x + here, mask=tile, other=0.0).to(ACC)
        x_tile += tl.where(row == 0, a_tile * state[None, :], 0.0)
        a_tile, x_tile = tl.associative_scan((a_tile, x_tile), 0, compose)
        # Only a sequence's last tile can be ragged, and nothing follows it.
        state = tl.sum(tl.where(row == BN - 1, x_tile, 0.0), axis=0)
        if SUMMARY:
            product *= tl.sum(tl.where(row == BN - 1, a_tile, 0.0), axis=0)
        else:
            tl.store(s + here, x_tile, mask=tile)
        if REVERSE and not SUMMARY:
            previous = tl.load(states + here - D, mask=tile & (t > 0), other=0.0).to(ACC)
            previous += tl.where(t == 0, first[None, :], 0.0)
            tl.store(grad_a + here, x_tile * previous, mask=tile)
    if SUMMARY:
        tl.store(products + summary + part * D, product, mask=d < D)
        tl.store(ends + summary + part * D, state, mask=d < D)


def _scan(a: Tensor, x: Tensor, s0: Tensor, states: Tensor | None = None) -> tuple[Tensor, ...]:
    """s, or with the `states` of a forward pass the gradients of a and x.

    Where there are too few (sequence, channel block) pairs to fill a GPU, a sequence is cut
    into parts: one launch summarises them, the next fills them in side by side. That reads
    a and x twice, and is worth it only there.
    """
    (b, n, d), reverse = x.shape, states is not None
    block_n, block_d = min(BLOCK_N, _power_of_2(n)), min(LINE // x.itemsize, _power_of_2(d))
    blocks_d = triton.cdiv(d, block_d)
    length = _part_length(b * blocks_d, n)
    grid = (b, triton.cdiv(n, length), blocks_d)
    wide = torch.promote_types(x.dtype, torch.float32)
    products, ends = x.new_empty(2, *grid[:2], d, dtype=wide).unbind()
    s, grad_a = torch.empty_like(x), torch.empty_like(x) if reverse else x
    run = partial(
        launch, scan_kernel, grid, a, x, s0, s, products, ends, states if reverse else x, grad_a,
        n, d, length, REVERSE=reverse, STAGES=NUM_STAGES,
        ACC=tl.float64 if x.dtype == torch.float64 else tl.float32,
        BN=block_n, BD=block_d, num_warps=NUM_WARPS,
    )  # fmt: skip
    if grid[1] > 1:
        run(SUMMARY=True)
    run(SUMMARY=False)
    return (grad_a, s) if reverse else (s,)


def _part_length(programs: int, n: int) -> int:
    """Tokens of a part: all of them, unless that makes few programs of many tokens each."""
    if programs >= FEW_PROGRAMS or n <= 4 * BLOCK_N:
        return n
    parts = min(ENOUGH_PROGRAMS // programs, n // (2 * BLOCK_N))
    return triton.cdiv(n, parts * BLOCK_N) * BLOCK_N


def _power_of_2(n: int) -> int:
    return 1 << (n - 1).bit_length()


@torch.library.custom_op("zoology_teach::linear_scan", mutates_args=())
def _forward(a: Tensor, x: Tensor, s0: Tensor) -> Tensor:
    return _scan(a, x, s0)[0]


@torch.library.custom_op("zoology_teach::linear_scan_backward", mutates_args=())
def _backward(a: Tensor, grad: Tensor, s0: Tensor, s: Tensor) -> tuple[Tensor, Tensor]:
    grad_a, grad_x = _scan(a, grad, s0, s)
    return grad_a, grad_x


@_forward.register_fake
def _(a: Tensor, x: Tensor, s0: Tensor) -> Tensor:
    return torch.empty_like(x)


@_backward.register_fake
def _(a: Tensor, grad: Tensor, s0: Tensor, s: Tensor) -> tuple[Tensor, Tensor]:
    return torch.empty_like(grad), torch.empty_like(grad)


def _save(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
    a, _, s0 = inputs
    ctx.save_for_backward(a, s0, output)


def _differentiate(ctx: Any, grad: Tensor) -> tuple[Tensor, ...]:
    a, s0, s = ctx.saved_tensors
    if beyond_one_gradient():
        return _gradients_again(a, s0, s, grad)
    grad_a, grad_x = _backward(a, grad.contiguous(), s0, s)
    return grad_a, grad_x, a[:, 0] * grad_x[:, 0]


_forward.register_autograd(_differentiate, setup_context=_save)


def _gradients_again(a: Tensor, s0: Tensor, s: Tensor, grad: Tensor) -> tuple[Tensor, ...]:
    """The formulas above, by operations that can be differentiated again, this one among them."""
    decays = torch.cat([a[:, 1:], torch.zeros_like(a[:, :1])], dim=1)
    g = linear_scan(decays.flip(1), grad.flip(1)).flip(1)
    return g * torch.cat([s0[:, None], s[:, :-1]], dim=1), g, a[:, 0] * g[:, 0]


def takes(x: Tensor) -> bool:
    """Whether "auto" means the kernel: on a GPU."""
    return runs_on(x)


def linear_scan(a: Tensor, x: Tensor, s0: Tensor | None = None, *, impl: str = "auto") -> Tensor:
    """a, x (B, N, D), s0 (B, D), 0 where not given -> s (B, N, D); see `mixers.scan`.

    Differentiable in any way. Raises ValueError for shapes that do not fit and for an `impl` that
    cannot run here.
    """
    require(x.dim() == 3 and x.shape[2] > 0, "x shape", tuple(x.shape), "(B, N, D), D >= 1")
    require(a.shape == x.shape, "a shape", tuple(a.shape), f"x's, {tuple(x.shape)}")
    if s0 is not None:
        b, _, d = x.shape
        require(s0.shape == (b, d), "s0 shape", tuple(s0.shape), f"({b}, {d})")
    in_triton = uses_triton(impl, takes(x), a=a, x=x, s0=s0)
    if not x.numel():  # nothing, but with gradients of 0
        return a * x if s0 is None else a * x + s0[:, None]
    if not in_triton:
        return reference(a, x, s0)
    s0 = torch.zeros_like(x[:, 0]) if s0 is None else s0
    return _forward(a.contiguous(), x.contiguous(), s0.contiguous())
