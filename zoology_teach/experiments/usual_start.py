"""MQAR from the usual start, with a curriculum (chapters 05, 06): no weight is set by hand.

Every model starts as PyTorch and the paper's code start theirs (projections normal with std
0.02, LayerNorm, tied embedding) and first learns easier tasks. What a lesson lacks to be
mastered is in the table, and so is a target that was not learned.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product

from zoology_teach.experiments.synthetic_runs import SyntheticRun
from zoology_teach.mixers import find
from zoology_teach.model import Layer, ModelConfig, layer
from zoology_teach.tasks.mqar import MQAR
from zoology_teach.training import Stage, TrainConfig

SEEDS = (0, 1, 2)
VOCABULARY = 256
USUAL_RECIPE = "usual init"
CURRICULUM = "usual init, curriculum"
USUAL = "usual init, target only"
STEPS = 1200  # updates on the target itself
MASTERED = 0.9  # training accuracy at which a lesson ends
WIDTHS = (16, 32, 64, 128)
NARROW = (4, 8)  # where attention and Based meet their own limit
LENGTHS = (32, 64, 128)


@dataclass(frozen=True)
class Recipe:
    """How a model is trained from the usual start.

    batch_size  sequences per update, in the lessons too.
    rates       the learning rates tried.
    narrow      whether widths 4 and 8 are tried.
    positions   whether positions are learned, for a model in which nothing else shows the order.
    """

    batch_size: int
    rates: tuple[float, ...]
    narrow: bool = False
    positions: bool = False


RECIPES = {
    # Faster, two attention layers seldom learn the first lesson: .003 masters it in one seed of two
    # at d = 64, .005 in none.
    "attention": Recipe(64, (1e-3, 2e-3), narrow=True, positions=True),
    "attention_short_conv": Recipe(64, (5e-3, 1e-2), narrow=True),
    "linear_attention": Recipe(64, (5e-3, 1e-2), narrow=True),
    "base_conv": Recipe(128, (5e-3, 1e-2)),
    "rwkv": Recipe(128, (5e-3, 1e-2)),
    "h3": Recipe(128, (5e-3, 1e-2)),
    "hyena": Recipe(128, (5e-3, 1e-2)),
    "mamba": Recipe(64, (5e-3, 1e-2)),
}
OTHER_RECIPE = Recipe(64, (5e-3, 1e-2))
"""Of a mixer that `RECIPES` lacks; it stands behind a short BaseConv."""


def layers(mixer: str, n: int) -> tuple[Layer, Layer]:
    """Two layers for `n` tokens: the mixer twice, or behind a short BaseConv."""
    short = layer("base_conv")
    if mixer == "attention_short_conv":
        return short, layer("attention")
    if mixer == "base_conv":
        return short, layer("base_conv", filter="implicit", max_len=n)
    own = layer(mixer, max_len=n) if find(mixer).wants_max_len else layer(mixer)
    return (own, own) if mixer in ("attention", "h3", "hyena", "rwkv", "mamba") else (short, own)


def lessons(target: MQAR, batch_size: int) -> tuple[Stage, ...]:
    """Easier tasks first: 2 pairs in 16 tokens (in 32, where the target has 128 or more), then
    pairs and tokens double until `target` comes next.

    In the first lesson recall is found or not, so it may take longer.
    """
    n, k = (32 if target.seq_len >= 128 else 16), 2
    stages: list[Stage] = []
    while n < target.seq_len or k < target.num_pairs:
        task = MQAR(n, k, target.vocab_size)
        steps, ramp = (300, 0) if stages else (2500, 50)
        stages.append(Stage(task, steps, batch_size, until=MASTERED, ramp=ramp))
        n, k = min(2 * n, target.seq_len), min(2 * k, target.num_pairs)
    return tuple(stages)


def run(
    mixer: str,
    d_model: int,
    target: MQAR,
    seed: int,
    *,
    lr: float,
    curriculum: bool = True,
) -> SyntheticRun:
    """One training; `mixer` is a name of `RECIPES`, or as in `mixers.find`.

    curriculum  False for the target alone, for as many updates as all stages have at most.
    """
    recipe = RECIPES.get(mixer, OTHER_RECIPE)
    model = ModelConfig(
        target.vocab_size,
        d_model,
        layers(mixer, target.seq_len),
        max_len=target.seq_len if recipe.positions else None,
        seed=seed,
    )
    before = lessons(target, recipe.batch_size)
    budget = partial(TrainConfig, batch_size=recipe.batch_size, lr=lr, seed=seed)
    if curriculum:
        config = budget(steps=STEPS, warmup=0.0, before=before)
        return SyntheticRun(mixer, CURRICULUM, target, model, config)
    steps = STEPS + sum(stage.steps for stage in before)
    config = budget(steps=steps, warmup=before[0].ramp / steps)
    return SyntheticRun(mixer, USUAL, target, model, config)


def figure2(mixers: Sequence[str] = tuple(RECIPES)) -> list[SyntheticRun]:
    """The paper's Figure 2 at a laptop's scale, from the usual start: V = 256, K = N / 8.

    Of the learning rates tried, the best one counts (`plots.best`).
    """
    runs = []
    for seed, n, mixer in product(SEEDS, LENGTHS, mixers):
        recipe = RECIPES.get(mixer, OTHER_RECIPE)
        target = MQAR(n, n // 8, VOCABULARY)
        for d, lr in product((*NARROW, *WIDTHS) if recipe.narrow else WIDTHS, recipe.rates):
            runs.append(run(mixer, d, target, seed, lr=lr))
    return runs


def ablation(mixers: Sequence[str] = tuple(RECIPES)) -> list[SyntheticRun]:
    """With and without the curriculum, at N = 32, K = 4, d = 64: the same start, the same rates,
    and without it at least as many updates.
    """
    target = MQAR(32, 4, VOCABULARY)
    return [
        run(mixer, 64, target, seed, lr=lr, curriculum=curriculum)
        for seed, mixer, curriculum in product(SEEDS, mixers, (True, False))
        for lr in RECIPES.get(mixer, OTHER_RECIPE).rates
    ]


def vocabulary(mixers: Sequence[str] = ("base_conv", "attention_short_conv")) -> list[SyntheticRun]:
    """The cell of `ablation` with V = 64, 256, 1024 and the paper's 8192 tokens."""
    return [
        run(mixer, 64, MQAR(32, 4, v), seed, lr=lr)
        for seed, v, mixer in product(SEEDS, (64, 256, 1024, 8192), mixers)
        for lr in RECIPES.get(mixer, OTHER_RECIPE).rates
    ]


