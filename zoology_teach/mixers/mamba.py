"""Mamba (chapter 08): a recurrence that decides by the token what it keeps.

    x, z = W_in u,   x <- silu(short_conv(x))                     u, y (B, N, D); x, z (B, N, E)
    Δ_t = softplus(W_Δ x_t),   B_t = W_B x_t,   C_t = W_C x_t            Δ (B, N, E); B, C (B, N, S)
    s_t = exp(Δ_t A) ⊙ s_{t-1} + (Δ_t ⊙ x_t) B_t^T,   A < 0              s (B, N, E, S); A (E, S)
    y_t = W_out ( (s_t C_t + skip ⊙ x_t) ⊙ silu(z_t) )

It is not a gated convolution: how much of s_{t-1} survives is exp(Δ_t A), which depends on
the token, so there is no filter h that is the same for every input and no FFT to use. What
a convolution cannot do, skip a token and remember another, it does by a small or large Δ_t.
Gu and Dao, arXiv:2312.00752; the letters are those of its Section 3 but for two:

    here           shape         there    what it is
    -------------  ------------  -------  -----------------------------------------------
    D, `d_model`   a number      D        width of the model
    E, `d_inner`   a number      E D      inner channels, expand · D
    S, `d_state`   a number      N        numbers of state of each inner channel
    `dt_rank`      a number      R        W_Δ is E -> R -> E, with R = D/16 rounded up
    A, -exp(log_a) (E, S)        A        decay rates: fixed by training, not by the token
    B_t            (S,)          B        where x_t is written: chosen by the token
    C_t            (S,)          C        what is read: chosen by the token
    Δ_t            (E,)          Δ        step length: how far A acts, how much is written
    `decay`        (B, N, E, S)  Ā        exp(Δ A), the zero-order hold of A
    `write`        (B, N, E, S)  B̄ x      Δ B x, Euler's rule for B as in its released code
    `skip`         (E,)          D        passes x_t by the state
"""

import math

import torch
from einops import einsum
from torch import Tensor, nn
from torch.nn.functional import silu, softplus

from zoology_teach.checks import require, require_int
from zoology_teach.mixers.convolution import ShortConv
from zoology_teach.mixers.mixer import Mixer, Projections, rows, start_projections
from zoology_teach.mixers.selective_scan import selective_scan


