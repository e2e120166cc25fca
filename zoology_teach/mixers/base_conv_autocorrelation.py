"""BaseConv whose filter knows the input (paper Section 4, Theorem 4.5; chapter 08).

    y := (u W + b1) ⊙ (h * u + b2)      u, y (B, N, D); W (D, D); h (B, N), its own per example
    h[l - 1] = 1  if some token repeats at distance l,  0 otherwise          l = 1 .. N - 1

Nothing in h is learned. If a key stood l tokens ago, its value stood l - 1 ago, and that is
the lag that h opens. A fixed filter has to guess the lags of every example; this one reads
them off: they are where the autocorrelation sum_t [x_t = x_{t-l}] is not zero.

**It is not causal.** h is found from the whole example, so y_t depends on tokens after t:
a repeat at the end opens its lag at the start as well. It can answer the queries of MQAR,
whose answers are not in the input, but not write text. A causal one would open, at t, only
the lags that have repeated up to t. Its filter changes from row to row: that is no longer a
convolution, no FFT applies, and it costs O(N²), as attention does.
Arora et al., arXiv:2312.04927.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize, pad

from zoology_teach.checks import number, require, require_int
from zoology_teach.mixers.convolution import fft_conv_flops, fft_flops, long_conv
from zoology_teach.mixers.mixer import Mixer, Projections, rows, start_projections


class AutocorrelationBaseConv(Mixer):
    """y = (u W + b1) ⊙ (h(u) * u + b2), not causal.

    threshold  without token ids, two inputs count as the same token from this cosine
               similarity on. No gradient goes through the comparison.
    blank      None, or the id of a filler whose repeats open no lag. Needs token ids.
    init       "usual": W normal with std 0.02. "identity": W = 1 plus the same noise.

    Raises ValueError for a wrong option, and in `forward` for tokens of another shape than
    the input's (B, N), or none where `blank` needs them.
    """

    wants_tokens = True

    def __init__(
        self,
        d_model: int,
        *,
        threshold: float = 0.95,
        blank: int | None = None,
        init: str = "usual",
    ):
        super().__init__(d_model)
        require(-1 < number(threshold) <= 1, "threshold", threshold, "a cosine above -1, at most 1")
        if blank is not None:
            require_int("blank", blank, 0)
        self.threshold, self.blank = threshold, blank
        self.projection = nn.Linear(d_model, d_model)
        start_projections(init, self.projection)
        self.conv_bias = nn.Parameter(torch.zeros(d_model))

    @torch.no_grad()
    def filter(self, u: Tensor, tokens: Tensor | None = None) -> Tensor:
        """h (B, N) of u (B, N, D), from `tokens` (B, N) where the caller has them."""
        if tokens is None:
            require(self.blank is None, "tokens", tokens, "the ids (B, N), to know a blank")
            unit = normalize(u, dim=-1)
            same = unit @ unit.mT >= self.threshold
        else:
            require(tokens.shape == u.shape[:2], "tokens shape", tuple(tokens.shape), "(B, N)")
            same = tokens[:, :, None] == tokens[:, None, :]
            if self.blank is not None:
                same = same & (tokens != self.blank)[:, None, :]
        # Turned round and read in rows of N instead of N + 1, the diagonals are columns: the
        # pair (t, s) lands in column t - s - 1.
        skewed = pad(same.tril(-1).flip(2), (0, 1)).flatten(1).unflatten(1, (-1, u.shape[1]))
        return skewed.any(1).to(u.dtype)

    def forward(
        self, u: Tensor, positions: Tensor | None = None, tokens: Tensor | None = None
    ) -> Tensor:
        """u (B, N, D) -> (B, N, D), or (B, P, D) at `positions` (B, P).

        The lags come from `tokens` (B, N), or from the embeddings u where there are none.
        """
        self.check(u, positions)
        h = self.filter(u, tokens)
        conv = long_conv(u.transpose(1, 2), h[:, None]).transpose(1, 2) + self.conv_bias
        return self.projection(rows(u, positions)) * rows(conv, positions)

    def projections(self) -> Projections:
        """W; what it writes is a factor of the output."""
        return (self.projection,), None

    def state_size(self, n: int) -> int:
        """There is no recurrence: every token is kept."""
        return self.d_model * n

    def flops(self, n: int) -> int:
        """Cosines of all pairs, convolution, projection and gate.

        All channels of an example have one filter, which is transformed once.
        """
        cosines, transform = 2 * n * n * self.d_model, fft_flops(n)
        convolution = self.d_model * (fft_conv_flops(n) - transform) + transform
        gate = 3 * n * self.d_model
        return cosines + convolution + gate + 2 * n * self.d_model**2
