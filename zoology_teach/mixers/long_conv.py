"""The long convolution without a gate (chapter 04): one free weight for every lag.

    y_t = W_o gelu( sum_{s<=t} h_{t-s} ⊙ u_s + D ⊙ u_t ) + b_o    u, y (B, N, D); h (D, max_len)

It mixes positions by their distance alone and never multiplies two tokens: a token cannot
ask for another one. What a gate adds to it is the subject of chapter 04. Fu et al., "Simple
Hardware-Efficient Long Convolutions for Sequence Modeling", arXiv:2302.06646.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, pad

from zoology_teach.checks import require, require_int
from zoology_teach.mixers.convolution import fft_conv_flops, fft_flops, long_conv
from zoology_teach.mixers.mixer import Mixer, Projections, rows, start_projections


class LongConv(Mixer):
    """y = W_o gelu(h * u + D ⊙ u) + b_o, as the gate-free long-convolution layers have it.

    max_len  the number of lags of the filter h, and the longest sequence.

    The skip term D ⊙ u lets a channel pass its own token whatever the filter has learned.
    Raises ValueError for a wrong option, and in `forward` for a sequence beyond max_len.
    """

    wants_max_len = True

    def __init__(self, d_model: int, *, max_len: int = 1024):
        super().__init__(d_model)
        require_int("max_len", max_len, 1)
        self.max_len = max_len
        self.explicit_filter = nn.Parameter(torch.randn(d_model, max_len) * max_len**-0.5)
        self.skip = nn.Parameter(torch.randn(d_model))
        self.out = nn.Linear(d_model, d_model)
        start_projections("usual", self.out)

    def filter(self, n: int) -> Tensor:
        """h (D, n), the filter's first `n` lags, with the skip term as more weight on lag 0."""
        require(n <= self.max_len, "sequence length", n, f"at most max_len = {self.max_len}")
        return self.explicit_filter[:, :n] + pad(self.skip[:, None], (0, n - 1))

    def forward(self, u: Tensor, positions: Tensor | None = None) -> Tensor:
        """u (B, N, D) -> (B, N, D), or (B, P, D) at `positions` (B, P)."""
        self.check(u, positions)
        conv = long_conv(u.transpose(1, 2), self.filter(u.shape[1])).transpose(1, 2)
        return self.out(gelu(rows(conv, positions)))

    def projections(self) -> Projections:
        """W_o."""
        return (), self.out

    def state_size(self, n: int) -> int:
        """A free filter has no recurrence: every token so far is kept."""
        return self.d_model * n

    def flops(self, n: int) -> int:
        """Convolution and projection; the gelu counts as one operation."""
        return self.d_model * (fft_conv_flops(n) + n) + 2 * n * self.d_model**2

    def shared_flops(self, n: int) -> int:
        """The filter's transform."""
        return self.d_model * fft_flops(n)
