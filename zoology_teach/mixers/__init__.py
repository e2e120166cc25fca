"""Sequence mixers by name. A new one is a class of its own file and a line here."""

from zoology_teach.mixers.attention import Attention
from zoology_teach.mixers.base_conv import BaseConv
from zoology_teach.mixers.h3 import H3
from zoology_teach.mixers.hyena import Hyena
from zoology_teach.mixers.long_conv import LongConv
from zoology_teach.mixers.mixer import Mixer
from zoology_teach.mixers.s4d import S4D

MIXERS: dict[str, type[Mixer]] = {
    "attention": Attention,
    "base_conv": BaseConv,
    "long_conv": LongConv,
    "s4d": S4D,
    "h3": H3,
    "hyena": Hyena,
}