NO_CLIPPING = 1e9  # a gradient norm that no training reaches
PAPER_MIXERS = ("attention", "base_conv", "h3", "hyena", "rwkv", "linear_attention", "mamba")


def figure2_paper() -> list[SyntheticRun]:
    """The paper's Figure 2 grid: V = 8192, its widths, lengths, pairs and learning rates.

    100,000 fixed examples, at most 64 epochs, stop above 99 %, no warm-up (as in the
    released code), no MLP, two layers of each mixer. BaseConv: short convolution, then
    implicit long convolution. Based and Mamba came after the paper; they get its terms.
    Mixers and training stay this library's: `figure2_released` is nearer to the released code.
    """
    return _paper_grid(layers, clip=1.0)


def figure2_released() -> list[SyntheticRun]:
    """`figure2_paper` as near to the released code as the mixers' options come.

    H3 with d_state = N, Mamba with expand 2, Based with d' = 8, and no clipping. What is not
    built: H3's head dimension 2 and bilinear rule (here 1 and zero-order hold), dropout 0.1.
    """
    return _paper_grid(_released_layers, clip=NO_CLIPPING)


def _released_layers(mixer: str, n: int) -> tuple[Layer, Layer]:
    options = {"h3": {"d_state": n}, "mamba": {"expand": 2}, "linear_attention": {"feature_dim": 8}}
    first, second = layers(mixer, n)
    own = layer(mixer, **options.get(mixer, {}))
    return (own if first.mixer == mixer else first, own) if mixer in options else (first, second)


def _paper_grid(
    stack: Callable[[str, int], tuple[Layer, Layer]], clip: float
) -> list[SyntheticRun]:
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
            clip=clip,
            train_examples=100_000,
            eval_examples=3000,
            eval_every=epoch,
            stop_accuracy=0.99,
            seed=seed,
        )
        for mixer in PAPER_MIXERS:
            positions = n if RECIPES[mixer].positions else None
            runs.append(_plain_run(mixer, task, width, stack(mixer, n), config, positions))
    return runs


def _plain_run(
    mixer: str,
    task: MQAR,
    d_model: int,
    stack: tuple[Layer, ...],
    config: TrainConfig,
    max_len: int | None = None,
) -> SyntheticRun:
    """A run from the usual start, its weights seeded like its data."""
    model = ModelConfig(task.vocab_size, d_model, stack, max_len=max_len, seed=config.seed)
    return SyntheticRun(mixer, USUAL_RECIPE, task, model, config)
