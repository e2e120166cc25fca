"""Linear attention (chapter 08): a kernel that factors, so that the past is one matrix.

            sum_{s<=t} φ(q_t)·φ(k_s) v_s      φ(q_t)^T S_t        S_t = S_{t-1} + φ(k_t) v_t^T
    y_t  =  ----------------------------  =  -------------,
            sum_{s<=t} φ(q_t)·φ(k_s)          φ(q_t)^T z_t        z_t = z_{t-1} + φ(k_t)

    q, k (B, H, N, d');  v (B, H, N, D/H);  S (B, H, F, D/H);  z (B, H, F)

"taylor", the map of Based:  φ(q)·φ(k) = 1 + x + x²/2 with x = q·k / √d', the start of exp(x);
it is never below 1/2. φ(q) lists 1, the q_i and the products q_i q_j with i <= j, so
F = 1 + d' + d'(d'+1)/2. "elu":  φ(q) = elu(q) + 1, F = d': positive too, but flat, and so
unable to tell one key from many.

Linear attention and "elu": Katharopoulos et al., arXiv:2006.16236. The Taylor map: Arora et
al. (Based), arXiv:2402.18668.
"""

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn.functional import elu, pad

from zoology_teach.checks import require, require_int
from zoology_teach.mixers.mixer import Mixer, Projections, rows, start_projections

FEATURE_MAPS = ("taylor", "elu")


