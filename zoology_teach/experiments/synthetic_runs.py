"""One training on a synthetic task -> one row of a table (chapter 06)."""

import json
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from zoology_teach.checks import require
from zoology_teach.configuration import as_json, fingerprint
from zoology_teach.experiments.published_starts import start_as_published
from zoology_teach.experiments.results import COLUMNS
from zoology_teach.model import LanguageModel, ModelConfig
from zoology_teach.tasks.mqar import MQAR
from zoology_teach.training import Diverged, History, TrainConfig, accuracy, train
from zoology_teach.training.processes import rank_and_size
from zoology_teach.training.stages import Task


@dataclass(frozen=True)
class SyntheticRun:
    """One training: `mixer` is the name of its curve, `recipe` how it was started.

    task        what the accuracy is measured on.
    trained_on  None for `task`, or another task that ends the training.
    start       "shared", the mixers' own, or "published" (`published_starts`).
    """

    columns: ClassVar[tuple[str, ...]] = COLUMNS

    mixer: str
    recipe: str
    task: MQAR
    model: ModelConfig
    train: TrainConfig
    trained_on: Task | None = None
    start: Literal["shared", "published"] = "shared"

    def __post_init__(self) -> None:
        starts = ("shared", "published")
        require(self.start in starts, "start", self.start, f"one of {starts}")

    @property
    def id(self) -> str:
        """`fingerprint` of the configuration."""
        return fingerprint(self)

    @property
    def label(self) -> str:
        """For a progress bar."""
        d, n, seed = self.model.d_model, self.task.seq_len, self.train.seed
        return f"{self.mixer}, d = {d}, N = {n}, seed {seed}"

    def execute(
        self, folder: Path | None = None, device: str = "cpu", *, progress: bool | str = False
    ) -> dict[str, Any]:
        """Train; the row. Accuracy and loss of a run that diverged are empty.

        folder  where a checkpoint is kept while it runs; None keeps none.
        """
        started = time.perf_counter()
        model, history, lost = self._trained(folder, device, progress)
        also = {} if lost else self.also_measured(model)
        lessons = history.ended[: len(self.train.before)]
        objective = history.records[-1].objective if history.records and not lost else math.nan
        return {
            "run": self.id,
            "mixer": self.mixer,
            "recipe": self.recipe,
            "d_model": self.model.d_model,
            "seq_len": self.task.seq_len,
            "num_pairs": self.task.num_pairs,
            "vocab_size": self.task.vocab_size,
            "lr": self.train.lr,
            "steps": len(history.records) + lost,
            "batch_size": self.train.batch_size,
            "seed": self.train.seed,
            "accuracy": math.nan if lost else round(history.accuracy, 6),
            "loss": round(objective, 6),
            "parameters": model.num_parameters(),
            "state_size": model.state_size(self.task.seq_len),
            "cpu_seconds": round(history.cpu_seconds, 2),
            "seconds": round(time.perf_counter() - started, 2),
            "config": as_json(self),
            "stages": json.dumps([[e.steps, e.mastered] for e in lessons]) if lessons else "",
            **also,
        }

    def also_measured(self, model: LanguageModel) -> dict[str, Any]:
        """Further columns, of the trained model; here none."""
        return {}

    def _trained(
        self, folder: Path | None, device: str, progress: bool | str
    ) -> tuple[LanguageModel, History, bool]:
        """The model, its history, and whether the loss was lost."""
        model = LanguageModel(self.model)
        if self.start == "published":
            start_as_published(model)
        model.to(device)
        unseen = self.task.sample(self.train.eval_examples, seed=2 * self.train.seed + 1)
        checkpoint = folder / f"{self.id}.pt" if folder else None
        lost = False
        try:
            history = train(
                model,
                self.trained_on or self.task,
                self.train,
                measure=lambda model: {"accuracy": accuracy(model, unseen)},
                checkpoint=checkpoint,
                progress=progress,
            )
        except Diverged as error:
            history, lost = error.history, True
        if history.interrupted:
            raise KeyboardInterrupt
        if checkpoint is not None and rank_and_size()[0] == 0:
            checkpoint.unlink(missing_ok=True)
        return model, history, lost
