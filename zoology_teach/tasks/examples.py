"""What every task hands to a model: token sequences and the answers asked of them."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import ParamSpec, TypeVar

import torch
from torch import Tensor

from zoology_teach.checks import require, require_seed

P = ParamSpec("P")
T = TypeVar("T")
IGNORED = -100  # the label of a position where nothing is asked (cross_entropy's default)


@dataclass(frozen=True)
class Examples:
    """A batch of B sequences of N tokens, each asking the same number P of questions.

    inputs  (B, N) int64: the tokens.
    labels  (B, N) int64: the token to be predicted *at* a position, or -100 where
            nothing is asked. (Chapter 02 builds both by hand.)

    Raises ValueError for another shape or dtype.
    """

    inputs: Tensor
    labels: Tensor

    def __post_init__(self) -> None:
        shape = tuple(self.inputs.shape)
        require(len(shape) == 2, "inputs shape", shape, "(B, N)")
        require(self.labels.shape == shape, "labels shape", tuple(self.labels.shape), f"{shape}")
        for name, tokens in (("inputs", self.inputs), ("labels", self.labels)):
            require(tokens.dtype == torch.int64, f"{name} dtype", tokens.dtype, "torch.int64")

    @property
    def positions(self) -> Tensor:
        """(B, P) int64: where something is asked, from left to right; (0, 0) of no sequences."""
        asked = self.labels != IGNORED
        per_row = asked.sum(dim=1)
        if (per_row != per_row[:1]).any():
            raise ValueError("labels: every sequence must ask the same number of questions")
        questions = int(per_row[0]) if len(per_row) else 0
        return asked.nonzero()[:, 1].view(len(asked), questions)

    @property
    def targets(self) -> Tensor:
        """(B, P) int64: the answers, in the order of `positions`."""
        return self.labels.gather(1, self.positions)

    @property
    def everywhere(self) -> bool:
        """Whether every position asks, as in text."""
        return bool((self.labels != IGNORED).all())

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitem__(self, rows: slice | Tensor) -> "Examples":
        """Some of the sequences."""
        return Examples(self.inputs[rows], self.labels[rows])

    def split(self, size: int) -> list["Examples"]:
        """Parts of `size` sequences, the last one perhaps smaller."""
        parts = zip(self.inputs.split(size), self.labels.split(size), strict=True)
        return [Examples(*part) for part in parts]

    def to(self, device: torch.device | str) -> "Examples":
        """The same on another device."""
        return Examples(self.inputs.to(device), self.labels.to(device))


def generator_from(seed: int | torch.Generator) -> torch.Generator:
    """A CPU generator: the given one, or a new one with that seed (below 2**32, or ValueError)."""
    if isinstance(seed, torch.Generator):
        return seed
    require_seed("seed", seed)
    return torch.Generator("cpu").manual_seed(seed)


def on_cpu(draw: Callable[P, T]) -> Callable[P, T]:
    """`draw` where its generator is, whatever PyTorch's default device."""

    @wraps(draw)
    def drawn(*values: P.args, **named: P.kwargs) -> T:
        with torch.device("cpu"):
            return draw(*values, **named)

    return drawn