class Mamba(Mixer):
    """The S6 selective scan inside its block.

    d_state      S, numbers of state for each inner channel.
    expand       1 or 2: E = expand · D inner channels. The paper takes 2, as its block stands
                 for an MLP too; 1 compares with the other mixers.
    kernel_size  taps of the causal convolution in front.
    init         "usual": A = -1 .. -S, steps Δ log-uniform in 0.001 .. 0.1. "identity": x = u
                 and W_out = 1, plus the usual noise; one random projection for B and C, Δ = 1
                 and A = -0.01: every token is written, none is forgotten, and equal tokens
                 find each other, as in linear attention.

    A training step on a CPU (N = 256, D = 128) takes about 6 times that of a BaseConv with a long
    filter: decay, write and state are (B, N, E, S), S times the size of the input, and each is
    read and written several times forward and backward. Memory, not arithmetic, takes the time.
    So `selective_scan` computes them block by block in the cache and keeps few states; a fused
    kernel, which never stores them at all, is how Mamba is fast on a GPU.

    Raises ValueError for a wrong option.
    """

    has_step = True

    def __init__(
        self,
        d_model: int,
        *,
        d_state: int = 16,
        expand: int = 1,
        kernel_size: int = 4,
        init: str = "usual",
    ):
        super().__init__(d_model)
        require_int("d_state", d_state, 1)
        require_int("expand", expand, 1)
        require(expand <= 2, "expand", expand, "1 or 2")
        require_int("kernel_size", kernel_size, 1)
        self.d_state, self.kernel_size = d_state, kernel_size
        inner, self.dt_rank = expand * d_model, math.ceil(d_model / 16)
        self.d_inner = inner

        self.project_in = nn.Linear(d_model, 2 * inner, bias=False)
        self.conv = ShortConv(inner, kernel_size, init)
        self.conv_bias = nn.Parameter(torch.zeros(inner))
        self.select = nn.Linear(inner, self.dt_rank + 2 * d_state, bias=False)
        self.dt = nn.Linear(self.dt_rank, inner)
        self.log_a = nn.Parameter(torch.arange(1.0, d_state + 1).log().repeat(inner, 1))
        self.skip = nn.Parameter(torch.ones(inner))
        self.out = nn.Linear(inner, d_model, bias=False)
        start_projections("usual", self.project_in)
        start_projections(init, self.out)
        # Step lengths start log-uniform in 0.001 .. 0.1, as in S4D.
        step = torch.empty(inner).uniform_(math.log(0.001), math.log(0.1)).exp()
        if init == "identity":
            self._start_as_linear_attention()
            step.fill_(1.0)
        self.dt.bias.data = step + torch.log(-torch.expm1(-step))  # the inverse of softplus

    def _start_as_linear_attention(self) -> None:
        self.project_in.weight.data[: self.d_inner] += torch.eye(self.d_inner, self.d_model)
        shared = torch.randn(self.d_state, self.d_inner) * self.d_inner**-0.5
        _, b, c = self.select.weight.data.split([self.dt_rank, self.d_state, self.d_state])
        b += shared
        c += shared
        self.log_a.data.fill_(math.log(0.01))

    def forward(self, u: Tensor, positions: Tensor | None = None) -> Tensor:
        """u (B, N, D) -> (B, N, D), or (B, P, D) at `positions` (B, P)."""
        self.check(u, positions)
        x, z = self.project_in(u).chunk(2, dim=-1)
        x = silu(self.conv(x) + self.conv_bias)
        dt, b, c = self._select(x)
        y = selective_scan(dt, -self.log_a.exp().T, b, c, x)
        y = rows(y + self.skip * x, positions)
        return self.out(y * silu(rows(z, positions)))

    def _select(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """x (..., E) -> Δ (..., E), B and C (..., S)."""
        dt, b, c = self.select(x).split([self.dt_rank, self.d_state, self.d_state], dim=-1)
        return softplus(self.dt(dt)), b, c

    def step(
        self, u_t: Tensor, state: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """The next token: u_t (B, D) and the last state (None at first) -> y_t (B, D), state.

        The state is the convolution's last inputs, at most kernel_size - 1 of them
        (B, kernel_size - 1, E), oldest first, and s (B, E, S).
        """
        self.check_step(u_t)
        recent, s = (None, 0.0) if state is None else state
        x, z = self.project_in(u_t).chunk(2, dim=-1)
        x, recent = self.conv.step(x, recent)
        x = silu(x + self.conv_bias)
        dt, b, c = self._select(x)
        decay, write = (
            torch.exp(dt[..., None] * -self.log_a.exp()),
            (dt * x)[..., None] * b[:, None],
        )
        s = decay * s + write
        y = einsum(s, c, "b e s, b s -> b e") + self.skip * x
        return self.out(y * silu(z)), (recent, s)

    def projections(self) -> Projections:
        """W_in, then W_B, W_C and both halves of W_Δ, then W_out."""
        return (self.project_in, self.select, self.dt), self.out

    def state_size(self, n: int) -> int:
        """S numbers for each inner channel, and the convolution's last inputs."""
        return self.d_inner * (self.d_state + min(n, self.kernel_size - 1))

    def flops(self, n: int) -> int:
        """Projections, convolution, and 7 operations for each of the E S numbers of state."""
        e, s = self.d_inner, self.d_state
        projections = 2 * self.d_model * 3 * e + 2 * e * (2 * self.dt_rank + 2 * s)
        return n * (projections + 2 * e * self.kernel_size + 7 * e * s + 12 * e)
