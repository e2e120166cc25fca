"""Mixers of the paper's released code (HazyResearch/zoology) beside ours, for speed.py.

Both stand in one plain model of ours, so a ratio is of mixers, not of whole programs. Options are
near those of its Figure 2: there H3 has d_state = N and head dimension 2, here 64 and 1, and its
attention has dropout.
"""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import nn

from zoology_teach.model import Layer, layer

TheirMixer = Callable[[int, int, int], nn.Module]  # of d_model, the sequence's length, the layer


@dataclass(frozen=True)
class Theirs:
    """One of their classes and its options; all but attention want the length too."""

    module: str
    name: str
    options: dict[str, Any]
    wants_length: bool = True

    def load(self) -> TheirMixer:
        """Raises ImportError where its file, or a package that it needs, is missing."""
        mixer = getattr(importlib.import_module(f"zoology.mixers.{self.module}"), self.name)

        def make(d_model: int, seq_len: int, layer_idx: int) -> nn.Module:
            length = {"l_max": seq_len} if self.wants_length else {}
            return mixer(d_model=d_model, layer_idx=layer_idx, **length, **self.options)

        return make


@dataclass(frozen=True)
class Pair:
    """Two layers of theirs, and of ours for a sequence's length."""

    of_theirs: tuple[Theirs, Theirs]
    ours: Callable[[int], tuple[Layer, Layer]]

    def theirs(self) -> list[TheirMixer]:
        return [one.load() for one in self.of_theirs]


def base_conv(**options: Any) -> Theirs:
    return Theirs("base_conv", "BaseConv", options)


ATTENTION = Theirs("attention", "MHA", {"num_heads": 1}, wants_length=False)
BASED = Theirs(
    "based",
    "Based",
    {"feature_dim": 8, "num_heads": 1, "num_key_value_heads": 1, "train_view": "quadratic"},
)
PAIRS = {
    "attention": Pair((ATTENTION,) * 2, lambda n: (layer("attention"),) * 2),
    "BaseConv": Pair(
        (base_conv(kernel_size=3), base_conv(kernel_size=-1)),
        lambda n: (layer("base_conv"), layer("base_conv", filter="implicit", max_len=n)),
    ),
    "Hyena": Pair((Theirs("hyena", "Hyena", {}),) * 2, lambda n: (layer("hyena", max_len=n),) * 2),
    "H3": Pair(
        (Theirs("h3.h3", "H3", {"d_state": 64, "head_dim": 1}),) * 2,
        lambda n: (layer("h3", d_state=64),) * 2,
    ),
    "Based": Pair(
        (base_conv(kernel_size=3), BASED),
        lambda n: (layer("base_conv"), layer("linear_attention", feature_dim=8)),
    ),
}
