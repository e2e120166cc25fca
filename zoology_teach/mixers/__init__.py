"""Sequence mixers by name. A new one is a class of its own file and a line here."""

import importlib

from zoology_teach.mixers.attention import Attention
from zoology_teach.mixers.base_conv import BaseConv
from zoology_teach.mixers.base_conv_autocorrelation import AutocorrelationBaseConv
from zoology_teach.mixers.h3 import H3
from zoology_teach.mixers.hyena import Hyena
from zoology_teach.mixers.linear_attention import LinearAttention
from zoology_teach.mixers.long_conv import LongConv
from zoology_teach.mixers.mamba import Mamba
from zoology_teach.mixers.mixer import Mixer
from zoology_teach.mixers.rwkv import RWKV
from zoology_teach.mixers.s4d import S4D
from zoology_teach.mixers.sliding_window import SlidingWindow
from zoology_teach.mixers.sparse_attention import SparseAttention

MIXERS: dict[str, type[Mixer]] = {
    "attention": Attention,
    "sliding_window": SlidingWindow,
    "sparse_attention": SparseAttention,
    "base_conv": BaseConv,
    "base_conv_autocorrelation": AutocorrelationBaseConv,
    "long_conv": LongConv,
    "s4d": S4D,
    "h3": H3,
    "hyena": Hyena,
    "rwkv": RWKV,
    "mamba": Mamba,
    "linear_attention": LinearAttention,
}


def find(name: str) -> type[Mixer]:
    """The class of a name in `MIXERS`, or of "module:Class"."""
    if name in MIXERS:
        return MIXERS[name]
    module, _, cls = name.partition(":")
    return getattr(importlib.import_module(module), cls)
