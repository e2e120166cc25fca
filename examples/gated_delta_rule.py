"""The gated delta rule: forget by a gate, then correct (Yang et al., arXiv:2412.06464, Section 3).

    S_t = α_t S_{t-1} + w_t k_t^T,   w_t = β_t (v_t - α_t S_{t-1} k_t),   y_t = W_o (S_t q_t ⊙ z_t)

q and k have length 1; β_t in 0 .. 1 says how far a value is replaced, α_t in 0 .. 1 how much of
all is kept, z_t = silu(W_z u_t) gates. With g_t = log α_1 + ... + log α_t in a chunk and
Γ_ts = exp(g_t - g_s) for s <= t the chunk is solved as in `delta_rule`:

    (I + diag(β) tril(Γ ⊙ K K^T, -1)) W = diag(β) (V - exp(g) ⊙ K S^T)         K, V, W (C, D)
    Y = exp(g) ⊙ Q S^T + (Γ ⊙ Q K^T) W,     S <- exp(g_C) S + (exp(g_C - g) ⊙ W)^T K
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize, silu, softplus

from zoology_teach.mixers.mixer import Mixer, Projections, rows, start_projections


class GatedDeltaRule(Mixer):
    """One head; α_t = exp(-exp(log_a) softplus(Δ_t)) as in Mamba-2, at the start near 1."""

    has_step, chunk = True, 64  # chunk is C

    def __init__(self, d_model: int):
        super().__init__(d_model)
        dense = [nn.Linear(d_model, d_model) for _ in range(5)]
        self.query, self.key, self.value, self.gate, self.out = dense
        self.rates, self.log_a = nn.Linear(d_model, 2), nn.Parameter(torch.zeros(1))  # of β, Δ
        start_projections("usual", *dense, self.rates)
        self.rates.bias.data[1] = -4.6  # softplus(-4.6) = 0.01: a hundred tokens are remembered

    def forward(self, u: Tensor, positions: Tensor | None = None) -> Tensor:
        """u (B, N, D) -> (B, N, D), or (B, P, D) at `positions` (B, P)."""
        self.check(u, positions)
        outputs, state = [], None
        for chunk in u.split(self.chunk, dim=1):
            y, state = self._advance(chunk, state)
            outputs.append(y)
        return self._read(rows(torch.cat(outputs, dim=1), positions), rows(u, positions))

    def step(self, u_t: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The next token: u_t (B, D) and S (None at first) -> y_t (B, D), S (B, D, D)."""
        self.check_step(u_t)
        y, state = self._advance(u_t[:, None], state)
        return self._read(y[:, 0], u_t), state

    def _advance(self, u: Tensor, state: Tensor | None) -> tuple[Tensor, Tensor]:
        """Read and write the tokens of u (B, C, D): S q (B, C, D), and S (B, D, D) after them."""
        wide = torch.promote_types(u.dtype, torch.float32)  # no 16-bit numbers in a solve
        q, k = (normalize(w(u).to(wide), dim=-1) for w in (self.query, self.key))
        v, (beta, delta) = self.value(u).to(wide), self.rates(u).to(wide).split(1, dim=-1)
        beta, g = beta.sigmoid(), -(self.log_a.exp() * softplus(delta)).cumsum(1)  # (B, C, 1)
        gamma, read, kept = (g - g.mT).clamp(max=0).exp().tril(), 0.0, 0.0
        if state is not None:
            v, read = v - g.exp() * (k @ state.mT), g.exp() * (q @ state.mT)
            kept = g[:, -1:].exp() * state
        overlap = beta * (gamma * (k @ k.mT)).tril(-1)  # the ones on the diagonal are implied
        w = torch.linalg.solve_triangular(overlap, beta * v, upper=False, unitriangular=True)
        return read + (gamma * (q @ k.mT)) @ w, kept + (gamma[:, -1, :, None] * w).mT @ k

    def _read(self, y: Tensor, u: Tensor) -> Tensor:
        return self.out(y.to(u.dtype) * silu(self.gate(u)))

    def projections(self) -> Projections:
        """W_q, W_k, W_v, W_z and the rates, then W_o."""
        return (self.query, self.key, self.value, self.gate, self.rates), self.out

    def state_size(self, n: int) -> int:
        """S, however long the sequence."""
        return self.d_model**2

    def flops(self, n: int) -> int:
        """Projections; k.k, k.q, the solve and the sum for each visible pair of a chunk; S."""
        d, (whole, last) = self.d_model, divmod(n, self.chunk)
        pairs = (
            whole * self.chunk * (self.chunk - 1) + last * (last - 1)
        ) // 2  # a token with itself aside
        read = 4 * d * d * (n - min(n, self.chunk))  # S k and S q, in all chunks but the first
        return n * (12 * d * d + 4 * d) + (8 * pairs + 4 * n) * d + read
