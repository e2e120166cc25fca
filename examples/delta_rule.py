"""The delta rule (chapter 14): a memory that corrects what a key holds instead of adding to it.

    S_t = S_{t-1} + β_t (v_t - S_{t-1} k_t) k_t^T,   y_t = W_o S_t q_t     S (B, D, D); β (B,)

q and k have length 1, β_t = sigmoid(w u_t) lies in 0 .. 1. A chunk of C tokens at once: what is
written at t, w_t = β_t (v_t - S_{t-1} k_t), depends on what was written before it in the chunk,

    (I + diag(β) tril(K K^T, -1)) W = diag(β) (V - K S^T)                  K, V, W (C, D)

so W is a triangular solve, Y = Q S^T + tril(Q K^T) W, and S + W^T K goes to the next chunk.
Yang et al., arXiv:2406.06484, Sections 2 and 3; its layers have short convolutions on q, k, v.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from zoology_teach.mixers.mixer import Mixer, Projections, rows, start_projections


class DeltaRule(Mixer):
    """y_t = W_o S_t q_t with one head: u (B, N, D) -> (B, N, D)."""

    has_step, chunk = True, 64  # chunk is C

    def __init__(self, d_model: int):
        super().__init__(d_model)
        self.query, self.key, self.value, self.out = (nn.Linear(d_model, d_model) for _ in range(4))
        self.rate = nn.Linear(d_model, 1)
        start_projections("usual", self.query, self.key, self.value, self.out, self.rate)

    def forward(self, u: Tensor, positions: Tensor | None = None) -> Tensor:
        """u (B, N, D) -> (B, N, D), or (B, P, D) at `positions` (B, P)."""
        self.check(u, positions)
        outputs, state = [], None
        for chunk in u.split(self.chunk, dim=1):
            y, state = self._advance(chunk, state)
            outputs.append(y)
        return self.out(rows(torch.cat(outputs, dim=1), positions).to(u.dtype))

    def step(self, u_t: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The next token: u_t (B, D) and S (None at first) -> y_t (B, D), S."""
        self.check_step(u_t)
        y, state = self._advance(u_t[:, None], state)
        return self.out(y[:, 0].to(u_t.dtype)), state

    def _advance(self, u: Tensor, state: Tensor | None) -> tuple[Tensor, Tensor]:
        """Read and write the tokens of u (B, C, D): S q (B, C, D), and S (B, D, D) after them."""
        wide = torch.promote_types(u.dtype, torch.float32)  # no 16-bit numbers in a solve
        q, k = (normalize(w(u).to(wide), dim=-1) for w in (self.query, self.key))
        v, rate = self.value(u).to(wide), self.rate(u).to(wide).sigmoid()
        read = 0.0
        if state is not None:
            v, read = v - k @ state.mT, q @ state.mT
        overlap = rate * (k @ k.mT).tril(-1)  # the ones on the diagonal are implied
        w = torch.linalg.solve_triangular(overlap, rate * v, upper=False, unitriangular=True)
        written = w.mT @ k
        return read + (q @ k.mT).tril() @ w, written if state is None else state + written

    def projections(self) -> Projections:
        """W_q, W_k, W_v and the rate, then W_o."""
        return (self.query, self.key, self.value, self.rate), self.out

    def state_size(self, n: int) -> int:
        """S, however long the sequence."""
        return self.d_model**2

    def flops(self, n: int) -> int:
        """Projections; k.k, k.q, the solve and the sum for each visible pair of a chunk; S."""
        d, (whole, last) = self.d_model, divmod(n, self.chunk)
        pairs = (
            whole * self.chunk * (self.chunk - 1) + last * (last - 1)
        ) // 2  # a token with itself aside
        carried = 4 * d * d * (n - min(n, self.chunk))  # S k and S q, in all chunks but the first
        return n * (10 * d * d + 2 * d) + (8 * pairs + 4 * n) * d + carried
