"""Next-token training on blocks of text (chapter 10): checkpoints, bf16, several GPUs.

Everything random in update s follows from the seed and s: which blocks it sees, in `batch_rows`;
what a mixer draws, in a buffer of its own. So a training that was killed goes on as if nothing
had happened (on a CPU bit for bit), and P processes see together what one process would. Not so
where rows are drawn or a router has noise: each process draws for its own sequences, and a pass
is a micro batch.
"""

import math
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.nn.parallel import DistributedDataParallel
from tqdm.auto import tqdm

from zoology_teach.checks import require, require_int
from zoology_teach.model import LanguageModel
from zoology_teach.tasks.text import Blocks
from zoology_teach.training import checkpoint as checkpoints
from zoology_teach.training.loop import Diverged, TrainConfig, lr_factor

Measure = Callable[[LanguageModel], Mapping[str, float]]


@dataclass
class TextHistory:
    """The losses (nats per token) of all updates so far, and what was measured on the way.

    measured      what `measure` returned, each with its "step".
    seconds       of training and measuring, summed over restarts.
    cpu_seconds   the same, of this process on all its cores.
    """

    losses: list[float] = field(default_factory=list)
    measured: list[dict[str, float]] = field(default_factory=list)
    seconds: float = 0.0
    cpu_seconds: float = 0.0


@contextmanager
def process_group(device: torch.device) -> Iterator[tuple[int, int]]:
    """Rank and number of processes: those that torchrun started, or 0 and 1."""
    size = int(os.environ.get("WORLD_SIZE", 1))
    if size == 1:
        yield 0, 1
        return
    if device.type == "cuda":
        local, there = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
        require(local < there, "nproc-per-node", local + 1, f"at most {there}, the GPUs there are")
        torch.cuda.set_device(local)
    # While the first process measures, the others wait.
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=timedelta(hours=2))
    try:
        yield dist.get_rank(), size
    finally:
        dist.destroy_process_group()


def train_text(
    model: LanguageModel,
    blocks: Blocks,
    config: TrainConfig,
    *,
    measure: Measure | None = None,
    checkpoint: Path | None = None,
    save_seconds: float = 60.0,
    micro_batch: int | None = None,
    bf16: bool = False,
    progress: str | None = None,
) -> TextHistory:
    """Train `model` in place on `blocks`, an epoch after another, each in a new order.

    config        steps, batch_size (of all processes together), lr, warmup, weight_decay, clip
                  and seed; `measure` is called every eval_every steps and after the last one.
    checkpoint    a file. The training goes on from it where it is there; it is written every
                  `save_seconds` and at the end, so an interrupt or a crash loses no more.
    micro_batch   sequences at a time in a process; gradients add up to a batch. None: all.
    bf16          autocast to bfloat16; weights, optimiser and losses stay float32.
    progress      what stands before the progress bar, if there is to be one.

    Within a `process_group` each process takes its share of every batch; the first one measures
    and writes. Raises ValueError for sizes that do not fit and for a checkpoint of another
    training, and `Diverged` with the history so far when the loss is lost.
    """
    rank, size = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
    micro_batch = _checked(model, blocks, config, micro_batch, size)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=config.lr, weight_decay=config.weight_decay, fused=True
    )
    history, known_as = TextHistory(), _identity(model, blocks, config, bf16)
    if checkpoint is not None and checkpoint.exists():
        _restore(checkpoint, known_as, model, optimizer, history)

    parallel = DistributedDataParallel(model) if size > 1 else model
    saved = time.perf_counter()
    # As if it had begun so much earlier as was trained before.
    started, cpu_started = saved - history.seconds, time.process_time() - history.cpu_seconds
    first = len(history.losses)
    model.train()
    steps = range(first, config.steps)
    hidden = progress is None or rank > 0
    with tqdm(steps, progress, config.steps, initial=first, disable=hidden) as updates:
        for step in updates:
            rows = batch_rows(len(blocks), config, step)[rank::size]
            loss = _update(parallel, optimizer, blocks, rows, config, step, micro_batch, bf16)
            history.losses.append(loss)
            if not math.isfinite(loss):
                lost = Diverged(f"lr = {config.lr}: the loss is {loss} at step {step + 1}")
                lost.history = history
                raise lost
            last = step + 1 == config.steps
            if rank == 0 and measure and (last or _due(step + 1, config.eval_every)):
                found = {name: float(value) for name, value in measure(model).items()}
                history.measured.append({"step": step + 1, **found})
                updates.set_postfix(loss=f"{loss:.3f}")
            now = time.perf_counter()
            history.seconds, history.cpu_seconds = now - started, time.process_time() - cpu_started
            if rank == 0 and checkpoint is not None and (last or now - saved >= save_seconds):
                _save(checkpoint, known_as, model, optimizer, history)
                saved = time.perf_counter()
    return history


