"""Model + task -> history (chapter 05): fresh examples, AdamW, warm-up and cosine."""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from tqdm.auto import tqdm

from zoology_teach.checks import require, require_int, require_positive
from zoology_teach.configuration import config
from zoology_teach.model import LanguageModel
from zoology_teach.tasks.examples import Examples


class Task(Protocol):
    """Anything that draws `Examples`, such as `tasks.mqar.MQAR`."""

    vocab_size: int

    def sample(self, num_examples: int, seed: int | torch.Generator) -> Examples: ...


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

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "eval_examples"):
            require_int(name, getattr(self, name), 1)
        require_int("seed", self.seed, 0)
        require_positive("lr", self.lr)
        require_positive("clip", self.clip)
        require(self.weight_decay >= 0, "weight_decay", self.weight_decay, "at least 0")
        require(0 <= self.warmup < 1, "warmup", self.warmup, "in [0, 1)")
        if self.train_examples is not None:
            require_int("train_examples", self.train_examples, self.batch_size)
        if self.eval_every is not None:
            require_int("eval_every", self.eval_every, 1)


@dataclass(frozen=True)
class Record:
    """One update: its number, its loss, and the accuracy where it was measured."""

    step: int
    loss: float
    accuracy: float | None = None


@dataclass
class History:
    """What a run leaves behind; CPU seconds are this process's, all threads together."""

    records: list[Record] = field(default_factory=list)
    cpu_seconds: float = 0.0
    interrupted: bool = False

    @property
    def accuracy(self) -> float:
        """The last measured accuracy on unseen sequences; nan if none was."""
        measured = self.measured()
        return measured[-1].accuracy if measured else math.nan

    @property
    def loss(self) -> float:
        """The last training loss, in nats per asked token; nan before the first step."""
        return self.records[-1].loss if self.records else math.nan

    def measured(self) -> list[Record]:
        """The records that carry an accuracy."""
        return [r for r in self.records if r.accuracy is not None]


class Diverged(ValueError):
    """The loss is no longer a number; `history` holds what came before, where `train` ran."""

    history: History


def train(
    model: LanguageModel, task: Task, config: TrainConfig, *, progress: bool = False
) -> History:
    """Train `model` in place; an interrupt (Ctrl-C, the stop button) keeps what was done.

    Raises ValueError when model and task disagree, and `Diverged` when the loss is lost.
    """
    history = History()
    started = time.process_time()
    updates = tqdm(training(model, task, config), total=config.steps, disable=not progress)
    try:
        for record in updates:
            history.records.append(record)
    except KeyboardInterrupt:
        history.interrupted = True
    except Diverged as error:
        error.history = history
        raise
    finally:
        updates.close()
        history.cpu_seconds = time.process_time() - started
    return history


def training(model: LanguageModel, task: Task, config: TrainConfig) -> Iterator[Record]:
    """One `Record` per update: `train` as a generator, for whoever watches or stops it.

    Raises as `train` does.
    """
    vocab_size = model.config.vocab_size
    require(task.vocab_size <= vocab_size, "task.vocab_size", task.vocab_size, f"<= {vocab_size}")
    device = model.embedding.weight.device
    model.train()
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=config.lr, weight_decay=config.weight_decay, fused=True
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: lr_factor(step, config))
    held_out = task.sample(config.eval_examples, seed=2 * config.seed + 1)
    for step, batch in enumerate(_batches(task, config), start=1):
        loss = batch_loss(model, batch.inputs.to(device), batch.labels.to(device))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), config.clip)
        optimizer.step()
        schedule.step()

        due = step == config.steps or (config.eval_every and step % config.eval_every == 0)
        measured = accuracy(model, held_out) if due else None
        record = Record(step, loss.item(), measured)
        if not math.isfinite(record.loss):
            raise Diverged(f"lr = {config.lr}: the loss is {record.loss} at step {step}")
        yield record
        if measured is not None and config.stop_accuracy and measured >= config.stop_accuracy:
            return


def batch_loss(model: LanguageModel, inputs: Tensor, labels: Tensor) -> Tensor:
    """Cross entropy in nats, averaged over the asked positions of inputs, labels (B, N).

    What the mixers add to it (`LanguageModel.auxiliary_loss`) included.
    """
    batch = Examples(inputs, labels)
    positions = batch.positions
    logits = model(inputs, positions)
    loss = cross_entropy(logits.flatten(0, 1), labels.gather(1, positions).flatten())
    return loss + model.auxiliary_loss()


@torch.no_grad()
def accuracy(model: LanguageModel, examples: Examples, batch_size: int = 128) -> float:
    """The fraction of asked positions where the largest logit is the answer; in `eval` mode."""
    device, was_training = model.embedding.weight.device, model.training
    model.eval()
    correct = total = 0
    for start in range(0, len(examples), batch_size):
        block = slice(start, start + batch_size)
        batch = Examples(examples.inputs[block].to(device), examples.labels[block].to(device))
        guesses = model(batch.inputs, batch.positions).argmax(dim=-1)
        correct += (guesses == batch.targets).sum().item()
        total += guesses.numel()
    model.train(was_training)
    return correct / total


def lr_factor(step: int, config: TrainConfig) -> float:
    """Linear warm-up to 1, then a cosine to 0, for the update after `step` updates."""
    warmup_steps = round(config.warmup * config.steps)
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    done = (step - warmup_steps) / max(1, config.steps - warmup_steps)
    return 0.5 * (1 + math.cos(math.pi * done))


def _batches(task: Task, config: TrainConfig) -> Iterator[Examples]:
    """`config.steps` batches: fresh ones, or slices of a fixed set shuffled every epoch.

    The generator's seed is even; held-out sequences come from the odd one after it.
    """
    generator = torch.Generator().manual_seed(2 * config.seed)
    if config.train_examples is None:
        for _ in range(config.steps):
            yield task.sample(config.batch_size, seed=generator)
        return
    fixed = task.sample(config.train_examples, seed=generator)
    order = torch.empty(0, dtype=torch.int64)
    for _ in range(config.steps):
        if len(order) < config.batch_size:
            order = torch.randperm(config.train_examples, generator=generator)
        chosen, order = order[: config.batch_size], order[config.batch_size :]
        yield Examples(fixed.inputs[chosen], fixed.labels[chosen])
