"""A lesson in recall, and text that was never read: `results/lesson.csv` (chapter 10).

Models of chapter 10's table after 200 updates of MQAR with renamed tokens, as `mqar_first` gives
them, before any update on text; and what the lesson lacks in three controls.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any, ClassVar

from zoology_teach.experiments.results import COLUMNS
from zoology_teach.experiments.synthetic_runs import SyntheticRun
from zoology_teach.experiments.text_presets import PRESETS, SEEDS, mqar_first
from zoology_teach.experiments.text_slices import masks, perplexities
from zoology_teach.model import LanguageModel
from zoology_teach.recall import bigram_counts
from zoology_teach.tasks.asking import Asking
from zoology_teach.tasks.mqar import MQAR
from zoology_teach.tasks.source import Text
from zoology_teach.training import Stage, Task, TrainConfig, token_losses

OF = PRESETS["laptop"]
SLICES = ("ppl", "ar_ppl", "other_ppl", "opportunity_ppl")
LESSONS = ("renamed", "not renamed", "shuffled values")
MIXERS = (
    "hybrid_short_conv",
    "attention_short_conv",
    "base_conv",
    "hyena",
    "linear_attention",
    "rwkv",
    "mamba",
)


@dataclass(frozen=True)
class LessonRun(SyntheticRun):
    """A training on MQAR; its row also has perplexities of every `every`-th held-out block."""

    columns: ClassVar[tuple[str, ...]] = (*COLUMNS, *SLICES)

    text: Text = field(default_factory=Text)
    every: int = 3

    def also_measured(self, model: LanguageModel) -> dict[str, Any]:
        """Perplexity overall, on AR hits, on the other tokens and on opportunities."""
        corpus = self.text.load()
        some = slice(None, None, self.every)
        counts = bigram_counts(corpus.train.stream)
        slices = masks(corpus.held_out.tokens[some], counts, *OF.thresholds)
        found = perplexities(token_losses(model, corpus.held_out, some), slices)
        return {name: found.get(name, "") for name in SLICES}


def lesson(mixers: Sequence[str] = MIXERS) -> list[LessonRun]:
    """The hybrid after each of `LESSONS`, every other model after the first, three seeds each.

    mixers  as in `Preset.run`.
    """
    return [
        lesson_run(mixer, seed, kind)
        for seed, mixer, kind in product(SEEDS, mixers, LESSONS)
        if kind == "renamed" or mixer == "hybrid_short_conv"
    ]


def lesson_run(mixer: str, seed: int, kind: str = "renamed") -> LessonRun:
    """One lesson: a model by its name in chapter 10, at a constant learning rate."""
    lr = OF.train.lr
    *first, last = (replace(s, task=_of(kind, s)) for s in mqar_first(OF.vocab_size, lr))
    before = (*first, replace(last, steps=last.steps - 1))
    target = MQAR(64, 8, OF.vocab_size, rename=kind == "renamed")
    return LessonRun(
        mixer,
        kind,
        target,
        OF.run(mixer, seed).model,
        # One update is left for the task itself, at the rate of the others.
        TrainConfig(
            1, last.batch_size, lr, warmup=0.0, eval_examples=250, seed=seed, before=before
        ),
        trained_on=last.task,
        text=OF.text,
    )


def _of(kind: str, stage: Stage) -> Task:
    task = stage.task
    assert isinstance(task, MQAR)
    if kind == "renamed":
        return task
    if kind == "shuffled values":
        return Asking(task, "shuffled")
    return replace(task, rename=False)
