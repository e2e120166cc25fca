"""The grids behind the book's tables: `zoology-teach sweep NAME --preset PRESET`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from zoology_teach.experiments import usual_start
from zoology_teach.experiments.confounders import confounders
from zoology_teach.experiments.lesson import lesson
from zoology_teach.experiments.longer import longer
from zoology_teach.experiments.synthetic_runs import SyntheticRun
from zoology_teach.experiments.usual_start import (
    USUAL_RECIPE,
    figure2_paper,
    figure2_released,
)
from zoology_teach.mixers import find
from zoology_teach.model import ModelConfig, layer
from zoology_teach.tasks.mqar import MQAR
from zoology_teach.training import TrainConfig

SEEDS = (0, 1, 2)
LAPTOP_WIDTHS = (16, 32, 64, 128)
LAPTOP_LENGTHS = (32, 64, 128)
IDENTITY_RECIPE = "identity-like init"


@dataclass(frozen=True)
class Recipe:
    """How a mixer learns MQAR within 500 steps: what surrounds it, and which rates to try.

    before         start of the short BaseConv in front: "pair" (token plus previous token)
                   where the mixer compares whole tokens, "identity" (token times previous
                   token) for BaseConv's own memory, "usual", nearly no layer at all, where
                   the mixer has a shift of its own.
    norm           LayerNorm before each mixer.
    embedding_std  as in `ModelConfig`.
    rates          the learning rates tried.
    init           the mixer's own start; None for that of its constructor.
    """

    before: str
    norm: bool
    embedding_std: float
    rates: tuple[float, ...]
    init: str | None = "identity"


LAPTOP_RECIPES = {
    "attention": Recipe("pair", True, 0.02, (5e-3, 1e-2)),
    "base_conv": Recipe("identity", False, 1.0, (1e-2, 2e-2, 3e-2)),
    "h3": Recipe("usual", False, 1.0, (1e-2, 2e-2, 3e-2)),
    "hyena": Recipe("usual", False, 1.0, (1e-2, 2e-2, 3e-2)),
    "rwkv": Recipe("usual", True, 0.02, (1e-2, 2e-2, 3e-2)),
    "linear_attention": Recipe("pair", True, 0.02, (5e-3, 1e-2)),
    "mamba": Recipe("pair", True, 0.02, (5e-3, 1e-2, 2e-2)),
}
OTHER_RECIPE = Recipe("pair", True, 0.02, (5e-3, 1e-2, 2e-2), init=None)
"""Of a mixer that `LAPTOP_RECIPES` lacks: its own start, behind token plus previous token."""


def figure2_identity(mixers: Sequence[str] = tuple(LAPTOP_RECIPES)) -> list[SyntheticRun]:
    """The paper's Figure 2 at a laptop's scale: V = 256, K = N/8, 500 steps of 32 sequences.

    Every mixer stands behind a short BaseConv and starts identity-like (chapter 05), each
    with the surroundings that it trains best with (`LAPTOP_RECIPES`). Of the learning rates
    tried, the best one counts (`plots.best`). Any other mixer takes part by `OTHER_RECIPE`.
    """
    return [
        laptop_run(mixer, width, length, seed, lr=lr)
        for seed, length, width in product(SEEDS, LAPTOP_LENGTHS, LAPTOP_WIDTHS)
        for mixer in mixers
        for lr in LAPTOP_RECIPES.get(mixer, OTHER_RECIPE).rates
    ]


def laptop_run(
    mixer: str,
    d_model: int,
    seq_len: int,
    seed: int,
    *,
    num_pairs: int | None = None,
    lr: float = 1e-2,
    steps: int = 500,
) -> SyntheticRun:
    """One run of `figure2_identity`; `mixer` as in `mixers.find`. N / 8 pairs, if not said."""
    recipe = LAPTOP_RECIPES.get(mixer, OTHER_RECIPE)
    task = MQAR(seq_len, num_pairs or seq_len // 8, 256)
    options: dict[str, Any] = {"max_len": seq_len} if find(mixer).wants_max_len else {}
    if mixer == "base_conv":
        options["filter"] = "long"
    if recipe.init is not None:
        options["init"] = recipe.init
    model = ModelConfig(
        task.vocab_size,
        d_model,
        (layer("base_conv", init=recipe.before), layer(mixer, **options)),
        norm=recipe.norm,
        embedding_std=recipe.embedding_std,
        seed=seed,
    )
    name = IDENTITY_RECIPE if recipe.init == "identity" else USUAL_RECIPE
    config = TrainConfig(steps=steps, lr=lr, seed=seed)
    return SyntheticRun(mixer, name, task, model, config)


def budget_laptop() -> list[SyntheticRun]:
    """BaseConv at N = 32 with four times the steps of `figure2_identity`: what patience buys."""
    return [
        laptop_run("base_conv", width, 32, seed, lr=lr, steps=2000)
        for seed, width, lr in product(SEEDS, LAPTOP_WIDTHS, LAPTOP_RECIPES["base_conv"].rates)
    ]


def pairs_and_length() -> list[SyntheticRun]:
    """The pairs K and the length N apart: is it d / K or d / N that counts?

    Identity-like start, as `figure2_identity`, at the learning rate that was best there.
    """
    rates = {"base_conv": 2e-2, "hyena": 2e-2, "attention": 1e-2}
    return [
        laptop_run(mixer, width, n, seed, num_pairs=k, lr=lr)
        for seed, k, n in product(SEEDS, (2, 4, 8, 16), (32, 64, 128, 256))
        for mixer, lr in rates.items()
        for width in LAPTOP_WIDTHS
        if 4 * k <= n
    ]


def input_filters_laptop() -> list[SyntheticRun]:
    """States that the input writes (chapter 08): linear attention by feature map, and Mamba.

    V = 256, K = N/8, 500 steps of 32 sequences, identity-like behind a short BaseConv. "elu
    153" has as many features, and so as large a state, as the Taylor map of 16 dimensions.
    """
    maps = {"taylor 16": ("taylor", 16), "elu 16": ("elu", 16), "elu 153": ("elu", 153)}
    mixers = {
        name: layer("linear_attention", feature_map=map, feature_dim=dim, init="identity")
        for name, (map, dim) in maps.items()
    } | {"mamba": layer("mamba", init="identity")}
    runs = []
    for seed, n, width, lr in product(SEEDS, LAPTOP_LENGTHS, (16, 32), (5e-3, 1e-2)):
        task, config = MQAR(n, n // 8, 256), TrainConfig(steps=500, lr=lr, seed=seed)
        for name, mixer in mixers.items():
            model = ModelConfig(256, width, (layer("base_conv", init="pair"), mixer), seed=seed)
            runs.append(SyntheticRun(name, IDENTITY_RECIPE, task, model, config))
    return runs


def hybrids_laptop() -> list[SyntheticRun]:
    """A little attention behind one short BaseConv (chapter 09): which rows may ask?

    N = 64, K = 8, V = 256, width 32, 500 steps of 32 sequences, identity-like start, one
    learning rate. The learned router weighs all rows for 300 steps, then keeps k. Beside the
    four selections: windows of the last few tokens, and BaseConv without attention.
    """
    return [r for seed in SEEDS for r in (laptop_run("base_conv", 32, 64, seed), *hybrids(seed))]


def hybrids(seed: int) -> list[SyntheticRun]:
    """The runs of `hybrids_laptop` with attention, for one seed."""
    mixers = {f"window {w}": layer("sliding_window", window=w) for w in (8, 16, 32)}
    selections: dict[str, dict[str, Any]] = {
        name: {"selection": name} for name in ("full", "programmatic")
    }
    selections |= {f"random {p}": {"selection": "random", "p": p} for p in (0.25, 0.5, 0.75)}
    for k in (8, 12, 16, 24, 32):
        selections[f"learned {k}"] = {"selection": "learned", "k": k, "soft_steps": 300}
    for name, options in selections.items():
        mixers[name] = layer("sparse_attention", **options, seed=seed)
    task, config = MQAR(64, 8, 256), TrainConfig(seed=seed)
    runs = []
    for name, mixer in mixers.items():
        second = layer(mixer.mixer, **mixer.options, init="identity")
        model = ModelConfig(256, 32, (layer("base_conv", init="pair"), second), seed=seed)
        runs.append(SyntheticRun(name, IDENTITY_RECIPE, task, model, config))
    return runs


Grid = Callable[..., Sequence[SyntheticRun]]
PRESETS: dict[str, dict[str, Grid]] = {
    "figure2": {
        "laptop": usual_start.figure2,
        "identity": figure2_identity,
        "paper": figure2_paper,
        "released": figure2_released,
    },
    "budget": {"laptop": budget_laptop},
    "input_filters": {"laptop": input_filters_laptop},
    "hybrids": {"laptop": hybrids_laptop},
    "pairs_and_length": {"laptop": pairs_and_length},
    "curriculum": {"laptop": usual_start.ablation},
    "vocabulary": {"laptop": usual_start.vocabulary},
    "confounders": {"laptop": confounders},
    "longer": {"laptop": longer},
    "lesson": {"laptop": lesson},
}
TAKE_ANY_MIXER = (
    figure2_identity,
    usual_start.figure2,
    usual_start.ablation,
    usual_start.vocabulary,
    confounders,
    lesson,
)
