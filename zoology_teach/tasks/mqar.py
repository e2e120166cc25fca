"""Multi-query associative recall (MQAR), the paper's task (Definition 3.1; chapter 02).

A sequence first lists K key-value pairs, then asks every key once more, somewhere:

    k1 v1 k2 v2 ... kK vK  .  .  k2  .  .  .  k1  .  ...
                                 ↓            ↓
                                 v2           v1

The model must answer at the position of the query itself. K is the paper's D
(number of pairs), N the sequence length, V the vocabulary. Arora et al., arXiv:2312.04927.

With N = 12, K = 2, V = 16 the keys are 1 .. 7, the values 8 .. 15, and one sequence is

    inputs      3   9   5  14   0   0   5   0   0   0   3   0
    labels      .   .   .   .   .   .  14   .   .   .   9   .      (. is -100: nothing is asked)
"""

import math
from typing import Literal

import torch
from torch import Tensor

from zoology_teach.checks import require, require_bool, require_int, require_positive
from zoology_teach.configuration import config
from zoology_teach.tasks.examples import IGNORED, Examples, generator_from, on_cpu

Filler = Literal["blank", "random"]
LARGEST_WEIGHT = 30  # of a slot, as a power of ten: float32 ends at 38


@on_cpu
def sample(
    num_examples: int,
    seq_len: int,
    num_pairs: int,
    vocab_size: int,
    *,
    power: float = 0.01,
    filler: Filler = "blank",
    seed: int | torch.Generator = 0,
) -> Examples:
    """Draw B = `num_examples` sequences of N = `seq_len` tokens with K = `num_pairs` pairs.

    Token 0 is the blank, keys are drawn from {1 .. V/2-1} and values from {V/2 .. V-1},
    both without repetition in a sequence. Query slot g (position 2K + 2g) has weight
    (g+1)^(power-1), slots are drawn one after another without replacement.
    With ``filler="random"`` every blank becomes a random token that is not one of the
    sequence's keys, so a question always has exactly one answer.

    Returns `Examples`: inputs and labels, both (B, N) int64, labels -100 where nothing is
    asked. Memory is O(B N). Raises ValueError where the arguments do not fit together.
    """
    MQAR(seq_len, num_pairs, vocab_size, power, filler)
    require_int("num_examples", num_examples, 1)
    generator = generator_from(seed)
    first_value = vocab_size // 2

    keys = _distinct(num_examples, num_pairs, 1, first_value, generator)
    values = _distinct(num_examples, num_pairs, first_value, vocab_size, generator)
    slots = _query_slots(num_examples, num_pairs, seq_len, power, generator)
    queries = 2 * num_pairs + 2 * slots

    if filler == "blank":
        inputs = torch.zeros(num_examples, seq_len, dtype=torch.int64)
    else:
        inputs = _anything_but(keys, seq_len, vocab_size, generator)
    inputs[:, 0 : 2 * num_pairs : 2] = keys
    inputs[:, 1 : 2 * num_pairs : 2] = values
    inputs.scatter_(1, queries, keys)
    labels = torch.full_like(inputs, IGNORED).scatter_(1, queries, values)
    return Examples(inputs, labels)


