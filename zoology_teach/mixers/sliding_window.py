"""Sliding-window attention (chapters 08, 09): exact, but short-sighted.

    y_t = W_o sum_{t-w<s<=t} softmax_s(q_t . k_s / sqrt(D/H)) v_s           u, y (B, N, D)

The state stops growing at w keys and values. L such layers see L (w - 1) tokens back, but
only one of them can look a token up, and only within w. Beltagy et al. (Longformer),
arXiv:2004.05150.
"""

import torch
from einops import rearrange
from torch import Tensor
from torch.nn.functional import pad, scaled_dot_product_attention

from zoology_teach.checks import require_int
from zoology_teach.kernels import flash_attention
from zoology_teach.mixers.attention import Attention
from zoology_teach.mixers.causal_attention import masked_attention


class SlidingWindow(Attention):
    """`Attention` over the last `window` tokens, this one included, in O(N window).

    window     w.
    num_heads  H; must divide d_model.
    init       "usual" or "identity", as in `Attention`.

    Raises ValueError for options that do not fit.
    """

    has_step = True
    window: int  # never None here

    def __init__(self, d_model: int, *, window: int = 64, num_heads: int = 1, init: str = "usual"):
        require_int("window", window, 1)
        super().__init__(d_model, num_heads=num_heads, window=window, init=init)

    def forward(self, u: Tensor, positions: Tensor | None = None) -> Tensor:
        """u (B, N, D) -> (B, N, D), or (B, P, D) at `positions` (B, P) at O(P N) cost."""
        self.check(u, positions)
        n, w = u.shape[1], self.window
        has_kernel = flash_attention.takes(u, self.d_model // self.num_heads)
        if positions is not None or n <= 2 * w or has_kernel:
            return super().forward(u, positions)
        # Blocks of w queries; all they may see is their own block and the one before.
        u = pad(u, (0, 0, 0, -n % w))
        q, k, v = (
            rearrange(x, "b (m w) (h d) -> b m h w d", w=w, h=self.num_heads)
            for x in (self.query(u), self.key(u), self.value(u))
        )
        k, v = (pad(x, (0, 0, 0, 0, 0, 0, 1, 0)) for x in (k, v))
        k, v = (torch.cat([x[:, :-1], x[:, 1:]], dim=3) for x in (k, v))
        y = masked_attention(q, k, v, self._in_blocks(q))
        return self.out(rearrange(y, "b m h w d -> b (m w) (h d)")[:, :n])

    def _in_blocks(self, q: Tensor) -> Tensor:
        """Which keys of two blocks each query sees, (M, 1, w, 2w); before block 0 is nothing."""
        blocks, w = q.shape[1], self.window
        key = torch.arange(2 * w, device=q.device)
        distance = torch.arange(w, device=q.device)[:, None] + w - key
        exists = (torch.arange(blocks, device=q.device)[:, None, None, None] > 0) | (key >= w)
        return (distance >= 0) & (distance < w) & exists

    def step(
        self, u_t: Tensor, state: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """The next token: u_t (B, D) and the last state (None at first) -> y_t (B, D), state.

        The state is the keys and the values of the last tokens, at most w of each, (B, w, D),
        oldest first.
        """
        self.check_step(u_t)
        u_t = u_t[:, None]
        state = state or (u_t[:, :0], u_t[:, :0])
        new = (self.key(u_t), self.value(u_t))
        keys, values = (
            torch.cat([old, x], 1)[:, -self.window :] for old, x in zip(state, new, strict=True)
        )
        q, k, v = (
            rearrange(x, "b n (h d) -> b h n d", h=self.num_heads)
            for x in (self.query(u_t), keys, values)
        )
        y = scaled_dot_product_attention(q, k, v)
        return self.out(rearrange(y, "b h 1 d -> b (h d)")), (keys, values)
