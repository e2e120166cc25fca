"""The models on text by name: depth, N and the number of heads -> layers (chapter 10).

Plain attention has rotary positions. With short convolutions on q, k and v, or behind
convolutions, attention has none: these show it the order.
"""

import itertools
from collections.abc import Callable
from typing import Any

from zoology_teach.mixers import find
from zoology_teach.model import Layer, layer

Layers = tuple[Layer, ...]


def drawing_with(seed: int, layers: Layers) -> Layers:
    """Random rows, and the noise of a router, differ from seed to seed and layer to layer."""
    seeds = itertools.count(seed, 1000)
    draws = ("random", "learned")
    return tuple(
        layer(x.mixer, **x.options, seed=next(seeds)) if x.options.get("selection") in draws else x
        for x in layers
    )


def _attention(depth: int, n: int, heads: int, **options: Any) -> Layers:
    return (layer("attention", num_heads=heads, **options),) * depth


def _base_conv(depth: int, n: int, heads: int) -> Layers:
    """Short and long in turn: an explicit long filter to 256 tokens, an implicit one beyond."""
    long = layer("base_conv", filter="long" if n <= 256 else "implicit", max_len=n)
    return tuple(long if i % 2 else layer("base_conv") for i in range(depth))


def _hyena(depth: int, n: int, heads: int) -> Layers:
    return (layer("hyena", max_len=n),) * depth


def _hybrid(depth: int, n: int, heads: int, mixer: str = "attention", **options: Any) -> Layers:
    """BaseConv, with the last of every four layers (of two, at depth 2) attention instead."""
    every = min(4, depth)
    attention = layer(mixer, num_heads=heads, **options)
    layers = _base_conv(depth, n, heads)
    return tuple(attention if i % every == every - 1 else x for i, x in enumerate(layers))


def _with(make: Callable[..., Layers], **options: Any) -> Callable[..., Layers]:
    return lambda depth, n, heads: make(depth, n, heads, **options)


def behind_short_conv(mixer: str) -> Callable[[int, int, int], Layers]:
    """Short BaseConv and `mixer` in turn."""
    wants_max_len = find(mixer).wants_max_len

    def make(depth: int, n: int, heads: int) -> Layers:
        own = layer(mixer, **({"max_len": n} if wants_max_len else {}))
        return tuple(own if i % 2 else layer("base_conv") for i in range(depth))

    return make


def _sparse(selection: str, *, share: float = 0.25, **options: Any) -> Callable[..., Layers]:
    """The hybrid with selected rows, learned ones a `share` of all; random ones are as many as
    the programmatic ones of the plays, 44 %."""

    def make(depth: int, n: int, heads: int) -> Layers:
        own: dict[str, dict[str, Any]] = {
            "random": {"p": 0.44},
            "programmatic": {"blank": None},
            "learned": {"k": round(share * n), "soft_steps": 200},
        }
        return _hybrid(
            depth,
            n,
            heads,
            mixer="sparse_attention",
            selection=selection,
            **own[selection],
            **options,
        )

    return make


MIXERS_ON_TEXT: dict[str, Callable[[int, int, int], Layers]] = {
    "attention": _with(_attention, rope=True),
    "base_conv": _base_conv,
    "hyena": _hyena,
    "hybrid": _hybrid,
    "hybrid_random": _sparse("random"),
    "hybrid_programmatic": _sparse("programmatic"),
    "hybrid_learned": _sparse("learned"),
    "attention_short_conv": _with(_attention, short_conv=3),
    "hybrid_short_conv": _with(_hybrid, short_conv=3),
    "hybrid_random_short_conv": _sparse("random", short_conv=3),
    "hybrid_programmatic_short_conv": _sparse("programmatic", short_conv=3),
    "hybrid_learned_short_conv": _sparse("learned", share=0.4375, short_conv=3),
    "hybrid_induction": _with(_hybrid, short_conv=3, init="induction"),
}

NAMES: dict[str, str] = {
    "hybrid_programmatic_short_conv": "hybrid, programmatic rows",
    "hybrid_short_conv": "hybrid, all rows",
    "hybrid_learned_short_conv": "hybrid, learned rows",
    "hybrid_random_short_conv": "hybrid, random rows",
    "hybrid_induction": "hybrid, all rows, by hand",
    "attention_short_conv": "attention",
    "attention": "rotary attention",
    "base_conv": "BaseConv",
    "hyena": "Hyena",
    "linear_attention": "linear attention",
    "rwkv": "RWKV",
    "mamba": "Mamba",
}
"""What chapter 10 calls the models of its table."""