@config
class MQAR:
    """The arguments of `sample` as one task that `train` can draw batches from.

    rename  give all tokens, the blank too, new names in every batch, by one random permutation
            of the vocabulary: what is learned then cannot be about certain tokens.
    """

    seq_len: int = 64
    num_pairs: int = 8
    vocab_size: int = 256
    power: float = 0.01
    filler: Filler = "blank"
    rename: bool = False

    def __post_init__(self) -> None:
        require_int("num_pairs", self.num_pairs, 1)
        require_int("seq_len", self.seq_len, 4)
        require_int("vocab_size", self.vocab_size, 4)
        require(self.seq_len % 2 == 0, "seq_len", self.seq_len, "even")
        require(
            self.seq_len >= 4 * self.num_pairs,
            "seq_len",
            self.seq_len,
            f"at least 4 * num_pairs = {4 * self.num_pairs}",
        )
        require(self.vocab_size % 2 == 0, "vocab_size", self.vocab_size, "even")
        require(
            self.vocab_size // 2 - 1 >= self.num_pairs,
            "vocab_size",
            self.vocab_size,
            f"at least 2 * num_pairs + 2 = {2 * self.num_pairs + 2}, "
            "so that every pair can have its own key",
        )
        require_positive("power", self.power)
        slots = self.seq_len // 2 - self.num_pairs
        steepest = 1 + LARGEST_WEIGHT / math.log10(slots) if slots > 1 else math.inf
        require(self.power <= steepest, "power", self.power, f"at most {steepest:.1f}")
        require(self.filler in ("blank", "random"), "filler", self.filler, "'blank' or 'random'")
        require_bool("rename", self.rename)

    @on_cpu
    def sample(self, num_examples: int, seed: int | torch.Generator = 0) -> Examples:
        """`num_examples` sequences of this task; see `sample`."""
        generator = generator_from(seed)
        drawn = sample(
            num_examples,
            self.seq_len,
            self.num_pairs,
            self.vocab_size,
            power=self.power,
            filler=self.filler,
            seed=generator,
        )
        if not self.rename:
            return drawn
        names = torch.randperm(self.vocab_size, generator=generator)
        asked = drawn.labels != IGNORED
        labels = drawn.labels.where(~asked, names[drawn.labels.clamp(min=0)])
        return Examples(names[drawn.inputs], labels)


def _distinct(rows: int, size: int, low: int, high: int, generator: torch.Generator) -> Tensor:
    """(rows, size) integers of [low, high), uniform and without repetition in a row."""
    alphabet = high - low
    if alphabet <= 4 * size:  # a crowded alphabet: shuffle it
        return low + _uniform(rows, alphabet, generator).topk(size).indices
    # A roomy one: draw, then draw repeats again. Renaming the alphabet renames the outcome,
    # so every ordered choice of `size` different tokens is equally likely.
    drawn = torch.randint(low, high, (rows, size), generator=generator)
    unsettled = torch.arange(rows)
    while len(unsettled):
        ordered, order = drawn[unsettled].sort(dim=1)
        repeats = torch.zeros_like(ordered, dtype=torch.bool)
        repeats.scatter_(1, order[:, 1:], ordered[:, 1:] == ordered[:, :-1])
        row, column = repeats.nonzero(as_tuple=True)
        drawn[unsettled[row], column] = torch.randint(low, high, row.shape, generator=generator)
        unsettled = unsettled[row.unique()]
    return drawn


def _uniform(rows: int, columns: int, generator: torch.Generator) -> Tensor:
    """In [0, 1), the same whatever torch's default dtype is."""
    return torch.rand(rows, columns, generator=generator, dtype=torch.float32)


def _query_slots(
    rows: int, num_pairs: int, seq_len: int, power: float, generator: torch.Generator
) -> Tensor:
    """(rows, K) slots, drawn one after another without replacement with the power law.

    An exponential race: slot g arrives after a time Exp(1) / weight_g = -log(uniform) /
    weight_g, and the first K to arrive, in order of arrival, have exactly the law of K
    successive weighted draws.
    """
    num_slots = (seq_len - 2 * num_pairs) // 2
    weights = torch.arange(1, num_slots + 1, dtype=torch.float32) ** (power - 1)
    minus_arrivals = _uniform(rows, num_slots, generator).log_().div_(weights)
    return minus_arrivals.topk(num_pairs, sorted=True).indices


def _anything_but(
    keys: Tensor, seq_len: int, vocab_size: int, generator: torch.Generator
) -> Tensor:
    """(B, N) tokens, uniform over the vocabulary without each row's own keys."""
    num_pairs = keys.shape[1]
    rank = torch.randint(vocab_size - num_pairs, (len(keys), seq_len), generator=generator)
    # Token number `rank` among those allowed: step over each key at or below it.
    allowed_below = keys.sort(dim=1).values - torch.arange(num_pairs)
    return rank + torch.searchsorted(allowed_below, rank, right=True)