def batch_rows(num_blocks: int, config: TrainConfig, step: int) -> Tensor:
    """(batch_size,) the blocks of update `step`: epochs follow each other without a seam."""
    first = step * config.batch_size
    epochs = range(first // num_blocks, (first + config.batch_size - 1) // num_blocks + 1)
    order = torch.cat([_epoch(num_blocks, config.seed, epoch) for epoch in epochs])
    start = first - epochs[0] * num_blocks
    return order[start : start + config.batch_size]


@lru_cache(maxsize=2)
def _epoch(num_blocks: int, seed: int, epoch: int) -> Tensor:
    generator = torch.Generator().manual_seed((seed << 32) + epoch)
    return torch.randperm(num_blocks, generator=generator)


@torch.no_grad()
def token_losses(
    model: LanguageModel, blocks: Blocks, rows: slice = slice(None), *, batch_size: int = 16
) -> NDArray[np.float32]:
    """(B, N) the loss in nats of each predicted token of `blocks[rows]`: float32, `eval` mode."""
    device, was_training = model.embedding.weight.device, model.training
    model.eval()
    losses = []
    for some in torch.arange(len(blocks))[rows].split(batch_size):
        batch = blocks.examples(some.numpy())
        logits = model(batch.inputs.to(device)).float()
        each = cross_entropy(logits.transpose(1, 2), batch.labels.to(device), reduction="none")
        losses.append(each.cpu().numpy())
    model.train(was_training)
    return np.concatenate(losses)


def _update(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    blocks: Blocks,
    rows: Tensor,
    config: TrainConfig,
    step: int,
    micro_batch: int,
    bf16: bool,
) -> float:
    """One update on `rows` of this process; the loss over those of all processes."""
    bare = getattr(model, "module", model)
    device = bare.embedding.weight.device
    optimizer.zero_grad()
    total = torch.zeros((), device=device)
    parts = rows.split(micro_batch)
    for i, part in enumerate(parts, start=1):
        batch = blocks.examples(part.numpy())
        inputs, labels = batch.inputs.to(device), batch.labels.to(device)
        # Gradients are averaged over the processes once, after the last part.
        apart = model is not bare and i < len(parts)
        with model.no_sync() if apart else nullcontext():
            with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
                logits = model(inputs)
            loss = cross_entropy(logits.float().flatten(0, 1), labels.flatten())
            ((loss + bare.auxiliary_loss()) / len(parts)).backward()
        total += loss.detach() / len(parts)
    if model is not bare:
        dist.all_reduce(total)
        total /= dist.get_world_size()
    torch.nn.utils.clip_grad_norm_(model.parameters(), config.clip)
    for group in optimizer.param_groups:
        group["lr"] = config.lr * lr_factor(step, config)
    optimizer.step()
    return total.item()


def _checked(
    model: LanguageModel, blocks: Blocks, config: TrainConfig, micro_batch: int | None, size: int
) -> int:
    """The micro batch, when all sizes fit."""
    require(len(blocks) > 0, "blocks", len(blocks), "at least one block")
    v = model.config.vocab_size
    require(blocks.vocab_size <= v, "blocks.vocab_size", blocks.vocab_size, f"<= {v}")
    unused = {"train_examples": config.train_examples, "stop_accuracy": config.stop_accuracy}
    for name, value in unused.items():
        require(value is None, name, value, "None: blocks of text have no use for it")
    each = f"a multiple of {size}, the number of processes"
    require(config.batch_size % size == 0, "batch_size", config.batch_size, each)
    share = config.batch_size // size
    if micro_batch is None:
        return share
    require_int("micro_batch", micro_batch, 1)
    require(share % micro_batch == 0, "micro_batch", micro_batch, f"a divisor of {share}")
    return micro_batch


def _due(step: int, every: int | None) -> bool:
    return every is not None and step % every == 0


def _identity(model: LanguageModel, blocks: Blocks, config: TrainConfig, bf16: bool) -> str:
    """What must be the same for a training to go on. The number of processes may change."""
    tokens = f"{len(blocks)} blocks of {blocks.seq_len} {crc32(blocks.stream[:1_000_000]):x}"
    return f"{model.config} {config} {tokens}{' bf16' if bf16 else ''}"


def _save(path: Path, known_as: str, model: Any, optimizer: Any, history: TextHistory) -> None:
    state = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
    losses = torch.tensor(history.losses, dtype=torch.float64)
    checkpoints.save(path, {"training": known_as, **state, **vars(history), "losses": losses})


def _restore(path: Path, known_as: str, model: Any, optimizer: Any, history: TextHistory) -> None:
    state = checkpoints.load(path)
    same = state.get("training") == known_as
    require(same, "checkpoint", str(path), "of the same model, text and budget, or not there")
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    for name in vars(history):
        setattr(history, name, state[name])
    history.losses = state["losses"].tolist()
