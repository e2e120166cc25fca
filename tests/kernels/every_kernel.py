"""All kernels behind one call, for what is asked of each of them alike."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from zoology_teach.kernels.base_conv import base_conv
from zoology_teach.kernels.flash_attention import attention
from zoology_teach.kernels.long_conv import long_conv
from zoology_teach.kernels.scan import linear_scan
from zoology_teach.kernels.short_conv import short_conv
from zoology_teach.kernels.sparse_attention import sparse_attention


class Case(NamedTuple):
    """A kernel, and the shapes of its inputs for B sequences of N tokens and D channels."""

    function: Callable[..., Tensor]
    shapes: Callable[[int, int, int], list[tuple[int, ...]]]

    def draw(self, b=2, n=5, d=3, dtype=torch.float64, device="cpu") -> list[Tensor]:
        generator = torch.Generator().manual_seed(0)
        drawn = [torch.randn(s, generator=generator) for s in self.shapes(b, n, d)]
        return [x.to(device, dtype) for x in drawn]


def sparse(q: Tensor, k: Tensor, v: Tensor, impl: str) -> Tensor:
    """Rows in reverse order; the last slot is unused."""
    positions = torch.arange(q.shape[2] - 2, -2, -1, device=q.device).clamp(max=k.shape[2] - 1)
    return sparse_attention(q, k, v, positions.expand(q.shape[0], -1), impl=impl)


EVERY = {
    "short_conv": Case(short_conv, lambda b, n, d: [(b, n, d), (d, 2), (d,), (b, n, d)]),
    "base_conv": Case(base_conv, lambda b, n, d: [(b, n, d), (d, d), (d,), (d, 2), (d,)]),
    "long_conv": Case(long_conv, lambda b, n, d: [(b, d, n), (d, n)]),
    "linear_scan": Case(linear_scan, lambda b, n, d: [(b, n, d), (b, n, d), (b, d)]),
    "attention": Case(attention, lambda b, n, d: [(b, 2, n, d)] * 3),
    "windowed_attention": Case(partial(attention, window=2), lambda b, n, d: [(b, 2, n, d)] * 3),
    "sparse_attention": Case(sparse, lambda b, n, d: [(b, 2, n, d)] * 3),
}
