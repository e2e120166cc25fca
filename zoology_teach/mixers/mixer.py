"""What every sequence mixer is: a causal map from a sequence to a sequence."""

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor, nn

from zoology_teach.checks import require, require_int
from zoology_teach.kernels.derivatives import transformed

Projections = tuple[tuple[nn.Linear, ...], nn.Linear | None]


class Mixer(nn.Module, ABC):
    """A causal map (B, N, D) -> (B, N, D): output t depends on inputs 0 .. t only.

    A subclass calls ``super().__init__(d_model)`` and defines `forward`, `state_size` and
    `flops`. The rest has a default, and is all that the library ever asks of a mixer:

    d_model         D.
    wants_tokens    `forward` has a third argument, the token ids (B, N).
    wants_max_len   the constructor has `max_len`, the longest sequence that a filter covers.
    has_step        one token at a time is possible, with a bounded state; see `step`. May
                    depend on an option, so ask the mixer, not its class.
    auxiliary_loss  what the last forward pass adds to the training loss.

    Raises ValueError for a `d_model` below 1.
    """

    wants_tokens = False
    wants_max_len = False
    has_step = False
    auxiliary_loss: Tensor | float = 0.0

    d_model: int

    def __init__(self, d_model: int | None = None):
        """`d_model` is D; a subclass that does not hand it on sets it itself."""
        super().__init__()
        if d_model is not None:
            require_int("d_model", d_model, 1)
            self.d_model = d_model

    @abstractmethod
    def forward(self, u: Tensor, positions: Tensor | None = None) -> Tensor:
        """u (B, N, D) -> (B, N, D), or the rows (B, P, D) at `positions` (B, P).

        A mixer may save the work of the rows that nobody asked for.
        """

    @abstractmethod
    def state_size(self, n: int) -> int:
        """Floats kept per sequence after `n` tokens in order to decode the next one."""

    @abstractmethod
    def flops(self, n: int) -> int:
        """Floating-point operations of one forward pass over ONE sequence of `n` tokens.

        A multiply-add is 2. `shared_flops` is part of it.
        """

    def shared_flops(self, n: int) -> int:
        """The part of `flops` that a batch does only once: filters, their transforms."""
        return 0

    def projection_flops(self, n: int) -> int:
        """The part of `flops` that is `projections`: 2 for each weight and token."""
        return 2 * n * self.projection_weights()

    def projection_weights(self) -> int:
        """The number of weights in `projections`."""
        first, last = self.projections()
        return sum(p.weight.numel() for p in (*first, *((last,) if last else ())))

    def projections(self) -> Projections:
        """The dense projections of tokens: all but the last, and the one that writes the output.

        Here every `nn.Linear`, none of them the last. A mixer that ends in a projection, or
        has an `nn.Linear` for something else than tokens, says which are which.
        """
        return tuple(m for m in self.modules() if isinstance(m, nn.Linear)), None

    def step(self, u_t: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """The next token: u_t (B, D) and the last state (None at first) -> y_t (B, D), state.

        The state after n tokens holds `state_size(n)` numbers for each sequence. Raises
        ValueError here: this mixer has no `step`.
        """
        raise ValueError(
            f"mixer = {type(self).__name__!r}: must be one with a bounded state (has_step), "
            "to go token by token"
        )

    def check(self, u: Tensor, positions: Tensor | None = None) -> None:
        """Raise ValueError unless u is (B, N, D), of this mixer's dtype (autocast may change it)
        and not empty, and positions (B, P) are places in it.
        """
        shape, d = tuple(u.shape), self.d_model
        fits = u.dim() == 3 and shape[2] == d and u.numel() > 0
        require(fits, "u shape", shape, f"(B, N, {d}), none of them 0")
        self._check_dtype("u dtype", u)
        if positions is not None:
            check_positions(positions, *shape[:2])

    def check_step(self, u_t: Tensor) -> None:
        """Raise ValueError unless u_t is (B, D), of this mixer's dtype and not empty."""
        shape, d = tuple(u_t.shape), self.d_model
        fits = u_t.dim() == 2 and shape[1] == d and u_t.numel() > 0
        require(fits, "u_t shape", shape, f"(B, {d}), none of them 0")
        self._check_dtype("u_t dtype", u_t)

    def _check_dtype(self, argument: str, u: Tensor) -> None:
        require(u.is_floating_point(), argument, u.dtype, "a real floating-point one")
        own = {p.dtype for p in self.parameters() if p.is_floating_point()}
        fits = not own or u.dtype in own or torch.is_autocast_enabled(u.device.type)
        require(fits, argument, u.dtype, f"that of the mixer's parameters, {sorted(map(str, own))}")


def check_positions(positions: Tensor, b: int, n: int) -> None:
    """Raise ValueError unless positions are (B, P) int64 in 0 .. N - 1.

    On a GPU, under torch.compile and torch.func nobody looks at the numbers.
    """
    at = tuple(positions.shape)
    require(len(at) == 2 and at[0] == b, "positions shape", at, f"(B, P), with B = {b}")
    require(positions.dtype == torch.int64, "positions dtype", positions.dtype, "torch.int64")
    seen = positions.is_cpu and not torch.compiler.is_compiling() and not transformed(positions)
    if seen and positions.numel():
        low, high = map(int, positions.aminmax())
        require(0 <= low and high < n, "positions", (low, high), f"places in 0 .. {n - 1}")


def start_projections(init: str, *projections: nn.Linear) -> None:
    """Weights normal with std 0.02, biases 0; "identity" adds 1 on the diagonal.

    Raises ValueError for another `init` than "usual" or "identity".
    """
    require(init in ("usual", "identity"), "init", init, "'usual' or 'identity'")
    for projection in projections:
        nn.init.normal_(projection.weight, std=0.02)
        if projection.bias is not None:
            nn.init.zeros_(projection.bias)
        if init == "identity":
            projection.weight.data += torch.eye(*projection.weight.shape)


def project(u: Tensor, *projections: nn.Linear) -> list[Tensor]:
    """W u + b of each of `projections` in one product: u (B, N, D) -> (B, N, D') each.

    Time is contiguous in memory, as convolutions by FFT want it: a transposition for each of
    their passes costs half as much again. The projections have biases.
    """
    weight = torch.cat([p.weight for p in projections]).expand(len(u), -1, -1)
    bias = torch.cat([p.bias for p in projections])
    product = torch.baddbmm(bias[:, None], weight, u.mT)
    return [x.mT for x in product.split([p.out_features for p in projections], dim=1)]


def rows(x: Tensor, positions: Tensor | None) -> Tensor:
    """x (B, N, D) at `positions` (B, P): (B, P, D); all of x without positions."""
    # Indexed, because the backward of a gather takes twice as long.
    return x if positions is None else x[torch.arange(len(x), device=x.device)[:, None], positions]
