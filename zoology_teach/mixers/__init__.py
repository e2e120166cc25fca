"""Sequence mixers by name. A new one is a class of its own file and a line here."""

from zoology_teach.mixers.attention import Attention
from zoology_teach.mixers.base_conv import BaseConv
from zoology_teach.mixers.mixer import Mixer

MIXERS: dict[str, type[Mixer]] = {"attention": Attention, "base_conv": BaseConv}