class LinearAttention(Mixer):
    """y = W_o (φ(q)^T S) / (φ(q)^T z), causal.

    feature_map  "taylor" or "elu".
    feature_dim  d', the width of queries and keys of each head.
    num_heads    H; must divide d_model.
    init         "usual": projections normal with std 0.02. "identity": W_v = W_o = 1 and one
                 random projection for q and k, plus the same noise, so that at the start
                 equal tokens find each other.
    chunk        tokens that meet in a (chunk, chunk) kernel matrix; what lies before the
                 chunk comes out of S. O(N (chunk + F)) time instead of O(N²).

    Raises ValueError for options that do not fit.
    """

    has_step = True

    def __init__(
        self,
        d_model: int,
        *,
        feature_map: str = "taylor",
        feature_dim: int = 16,
        num_heads: int = 1,
        chunk: int = 128,
        init: str = "usual",
    ):
        super().__init__(d_model)
        require(feature_map in FEATURE_MAPS, "feature_map", feature_map, f"one of {FEATURE_MAPS}")
        require_int("feature_dim", feature_dim, 1)
        require_int("num_heads", num_heads, 1)
        require(d_model % num_heads == 0, "num_heads", num_heads, f"a divisor of {d_model}")
        require_int("chunk", chunk, 1)
        self.num_heads, self.chunk = num_heads, chunk
        self.is_taylor, self.feature_dim = feature_map == "taylor", feature_dim
        self.query, self.key = (nn.Linear(d_model, num_heads * feature_dim) for _ in range(2))
        self.value, self.out = (nn.Linear(d_model, d_model) for _ in range(2))
        start_projections("usual", self.query, self.key)
        start_projections(init, self.value, self.out)
        if init == "identity":
            shared = torch.randn_like(self.query.weight) * d_model**-0.5
            self.query.weight.data += shared
            self.key.weight.data += shared

    def forward(self, u: Tensor, positions: Tensor | None = None) -> Tensor:
        """u (B, N, D) -> (B, N, D), or (B, P, D) at `positions` (B, P) at O(P N) cost."""
        self.check(u, positions)
        q, k, v = self._project(rows(u, positions), u)
        time = torch.arange(u.shape[1], device=u.device)
        if positions is None and len(time) > self.chunk:
            return self._read(self._chunked(q, k, v))
        queries = time if positions is None else positions[:, None]
        return self._read(self._weights(q, k, queries[..., None] >= time) @ v)

    def _project(self, u_q: Tensor, u: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """q, k (B, H, N, d') and v (B, H, N, D/H + 1), whose last column, 1, counts the weights."""
        q, k, v = (
            rearrange(x, "b n (h d) -> b h n d", h=self.num_heads)
            for x in (self.query(u_q), self.key(u), self.value(u))
        )
        if self.is_taylor:
            q = q * self.feature_dim**-0.5
        else:
            q, k = elu(q) + 1, elu(k) + 1
        return q, k, pad(v, (0, 1), value=1.0)

    def _weights(self, q: Tensor, k: Tensor, visible: Tensor) -> Tensor:
        """φ(q)·φ(k) without the features, (..., P, N), and 0 where a key is not visible."""
        x = q @ k.mT
        return torch.where(visible, 1 + x + x * x / 2 if self.is_taylor else x, 0.0)

    def _features(self, x: Tensor) -> Tensor:
        """φ (..., F) of projected queries or keys (..., d')."""
        if not self.is_taylor:
            return x
        i, j = torch.triu_indices(self.feature_dim, self.feature_dim, device=x.device)
        # x_i x_j and x_j x_i are one feature: weight 1, and 1/2 for the squares.
        weight = torch.where(i == j, 0.5, 1.0).to(x.dtype).sqrt()
        return torch.cat([torch.ones_like(x[..., :1]), x, x[..., i] * x[..., j] * weight], -1)

    def _chunked(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Sums and weights (B, H, N, D/H + 1): in the chunk by pairs, before it from S."""
        n, c = q.shape[2], self.chunk
        q, k, v = (
            rearrange(pad(x, (0, 0, 0, -n % c)), "b h (m c) d -> b h m c d", c=c) for x in (q, k, v)
        )
        time = torch.arange(c, device=q.device)
        inside = self._weights(q, k, time[:, None] >= time) @ v
        states = (self._features(k[:, :, :-1]).mT @ v[:, :, :-1]).cumsum(2)
        before = self._features(q[:, :, 1:]) @ states
        y = torch.cat([inside[:, :, :1], inside[:, :, 1:] + before], dim=2)
        return rearrange(y, "b h m c d -> b h (m c) d")[:, :, :n]

    def _read(self, y: Tensor) -> Tensor:
        """Divide by the weights, join the heads, project."""
        return self.out(rearrange(y[..., :-1] / y[..., -1:], "b h n d -> b n (h d)"))

    def step(self, u_t: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The next token: u_t (B, D) and the last state (None at first) -> y_t (B, D), state.

        The state is S with z as its last column, (B, H, F, D/H + 1).
        """
        self.check_step(u_t)
        q, k, v = self._project(u_t[:, None], u_t[:, None])
        state = self._features(k).mT @ v + (0 if state is None else state)
        return self._read(self._features(q) @ state)[:, 0], state

    def projections(self) -> Projections:
        """W_q, W_k, W_v, then W_o."""
        return (self.query, self.key, self.value), self.out

    def num_features(self) -> int:
        """F."""
        d = self.feature_dim
        return 1 + d + d * (d + 1) // 2 if self.is_taylor else d

    def state_size(self, n: int) -> int:
        """S and z of every head, however long the sequence."""
        return self.num_features() * (self.d_model + self.num_heads)

    def flops(self, n: int) -> int:
        """Projections, the visible pairs of each chunk, and what the chunks hand on.

        A pair takes q.k, the weight (1 + x + x²/2: 3 operations, "elu": none) and its part of
        the weighted sum. A token of a later chunk reads S, and one of an earlier chunk writes it.
        """
        d, wide = self.num_heads * self.feature_dim, self.d_model + self.num_heads
        whole, last = divmod(n, self.chunk)
        pairs = (whole * self.chunk * (self.chunk + 1) + last * (last + 1)) // 2
        each_pair = 2 * d + (3 * self.num_heads if self.is_taylor else 0) + 2 * wide
        reads, writes = n - min(n, self.chunk), n - (last or self.chunk)
        carried = 2 * self.num_features() * wide * (reads + writes)
        return 4 * n * self.d_model * (d + self.d_model) + pairs * each_pair + carried
