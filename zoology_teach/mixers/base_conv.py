"""BaseConv (paper Section 4; chapter 04): the least gated convolution.

    y := (u W + b1) ⊙ (h * u + b2)      u, y (B, N, D); W (D, D); h (D, k) or (D, N)

One projection, one causal depthwise convolution, one product. The paper's biases are
(N, D); here, as in its released code, they are (D,). Arora et al., arXiv:2312.04927.
"""

import torch
from torch import Tensor, nn

from zoology_teach.checks import require, require_int
from zoology_teach.kernels import base_conv as kernel
from zoology_teach.kernels.dispatch import alike
from zoology_teach.mixers.convolution import (
    fft_conv_flops,
    fft_flops,
    long_conv,
    short_conv,
    short_conv_step,
)
from zoology_teach.mixers.implicit_filter import ImplicitFilter
from zoology_teach.mixers.mixer import Mixer, Projections, rows

FILTERS = ("short", "long", "implicit")
INITS = ("usual", "identity", "pair")


class BaseConv(Mixer):
    """y = (u W + b1) ⊙ (h * u + b2).

    filter       "short": h has `kernel_size` taps. "long": one free weight for each of
                 `max_len` lags. "implicit": h is a small network of the lag.
    kernel_size  taps of the short filter.
    max_len      the longest sequence that a long or implicit filter covers; a short one any.
    init         "usual": W normal with std 0.02 and random filters.
                 "identity": W = 1; a short filter hands over the previous token, a long one
                 the sum of all tokens so far. Two such layers are a holographic memory
                 before any training: token ⊙ previous token, then query ⊙ running sum.
                 "pair": the gate open (W = 0, b1 = 1) and a short filter that adds the
                 previous token: y_t = u_t + u_{t-1}. Attention needs this in front.
                 Both add the usual noise to W.

    Only with a short filter it has a `step`. Raises ValueError for a wrong option, and in
    `forward` for a sequence beyond max_len.
    """

    wants_max_len = True

    def __init__(
        self,
        d_model: int,
        *,
        filter: str = "short",
        kernel_size: int = 3,
        max_len: int = 1024,
        init: str = "usual",
    ):
        super().__init__(d_model)
        require_int("kernel_size", kernel_size, 1)
        require_int("max_len", max_len, 1)
        require(filter in FILTERS, "filter", filter, f"one of {FILTERS}")
        require(init in INITS, "init", init, f"one of {INITS}")
        taps_fit = filter == "short" or kernel_size == 3
        require(taps_fit, "kernel_size", kernel_size, "left out: only a short filter has it")
        if init == "identity":
            require(filter != "implicit", "init", init, "'usual' for an implicit filter")
        if init == "pair":
            require(filter == "short", "init", init, "'usual' or 'identity' for a long filter")
        if init != "usual" and filter == "short":
            require_int("kernel_size", kernel_size, 2)
        self.kind, self.max_len, self.kernel_size = filter, max_len, kernel_size
        self.is_short = self.has_step = filter == "short"

        self.projection = nn.Linear(d_model, d_model)
        nn.init.normal_(self.projection.weight, std=0.02)
        nn.init.constant_(self.projection.bias, 1.0 if init == "pair" else 0.0)
        if init == "identity":
            self.projection.weight.data += torch.eye(d_model)

        self.conv_bias = nn.Parameter(torch.zeros(d_model))
        if filter == "implicit":
            self.implicit_filter = ImplicitFilter(d_model, max_len)
        else:
            taps = kernel_size if self.is_short else max_len
            self.explicit_filter = nn.Parameter(_initial_filter(d_model, taps, filter, init))

    def filter(self, n: int) -> Tensor:
        """h (D, taps) for a sequence of `n` tokens: kernel_size taps, or n."""
        if self.kind == "implicit":
            return self.implicit_filter(n)
        return self.explicit_filter if self.is_short else self.explicit_filter[:, :n]

    def convolve(self, u: Tensor) -> Tensor:
        """h * u + b2, (B, N, D) -> (B, N, D)."""
        n = u.shape[1]
        if self.is_short:
            return short_conv(u, self.filter(n)) + self.conv_bias
        require(n <= self.max_len, "sequence length", n, f"at most max_len = {self.max_len}")
        return long_conv(u.transpose(1, 2), self.filter(n)).transpose(1, 2) + self.conv_bias

    def forward(self, u: Tensor, positions: Tensor | None = None) -> Tensor:
        """u (B, N, D) -> (B, N, D), or (B, P, D) at `positions` (B, P)."""
        self.check(u, positions)
        if self.is_short and positions is None and kernel.takes(u, self.explicit_filter):
            projection, taps = self.projection, self.explicit_filter
            tensors = alike(u, projection.weight, projection.bias, taps, self.conv_bias)
            return kernel.base_conv(*tensors)
        gate = self.projection(rows(u, positions))
        return gate * rows(self.convolve(u), positions)

    def step(self, u_t: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The next token: u_t (B, D) and the last state (None at first) -> y_t (B, D), state.

        For a short filter; the state is the last inputs, at most k - 1 of them (B, k - 1, D),
        oldest first. Raises ValueError for another filter, which has no bounded state.
        """
        self.check_step(u_t)
        require(self.is_short, "filter", self.kind, "'short' for step by step")
        conv, state = short_conv_step(u_t, self.explicit_filter, state)
        return self.projection(u_t) * (conv + self.conv_bias), state

    def projections(self) -> Projections:
        """W; what it writes is a factor of the output."""
        return (self.projection,), None

    def state_size(self, n: int) -> int:
        """A short filter keeps k - 1 tokens; a long one has no recurrence and keeps them all."""
        return self.d_model * min(n, self.kernel_size - 1 if self.is_short else n)

    def flops(self, n: int) -> int:
        """Projection, gate, and k taps or a convolution by FFT; an implicit filter's network."""
        projection, gate = 2 * n * self.d_model**2, 3 * n * self.d_model
        if self.is_short:
            return projection + gate + 2 * n * self.d_model * self.kernel_size
        with_transform = self.d_model * (fft_conv_flops(n) - fft_flops(n)) + self.shared_flops(n)
        return projection + gate + with_transform

    def shared_flops(self, n: int) -> int:
        """A long filter's transform, and an implicit one's network."""
        if self.is_short:
            return 0
        network = self.implicit_filter.flops(n) if self.kind == "implicit" else 0
        return network + self.d_model * fft_flops(n)


def _initial_filter(d_model: int, taps: int, filter: str, init: str) -> Tensor:
    """(D, taps): random, or the previous token, this and the previous one, or all of them."""
    if init == "usual":
        if filter == "short":
            return torch.empty(d_model, taps).uniform_(-(taps**-0.5), taps**-0.5)
        return torch.randn(d_model, taps) * taps**-0.5
    h = torch.zeros(d_model, taps)
    if filter == "long":
        h[:] = 1
    elif init == "identity":
        h[:, 1] = 1
    else:
        h[:, :2] = 1
    return h
