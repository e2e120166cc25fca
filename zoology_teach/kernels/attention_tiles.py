"""What flash and sparse attention share: tiles, their scores, one step of a softmax (chapter 13).

A tile is some rows of x (N, d), its d columns padded with zeros to PAD, a power of two.
Scores are in base 2: SCALE = log2(e) / sqrt(d), so that 2^score = e^(q . k / sqrt(d)).
"""

import math
from typing import Any

import torch
from torch import Tensor

from zoology_teach.checks import require
from zoology_teach.kernels.dispatch import must_widen, runs_on, tl, triton

MAX_HEAD = 128


@triton.jit
def load(x, rows, N, D: tl.constexpr, PAD: tl.constexpr, WIDEN: tl.constexpr):
    """The tile of `rows` of x (N, D). Rows past the end repeat the last one, and the caller keeps
    them out of its sums: a mask here would cost registers in every loop.
    """
    d = tl.arange(0, PAD)[None, :]
    at = x + tl.minimum(rows, N - 1)[:, None] * D + d
    tile = tl.load(at) if D == PAD else tl.load(at, mask=d < D, other=0.0)
    return tile.to(tl.float32) if WIDEN else tile


@triton.jit
def store(x, rows, tile, N, D: tl.constexpr, PAD: tl.constexpr):
    """Write the tile to `rows` of x (N, D): no row past the end, no column of the padding."""
    d = tl.arange(0, PAD)[None, :]
    tl.store(x + rows[:, None] * D + d, tile, mask=(rows[:, None] < N) & (d < D))


@triton.jit
def add_product(acc, a, b):
    """acc + a b, summed in acc's precision."""
    return tl.dot(a.to(b.dtype), b, acc, input_precision="ieee", out_dtype=acc.dtype)


@triton.jit
def score(a, b, lag, window, SCALE: tl.constexpr, MASK: tl.constexpr):
    """a b^T SCALE, and -inf where the token is not 0 .. window-1 positions behind the row."""
    scores = tl.dot(a, tl.trans(b), input_precision="ieee") * SCALE
    return tl.where((lag >= 0) & (lag < window), scores, float("-inf")) if MASK else scores


@triton.jit
def take_in(acc, best, total, scores, values):
    """Online softmax: total = sum_s 2^(score[s] - best), acc = sum_s 2^(score[s] - best) v[s].

    best is the highest score so far; a higher one shrinks what is there.
    """
    top = tl.maximum(best, tl.max(scores, 1))
    p, shrink = tl.exp2(scores - top[:, None]), tl.exp2(best - top)
    return add_product(acc * shrink[:, None], p, values), top, total * shrink + tl.sum(p, 1)


def tiles(kernel: str, d: int, itemsize: int) -> dict[str, int]:
    """Rows BM, tokens BN and launch options of the "forward", "query" or "key" kernel.

    The largest tiles that, compiled for sm_80 and sm_90, spill no registers and fit in the 99 KiB
    of shared memory of an RTX 3090. 16-bit numbers meet in tensor cores, and Hopper's want 64 rows
    or more. 32-bit ones are multiplied one by one: small tiles, and a cap on registers, without
    which the assembler goes for more programs at once and spills.
    """
    options: tuple[int, ...]  # num_warps, num_stages, and maxnreg where it is capped
    if itemsize > 2:
        held, taken, options = 128 // itemsize, 16, (8, 2, 168)
    elif kernel == "forward":
        held, taken, options = 128, 64, (8, 3)
    elif kernel == "query":
        held, taken, options = (128, 64, (8, 2)) if d <= 64 else (64, 64, (4, 2))
    else:
        held, taken, options = (128, 32, (8, 2)) if d <= 64 else (64, 64, (8, 2))
    bm, bn = (taken, held) if kernel == "key" else (held, taken)
    names = "num_warps", "num_stages", "maxnreg"
    return {"BM": bm, "BN": bn, **dict(zip(names, options, strict=False))}


def constants(kernel: str, q: Tensor) -> dict[str, Any]:
    """The keyword arguments that `kernel` is launched with for heads like q's."""
    d = q.shape[3]
    padded = max(16, 1 << (d - 1).bit_length())
    fixed = {"D": d, "PAD": padded, "SCALE": math.log2(math.e) / math.sqrt(d)}
    return {**fixed, "WIDEN": must_widen(q), **tiles(kernel, d, q.dtype.itemsize)}


def per_row(q: Tensor) -> Tensor:
    """Room for one number a row, (B, H, rows), in the precision that the kernels sum in."""
    dtype = torch.float64 if q.dtype == torch.float64 else torch.float32
    return torch.empty(q.shape[:3], dtype=dtype, device=q.device)


def takes(x: Tensor, d: int) -> bool:
    """Whether "auto" means the kernels: on a GPU, for heads of at most MAX_HEAD numbers."""
    return runs_on(x) and d <= MAX_HEAD


def check(impl: str, q: Tensor, k: Tensor, v: Tensor) -> None:
    """Raise ValueError unless q is (B, H, rows, d), k and v are (B, H, N, d), and d fits `impl`."""
    require(q.dim() == 4 and q.shape[3] > 0, "q shape", tuple(q.shape), "(B, H, rows, d)")
    (b, h, _, d), shape = q.shape, tuple(k.shape)
    fits = k.dim() == 4 and (*shape[:2], shape[3]) == (b, h, d)
    require(fits, "k shape", shape, f"({b}, {h}, N, {d}), as q's is {tuple(q.shape)}")
    require(v.shape == k.shape, "v shape", tuple(v.shape), f"k's, {shape}")
    require(impl != "triton" or d <= MAX_HEAD, "q shape", tuple(q.shape), f"d <= {MAX_HEAD}")
