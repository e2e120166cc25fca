"""What several ladders draw: random tensors, signs, tokens, marks."""

from typing import Any

import torch
from torch import Generator, Tensor


def randn(generator: Generator, *shape: int) -> Tensor:
    """Normal numbers."""
    return torch.randn(*shape, generator=generator)


def signs(generator: Generator, *shape: int) -> Tensor:
    """Random -1.0 and 1.0."""
    return torch.randint(2, shape, generator=generator) * 2.0 - 1


def flags(*rows: str) -> Tensor:
    """ "01" per token, one text a sequence -> bool (B, N)."""
    return torch.tensor([[letter == "1" for letter in row] for row in rows])


def doubles(*rows: Any) -> Tensor:
    """A float64 tensor."""
    return torch.tensor(rows[0] if len(rows) == 1 else rows, dtype=torch.float64)
