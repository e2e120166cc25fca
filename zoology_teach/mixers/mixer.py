"""What every sequence mixer is: a causal map from a sequence to a sequence."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn


class Mixer(nn.Module, ABC):
    """A causal map (B, N, D) -> (B, N, D): output t depends on inputs 0 .. t only.

    ``forward(u, positions)`` with positions (B, P) returns (B, P, D), the rows asked for;
    a mixer may save the work of the others.
    """

    @abstractmethod
    def forward(self, u: Tensor, positions: Tensor | None = None) -> Tensor:
        """u (B, N, D) -> (B, N, D), or (B, P, D) at `positions`."""

    @abstractmethod
    def state_size(self, n: int) -> int:
        """Floats kept per sequence after `n` tokens in order to decode the next one."""

    @abstractmethod
    def flops(self, n: int) -> int:
        """Floating-point operations of one forward pass over `n` tokens (a multiply-add is 2)."""


def rows(x: Tensor, positions: Tensor | None) -> Tensor:
    """x (B, N, D) at `positions` (B, P): (B, P, D); all of x without positions."""
    return x if positions is None else torch.take_along_dim(x, positions[..., None], dim=1)
