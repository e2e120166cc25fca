"""What a training consists of: lessons that come before, then the task itself (chapter 05).

A curriculum is easier tasks first (Bengio et al. 2009, doi:10.1145/1553374.1553380). So is a
warm-up on recall before text is read: both are stages of one training.
"""

import math
from dataclasses import fields
from typing import Protocol
from zlib import crc32

import numpy as np
import torch

from zoology_teach.checks import number, require, require_bool, require_int, require_positive
from zoology_teach.configuration import config
from zoology_teach.tasks.examples import Examples
from zoology_teach.tasks.text import Blocks

MASTERED_OVER = 50  # updates whose training accuracy is averaged


class Task(Protocol):
    """Anything that draws `Examples`, such as `tasks.mqar.MQAR` or `tasks.text.Blocks`."""

    @property
    def vocab_size(self) -> int:
        """V."""

    def sample(self, num_examples: int, seed: int | torch.Generator) -> Examples:
        """Draw sequences and what is asked of them; the same seed draws the same."""


@config
class Stage:
    """A lesson before the task itself, at a constant learning rate.

    task             what its batches are drawn from.
    steps            updates, at most.
    batch_size       sequences per update.
    until            None, or the training accuracy, a mean over 50 updates, at which the stage
                     is mastered and ends.
    lr               None for the learning rate of the training.
    ramp             updates in which the learning rate rises linearly to its value.
    fresh_optimizer  AdamW forgets what it kept from the stage before.
    """

    task: Task
    steps: int
    batch_size: int
    until: float | None = None
    lr: float | None = None
    ramp: int = 0
    fresh_optimizer: bool = False

    def __post_init__(self) -> None:
        is_task = hasattr(self.task, "sample") and hasattr(self.task, "vocab_size")
        require(is_task, "task", self.task, "one with sample() and vocab_size, such as MQAR()")
        require_int("steps", self.steps, 1)
        require_int("batch_size", self.batch_size, 1)
        require_bool("fresh_optimizer", self.fresh_optimizer)
        require_int("ramp", self.ramp, 0)
        if self.until is not None:
            require_accuracy("until", self.until)
        if self.lr is not None:
            require_positive("lr", self.lr)


@config
class TrainConfig:
    """The budget and the optimiser.

    steps, batch_size  updates, and sequences per update.
    lr                 highest learning rate; `warmup` is the fraction of steps that reach
                       it linearly, a cosine takes it back to 0.
    weight_decay, clip AdamW's decay, and the largest gradient norm.
    train_examples     None for fresh examples at every step, or the size of a fixed set,
                       shuffled anew each time it is used up.
    eval_examples      sequences, never trained on, that an accuracy is measured with.
    eval_every         steps between measurements; None measures once, at the end.
    stop_accuracy      stop at a measurement of at least this accuracy.
    seed               decides the data, not the weights (those: `ModelConfig.seed`).
    before             stages that come first, with steps of their own.
    fresh_optimizer    AdamW forgets what it kept from them.
    """

    steps: int = 500
    batch_size: int = 32
    lr: float = 1e-2
    weight_decay: float = 0.1
    warmup: float = 0.05
    clip: float = 1.0
    train_examples: int | None = None
    eval_examples: int = 1000
    eval_every: int | None = None
    stop_accuracy: float | None = None
    seed: int = 0
    before: tuple[Stage, ...] = ()
    fresh_optimizer: bool = False

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "eval_examples"):
            require_int(name, getattr(self, name), 1)
        require_int("seed", self.seed, 0)
        require(self.seed < 2**31, "seed", self.seed, "below 2**31")
        require_positive("lr", self.lr)
        require_positive("clip", self.clip)
        decay = self.weight_decay
        require(number(decay) >= 0, "weight_decay", decay, "at least 0 and finite")
        require_bool("fresh_optimizer", self.fresh_optimizer)
        require(0 <= number(self.warmup) < 1, "warmup", self.warmup, "in [0, 1)")
        if self.train_examples is not None:
            require_int("train_examples", self.train_examples, self.batch_size)
        if self.eval_every is not None:
            require_int("eval_every", self.eval_every, 1)
        if self.stop_accuracy is not None:
            require_accuracy("stop_accuracy", self.stop_accuracy)
            measured = "None, or eval_every set: it is looked at where the accuracy is measured"
            require(self.eval_every is not None, "stop_accuracy", self.stop_accuracy, measured)
        several = isinstance(self.before, list | tuple)
        made = several and all(isinstance(stage, Stage) for stage in self.before)
        require(made, "before", self.before, "a tuple of Stage(task, ...)")
        object.__setattr__(self, "before", tuple(self.before))

    def stages(self, task: Task) -> list[Stage]:
        """All of the training: what comes before, then `task`."""
        last = Stage(task, self.steps, self.batch_size, fresh_optimizer=self.fresh_optimizer)
        return [*self.before, last]

    def lr_at(self, stage: int, step: int) -> float:
        """The learning rate of update `step` (from 0) of a stage (by its number, from 0)."""
        if stage == len(self.before):
            return self.lr * lr_factor(step, self)
        lesson = self.before[stage]
        highest = self.lr if lesson.lr is None else lesson.lr
        return highest * min(1.0, (step + 1) / max(1, lesson.ramp))


def require_accuracy(argument: str, value: object) -> None:
    """Raise ValueError unless `value` is an accuracy that can be waited for."""
    require(0 < number(value) <= 1, argument, value, "an accuracy above 0, at most 1")


def lr_factor(step: int, config: TrainConfig) -> float:
    """Linear warm-up to 1, then a cosine to 0, for the update after `step` updates."""
    warmup_steps = round(config.warmup * config.steps)
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    done = (step - warmup_steps) / max(1, config.steps - warmup_steps)
    return 0.5 * (1 + math.cos(math.pi * done))


def known_as(stage: Stage) -> str:
    """What tells a stage from another one, for a checkpoint."""
    task = stage.task
    if isinstance(task, Blocks):
        digits = f"{crc32(np.ascontiguousarray(task.stream).data):x}"
        name = f"{len(task)} blocks of {task.seq_len} {digits}"
    else:
        name = str(task)
    rest = ", ".join(f"{f.name}={getattr(stage, f.name)!r}" for f in fields(stage)[1:])
    return f"{name} Stage(task=None, {rest})"


def check_sizes(
    stages: list[Stage],
    config: TrainConfig,
    v: int,
    size: int,
    micro_batch: int | None,
    measured: bool,
) -> None:
    """Raise ValueError where sizes do not fit each other; `measured`: by the caller's function."""
    for stage in stages:
        task = stage.task
        require(task.vocab_size <= v, "task.vocab_size", task.vocab_size, f"<= {v}")
        each = f"a multiple of {size}, the number of processes"
        require(stage.batch_size % size == 0, "batch_size", stage.batch_size, each)
        share = stage.batch_size // size
        if micro_batch is not None:
            require_int("micro_batch", micro_batch, 1)
            require(share % micro_batch == 0, "micro_batch", micro_batch, f"a divisor of {share}")
        if isinstance(task, Blocks):
            require(len(task) > 0, "task", task, "at least one block")
    if isinstance(stages[-1].task, Blocks):
        unused: dict[str, object] = {
            "train_examples": config.train_examples,
            "stop_accuracy": config.stop_accuracy,
        }
        if not measured:
            unused["eval_every"] = config.eval_every
        for name, value in unused.items():
            require(value is None, name, value, "None: blocks of text have no use for it")
