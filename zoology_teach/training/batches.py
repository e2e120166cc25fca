"""Which examples an update sees: all of it follows from the seed and the number of the update.

So a training that was stopped goes on as if nothing had happened.
"""

from collections.abc import Iterator
from functools import lru_cache
from hashlib import sha256
from itertools import count, islice

import torch
from torch import Tensor

from zoology_teach.tasks.examples import Examples
from zoology_teach.tasks.text import Blocks
from zoology_teach.training.stages import Task


def batches(
    task: Task, batch_size: int, seed: int, *, examples: int | None = None, first: int = 0
) -> Iterator[Examples]:
    """The batches of a task, without end, from number `first` on; `seed` as from `stage_seed`.

    Blocks of text come epoch after epoch (`batch_rows`); another task draws fresh examples, or
    with `examples` a fixed set of so many, shuffled anew each time it is used up.
    """
    if isinstance(task, Blocks):
        for step in count(first):
            yield task.examples(batch_rows(len(task), batch_size, seed, step))
    generator = torch.Generator("cpu").manual_seed(seed)
    drawn = _fresh(task, batch_size, generator)
    if examples is not None:
        drawn = _fixed(task, batch_size, generator, examples)
    yield from islice(drawn, first, None)


def stage_seed(task: Task, seed: int, lesson: int = 0) -> int:
    """The seed of a stage's batches: of the task itself, or of the lessons 1, 2, ... before it.

    The task's own is even, as the unseen examples have the odd one, 2 seed + 1; of text it is
    far from that of the next seed, as each epoch takes one more. All have 32 bits, as torch's
    generator of the CPU takes no notice of more.
    """
    if lesson > 0:
        return int.from_bytes(sha256(f"{seed}/{lesson}".encode()).digest()[:4], "big")
    return 1_000_003 * seed % 2**32 if isinstance(task, Blocks) else 2 * seed


def batch_rows(num_blocks: int, batch_size: int, seed: int, step: int) -> Tensor:
    """(batch_size,) the blocks of update `step`: epochs follow each other without a seam.

    seed  of the first epoch's order; the one of epoch e is seed + e.
    """
    first = step * batch_size
    epochs = range(first // num_blocks, (first + batch_size - 1) // num_blocks + 1)
    order = torch.cat([_epoch(num_blocks, seed, epoch) for epoch in epochs])
    start = first - epochs[0] * num_blocks
    return order[start : start + batch_size]


@lru_cache(maxsize=2)
def _epoch(num_blocks: int, seed: int, epoch: int) -> Tensor:
    generator = torch.Generator("cpu").manual_seed(seed + epoch)
    return torch.randperm(num_blocks, generator=generator, device="cpu")


def _fresh(task: Task, batch_size: int, generator: torch.Generator) -> Iterator[Examples]:
    while True:
        yield task.sample(batch_size, seed=generator)


def _fixed(
    task: Task, batch_size: int, generator: torch.Generator, examples: int
) -> Iterator[Examples]:
    fixed = task.sample(examples, seed=generator)
    order = torch.empty(0, dtype=torch.int64, device="cpu")
    while True:
        if len(order) < batch_size:
            order = torch.randperm(examples, generator=generator, device="cpu")
        chosen, order = order[:batch_size], order[batch_size:]
        yield fixed[chosen]
