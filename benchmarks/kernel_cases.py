"""What benchmarks/kernels.py runs: every kernel with its inputs, its peers and what it needs."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from kernel_floors import Rates, Shape, Way, convolution, elementwise, pairs, projected
from kernel_peers import (
    BF16,
    PACKAGES,
    Peer,
    all_rows,
    causal,
    depthwise,
    fft,
    flash,
    masked,
    turned,
)
from torch import Tensor

from zoology_teach.kernels import base_conv, flash_attention, scan, short_conv, sparse_attention
from zoology_teach.kernels import long_conv as toeplitz
from zoology_teach.mixers.scan import _LinearScan

OURS, TAPS = "zoology_teach", 3
DIRECTIONS = ("forward", "forward+backward")
LENGTHS = (512, 1024, 2048, 4096, 8192)
SHAPES = tuple(Shape(torch.bfloat16, 16, n, 768) for n in LENGTHS)
BOOK_SHAPES = tuple(Shape(torch.float32, 32, n, n) for n in (64, 128))  # as in chapter 6
TINY_SHAPES = tuple(Shape(dtype, 2, 48, 16) for dtype in (torch.bfloat16, torch.float32))


@dataclass(frozen=True)
class Kernel:
    """A kernel of the library.

    draw       (shape, device) -> its inputs.
    ours       the public function. exact: the same by definition, at any length.
    peers      the others by name. compiled: what torch.compile is given, if anything.
    ways       shape -> the ways to compute it.
    kept       bytes that backward needs beside inputs and output.
    rows       rows of its output for each sequence.
    sizes      what names a case beside B, N and D.
    """

    name: str
    draw: Callable[[Shape, str], tuple[Tensor, ...]]
    ours: Callable[..., Tensor]
    exact: Callable[..., Tensor]
    peers: dict[str, Peer]
    compiled: Callable[..., Tensor] | None
    ways: Callable[[Shape], tuple[Way, ...]]
    kept: Callable[[Shape], int] = lambda shape: 0
    rows: Callable[[Shape], int] = lambda shape: shape.n
    sizes: Callable[[Shape], dict[str, int]] = lambda shape: {}

    def bytes(self, shape: Shape) -> tuple[int, int, int]:
        """Bytes of the inputs, of their gradients and of the output."""
        inputs = self.draw(shape, "meta")
        gradients = sum(x.nbytes for x in inputs if x.is_floating_point())
        output = shape.batch * self.rows(shape) * shape.d_model * shape.dtype.itemsize
        return sum(x.nbytes for x in inputs), gradients, output

    def floor(self, shape: Shape, direction: str, rates: Rates) -> float:
        """The least seconds. Backward reads inputs, what was kept and the output's gradient."""
        inputs, gradients, output = self.bytes(shape)
        arithmetic = [(w.seconds(shape, rates), w.backward) for w in self.ways(shape)]
        if direction == "forward":
            return max((inputs + output) / rates.bytes, min(arithmetic)[0])
        there = (inputs + output + self.kept(shape)) / rates.bytes
        back = (inputs + self.kept(shape) + output + gradients) / rates.bytes
        return min(max(there, seconds) + max(back, seconds * more) for seconds, more in arithmetic)

    def memory(self, shape: Shape, direction: str) -> int:
        """Bytes of inputs and outputs, gradients among them, and of what backward must keep."""
        inputs, gradients, output = self.bytes(shape)
        if direction == "forward":
            return inputs + output
        return inputs + self.kept(shape) + 2 * output + gradients


def normal(shape: Shape, device: str, *sizes: tuple[int, ...]) -> tuple[Tensor, ...]:
    """Normal numbers; matrices and filters are scaled so that sums over them stay near 1."""
    make = {"device": device, "dtype": shape.dtype}
    return tuple(torch.randn(s, **make) * (s[1] ** -0.5 if len(s) == 2 else 1) for s in sizes)


def filter_and_bias(shape: Shape) -> tuple[tuple[int, ...], ...]:
    """Sizes of a short convolution's."""
    return (shape.d_model, TAPS), (shape.d_model,)


def sparse_inputs(shape: Shape, device: str) -> tuple[Tensor, ...]:
    """q of the selected rows, k, v, positions."""
    (b, h, n, d), k = shape.heads, shape.selected
    positions = torch.rand(b, n, device=device).topk(k, dim=1).indices
    return *normal(shape, device, (b, h, k, d), shape.heads, shape.heads), positions


