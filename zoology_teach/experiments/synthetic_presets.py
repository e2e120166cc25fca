"""The grids behind the book's tables: `zoology-teach sweep NAME --preset PRESET`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import product

from zoology_teach.checks import require, require_int
from zoology_teach.experiments import usual_start
from zoology_teach.experiments.synthetic_runs import SyntheticRun
from zoology_teach.mixers import find
from zoology_teach.model import Layer, ModelConfig, layer
from zoology_teach.tasks.mqar import MQAR
from zoology_teach.training import TrainConfig

SEEDS = (0, 1, 2)
LAPTOP_WIDTHS = (16, 32, 64, 128)
LAPTOP_LENGTHS = (32, 64, 128)
USUAL_RECIPE = "usual init"
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


def figure2_laptop(mixers: Sequence[str] = tuple(LAPTOP_RECIPES)) -> list[SyntheticRun]:
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
    """One run of `figure2_laptop`; `mixer` as in `mixers.find`. N / 8 pairs, if not said."""
    recipe = LAPTOP_RECIPES.get(mixer, OTHER_RECIPE)
    task = MQAR(seq_len, num_pairs or seq_len // 8, 256)
    options = {"max_len": seq_len} if find(mixer).wants_max_len else {}
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
    """BaseConv at N = 32 with four times the steps of `figure2_laptop`: what patience buys."""
    return [
        laptop_run("base_conv", width, 32, seed, lr=lr, steps=2000)
        for seed, width, lr in product(SEEDS, LAPTOP_WIDTHS, LAPTOP_RECIPES["base_conv"].rates)
    ]


def pairs_and_length_laptop() -> list[SyntheticRun]:
    """The pairs K and the length N apart: is it d / K or d / N that counts?

    Identity-like start, as `figure2_laptop`, at the learning rate that was best there.
    """
    rates = {"base_conv": 2e-2, "hyena": 2e-2, "attention": 1e-2}
    return [
        laptop_run(mixer, width, n, seed, num_pairs=k, lr=lr)
        for seed, k, n in product(SEEDS, (2, 4, 8, 16), (32, 64, 128, 256))
        for mixer, lr in rates.items()
        for width in LAPTOP_WIDTHS
        if 4 * k <= n
    ]


def usual_init_laptop() -> list[SyntheticRun]:
    """One row from the usual start: N = 32, K = 4, V = 256, batches of 256.

    BaseConv's long filter is implicit and every model uses LayerNorm, so nothing is given
    away. Attention and Based get 800 steps, the others 5,000 at three times the rate; Mamba,
    whose step costs ten times as much, 800 of those. The family is tried at one width.
    """
    task = MQAR(32, 4, 256)
    short, slow, quick = layer("base_conv"), (5000, 3e-3), (800, 1e-3)
    layers = usual_layers(32) | {"attention": (short, layer("attention"))}
    budgets = {"attention": quick, "base_conv": slow, "linear_attention": quick}
    budgets |= {"hyena": slow, "rwkv": slow, "h3": slow, "mamba": (800, 3e-3)}
    cells = [(m, d, seed) for d in (64, 128) for seed in SEEDS for m in ("attention", "base_conv")]
    cells += [(m, 64, seed) for seed in SEEDS for m in budgets if (m, 64, seed) not in cells]
    runs = []
    for mixer, d_model, seed in cells:
        steps, lr = budgets[mixer]
        config = TrainConfig(steps=steps, batch_size=256, lr=lr, seed=seed)
        runs.append(usual_run(mixer, task, d_model, layers[mixer], config))
    return runs


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
    selections = {name: {"selection": name} for name in ("full", "programmatic")}
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


def figure2_paper() -> list[SyntheticRun]:
    """The paper's Figure 2 grid: V = 8192, its widths, lengths, pairs and learning rates.

    100,000 fixed examples, at most 64 epochs, stop above 99 %, no warm-up (as in the
    released code), no MLP, two layers of each mixer. BaseConv: short convolution, then
    implicit long convolution. Based and Mamba came after the paper; they get its terms.
    Mixers and training stay this library's. The released code has H3 with state N, head
    dimension 2 and the bilinear rule, Mamba with expand 2, Based with d' = 8, dropout 0.1 and
    no clipping; here d_state = 64 and zero-order hold, expand 1, d' = 16, no dropout, clip 1.
    """
    shapes = {64: (4, 512), 128: (8, 512), 256: (16, 256), 512: (64, 128)}
    runs = []
    for (n, (pairs, batch)), width, lr_index, seed in product(
        shapes.items(), (64, 128, 256, 512), range(4), SEEDS
    ):
        task = MQAR(n, pairs, 8192)
        epoch = -(-100_000 // batch)
        config = TrainConfig(
            steps=64 * epoch,
            batch_size=batch,
            lr=10 ** (-4 + 2 * lr_index / 3),
            warmup=0.0,
            train_examples=100_000,
            eval_examples=3000,
            eval_every=epoch,
            stop_accuracy=0.99,
            seed=seed,
        )
        for mixer, layers in usual_layers(n).items():
            positions = n if mixer == "attention" else None
            runs.append(usual_run(mixer, task, width, layers, config, positions))
    return runs


def usual_layers(n: int) -> dict[str, tuple[Layer, Layer]]:
    """Two layers of each mixer from the usual start, for `n` tokens."""
    short = layer("base_conv")
    return {
        "attention": (layer("attention"),) * 2,
        "base_conv": (short, layer("base_conv", filter="implicit", max_len=n)),
        "h3": (layer("h3"),) * 2,
        "hyena": (layer("hyena", max_len=n),) * 2,
        "rwkv": (layer("rwkv"),) * 2,
        "linear_attention": (short, layer("linear_attention")),
        "mamba": (layer("mamba"),) * 2,
    }


def usual_run(
    mixer: str,
    task: MQAR,
    d_model: int,
    layers: tuple[Layer, ...],
    config: TrainConfig,
    max_len: int | None = None,
) -> SyntheticRun:
    """A run from the usual start, its weights seeded like its data."""
    model = ModelConfig(task.vocab_size, d_model, layers, max_len=max_len, seed=config.seed)
    return SyntheticRun(mixer, USUAL_RECIPE, task, model, config)


Grid = Callable[..., list[SyntheticRun]]
PRESETS: dict[str, dict[str, Grid]] = {
    "figure2": {"laptop": figure2_laptop, "paper": figure2_paper},
    "budget": {"laptop": budget_laptop},
    "usual_init": {"laptop": usual_init_laptop},
    "input_filters": {"laptop": input_filters_laptop},
    "hybrids": {"laptop": hybrids_laptop},
    "pairs_and_length": {"laptop": pairs_and_length_laptop},
    "figure2_usual": {"laptop": usual_start.figure2},
    "curriculum": {"laptop": usual_start.ablation},
    "vocabulary": {"laptop": usual_start.vocabulary},
}
TAKE_ANY_MIXER = (
    figure2_laptop,
    usual_start.figure2,
    usual_start.ablation,
    usual_start.vocabulary,
)


def chosen(
    make: Grid,
    *,
    mixers: Sequence[str] = (),
    widths: Sequence[int] = (),
    lengths: Sequence[int] = (),
    seeds: Sequence[int] = (),
    steps: int | None = None,
) -> list[SyntheticRun]:
    """The runs of a preset with one of the values named; without any of a kind, all of them.

    mixers  names of the preset's curves, or for a preset that takes any mixer, as in `find`.
    steps   another number of updates, which makes them other runs.

    Raises ValueError naming what leaves no run.
    """
    if make in TAKE_ANY_MIXER and mixers:
        for mixer in mixers:
            find(mixer)
        runs = make(mixers)
    else:
        runs = _with_values(make(), "mixer", lambda r: r.mixer, mixers)
    runs = _with_values(runs, "width", lambda r: r.model.d_model, widths)
    runs = _with_values(runs, "length", lambda r: r.task.seq_len, lengths)
    runs = _with_values(runs, "seed", lambda r: r.train.seed, seeds)
    if steps is not None:
        require_int("steps", steps, 1)
        runs = [replace(r, train=replace(r.train, steps=steps)) for r in runs]
    return runs


def _with_values(runs: list[SyntheticRun], name: str, value: Callable, wanted: Sequence) -> list:
    there = list(dict.fromkeys(value(r) for r in runs))
    for one in wanted:
        require(one in there, name, one, f"one of {there}")
    return [r for r in runs if not wanted or value(r) in wanted]
