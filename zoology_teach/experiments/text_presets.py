"""Which models are trained on which text, at which size (chapter 10).

`laptop`  Shakespeare's plays on one core, in minutes, from the usual start: each model without
          and with a lesson in recall first (`mqar_first`). 800 updates of 8 blocks are one pass
          over the training plays. One control is given the addressing of an induction head by
          hand instead of the lesson (`Attention`, init="induction").
`longer`  four passes: the hybrid, attention and two convolutions.
`gpu_shipped`  the same question at 15M parameters, where there is a GPU and no network: four
          passes over the training plays.
`gpu`     no lesson, on the first 200 million tokens of the Pile.
`pile`    the paper's small scale: about 125M parameters, 10 billion tokens, GPT-2's tokens.
          While they are read, the tokens of a whole run take about 80 GB of memory.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from zoology_teach.checks import require_int
from zoology_teach.experiments.text_models import (
    MIXERS_ON_TEXT,
    behind_short_conv,
    drawing_with,
)
from zoology_teach.experiments.text_runs import TextRun
from zoology_teach.model import ModelConfig, match_parameters
from zoology_teach.tasks.mqar import MQAR
from zoology_teach.tasks.source import Text
from zoology_teach.training import Stage, TrainConfig

SEEDS = (0, 1, 2)
PILE = "hf:monology/pile-uncopyrighted"


@dataclass(frozen=True)
class Preset:
    """What the models of a table have in common.

    mixers      names of `MIXERS_ON_TEXT`.
    depth       layers; each is a mixer and an MLP.
    parameters  what the MLPs' width brings each model to, within 1 %.
    device      "cpu", or "cuda" where a GPU is needed.
    warm_ups    whether a model is trained without, with, or both without and with `mqar_first`.
    rates       learning rates by model, where it is not that of `train`: without and with.
    choosing    as in `TextRun`.
    controls    names of `MIXERS_ON_TEXT` with a start by hand, which no lesson precedes.
    """

    mixers: tuple[str, ...]
    text: Text
    vocab_size: int
    d_model: int
    depth: int
    num_heads: int
    parameters: int
    train: TrainConfig
    thresholds: tuple[float, float]
    device: str
    micro_batch: int | None = None
    bf16: bool = False
    warm_ups: tuple[bool, ...] = (False,)
    rates: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    choosing: tuple[str, ...] = ()
    controls: tuple[str, ...] = ()

    def only(self, mixers: Sequence[str]) -> "Preset":
        """The table of these models alone. One that the table does not have gets its lessons."""
        controls = tuple(m for m in mixers if m in self.controls)
        return replace(
            self, mixers=tuple(m for m in mixers if m not in controls), controls=controls
        )

    def run(
        self,
        mixer: str,
        seed: int = 0,
        *,
        steps: int | None = None,
        warm_up: bool = False,
    ) -> TextRun:
        """The run of a model by name, perhaps with another budget or text.

        mixer  a name of `MIXERS_ON_TEXT`; or one as in `mixers.find`, which then stands in turn
               with short BaseConvs, with the options of its constructor.
        """
        require_int("seed", seed, 0)
        lr = self.rates[mixer][warm_up] if mixer in self.rates else self.train.lr
        steps = self.train.steps if steps is None else steps
        budget = replace(self.train, seed=seed, steps=steps, lr=lr)
        if warm_up:
            lessons = mqar_first(self.vocab_size, self.train.lr)
            budget = replace(budget, before=lessons, fresh_optimizer=True)
        of = self.text
        if of.source.startswith("hf:") and of.max_tokens is None:  # a dataset may have no end
            needed = 2 * budget.steps * budget.batch_size * of.seq_len
            of = replace(of, max_tokens=needed)
        of = of.as_found()
        make = MIXERS_ON_TEXT.get(mixer) or behind_short_conv(mixer)
        layers = make(self.depth, of.seq_len, self.num_heads)
        layers = drawing_with(seed, layers)
        model = ModelConfig(self.vocab_size, self.d_model, layers, seed=seed)
        model = match_parameters(model, self.parameters)
        return TextRun(
            mixer, of, model, budget, self.thresholds, self.micro_batch, self.bf16, self.choosing
        )

    def runs(self, seeds: Sequence[int] = SEEDS, *, steps: int | None = None) -> list[TextRun]:
        """All runs of the table, perhaps with another budget."""
        models = [*itertools.product(self.mixers, self.warm_ups)]
        models += [(control, False) for control in self.controls]
        return [
            self.run(mixer, seed, steps=steps, warm_up=warm_up)
            for seed, (mixer, warm_up) in itertools.product(seeds, models)
        ]


def mqar_first(vocab_size: int, lr: float) -> tuple[Stage, ...]:
    """Recall before text (chapter 10): 200 updates of MQAR whose tokens get new names in every
    batch, so that no pair can be learned by heart. A lesson in chapter 02's task, no weight set.
    """
    sizes = ((16, 2, 128, 100), (32, 4, 64, 50), (64, 8, 32, 50))
    return tuple(
        Stage(MQAR(n, k, vocab_size, rename=True), steps, batch, lr=lr, ramp=0 if i else 20)
        for i, (n, k, batch, steps) in enumerate(sizes)
    )


CHOOSING_PLAYS = ("King John", "The Tempest")
"""Of the six held-out plays; by these a learning rate is chosen, and the other four are
reported. Split once, before any of the runs that use it."""

USUAL_START = ("attention", "base_conv", "hyena", "hybrid", "hybrid_programmatic")

LAPTOP = Preset(
    mixers=(
        "base_conv",
        "hybrid_short_conv",
        "attention_short_conv",
        "hyena",
        "hybrid_programmatic_short_conv",
        "hybrid_learned_short_conv",
        "hybrid_random_short_conv",
        "linear_attention",
        "rwkv",
        "mamba",
        "attention",
    ),
    text=Text(),
    vocab_size=2048,
    d_model=128,
    depth=2,
    num_heads=1,
    parameters=660_000,
    train=TrainConfig(steps=800, batch_size=8, lr=3e-3, eval_examples=250, eval_every=100),
    thresholds=(20, 100),
    device="cpu",
    warm_ups=(False, True),
    choosing=CHOOSING_PLAYS,
    controls=("hybrid_induction",),
)
PRESETS = {
    "laptop": LAPTOP,
    "longer": replace(
        LAPTOP.only(("hybrid_short_conv", "attention_short_conv", "base_conv", "hyena")),
        train=replace(LAPTOP.train, steps=3200),
    ),
    "gpu_shipped": replace(
        LAPTOP,
        mixers=(
            "hybrid_short_conv",
            "base_conv",
            "attention_short_conv",
            "hyena",
            "hybrid_programmatic_short_conv",
            "attention",
        ),
        d_model=384,
        depth=8,
        num_heads=6,
        parameters=15_000_000,
        train=TrainConfig(steps=800, batch_size=32, lr=1e-3, eval_examples=250, eval_every=200),
        device="cuda",
        bf16=True,
        controls=(),
    ),
    "gpu": Preset(
        mixers=USUAL_START,
        text=Text(PILE, 512, "bpe-8192", 210_000_000, 0.02),
        vocab_size=8192,
        d_model=512,
        depth=8,
        num_heads=8,
        parameters=29_000_000,
        train=TrainConfig(steps=6000, batch_size=64, lr=1e-3, eval_examples=500, eval_every=500),
        thresholds=(25, 1250),
        device="cuda",
        bf16=True,
    ),
    "pile": Preset(
        mixers=USUAL_START,
        text=Text(PILE, 2048, "gpt2", 10_000_000_000, 0.001),
        vocab_size=50257,
        d_model=768,
        depth=12,
        num_heads=12,
        parameters=125_000_000,
        train=TrainConfig(
            steps=38_000, batch_size=128, lr=8e-4, eval_examples=500, eval_every=2000
        ),
        thresholds=(1250, 12500),
        device="cuda",
        micro_batch=8,
        bf16=True,
    ),
}