def scan_inputs(shape: Shape, device: str) -> tuple[Tensor, ...]:
    """Decays a between 0 and 1, x."""
    a, x = normal(shape, device, shape.u, shape.u)
    return a.sigmoid(), x


def eager(definition: Callable[..., Tensor]) -> dict[str, Peer]:
    """The definition as PyTorch runs it."""
    return {"torch eager": Peer(definition)}


CONV = short_conv.short_conv, short_conv.reference
KERNELS = (
    Kernel(
        "short_conv", lambda s, dev: normal(s, dev, s.u, *filter_and_bias(s)),
        *CONV, eager(CONV[1]) | {"F.conv1d": turned(depthwise)}, CONV[1],
        elementwise(2 * TAPS + 1), sizes=lambda s: {"k": TAPS},
    ),
    Kernel(
        "gated_short_conv", lambda s, dev: normal(s, dev, s.u, *filter_and_bias(s), s.u),
        *CONV, eager(CONV[1]), CONV[1], elementwise(2 * TAPS + 2), sizes=lambda s: {"k": TAPS},
    ),
    Kernel(
        "base_conv",
        lambda s, dev: normal(s, dev, s.u, (s.d_model,) * 2, (s.d_model,), *filter_and_bias(s)),
        base_conv.base_conv, base_conv.reference,
        eager(base_conv.reference), base_conv.reference, projected(2 * TAPS + 3),
        kept=lambda s: s.numbers * s.dtype.itemsize,  # the projection
        sizes=lambda s: {"k": TAPS},
    ),
    Kernel(
        "long_conv", lambda s, dev: normal(s, dev, (s.batch, s.d_model, s.n), (s.d_model, s.n)),
        toeplitz.long_conv, toeplitz.reference,
        {
            f"{OURS}, tiles": Peer(partial(toeplitz.long_conv, impl="triton")),
            "torch.fft": Peer(toeplitz.reference),
            "torch.fft, own backward": Peer(fft),
        },
        toeplitz.reference, convolution,
    ),
    Kernel(
        "flash_attention", lambda s, dev: normal(s, dev, s.heads, s.heads, s.heads),
        flash_attention.attention, causal,
        eager(flash_attention.reference)
        | {"SDPA": Peer(causal), "SDPA flash": Peer(flash, dtypes=BF16)},
        flash_attention.reference, pairs(lambda s: s.n),
        kept=lambda s: 4 * s.batch * s.heads[1] * s.n,  # lse
        sizes=lambda s: {"H": s.heads[1], "d": s.heads[3]},
    ),
    Kernel(
        "sparse_attention", sparse_inputs, sparse_attention.sparse_attention, masked,
        eager(sparse_attention.reference)
        | {"SDPA with a mask": Peer(masked), "SDPA of all rows": all_rows()},
        sparse_attention.reference, pairs(lambda s: s.selected),
        kept=lambda s: 4 * s.batch * s.heads[1] * s.selected, rows=lambda s: s.selected,
        sizes=lambda s: {"H": s.heads[1], "d": s.heads[3], "k": s.selected},
    ),
    Kernel(
        "linear_scan", scan_inputs, scan.linear_scan, _LinearScan.apply,
        eager(_LinearScan.apply),
        None, elementwise(2, backward=1.5),  # torch.compile would unroll all steps
    ),
)  # fmt: skip


def implementations(kernel: Kernel, shape: Shape, packages: dict[str, Peer]) -> dict[str, Peer]:
    """Ours and every peer for this dtype, in the order of the table."""
    on_gpu = torch.cuda.is_available()
    ours = Peer(partial(kernel.ours, impl="auto" if on_gpu else "triton"))
    named = {OURS: ours, **kernel.peers}
    if kernel.compiled:
        backend = "inductor" if on_gpu else "aot_eager"  # without a GPU only tracing is tried
        compiled = torch.compile(kernel.compiled, dynamic=False, backend=backend)
        named["torch.compile"] = Peer(compiled)
    named |= {name: peer for name, peer in packages.items() if PACKAGES[name][0] == kernel.name}
    takes = {
        name: peer.dtypes is None or shape.dtype in peer.dtypes for name, peer in named.items()
    }
    return {name: peer for name, peer in named.items() if takes[name]}
