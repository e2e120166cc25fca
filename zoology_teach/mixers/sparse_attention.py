"""Attention of selected query rows (paper Section 5; chapter 09).

    y[i] = f[i] · W_o softmax_{s<=i}(q_i . k_s / sqrt(D/H)) v_s           u, y (B, N, D); f (B, N)

f selects the rows that ask. Keys and values stay those of all positions, so the state is that
of attention. A row with f = 0 has no query and no scores; its y is 0, and the residual stream
passes it by.
"""

import torch
from einops import rearrange
from torch import Tensor, nn

from zoology_teach.checks import require, require_int
from zoology_teach.mixers.attention import Attention
from zoology_teach.mixers.mixer import rows, start_projections

SELECTIONS = ("full", "random", "programmatic", "learned")


class SparseAttention(Attention):
    """`Attention` of the rows that `selection` picks.

    selection   "full": every row, f = 1.
                "random": each row with probability `p`, a control that ignores the input.
                "programmatic": f = 1 where the token occurred before in its sequence and is
                not `blank`; needs token ids.
                "learned": a router, f = sigmoid(w . u_i), that keeps about `k` rows; see
                `select`.
    num_heads   H; must divide d_model.
    short_conv  as in `Attention`; the queries of all rows are then projected.
    p           of "random".
    blank       of "programmatic": the id of a filler that never counts as seen, or None.
    k           of "learned": rows kept in a sequence, on average at test (in `eval` mode).
    noise       of "learned": standard deviation of the noise on the router's logits in training.
    soft_steps  of "learned": this many training passes keep every row, weighed with f.
    seed        of "random" and of the noise.
    init        "usual", "identity" or "induction", as in `Attention`.

    Raises ValueError for options that do not fit, and in `forward` without the token ids that
    "programmatic" needs.
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
        require(selection in SELECTIONS, "selection", selection, f"one of {SELECTIONS}")
        require(0 <= p <= 1, "p", p, "a probability")
        require_int("k", k, 1)
        require(noise >= 0, "noise", noise, "at least 0")
        require_int("soft_steps", soft_steps, 0)
        require_int("seed", seed, 0)
        self.selection, self.p, self.blank, self.k = selection, p, blank, k
        self.noise, self.soft_steps, self.seed = noise, soft_steps, seed
        self.register_buffer("passes", torch.tensor(0))
        if selection == "learned":
            self.router = nn.Linear(d_model, 1)
            start_projections("usual", self.router)
            self.register_buffer("threshold", torch.tensor(0.5))

    def forward(
        self, u: Tensor, positions: Tensor | None = None, tokens: Tensor | None = None
    ) -> Tensor:
        """u (B, N, D), tokens (B, N) -> (B, N, D), or (B, P, D) at `positions` (B, P).

        O(R N) for the R rows selected among those asked for.
        """
        if self.selection == "full":
            return super().forward(u, positions)
        if self.training:
            self.passes += 1
        f = self.select(u, tokens)
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

    def select(self, u: Tensor, tokens: Tensor | None = None) -> Tensor:
        """f (B, N) of u (B, N, D) and tokens (B, N): 0 where a row does not ask.

        The router of "learned" sees the whole sequence only while it is trained: it keeps the k
        rows of largest f (every row in the first `soft_steps` passes). A test may not look
        ahead. There a row is kept from f = `threshold` on, the running mean of what lay half
        way between the k-th and the next f in training; so the number of rows is k on average.
        """
        if self.selection == "programmatic":
            require(tokens is not None, "tokens", tokens, "the ids (B, N) of the input")
            return seen_before(tokens, self.blank).to(u.dtype)
        if self.selection == "learned":
            return self._route(u)
        if self.selection == "random":
            return (self._draw(torch.rand, u) < self.p).to(u.dtype)
        return u.new_ones(u.shape[:2])

    def _route(self, u: Tensor) -> Tensor:
        logits = self.router(u)[..., 0]
        self.auxiliary_loss = 0.0
        if not self.training:
            f = logits.sigmoid()
            return f * (f >= self.threshold)
        self._note_threshold(logits.detach().sigmoid())
        f = (logits + self.noise * self._draw(torch.randn, u)).sigmoid()
        self.auxiliary_loss = auxiliary_loss(f, self.k)
        if self.passes <= self.soft_steps:
            return f
        kept = f.topk(min(self.k, f.shape[1]), dim=1).indices
        return f * torch.zeros_like(f).scatter(1, kept, 1.0)

    @torch.no_grad()
    def _note_threshold(self, f: Tensor) -> None:
        every_row = f.shape[1] <= self.k
        border = f.new_zeros(()) if every_row else f.topk(self.k + 1, dim=1).values[:, -2:].mean()
        self.threshold.lerp_(border.to(self.threshold.dtype), 0.1)

    def _draw(self, law, u: Tensor) -> Tensor:
        """(B, N) random numbers: new ones in every training pass, the same in every test pass
        (so all test batches have the same rows, and their size matters)."""
        pass_number = int(self.passes) if self.training else 0
        generator = torch.Generator().manual_seed(1_000_003 * self.seed + pass_number)
        return law(u.shape[:2], generator=generator).to(u.device)

    def flops(self, n: int, f: Tensor | None = None) -> int:
        """By the rows selected: those of f (B, N), on average over B, or else those expected.

        What `Attention` takes and the router, less the scores, sums and projections of rows
        that do not ask. Expected means p n or k rows, spread evenly; of "programmatic" nothing
        can be expected, so all rows count.
        """
        expected = {"random": self.p * n, "learned": min(self.k, n)}
        asks = torch.full((1, n), expected.get(self.selection, n) / n) if f is None else f != 0
        idle = 1 - asks.double().mean(0)  # of each row, how often it does not ask
        pairs = 4 * self.d_model * torch.arange(1, n + 1, device=idle.device)
        projections = (4 if isinstance(self.convs[0], nn.Identity) else 2) * self.d_model**2
        router = 2 * n * self.d_model if self.selection == "learned" else 0
        return super().flops(n) + router - round((idle * (pairs + projections)).sum().item())


def seen_before(tokens: Tensor, blank: int | None = 0) -> Tensor:
    """tokens (B, N) -> bool (B, N): this token, no `blank`, occurred earlier in its sequence."""
    ordered, order = tokens.sort(dim=1, stable=True)
    repeats = torch.zeros_like(tokens, dtype=torch.bool)
    repeats.scatter_(1, order[:, 1:], ordered[:, 1:] == ordered[:, :-1])
    return repeats if blank is None else repeats & (tokens != blank)


def auxiliary_loss(f: Tensor, k: int) -> Tensor:
    """(1/N) max(0, sum_i f_i - k) of f (B, N), averaged over B: rows beyond k cost something."""
    return (f.sum(dim=1) - k).clamp(min=0).mean() / f.shape[1]


def _where(selected: Tensor) -> Tensor:
    """bool (B, P) -> (B, R), R >= 1: the true places of each row, in order, then P to fill up."""
    places = torch.arange(selected.shape[1], device=selected.device)
    most = max(1, int(selected.sum(dim=1).max()))
    return places.where(selected, selected.shape[1]).sort(dim=1).values[:, :most]


def _take(x: Tensor, slots: Tensor) -> Tensor:
    """x (B, P) at slots (B, R); any value at slots beyond P."""
    return x.gather(1, slots.clamp(max=x.shape[1] - 1))
