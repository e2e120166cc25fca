"""What a mixer takes by the clock: process seconds on one CPU thread (chapter 11)."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from zoology_teach.checks import require_int
from zoology_teach.mixers.mixer import Mixer


@dataclass(frozen=True)
class Timing:
    """Seconds of process time, one for each round."""

    forward: tuple[float, ...]
    step: tuple[float, ...]


def measure(mixers: Mapping[str, Mixer], batch: int, n: int, rounds: int = 5) -> dict[str, Timing]:
    """Time a forward pass, and a forward and backward pass, of each mixer on one CPU thread.

    Backward reaches the parameters and the input, as in the middle of a model. No optimiser.
    The mixers take turns, in the other direction every second round, so that a busy moment
    of the machine does not hit one of them alone. Process time: waiting does not count.
    """
    require_int("batch", batch, 1)
    require_int("n", n, 1)
    require_int("rounds", rounds, 1)
    generator = torch.Generator().manual_seed(0)
    times: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in mixers}
    with one_thread():
        for i in range(rounds):
            for name in list(mixers)[:: 1 if i % 2 == 0 else -1]:
                mixer = mixers[name]
                u = torch.randn(batch, n, mixer.d_model, generator=generator, requires_grad=True)
                times[name][0].extend(seconds_of(torch.no_grad()(partial(mixer, u)), 1))
                times[name][1].extend(seconds_of(partial(_both_ways, mixer, u), 1))
                mixer.zero_grad()
    return {name: Timing(tuple(forward), tuple(step)) for name, (forward, step) in times.items()}


def _both_ways(mixer: Mixer, u: Tensor) -> None:
    mixer(u).sum().backward()


def seconds_of(work: Callable[[], object], rounds: int) -> list[float]:
    """Process seconds of `rounds` calls, after one that warms up."""
    work()
    taken = []
    for _ in range(rounds):
        started = time.process_time()
        work()
        taken.append(time.process_time() - started)
    return taken


@contextmanager
def one_thread() -> Iterator[None]:
    """PyTorch on one thread for a while."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
