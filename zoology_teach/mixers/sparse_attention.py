"""Attention of selected query rows (paper Section 5; chapter 09). Arora et al., arXiv:2312.04927.

    y[i] = f[i] · W_o softmax_{s<=i}(q_i . k_s / sqrt(D/H)) v_s           u, y (B, N, D); f (B, N)

f selects the rows that ask (selections.py). Keys and values stay those of all positions, so the
state is that of attention. A row with f = 0 has no query and no scores; its y is 0, and the
residual stream passes it by.
"""

import inspect

import torch
from einops import rearrange
from torch import Tensor, nn

from zoology_teach.checks import require, require_seed
from zoology_teach.kernels.derivatives import transformed
from zoology_teach.mixers.attention import Attention
from zoology_teach.mixers.mixer import Projections, rows
from zoology_teach.mixers.selections import (
    Full,
    Learned,
    Programmatic,
    Random,
    Selection,
    auxiliary_loss,
    seen_before,
)

__all__ = ["SELECTIONS", "SparseAttention", "auxiliary_loss", "seen_before"]

SELECTIONS: dict[str, type[Selection]] = {
    "full": Full,
    "random": Random,
    "programmatic": Programmatic,
    "learned": Learned,
}


class SparseAttention(Attention):
    """`Attention` of the rows that `selection` picks.

    selection   "full": every row, f = 1.
                "random": each row with probability `p`, a control that ignores the input.
                "programmatic": f = 1 where the token occurred before in its sequence and is
                not `blank`; needs token ids.
                "learned": a router that keeps some `k` rows; see `selections.Learned`.
    num_heads   H; must divide d_model.
    short_conv  as in `Attention`; the queries of all rows are then projected.
    p           of "random".
    blank       of "programmatic": the id of a filler that never counts as seen, or None.
    k           of "learned": rows kept in a sequence; on average in `eval` mode.
    noise       of "learned": standard deviation of the noise on the router's logits in training.
    soft_steps  of "learned": this many training passes keep every row, weighed with f.
    seed        of "random" and of the noise; the others draw nothing.
    init        "usual", "identity" or "induction", as in `Attention`.

    `select` is the selection, a module of its own: another can take its place. After each pass
    `last_selection` holds its f (B, N), without a gradient.

    Raises ValueError for options that do not fit or belong to another selection, and in
    `forward` without the token ids that "programmatic" needs.
    """

    wants_tokens = True

    def __init__(
        self,
        d_model: int,
        *,
        selection: str = "full",
        num_heads: int = 1,
        short_conv: int | None = None,
        p: float = 0.5,
        blank: int | None = 0,
        k: int = 16,
        noise: float = 1.0,
        soft_steps: int = 0,
        seed: int = 0,
        init: str = "usual",
    ):
        super().__init__(d_model, num_heads=num_heads, short_conv=short_conv, init=init)
        require(
            selection in tuple(SELECTIONS), "selection", selection, f"one of {tuple(SELECTIONS)}"
        )
        require_seed("seed", seed)
        kind = SELECTIONS[selection]
        wanted = inspect.signature(kind).parameters
        defaults = inspect.signature(SparseAttention).parameters
        options = {"p": p, "blank": blank, "k": k, "noise": noise, "soft_steps": soft_steps}
        for name, value in options.items():
            unused = f"left out: selection = {selection!r} has no {name}"
            require(name in wanted or value == defaults[name].default, name, value, unused)
        options |= {"d_model": d_model, "seed": seed}
        self.select = kind(**{name: options[name] for name in wanted if name in options})
        self.last_selection: Tensor | None = None

    def forward(
        self, u: Tensor, positions: Tensor | None = None, tokens: Tensor | None = None
    ) -> Tensor:
        """u (B, N, D), tokens (B, N) -> (B, N, D), or (B, P, D) at `positions` (B, P).

        O(R N) for the R rows selected among those asked for.
        """
        self.check(u, positions)
        f = self.select(u, tokens)
        self.last_selection, self.auxiliary_loss = f.detach(), self.select.auxiliary_loss
        if isinstance(self.select, Full):
            return super().forward(u, positions)
        if positions is not None:
            f = f.gather(1, positions)
        slots = _where(f != 0)  # (B, R), padded with the number of rows asked for
        unused = slots == f.shape[1]
        at = slots if positions is None else _take(positions, slots)
        q = self._queries(u, at.masked_fill(unused, 0))
        k, v = self.convs[1](self.key(u)), self.convs[2](self.value(u))
        q, k, v = (rearrange(x, "b n (h d) -> b h n d", h=self.num_heads) for x in (q, k, v))
        y = self._attend(q, k, v, at.masked_fill(unused, -1))
        y = self.out(rearrange(y, "b h n d -> b n (h d)")) * _take(f, slots)[..., None]
        whole = y.new_zeros(len(u), f.shape[1] + 1, y.shape[2])
        return whole.scatter(1, slots[..., None].expand_as(y), y)[:, :-1]

    def _queries(self, u: Tensor, positions: Tensor) -> Tensor:
        """(B, R, D): of those rows only, unless a convolution looks at their neighbours."""
        if isinstance(self.convs[0], nn.Identity):
            return self.query(rows(u, positions))
        return rows(self.convs[0](self.query(u)), positions)

    def projections(self) -> Projections:
        """W_q, W_k, W_v and the router, then W_o."""
        routers = [m for m in self.select.modules() if isinstance(m, nn.Linear)]
        return (self.query, self.key, self.value, *routers), self.out

    def flops(self, n: int, f: Tensor | None = None) -> int:
        """By the rows selected: those of f (B, N), on average over B, or else those expected.

        What `Attention` takes and the selection, less the scores, sums and projections of rows
        that do not ask. Those expected are spread evenly; of "programmatic" nothing can be
        expected, so all rows count.
        """
        idle = self._idle(n, f)
        pairs = 4 * self.d_model * torch.arange(1, n + 1, device=idle.device)
        saved = round((idle * (pairs + self._query_and_out())).sum().item())
        return super().flops(n) + self.select.flops(n) - saved

    def projection_flops(self, n: int) -> int:
        """Without the queries and outputs of the rows that are expected not to ask."""
        saved = round((self._idle(n) * self._query_and_out()).sum().item())
        return super().projection_flops(n) - saved

    def _idle(self, n: int, f: Tensor | None = None) -> Tensor:
        """(N,) how often each row does not ask."""
        if f is None:
            expected = self.select.expected_rows(n) / max(1, n)
            return torch.full((n,), 1 - expected, dtype=torch.float64, device="cpu")
        return 1 - (f != 0).cpu().double().mean(0)  # a Mac's GPU has no float64

    def _query_and_out(self) -> int:
        """FLOPs of the two projections that a row spares, or of W_o alone, as in `_queries`."""
        return (4 if isinstance(self.convs[0], nn.Identity) else 2) * self.d_model**2


def _where(selected: Tensor) -> Tensor:
    """bool (B, P) -> (B, R), R >= 1: the true places of each row, in order, then P to fill up."""
    places = torch.arange(selected.shape[1], device=selected.device)
    # Under torch.func no number can be looked at, so no row is spared.
    most = selected.shape[1] if transformed() else max(1, int(selected.sum(dim=1).max()))
    return places.where(selected, selected.shape[1]).sort(dim=1).values[:, :most]


def _take(x: Tensor, slots: Tensor) -> Tensor:
    """x (B, P) at slots (B, R); any value at slots beyond P."""
    return x.gather(1, slots.clamp(max=x.shape[1] - 1))
