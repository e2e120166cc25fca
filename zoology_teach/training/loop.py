"""Model + task -> history (chapter 05): the one loop that trains everything in the book.

AdamW (arXiv:1711.05101), a clipped gradient, and stage after stage. Everything random in an
update follows from the seed and the update's number, or stands in a mixer's buffer, so a
training that was killed goes on as if nothing had happened (on a CPU bit for bit). P processes
under torchrun see together what one process would; but where rows are drawn or a router has
noise, each process draws for its own sequences, and a pass is a micro batch.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import torch
from torch.nn.functional import cross_entropy
from torch.nn.parallel import DistributedDataParallel
from tqdm.auto import tqdm

from zoology_teach.checks import require
from zoology_teach.model import LanguageModel
from zoology_teach.tasks.examples import Examples
from zoology_teach.tasks.text import Blocks
from zoology_teach.training import checkpoint as checkpoints
from zoology_teach.training import time_limit
from zoology_teach.training.batches import batches, stage_seed
from zoology_teach.training.history import Clock, Diverged, Ended, History, Record
from zoology_teach.training.measure import accuracy, asked
from zoology_teach.training.processes import from_the_first, mean_over_processes, rank_and_size
from zoology_teach.training.stages import (
    MASTERED_OVER,
    Task,
    TrainConfig,
    check_sizes,
    known_as,
)

Measure = Callable[[LanguageModel], Mapping[str, float]]


def train(
    model: LanguageModel,
    task: Task,
    config: TrainConfig,
    *,
    measure: Measure | None = None,
    checkpoint: Path | None = None,
    save_seconds: float = 60.0,
    micro_batch: int | None = None,
    bf16: bool = False,
    progress: bool | str = False,
) -> History:
    """Train `model` in place; an interrupt (Ctrl-C, the stop button) keeps what was done.

    measure      what is measured every `eval_every` updates of the last stage and after its
                 last one; by default the accuracy on unseen examples. Of blocks of text
                 nothing is measured by default.
    checkpoint   a file. The training goes on from it where it is there; it is written every
                 `save_seconds`, so a crash loses no more, and at the end of a longer one.
    micro_batch  sequences at a time in a process; gradients add up to a batch. None: all.
    bf16         autocast to bfloat16; weights, optimiser and losses stay float32.
    progress     whether there is a progress bar, or what stands before it.

    Within a `processes.process_group` each process takes its share of every batch; the first
    one measures and writes. Raises ValueError for sizes that do not fit and for a checkpoint of
    another training, and `Diverged` with the history so far when the loss is lost.
    """
    training = Training(model, task, config, measure=measure, micro_batch=micro_batch, bf16=bf16)
    history = training.history
    if checkpoint is not None and checkpoint.exists():
        training.restore(checkpoint)
    first, shown = training.rank == 0, progress is not False and training.rank == 0
    steps = sum(stage.steps for stage in training.stages)
    label = progress if isinstance(progress, str) else None
    clock = Clock(history)
    saved = time.perf_counter()
    with tqdm(desc=label, total=steps, initial=len(history.records), disable=not shown) as bar:
        try:
            for record in training.updates():
                bar.update()
                if record.measured is not None:
                    bar.set_postfix(loss=f"{record.loss:.3f}")
                clock.note()
                late = time_limit.is_reached()
                due = late or time.perf_counter() - saved >= save_seconds
                if first and checkpoint is not None and due:
                    training.save(checkpoint)
                    saved = time.perf_counter()
                if late:
                    raise KeyboardInterrupt
            if first and checkpoint is not None and history.seconds >= save_seconds:
                training.save(checkpoint)
        except KeyboardInterrupt:
            history.interrupted = True
        except Diverged as error:
            error.history = history
            raise
        finally:
            clock.note()
    return history


def training(model: LanguageModel, task: Task, config: TrainConfig) -> Iterator[Record]:
    """One `Record` per update: `train` as a generator, for whoever watches or stops it.

    Raises as `train` does.
    """
    yield from Training(model, task, config).updates()


class Training:
    """A model, its optimiser and how far they are. Arguments as in `train`."""

    def __init__(
        self,
        model: LanguageModel,
        task: Task,
        config: TrainConfig,
        *,
        measure: Measure | None = None,
        micro_batch: int | None = None,
        bf16: bool = False,
    ):
        self.model, self.config, self.bf16 = model, config, bf16
        self.stages, self.history = config.stages(task), History()
        v, (self.rank, self.size) = model.config.vocab_size, rank_and_size()
        check_sizes(self.stages, config, v, self.size, micro_batch, measure is not None)
        self.micro_batch, self.device = micro_batch, model.embedding.weight.device
        wrapped = DistributedDataParallel(model) if self.size > 1 else None
        self.parallel = model if wrapped is None else wrapped
        self.apart = nullcontext if wrapped is None else wrapped.no_sync
        self.optimizer = self._new_optimizer()
        if measure is None and not isinstance(task, Blocks):
            unseen = task.sample(config.eval_examples, seed=2 * config.seed + 1)
            measure = lambda model: {"accuracy": accuracy(model, unseen)}  # noqa: E731
        self.measure = measure

    def updates(self) -> Iterator[Record]:
        """Train stage after stage, from where the history ends; a `Record` per update."""
        self.model.train()
        for number in range(len(self.history.ended), len(self.stages)):
            yield from self._stage(number)
            steps = self._steps_done(number)
            self.history.ended.append(Ended(steps, self._is_mastered(number, steps)))

    def _stage(self, number: int) -> Iterator[Record]:
        stage, is_last = self.stages[number], number == len(self.stages) - 1
        done = self._steps_done(number)
        if stage.fresh_optimizer and done == 0:
            self.optimizer = self._new_optimizer()
        seed = stage_seed(stage.task, self.config.seed, 0 if is_last else number + 1)
        fixed = self.config.train_examples if is_last else None
        drawn = batches(stage.task, stage.batch_size, seed, examples=fixed, first=done)
        while done < stage.steps and not self._is_mastered(number, done):
            batch = next(drawn)[self.rank :: self.size].to(self.device)
            lr = self.config.lr_at(number, done)
            loss, objective, right = self._update(batch, lr, count_right=stage.until is not None)
            done += 1
            if not math.isfinite(loss):
                raise Diverged(f"lr = {self.config.lr}: the loss is {loss} at step {done}")
            every = self.config.eval_every
            due = is_last and (done == stage.steps or (every is not None and done % every == 0))
            record = Record(
                len(self.history.records) + 1,
                loss,
                objective,
                number,
                right if stage.until is not None else None,
                self._measured() if due else None,
            )
            self.history.records.append(record)
            yield record

    def _update(
        self, batch: Examples, lr: float, *, count_right: bool
    ) -> tuple[float, float, float]:
        """One step of the optimiser; cross entropy, what was minimised, and the accuracy."""
        self.optimizer.zero_grad()
        totals = torch.zeros(3, device=self.device)
        parts = batch.split(self.micro_batch or len(batch))
        for i, part in enumerate(parts, start=1):
            # Gradients are averaged over the processes once, after the last part.
            with self.apart() if i < len(parts) else nullcontext():
                with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
                    logits, answers = asked(self.parallel, part)
                logits = logits.float() if self.bf16 else logits
                loss = cross_entropy(logits.flatten(0, 1), answers.flatten())
                objective = loss + self.model.auxiliary_loss()
                (objective / len(parts)).backward()
            right = (logits.argmax(dim=-1) == answers).float().mean() if count_right else 0 * loss
            totals += torch.stack([loss.detach(), objective.detach(), right.detach()]) / len(parts)
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip)
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        self.optimizer.step()
        loss, objective, right = mean_over_processes(totals).tolist()
        return loss, objective, right

    def _measured(self) -> dict[str, float] | None:
        """What the first process measures; the others wait for it, and hear of the accuracy."""
        if self.measure is None:
            return None
        found = self.measure(self.model) if self.rank == 0 else {}
        found = {name: float(value) for name, value in found.items()}
        heard = from_the_first(found.get("accuracy", math.nan))
        return found if self.rank == 0 else {"accuracy": heard}

    def _steps_done(self, number: int) -> int:
        """Updates of stage `number` so far, the one that is not ended."""
        return len(self.history.records) - sum(e.steps for e in self.history.ended[:number])

    def _is_mastered(self, number: int, done: int) -> bool:
        """Whether the accuracy that ends the stage is reached."""
        stage = self.stages[number]
        records = self.history.records[-min(done, MASTERED_OVER) :] if done else []
        if number == len(self.stages) - 1:
            goal = self.config.stop_accuracy
            reached = records[-1].accuracy if records else None
            return goal is not None and reached is not None and reached >= goal
        if stage.until is None or len(records) < MASTERED_OVER:
            return False
        return sum(r.right or 0.0 for r in records) / MASTERED_OVER >= stage.until

    def _new_optimizer(self) -> torch.optim.AdamW:
        weights, rate, decay = self.model.parameters(), self.config.lr, self.config.weight_decay
        return torch.optim.AdamW(weights, lr=rate, weight_decay=decay, fused=True)

    def save(self, path: Path) -> None:
        """Write how far the training is; whatever happens, the old or the new file is there."""
        state = {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict()}
        checkpoints.save(path, {"training": self._identity, **state, **self.history.state()})

    def restore(self, path: Path) -> None:
        """Go on from a file. Raises ValueError where it belongs to another training."""
        state = checkpoints.load(path)
        same = state.get("training") == self._identity
        require(same, "checkpoint", str(path), "of the same model, task and budget, or not there")
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.history.set_state(state)

    @cached_property
    def _identity(self) -> str:
        """What must be the same for a training to go on. The number of processes may change."""
        budget = replace(self.config, before=())
        stages = "; ".join(map(known_as, self.stages))
        return f"{self.model.config} {budget} {stages}{' bf16' if self.bf16 else ''}"
