"""Mamba-2: a selective state that decays by one number, and is a matrix product in a chunk.

    z, x, B, C, Δ = W_in u,   x, B, C <- silu(short_conv(x, B, C))   x, z (B, N, D); B, C (B, N, S)
    s_t = a_t s_{t-1} + Δ_t x_t B_t^T,   a_t = exp(-exp(log_a) Δ_t)   s (B, D, S); Δ, a (B, N)
    y_t = W_out norm((s_t C_t + skip x_t) ⊙ silu(z_t))                Δ <- softplus(Δ + bias)

In a chunk s C is attention without a softmax, its weights faded by the decays since: with
g_t = log a_1 + ... + log a_t,  Y = (exp(g_t - g_s) ⊙ C B^T)_{s <= t} (Δ ⊙ X) + exp(g) ⊙ C s^T.
Dao and Gu, arXiv:2405.21060, Sections 6 and 7; theirs is 2 D wide, with a head for 64 channels.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import rms_norm, silu, softplus

from zoology_teach.mixers.convolution import ShortConv
from zoology_teach.mixers.mixer import Mixer, Projections, rows, start_projections


class Mamba2(Mixer):
    """d_state is S; kernel_size are the taps of the convolution in front."""

    has_step, chunk = True, 64

    def __init__(self, d_model: int, *, d_state: int = 32, kernel_size: int = 4):
        super().__init__(d_model)
        self.sizes, self.kernel_size = (d_model, d_state, d_state), kernel_size  # of x, B, C
        self.project_in = nn.Linear(d_model, d_model + sum(self.sizes) + 1, bias=False)
        self.conv = ShortConv(sum(self.sizes), kernel_size)
        self.log_a, self.bias = nn.Parameter(torch.zeros(1)), nn.Parameter(-2 * torch.ones(1))
        self.skip, self.norm = (nn.Parameter(torch.ones(d_model)) for _ in range(2))
        self.out = nn.Linear(d_model, d_model, bias=False)
        start_projections("usual", self.project_in, self.out)

    def forward(self, u: Tensor, positions: Tensor | None = None) -> Tensor:
        """u (B, N, D) -> (B, N, D), or (B, P, D) at `positions` (B, P)."""
        self.check(u, positions)
        z, xbc, dt = self.project_in(u).split([self.d_model, sum(self.sizes), 1], dim=-1)
        xbc, outputs, s = silu(self.conv(xbc)), [], None
        for now, dt_now in zip(xbc.split(self.chunk, 1), dt.split(self.chunk, 1), strict=True):
            y, s = self._advance(now, dt_now, s)
            outputs.append(y)
        return self._read(rows(torch.cat(outputs, dim=1), positions), rows(z, positions))

    def step(self, u_t: Tensor, state: tuple | None = None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """u_t (B, D), the convolution's last inputs and s -> y_t (B, D), and these after it."""
        self.check_step(u_t)
        z, xbc, dt = self.project_in(u_t).split([self.d_model, sum(self.sizes), 1], dim=-1)
        xbc, recent = self.conv.step(xbc, state and state[0])
        y, s = self._advance(silu(xbc)[:, None], dt[:, None], state and state[1])
        return self._read(y[:, 0], z), (recent, s)

    def _advance(self, xbc: Tensor, dt: Tensor, s: Tensor | None) -> tuple[Tensor, Tensor]:
        """x with B and C of some tokens (B, C', D + 2 S), Δ (B, C', 1): y, and s after them."""
        (x, b, c), dt = xbc.split(self.sizes, dim=-1), softplus(dt + self.bias)
        g = -(self.log_a.exp() * dt).cumsum(1)
        faded = (g - g.mT).clamp(max=0).exp().tril()  # (B, C', C')
        y = (faded * (c @ b.mT)) @ (dt * x)
        written = (faded[:, -1, :, None] * dt * x).mT @ b
        if s is not None:
            y, written = y + g.exp() * (c @ s.mT), written + g[:, -1:].exp() * s
        return y + self.skip * x, written

    def _read(self, y: Tensor, z: Tensor) -> Tensor:
        return self.out(rms_norm(y * silu(z), (self.d_model,), self.norm, eps=1e-5))

    def projections(self) -> Projections:
        """W_in, then W_out."""
        return (self.project_in,), self.out

    def state_size(self, n: int) -> int:
        """s, and the convolution's last inputs."""
        return self.d_model * self.sizes[1] + min(n, self.kernel_size - 1) * sum(self.sizes)

    def flops(self, n: int) -> int:
        """Projections, convolution; C.B and the sum for each visible pair of a chunk; s."""
        d, s, (whole, last) = self.d_model, self.sizes[1], divmod(n, self.chunk)
        pairs = (whole * self.chunk * (self.chunk + 1) + last * (last + 1)) // 2
        carried = 2 * d * s * (n + n - min(n, self.chunk))  # s is written by all, and read from it
        return self.projection_flops(n) + self.conv.flops(n) + 2 * (s + d) * pairs + carried
