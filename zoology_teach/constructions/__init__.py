"""Weights set by hand: models that need no training (chapters 03, 04, 07).

Each model is an ordinary `LanguageModel`; only its numbers were chosen by us. So what a
construction can do, training can in principle find. In the order of chapter 07:

lookup      exact recall: attention in O(log V) channels, BaseConv with a channel per key.
memory      a sum of products: BaseConv with random signs, the outer-product state, and the
            accuracy that signal and noise predict for them.
index       N bits written into such a state and read back, and why fewer bits cannot.
simulation  H3 and Hyena as stacks of BaseConvs, number for number.
"""

from zoology_teach.constructions.index import (
    Index,
    fewest_bits,
    fooling_pair,
    pack,
    to_tokens,
    unpack,
)
from zoology_teach.constructions.lookup import attention, one_channel_per_key, sign_codes
from zoology_teach.constructions.memory import (
    channels_needed,
    holographic,
    outer_product,
    predicted_accuracy,
    read,
    write,
)
from zoology_teach.constructions.simulation import as_base_convs

__all__ = [
    "Index",
    "as_base_convs",
    "attention",
    "channels_needed",
    "fewest_bits",
    "fooling_pair",
    "holographic",
    "one_channel_per_key",
    "outer_product",
    "pack",
    "predicted_accuracy",
    "read",
    "sign_codes",
    "to_tokens",
    "unpack",
    "write",
]
