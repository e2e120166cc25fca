"""Several processes that train one model together, as torchrun starts them."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist

from zoology_teach.checks import require

T = TypeVar("T")
TO_JOIN = timedelta(minutes=5)  # within which all processes have to be there
TO_ANSWER = timedelta(hours=2)  # for a collective operation: while the first process measures


@contextmanager
def process_group(device: torch.device) -> Iterator[tuple[int, int]]:
    """Rank and number of processes: those that torchrun started, or 0 and 1.

    Raises ValueError where there are fewer GPUs than processes, and OSError where the others
    do not come, or one of them has ended.
    """
    size = int(os.environ.get("WORLD_SIZE", 1))
    if size == 1:
        yield 0, 1
        return
    if device.type == "cuda":
        local, there = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
        require(local < there, "nproc-per-node", local + 1, f"at most {there}, the GPUs there are")
        torch.cuda.set_device(local)
    try:
        store, rank, size = next(dist.rendezvous("env://", timeout=TO_JOIN))
        backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
        dist.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=TO_ANSWER)
        yield rank, size
    except RuntimeError as error:  # gloo's and NCCL's have no class of their own
        if not isinstance(error, dist.DistError) and "gloo" not in str(error):
            raise
        reason = " ".join(str(error).split())[:200]
        raise OSError(f"not all of the {size} processes of this run are there: {reason}") from None
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()


def rank_and_size() -> tuple[int, int]:
    """This process's number and how many there are; 0 and 1 outside of a `process_group`."""
    return (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)


def mean_over_processes(values: torch.Tensor) -> torch.Tensor:
    """The mean of `values` over all processes, in each of them."""
    if dist.is_initialized():
        dist.all_reduce(values)
        values = values / dist.get_world_size()
    return values


def from_the_first(value: T) -> T:
    """`value` of the first process, in all of them, which wait for it.

    By way of the CPU, where the death of the first process is an error for the others at once.
    """
    if not dist.is_initialized():
        return value
    sent = [value]
    dist.broadcast_object_list(sent, 0, device=torch.device("cpu"))
    return sent[0]
