"""What else may decide who recalls: one cell, one thing changed at a time (chapter 05).

N = 32, K = 4, V = 256, from the usual start with the curriculum, two layers 64 wide: the cell of
`usual_start.ablation`. The name of a change stands in the column `recipe`.
"""

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import replace
from itertools import product

import torch

from zoology_teach.experiments import usual_start
from zoology_teach.experiments.synthetic_runs import SyntheticRun
from zoology_teach.experiments.usual_start import RECIPES
from zoology_teach.model import LanguageModel, ModelConfig
from zoology_teach.tasks.asking import Asking, Questions
from zoology_teach.tasks.mqar import MQAR

CELL = MQAR(32, 4, usual_start.VOCABULARY)
WIDTH = 64
MLP = 4 * WIDTH
PARAMETERS = 67_072  # what H3, the largest of the models, has at d = 64


def confounders(mixers: Sequence[str] = tuple(RECIPES)) -> list[SyntheticRun]:
    """All changes for all mixers, each at the learning rates of `usual_start`."""
    plain = {mixer: usual_start.run(mixer, WIDTH, CELL, 0, lr=1e-2).model for mixer in mixers}
    widths = {mixer: width_with(model, PARAMETERS) for mixer, model in plain.items()}
    return [
        changed
        for seed, mixer in product(usual_start.SEEDS, mixers)
        for lr in RECIPES.get(mixer, usual_start.OTHER_RECIPE).rates
        for changed in changes(usual_start.run(mixer, WIDTH, CELL, seed, lr=lr), widths[mixer])
    ]


def changes(base: SyntheticRun, width: int) -> list[SyntheticRun]:
    """`base` itself, then with its authors' own start, other losses, an MLP, another width."""
    return [
        base,
        replace(base, recipe=f"{base.recipe}, published start", start="published"),
        _asking(base, "last", "loss on the last question"),
        _asking(base, "everywhere", "loss on all tokens"),
        _with_model(base, "with an MLP", replace(base.model, mlp=MLP)),
        _with_model(base, "equal parameters", replace(base.model, d_model=width)),
    ]


def width_with(model: ModelConfig, parameters: int) -> int:
    """The even width at which the number of parameters is nearest, up to four times its own."""

    def too_many(half: int) -> int:
        with torch.device("meta"):  # shapes only
            wide = LanguageModel(replace(model, d_model=2 * half))
        return wide.num_parameters() - parameters

    above = bisect_left(range(2 * model.d_model), 0, lo=2, key=too_many)
    return 2 * min(above - 1, above, key=lambda half: abs(too_many(half)))


def _with_model(base: SyntheticRun, change: str, model: ModelConfig) -> SyntheticRun:
    return replace(base, recipe=f"{base.recipe}, {change}", model=model)


def _asking(base: SyntheticRun, questions: Questions, change: str) -> SyntheticRun:
    """The lessons ask in the same way; their accuracy is that of what they ask.

    Everywhere, most answers cannot be known, so no lesson is ever mastered: each takes its steps,
    at most 800.
    """
    most = 800 if questions == "everywhere" else math.inf
    lessons = tuple(
        replace(stage, task=Asking(stage.task, questions), steps=min(stage.steps, most))  # type: ignore[arg-type]
        for stage in base.train.before
    )
    return replace(
        base,
        recipe=f"{base.recipe}, {change}",
        train=replace(base.train, before=lessons),
        trained_on=Asking(base.task, questions),
    )
