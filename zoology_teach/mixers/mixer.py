"""What every sequence mixer is: a causal map from a sequence to a sequence."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from zoology_teach.checks import require


class Mixer(nn.Module, ABC):
    """A causal map (B, N, D) -> (B, N, D): output t depends on inputs 0 .. t only.

    ``forward(u, positions)`` with positions (B, P) returns (B, P, D), the rows asked for;
    a mixer may save the work of the others. One that `wants_tokens` has a third argument,
    the token ids (B, N), and `auxiliary_loss` is what its last pass adds to the training loss.
    """

    wants_tokens = False
    wants_max_len = False
    auxiliary_loss: Tensor | float = 0.0

    @abstractmethod
    def forward(self, u: Tensor, positions: Tensor | None = None) -> Tensor:
        """u (B, N, D) -> (B, N, D), or (B, P, D) at `positions`."""

    @abstractmethod
    def state_size(self, n: int) -> int:
        """Floats kept per sequence after `n` tokens in order to decode the next one."""

    @abstractmethod
    def flops(self, n: int) -> int:
        """Floating-point operations of one forward pass over `n` tokens (a multiply-add is 2)."""


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


def rows(x: Tensor, positions: Tensor | None) -> Tensor:
    """x (B, N, D) at `positions` (B, P): (B, P, D); all of x without positions."""
    return x if positions is None else torch.take_along_dim(x, positions[..., None], dim=1)
