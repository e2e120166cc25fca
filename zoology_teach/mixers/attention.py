"""Causal softmax attention (chapter 03): every position looks at its whole past.

Vaswani et al., arXiv:1706.03762. Rotary positions: Su et al., arXiv:2104.09864. Sliding
window: Beltagy et al., arXiv:2004.05150.
"""

import torch
from einops import einsum, rearrange
from torch import Tensor, nn

from zoology_teach.checks import require, require_bool, require_int
from zoology_teach.kernels import flash_attention, sparse_attention
from zoology_teach.mixers.causal_attention import causal_attention, masked_attention
from zoology_teach.mixers.convolution import ShortConv
from zoology_teach.mixers.mixer import Mixer, Projections, rows, start_projections


class Attention(Mixer):
    """y_t = W_o sum_{s<=t} softmax_s(q_t . k_s / sqrt(D/H)) v_s,  q, k, v = W_q u, W_k u, W_v u.

    num_heads   H; must divide d_model.
    window      None, or how many tokens back a position sees, itself included.
    short_conv  None, or the kernel size of a causal convolution on q, k and v each.
    rope        turn q and k by angles that grow with the position (rotary embedding).
    init        "usual" (projections normal with std 0.02) or "identity": q = k = v = u and
                W_o = 1, plus the same noise, so that at the start equal tokens find each other.
                "induction": W_q = W_k, and the convolution on k starts at the previous token,
                so that a token finds what followed its earlier occurrences; the copying (W_v
                and W_o) starts as usual and has to be learned. Needs short_conv >= 2. Starts
                that imitate what trained attention looks like: arXiv:2305.09828.

    Raises ValueError for sizes that do not fit.
    """

    def __init__(
        self,
        d_model: int,
        *,
        num_heads: int = 1,
        window: int | None = None,
        short_conv: int | None = None,
        rope: bool = False,
        init: str = "usual",
    ):
        super().__init__(d_model)
        require_int("num_heads", num_heads, 1)
        require(d_model % num_heads == 0, "num_heads", num_heads, f"a divisor of {d_model}")
        if window is not None:
            require_int("window", window, 1)
        if short_conv is not None:
            require_int("short_conv", short_conv, 1)
        require_bool("rope", rope)
        even = d_model // num_heads % 2 == 0
        require(not rope or even, "rope", rope, "False for heads of odd width")
        self.num_heads, self.window, self.rope = num_heads, window, rope

        self.query, self.key, self.value, self.out = (nn.Linear(d_model, d_model) for _ in range(4))
        induction = init == "induction"
        plain = "usual" if induction else init
        start_projections(plain, self.query, self.key, self.value, self.out)
        starts = ("identity", "previous", "identity") if induction else (init,) * 3  # of q, k, v
        self.convs = nn.ModuleList(
            ShortConv(d_model, short_conv, x) if short_conv else nn.Identity() for x in starts
        )
        if induction:
            require(bool(short_conv), "short_conv", short_conv, "at least 2 for init='induction'")
            nn.init.normal_(self.query.weight, std=d_model**-0.5)
            self.key.weight.data.copy_(self.query.weight.data)

    def forward(self, u: Tensor, positions: Tensor | None = None) -> Tensor:
        """u (B, N, D) -> (B, N, D), or (B, P, D) at `positions` (B, P) at O(P N) cost."""
        self.check(u, positions)
        if positions is not None and self._reads_few_rows(u, positions):
            return self._read_few_rows(u, positions)
        conv_q, conv_k, conv_v = self.convs
        q = rows(conv_q(self.query(u)), positions)
        k, v = conv_k(self.key(u)), conv_v(self.value(u))
        q, k, v = (rearrange(x, "b n (h d) -> b h n d", h=self.num_heads) for x in (q, k, v))
        if self.rope:
            q, k = rotate(q, positions), rotate(k)
        return self.out(rearrange(self._attend(q, k, v, positions), "b h n d -> b n (h d)"))

    def _attend(self, q: Tensor, k: Tensor, v: Tensor, positions: Tensor | None) -> Tensor:
        """q (B, H, P, d), k and v (B, H, N, d) -> (B, H, P, d).

        On a GPU by the kernels of chapter 13, where they have one; PyTorch's own is at least as
        fast for the plain causal case.
        """
        if flash_attention.takes(q, q.shape[3]):
            if positions is None and self.window is not None:
                return flash_attention.attention(q, k, v, self.window)
            if positions is not None and self.window is None:
                return sparse_attention.sparse_attention(q, k, v, positions)
        if positions is None and self.window is None:
            return causal_attention(q, k, v)
        visible = self._visible(k.shape[2], positions, k.device)
        return masked_attention(q, k, v, visible)

    def _reads_few_rows(self, u: Tensor, positions: Tensor) -> bool:
        """Whether `_read_few_rows` is possible and takes fewer operations. A GPU has a kernel."""
        plain = not self.rope and not any(isinstance(c, ShortConv) for c in self.convs)
        few = positions.shape[1] * self.num_heads < self.d_model
        return plain and few and not flash_attention.takes(u, self.d_model // self.num_heads)

    def _read_few_rows(self, u: Tensor, positions: Tensor) -> Tensor:
        """The rows at `positions` without the keys and values of all tokens.

        q . W_k u = W_k^T q . u, and a weighted sum of values W_v u is W_v times that of the u:
        so W_k and W_v work on the P rows instead of on N tokens.
        """
        heads, split = self.num_heads, "b p (h d) -> b h p d"
        w_k, w_v = (x.weight.unflatten(0, (heads, -1)) for x in (self.key, self.value))
        q = rearrange(self.query(rows(u, positions)), split, h=heads) * (w_k.shape[1] ** -0.5)
        b_k = self.key.bias.view(heads, -1, 1)
        scores = einsum(q @ w_k, u, "b h p e, b n e -> b h p n") + q @ b_k
        visible = self._visible(u.shape[1], positions, u.device)
        weights = scores.masked_fill(~visible, -torch.inf).softmax(dim=3)
        y = einsum(weights, u, "b h p n, b n e -> b h p e") @ w_v.mT
        return self.out(rearrange(y, "b h p d -> b p (h d)") + self.value.bias)

    def _visible(self, n: int, positions: Tensor | None, device: torch.device) -> Tensor:
        """Which of n keys each query row may see: bool, broadcastable to (B, H, P, N)."""
        keys = torch.arange(n, device=device)
        queries = keys if positions is None else positions[:, None]
        distance = queries[..., None] - keys
        visible = distance >= 0
        return visible if self.window is None else visible & (distance < self.window)

    def projections(self) -> Projections:
        """W_q, W_k, W_v, then W_o."""
        return (self.query, self.key, self.value), self.out

    def state_size(self, n: int) -> int:
        """Keys and values of every token in sight."""
        return 2 * self.d_model * min(n, self.window or n)

    def flops(self, n: int) -> int:
        """Four projections, scores and weighted sum over the visible pairs."""
        w = min(n, self.window or n)
        visible_pairs = w * (w + 1) // 2 + (n - w) * w
        convs = sum(c.flops(n) for c in self.convs if isinstance(c, ShortConv))
        turns = 6 * n * self.d_model if self.rope else 0
        return 8 * n * self.d_model**2 + convs + turns + 4 * visible_pairs * self.d_model


def rotate(x: Tensor, positions: Tensor | None = None) -> Tensor:
    """Rotary embedding: turn the pairs (x_i, x_{i + d/2}) of x (B, H, N, d) at position p.

    The angle is p 10000^(-2i/d), so a product of two rows turned so depends on their distance
    only. positions (B, N) says where the rows stand, if not at 0 .. N - 1. Angles are computed
    in float32, or in float64 for an x of float64.
    """
    half = x.shape[3] // 2
    if positions is None:
        positions = torch.arange(x.shape[2], device=x.device)[None]
    precision = torch.promote_types(x.dtype, torch.float32)
    speed = 10000.0 ** (-torch.arange(half, device=x.device, dtype=precision) / half)
    angle = positions[:, None, :, None] * speed
    cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
    first, second = x.split(half, dim=3)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=3)
