"""Which rows may ask: the four choices of f (paper Section 5; chapter 09). arXiv:2312.04927.

full           f = 1
random         f[i] = 1 with probability p: a control that ignores the input
programmatic   f[i] = 1 where token i occurred before in its sequence
learned        f[i] = sigmoid(w . u_i) where that is one of the k largest, else 0
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from torch import Tensor, nn

from zoology_teach.checks import number, require, require_int, require_seed
from zoology_teach.kernels.derivatives import transformed
from zoology_teach.mixers.mixer import start_projections


class Selection(nn.Module):
    """u (B, N, D), tokens (B, N) or None -> f (B, N), 0 where a row does not ask.

    `auxiliary_loss` is what the last pass adds to the training loss.
    """

    auxiliary_loss: Tensor | float = 0.0

    def expected_rows(self, n: int) -> float:
        """How many of `n` rows ask, on average; n where nothing can be expected."""
        return n

    def flops(self, n: int) -> int:
        """Operations of the selection itself."""
        return 0


class Full(Selection):
    """Every row."""

    def forward(self, u: Tensor, tokens: Tensor | None = None) -> Tensor:
        """f (B, N) = 1."""
        return u.new_ones(u.shape[:2])


class Drawing(Selection):
    """One that draws: anew in every training pass, and the same in every test pass.

    So all test batches have the same rows, and their size matters.
    """

    passes: Tensor

    def __init__(self, seed: int):
        super().__init__()
        require_seed("seed", seed)
        self.seed = seed
        self.register_buffer("passes", torch.tensor(0))

    def draw(self, law: Callable[..., Tensor], u: Tensor) -> Tensor:
        """(B, N) float32 numbers of `torch.rand` or `torch.randn`."""
        pass_number = int(self.passes) if self.training else 0
        generator = torch.Generator("cpu").manual_seed(1_000_003 * self.seed + pass_number)
        options: dict[str, Any] = {"generator": generator, "dtype": torch.float32, "device": "cpu"}
        if transformed():  # `linearize` would note a draw of this thread, and draw anew each time
            with ThreadPoolExecutor(1) as apart:
                drawn = apart.submit(law, u.shape[:2], **options).result()
        else:
            drawn = law(u.shape[:2], **options)
        return drawn.to(u.device)


class Random(Drawing):
    """Each row with probability p."""

    def __init__(self, p: float = 0.5, seed: int = 0):
        super().__init__(seed)
        require(0 <= number(p) <= 1, "p", p, "a probability")
        self.p = p

    def forward(self, u: Tensor, tokens: Tensor | None = None) -> Tensor:
        """f (B, N), each 1 with probability p."""
        if self.training:
            self.passes += 1
        return (self.draw(torch.rand, u) < self.p).to(u.dtype)

    def expected_rows(self, n: int) -> float:
        """p n."""
        return self.p * n


class Programmatic(Selection):
    """Rows whose token, no `blank`, occurred before."""

    def __init__(self, blank: int | None = 0):
        super().__init__()
        if blank is not None:
            require_int("blank", blank, 0)
        self.blank = blank

    def forward(self, u: Tensor, tokens: Tensor | None = None) -> Tensor:
        """f (B, N); raises ValueError without tokens (B, N)."""
        if tokens is None:
            raise ValueError("tokens = None: must be the ids (B, N) of the input")
        require(tokens.shape == u.shape[:2], "tokens shape", tuple(tokens.shape), "(B, N)")
        return seen_before(tokens, self.blank).to(u.dtype)


class Learned(Drawing):
    """A router, f = sigmoid(logit) with the logit w . u_i + b, that keeps some k rows.

    While it is trained it sees the whole sequence: it adds noise to the logits and keeps the k
    rows of largest f (every row in the first `soft_steps` passes). A test may not look ahead.
    There a row is kept if its logit, without noise, reaches `threshold`: the running mean over
    training passes of the border that leaves k rows a sequence, counted over the whole batch.
    So a sequence may keep more or fewer than k. The mean over many is k for data as in
    training, up to what the border moved of late and to rows with one and the same logit,
    which all stay or all go.
    """

    threshold: Tensor

    def __init__(
        self, d_model: int, k: int = 16, noise: float = 1.0, soft_steps: int = 0, seed: int = 0
    ):
        super().__init__(seed)
        require_int("k", k, 1)
        require(number(noise) >= 0, "noise", noise, "at least 0 and finite")
        require_int("soft_steps", soft_steps, 0)
        self.k, self.noise, self.soft_steps = k, noise, soft_steps
        self.router = nn.Linear(d_model, 1)
        start_projections("usual", self.router)
        self.register_buffer("threshold", torch.tensor(0.0))

    def forward(self, u: Tensor, tokens: Tensor | None = None) -> Tensor:
        """f (B, N) of u (B, N, D)."""
        logits = self.router(u)[..., 0]
        self.auxiliary_loss = 0.0
        if not self.training:
            return _weight(logits) * (logits >= self.threshold)
        self.passes += 1
        self._note_threshold(logits.detach())
        f = _weight(logits + self.noise * self.draw(torch.randn, u))
        self.auxiliary_loss = auxiliary_loss(f, self.k)
        if self.passes <= self.soft_steps:
            return f
        kept = f.topk(min(self.k, f.shape[1]), dim=1).indices
        return f * torch.zeros_like(f).scatter(1, kept, 1.0)

    @torch.no_grad()
    def _note_threshold(self, logits: Tensor) -> None:
        """Logits, not f: where f is 0 or 1 to the last digit, it no longer orders the rows."""
        batch, n = logits.shape
        if n <= self.k:
            border = logits.new_tensor(-torch.inf)  # every row is kept
        else:
            border = logits.flatten().topk(batch * self.k + 1).values[-2:].mean()
        mean = self.threshold.lerp(border.to(self.threshold.dtype), 0.1)
        # Short sequences and long ones have no mean: the latest counts.
        self.threshold.copy_(torch.where(mean.isfinite(), mean, border))

    def expected_rows(self, n: int) -> float:
        """k, or all."""
        return min(self.k, n)

    def flops(self, n: int) -> int:
        """The router."""
        return 2 * n * self.router.in_features


def _weight(logits: Tensor) -> Tensor:
    """The sigmoid, and never 0: that means that a row does not ask."""
    return logits.sigmoid().clamp(min=torch.finfo(logits.dtype).tiny)


def seen_before(tokens: Tensor, blank: int | None = 0) -> Tensor:
    """tokens (B, N) -> bool (B, N): this token, no `blank`, occurred earlier in its sequence."""
    ordered, order = tokens.sort(dim=1, stable=True)
    repeats = torch.zeros_like(tokens, dtype=torch.bool)
    repeats.scatter_(1, order[:, 1:], ordered[:, 1:] == ordered[:, :-1])
    return repeats if blank is None else repeats & (tokens != blank)


def auxiliary_loss(f: Tensor, k: int) -> Tensor:
    """(1/N) max(0, sum_i f_i - k) of f (B, N), averaged over B: rows beyond k cost something."""
    return (f.sum(dim=1) - k).clamp(min=0).mean() / f.shape[1]
