"""What a mixer costs (chapter 11): counted, predicted, measured.

Counted without a clock, for B sequences of N tokens at width D:

    `count`    FLOPs, the bytes that have to move at the least, the state: one forward pass
    `decode`   the same for one more token
    `traffic`  the bytes that the operations of this library do move, and how many there are

`Machine` holds two measured numbers and turns a count into seconds (the roofline: the slower
of arithmetic and memory). `measure` asks the clock instead.
"""

import statistics
from dataclasses import dataclass
from typing import Any

import torch

from zoology_teach.checks import require_int, require_positive
from zoology_teach.cost.operations import Traffic as Traffic
from zoology_teach.cost.timing import measure as measure  # cost.measure is where readers look
from zoology_teach.cost.timing import one_thread, seconds_of
from zoology_teach.mixers import find
from zoology_teach.mixers.mixer import Mixer

FLOAT = 4  # bytes of a float32


def build(name: str, d_model: int, n: int) -> Mixer:
    """A mixer by name (`mixers.find`) with random weights (seed 0), for sequences of `n` tokens.

    Long filters cover exactly n lags, so that every parameter is used; "base_conv" is the
    one with a long filter. Raises ValueError for an unknown name or a wrong size.
    """
    kind = find(name)
    require_int("n", n, 1)
    options: dict[str, Any] = {"max_len": n} if kind.wants_max_len else {}
    if name == "base_conv":
        options["filter"] = "long"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return kind(d_model, **options)


@dataclass(frozen=True)
class Cost:
    """One forward pass over `batch` sequences of `seq_len` tokens.

    flops             floating-point operations; a multiply-add is 2. What the sequences share,
                      such as a filter and its transform, counts once.
    projection_flops  those of them that are dense projections, the N D² term.
    bytes             the least that has to move, in float32; see `count`.
    state             numbers kept for each sequence, in order to decode the next token.
    parameters        numbers of the mixer itself.
    """

    batch: int
    seq_len: int
    d_model: int
    flops: int
    projection_flops: int
    bytes: int
    state: int
    parameters: int

    @property
    def intensity(self) -> float:
        """FLOPs for each byte moved."""
        return self.flops / self.bytes


def count(mixer: Mixer, batch: int, n: int) -> Cost:
    """Count one forward pass of `mixer` over `batch` sequences of `n` tokens.

    The FLOPs are `Mixer.flops` of each sequence, `Mixer.shared_flops` only once.

    The bytes are those of a program that runs three kinds of work one after another, the
    projections, the mixing of positions, the last projection, and keeps nothing in between:

        4 (P + B N (2 D + 2 E))     P parameters, each read once; the input read, the output
                                    written; E numbers a token handed from one kind of work
                                    to the next, each written once and read once

    E is what the projections write (q, k, v of attention: 3 D) and what the last one reads
    (D). Left out, as if it never left the processor: scores, spectra, filters computed on
    the way, padding, elementwise steps, the state itself. So it is a floor for that program.
    """
    require_int("batch", batch, 1)
    require_int("n", n, 1)
    first, last = mixer.projections()
    handed_over = sum(p.out_features for p in first) + (last.in_features if last else 0)
    shared = mixer.shared_flops(n)
    parameters = sum(p.numel() for p in mixer.parameters())
    return Cost(
        batch=batch,
        seq_len=n,
        d_model=mixer.d_model,
        flops=shared + batch * (mixer.flops(n) - shared),
        projection_flops=batch * mixer.projection_flops(n),
        bytes=FLOAT * (parameters + 2 * batch * n * (mixer.d_model + handed_over)),
        state=mixer.state_size(n),
        parameters=parameters,
    )


@dataclass(frozen=True)
class Decode:
    """One more token for each of `batch` sequences that hold `seq_len` tokens already.

    read, written  numbers of the state for each sequence: all of it is read; a state that
                   grows gets a token's entry, one that does not is written anew.
    flops          by rule: 2 for each weight of a projection, 2 for each number of state
                   read and written.
    bytes          float32: parameters once, and for each sequence state, input and output.
    """

    batch: int
    seq_len: int
    read: int
    written: int
    flops: int
    bytes: int


def decode(mixer: Mixer, batch: int, n: int) -> Decode:
    """Count one decoding step after `n` tokens.

    `state_size(1)`, what one token leaves, is what a step writes: D numbers of a past that
    is kept whole or as a ring of the last few tokens, and everything where all is rewritten.
    Left out: an implicit filter's values, which somebody has to keep or compute.
    """
    require_int("batch", batch, 1)
    require_int("n", n, 1)
    read, written = mixer.state_size(n), mixer.state_size(1)
    weights = mixer.projection_weights()
    parameters = sum(p.numel() for p in mixer.parameters())
    return Decode(
        batch=batch,
        seq_len=n,
        read=read,
        written=written,
        flops=2 * batch * (weights + read + written),
        bytes=FLOAT * (parameters + batch * (read + written + 2 * mixer.d_model)),
    )


@torch.no_grad()
def traffic(mixer: Mixer, batch: int, n: int) -> tuple[int, int]:
    """Bytes and number of PyTorch operations of one forward pass as this library runs it.

    Every operation reads its inputs and writes its outputs in full, whether or not they were
    in a cache; what happens inside one (the scores of fused attention) is not seen, and a
    tensor that is changed in place counts once.
    """
    require_int("batch", batch, 1)
    require_int("n", n, 1)
    u = torch.zeros(batch, n, mixer.d_model)
    with Traffic() as counted:
        mixer(u)
    return counted.bytes, len(counted.moved)


@dataclass(frozen=True)
class Machine:
    """One thread of a CPU: FLOPs a second of a matrix product, bytes a second of a copy."""

    flops_per_second: float
    bytes_per_second: float

    def __post_init__(self) -> None:
        require_positive("flops_per_second", self.flops_per_second)
        require_positive("bytes_per_second", self.bytes_per_second)

    @classmethod
    def measure(cls, rounds: int = 5) -> "Machine":
        """A product of two (1024, 1024) matrices, and a copy of 64 MiB (read and written)."""
        require_int("rounds", rounds, 1)
        a, b = torch.ones(1024, 1024), torch.ones(1024, 1024)
        x, y = torch.ones(2**24), torch.zeros(2**24)
        with one_thread():
            product = statistics.median(seconds_of(lambda: a @ b, rounds))
            copy = statistics.median(seconds_of(lambda: y.copy_(x), rounds))
        return cls(2 * 1024**3 / product, 2 * FLOAT * 2**24 / copy)

    @property
    def balance(self) -> float:
        """The intensity, in FLOPs a byte, below which memory is the slower of the two."""
        return self.flops_per_second / self.bytes_per_second

    def seconds(self, flops: float, bytes: float) -> float:
        """The least time for that work, if arithmetic and memory run side by side."""
        return max(flops / self.flops_per_second, bytes / self.bytes_per_second)
