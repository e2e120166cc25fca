"""Hyena of order 2 (chapter 04): long implicit convolutions and gates in turn.

    v, x1, x2 = short(W_v u), short(W_1 u), short(W_2 u)         u, y (B, N, D); h1, h2 (D, N)
    z = x1 ⊙ (h1 * v + D1 ⊙ v)
    y = W_o ( x2 ⊙ (h2 * z + D2 ⊙ z) )

`short` is a causal convolution of 3 taps, * a causal convolution over the whole sequence.
h1 and h2 are networks of the lag (sines, under an exponential window; see
implicit_filter.py), D1 and D2 (D) pass the token itself. This is the paper's recurrence
z_{i+1} = x_i ⊙ (h_i * z_i); Hyena's released code leaves out h1 and starts at x1 ⊙ v.
Poli et al., arXiv:2302.10866.
"""

from collections.abc import Sequence
from typing import cast

import torch
from einops import einsum
from torch import Tensor, nn
from torch.nn.functional import pad

from zoology_teach.checks import require, require_int
from zoology_teach.mixers.convolution import ShortConv, fft_conv_flops, fft_flops, long_conv
from zoology_teach.mixers.implicit_filter import ImplicitFilter
from zoology_teach.mixers.mixer import Mixer, Projections, project, rows, start_projections


class Hyena(Mixer):
    """y = W_o(x2 ⊙ (h2 * (x1 ⊙ (h1 * v)))), with a skip term in both long convolutions.

    max_len      the longest sequence that the filters cover.
    kernel_size  taps of the short convolutions.
    init         "usual": projections normal with std 0.02, random filters. "identity": W = 1
                 plus the same noise, x1 the previous token, h1 * v = v and h2 a running sum,
                 all nearly: y_t = u_t ⊙ sum_{s<=t} u_{s-1} ⊙ u_s, a holographic memory in
                 one layer (chapter 07).

    It has no bounded state and so no `step`: an implicit filter is not a recurrence.
    A training step on a CPU (N = 256, D = 128) takes about 3 times that of a BaseConv with a
    long filter: four projections instead of one, two long convolutions, three short ones.
    Raises ValueError for a wrong option, and in `forward` for a sequence beyond max_len.
    """

    wants_max_len = True

    def __init__(
        self, d_model: int, *, max_len: int = 1024, kernel_size: int = 3, init: str = "usual"
    ):
        super().__init__(d_model)
        require_int("max_len", max_len, 1)
        require_int("kernel_size", kernel_size, 1)
        self.max_len, self.kernel_size = max_len, kernel_size

        self.value, self.gate1, self.gate2, self.out = (
            nn.Linear(d_model, d_model) for _ in range(4)
        )
        start_projections(init, self.value, self.gate1, self.gate2, self.out)
        shorts = (init, "previous" if init == "identity" else init, init)  # of v, x1, x2
        short = nn.ModuleList(ShortConv(d_model, kernel_size, x) for x in shorts)
        filters = nn.ModuleList(ImplicitFilter(d_model, max_len) for _ in range(2))
        self.short = cast("Sequence[ShortConv]", short)
        self.filters = cast("Sequence[ImplicitFilter]", filters)
        self.skips = nn.Parameter(torch.randn(2, d_model))
        if init == "identity":
            self.filters[0].start_near(0.0)
            self.filters[1].start_near(1.0)
            self.skips.data = torch.tensor([[1.0], [0.0]]).repeat(1, d_model)

    def forward(self, u: Tensor, positions: Tensor | None = None) -> Tensor:
        """u (B, N, D) -> (B, N, D), or (B, P, D) at `positions` (B, P)."""
        self.check(u, positions)
        n = u.shape[1]
        require(n <= self.max_len, "sequence length", n, f"at most max_len = {self.max_len}")
        short_v, short_1, short_2 = self.short
        v, x1 = project(u, self.value, self.gate1)
        # `short` of v and h1 * are one filter: the taps of the one, convolved with the other.
        h1 = short_v(self.filter(0, n).T[None])[0].T
        z = short_1(x1) * long_conv(v.mT, h1).mT
        y = long_conv(z.mT, self.filter(1, n)).mT
        if positions is not None and positions.shape[1] * self.kernel_size < n:
            x2 = self._last_gate_at(positions, u)
        else:
            x2 = rows(short_2(project(u, self.gate2)[0]), positions)
        return project(x2 * rows(y, positions), self.out)[0]

    def _last_gate_at(self, positions: Tensor, u: Tensor) -> Tensor:
        """x2 at a few `positions` (B, P) -> (B, P, D), from the tokens that its taps reach."""
        taps = self.short[2].filter
        reached = positions[..., None] - torch.arange(taps.shape[1], device=u.device)
        projected = self.gate2(rows(u, reached.clamp(min=0).flatten(1)))
        projected = projected.unflatten(1, reached.shape[1:]) * (reached >= 0)[..., None]
        return einsum(projected, taps, "b p k d, d k -> b p d")

    def filter(self, i: int, n: int) -> Tensor:
        """h_i (D, n) with the skip term as more weight on lag 0."""
        return self.filters[i](n) + pad(self.skips[i, :, None], (0, n - 1))

    def projections(self) -> Projections:
        """W_v, W_1, W_2, then W_o; the filters' networks work on lags."""
        return (self.value, self.gate1, self.gate2), self.out

    def state_size(self, n: int) -> int:
        """The inputs of both long convolutions so far, and the short ones' last tokens."""
        return self.d_model * (2 * n + 3 * min(n, self.kernel_size - 1))

    def flops(self, n: int) -> int:
        """Four projections, short and long convolutions, gates, the filters' networks."""
        local = sum(conv.flops(n) for conv in self.short) + 2 * n * self.d_model
        networks = sum(f.flops(n) for f in self.filters)
        convolutions = 2 * self.d_model * fft_conv_flops(n)
        return 8 * n * self.d_model**2 + local + convolutions + networks

    def shared_flops(self, n: int) -> int:
        """The filters' networks and transforms."""
        return sum(f.flops(n) for f in self.filters) + 2 * self.d_model * fft_flops(n)
