"""What a training leaves behind: a record per update, and how each stage ended."""

import math
import time
from dataclasses import dataclass, field
from typing import Any

import torch


@dataclass(frozen=True)
class Record:
    """One update.

    step               its number, from 1, over all stages.
    loss               cross entropy in nats per asked token.
    objective          what was minimised: the loss and what the mixers add to it.
    stage              the number of its stage, from 0.
    right              the fraction of its own answers that were right, where a stage waits for it.
    measured           what was measured after it, or None.
    """

    step: int
    loss: float
    objective: float
    stage: int = 0
    right: float | None = None
    measured: dict[str, float] | None = None

    @property
    def accuracy(self) -> float | None:
        """The accuracy on unseen sequences, where it was measured."""
        return (self.measured or {}).get("accuracy")


@dataclass(frozen=True)
class Ended:
    """How long a stage took, and whether the accuracy was reached that ends it early."""

    steps: int
    mastered: bool


@dataclass
class History:
    """What a run leaves behind; CPU seconds are this process's, all threads together.

    seconds, cpu_seconds  of training and measuring, summed over restarts.
    """

    records: list[Record] = field(default_factory=list)
    ended: list[Ended] = field(default_factory=list)
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    interrupted: bool = False

    @property
    def losses(self) -> list[float]:
        """The loss of each update."""
        return [record.loss for record in self.records]

    @property
    def accuracy(self) -> float:
        """The last measured accuracy on unseen sequences; nan if none was."""
        measured = [r.accuracy for r in self.records if r.accuracy is not None]
        return measured[-1] if measured else math.nan

    @property
    def loss(self) -> float:
        """The last training loss, in nats per asked token; nan before the first step."""
        return self.records[-1].loss if self.records else math.nan

    def measured(self) -> list[Record]:
        """The records after which something was measured."""
        return [r for r in self.records if r.measured is not None]

    def state(self) -> dict[str, Any]:
        """Plain values and tensors, for a checkpoint."""
        numbers = [
            (r.loss, r.objective, r.stage, math.nan if r.right is None else r.right)
            for r in self.records
        ]
        return {
            "records": torch.tensor(numbers, dtype=torch.float64, device="cpu").reshape(-1, 4),
            "measured": {r.step: r.measured for r in self.measured()},
            "ended": [(e.steps, e.mastered) for e in self.ended],
            "seconds": self.seconds,
            "cpu_seconds": self.cpu_seconds,
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Become what `state` was made of."""
        measured = state["measured"]
        self.records = [
            Record(
                step, loss, objective, int(stage), None if math.isnan(right) else right,
                measured.get(step),
            )
            for step, (loss, objective, stage, right) in enumerate(state["records"].tolist(), 1)
        ]  # fmt: skip
        self.ended = [Ended(*e) for e in state["ended"]]
        self.seconds, self.cpu_seconds = state["seconds"], state["cpu_seconds"]


class Diverged(ValueError):
    """The loss is no longer a number; `history` holds what came before, where `train` ran."""

    history: History


class Clock:
    """Counts seconds on from those that `history` has."""

    def __init__(self, history: History):
        self.history = history
        self.started = time.perf_counter() - history.seconds
        self.cpu_started = time.process_time() - history.cpu_seconds

    def note(self) -> None:
        """Bring the history's seconds up to this moment."""
        self.history.seconds = time.perf_counter() - self.started
        self.history.cpu_seconds = time.process_time() - self.cpu_started
