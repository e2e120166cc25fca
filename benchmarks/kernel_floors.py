"""The least time a kernel could take on a GPU: the cases' shapes, the GPU's rates, the arithmetic.

A pass takes at least the slower of two: to move its bytes once, and to do its arithmetic in the
cheapest way that is known. Matrix products count at the rate of the tensor cores in 16 bits and
without TF32 in float32, everything else at the float32 rate.
"""

from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from math import log2

import torch


@dataclass(frozen=True)
class Shape:
    """A dtype and B, N, D; heads are 64 wide, and sparse attention selects N / 16 rows."""

    dtype: torch.dtype
    batch: int
    n: int
    d_model: int

    @property
    def u(self) -> tuple[int, int, int]:
        """(B, N, D)."""
        return self.batch, self.n, self.d_model

    @property
    def numbers(self) -> int:
        """B N D."""
        return self.batch * self.n * self.d_model

    @property
    def heads(self) -> tuple[int, int, int, int]:
        """(B, H, N, d)."""
        h = max(1, self.d_model // 64)
        return self.batch, h, self.n, self.d_model // h

    @property
    def selected(self) -> int:
        """The rows k of sparse attention."""
        return self.n // 16


@dataclass(frozen=True)
class Rates:
    """Bytes a second, 16-bit and float32 FLOPs a second, and where they are from."""

    bytes: float
    flops_16: float
    flops_32: float
    source: str


# Dense rates of NVIDIA's data sheets in TB/s and TFLOP/s, summed in float32; first match counts.
DATA_SHEETS = {
    "NVIDIA H200 NVL*": (4.8, 835, 60),
    "NVIDIA H200*": (4.8, 989, 67),
    "NVIDIA H100 PCIe*": (2.0, 756, 51),
    "NVIDIA H100 NVL*": (3.9, 835, 60),
    "NVIDIA H100*": (3.35, 989, 67),
    "NVIDIA A100 80GB PCIe*": (1.935, 312, 19.5),
    "NVIDIA A100*80GB*": (2.039, 312, 19.5),
    "NVIDIA A100*": (1.555, 312, 19.5),
    "NVIDIA GeForce RTX 4090": (1.008, 165.2, 82.6),
    "NVIDIA GeForce RTX 3090": (0.936, 71, 35.6),
}


def data_sheet(gpu: str) -> Rates | None:
    """The rates of a whole GPU by its name; None for one that is not listed, or a part of one."""
    for pattern, rates in DATA_SHEETS.items():
        if fnmatchcase(gpu, pattern) and " MIG " not in gpu:
            return Rates(*(1e12 * rate for rate in rates), "data sheet")
    return None


def measured() -> Rates:
    """What the GPU at hand reaches: a copy of 1 GiB, products of matrices of 8192 and 4096."""
    import triton.testing  # not everywhere that floors are read

    x = torch.empty(2**30, dtype=torch.int8, device="cuda")
    y = torch.empty_like(x)
    copy = triton.testing.do_bench(lambda: y.copy_(x), return_mode="median") / 1e3
    flops = []
    for dtype, n in ((torch.bfloat16, 8192), (torch.float32, 4096)):
        a = torch.ones(n, n, dtype=dtype, device="cuda")
        product = triton.testing.do_bench(lambda a=a: a @ a, return_mode="median") / 1e3
        flops.append(2 * n**3 / product)
    return Rates(2 * 2**30 / copy, *flops, "measured")


@dataclass(frozen=True)
class Way:
    """FLOPs of a forward pass, and backward's as a multiple of them."""

    backward: float
    matrix: float = 0
    plain: float = 0

    def seconds(self, shape: Shape, rates: Rates) -> float:
        """The forward pass, tensor cores and the other units side by side."""
        products = rates.flops_16 if shape.dtype.itemsize == 2 else rates.flops_32
        return max(self.matrix / products, self.plain / rates.flops_32)


def elementwise(flops: float, backward: float = 2) -> Callable[[Shape], tuple[Way, ...]]:
    """So many FLOPs a number, outside the tensor cores."""
    return lambda shape: (Way(backward, plain=flops * shape.numbers),)


def projected(flops: float) -> Callable[[Shape], tuple[Way, ...]]:
    """A D x D matrix for every token, and so many FLOPs a number beside it."""
    return lambda s: (Way(2, matrix=2 * s.numbers * s.d_model, plain=flops * s.numbers),)


def pairs(rows: Callable[[Shape], int]) -> Callable[[Shape], tuple[Way, ...]]:
    """Attention: two products a visible pair, five backward; a row sees half of all on average."""
    return lambda s: (Way(2.5, matrix=2 * s.batch * rows(s) * (s.n + 1) * s.d_model),)


def convolution(shape: Shape) -> tuple[Way, ...]:
    """All pairs in matrix products, or 2 B + 1 FFTs a channel and pass, 5 N log2(2 N) each."""
    transforms = (2 * shape.batch + 1) * shape.d_model
    return (
        Way(2, matrix=shape.numbers * (shape.n + 1)),
        Way(1, plain=transforms * 5 * shape.n * log2(2 * shape.n)),
    )
