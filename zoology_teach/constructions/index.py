"""INDEX: N bits through a state, and why a state of fewer bits cannot (chapter 07).

Alice holds N bits, writes them as an MQAR prefix, runs a model over it, and sends Bob the
state. Bob knows the model and asks for any one bit. Whatever the model, two messages that
reach the same state get the same answers, so s bits of state tell at most 2^s apart.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from zoology_teach.checks import require, require_int
from zoology_teach.constructions.memory import read, write
from zoology_teach.model import LanguageModel


def bits_per_value(vocab_size: int) -> int:
    """b: as many bits as V/2 values can tell apart."""
    return int(math.log2(vocab_size // 2))


def to_tokens(bits: Tensor, vocab_size: int) -> Tensor:
    """n bits (n,) of 0 and 1 -> the prefix (1, 2G): key 1, value, key 2, value, ...

    Each value carries b = log2(V/2) bits, the first the highest; the last is filled with 0.
    """
    require(bits.dim() == 1 and len(bits) > 0, "bits shape", tuple(bits.shape), "(n,), not empty")
    b = bits_per_value(vocab_size)
    groups = torch.nn.functional.pad(bits, (0, -len(bits) % b)).view(-1, b)
    require(
        len(groups) < vocab_size // 2, "bits", len(bits), f"at most {b * (vocab_size // 2 - 1)}"
    )
    numbers = (groups * 2 ** torch.arange(b - 1, -1, -1)).sum(dim=1)
    keys = 1 + torch.arange(len(groups))
    return torch.stack([keys, vocab_size // 2 + numbers], dim=1).view(1, -1)


@dataclass(frozen=True)
class Index:
    """The one-way protocol with a `holographic` model that both sides know, for n bits."""

    model: LanguageModel
    num_bits: int

    def __post_init__(self) -> None:
        require_int("num_bits", self.num_bits, 1)

    @property
    def pairs(self) -> int:
        """G, the pairs of the prefix."""
        return math.ceil(self.num_bits / bits_per_value(self.model.config.vocab_size))

    def alice(self, bits: Tensor) -> int:
        """n bits (n,) -> the state as one number, all that is sent."""
        require(len(bits) == self.num_bits, "bits", len(bits), f"{self.num_bits} bits")
        state = write(self.model, to_tokens(bits, self.model.config.vocab_size))
        return pack(state[0], self.pairs)

    def bob(self, sent: int, asked: Tensor) -> Tensor:
        """The number that was sent, and which bits (Q,) are asked -> their values (Q,)."""
        within = bool(((asked >= 0) & (asked < self.num_bits)).all())
        require(within, "asked", asked.tolist(), f"bits in 0 .. {self.num_bits - 1}")
        vocab_size = self.model.config.vocab_size
        b, channels = bits_per_value(vocab_size), self.model.config.d_model // 2
        state = unpack(sent, self.pairs, channels)[None]
        answers = read(self.model, state, 1 + asked[None] // b)[0] - vocab_size // 2
        return answers >> (b - 1 - asked % b) & 1

    @property
    def state_bits(self) -> int:
        """Bits in which every state that n bits can lead to fits: log2 (G + 1)^m."""
        return ((self.pairs + 1) ** (self.model.config.d_model // 2) - 1).bit_length()


def pack(state: Tensor, pairs: int) -> int:
    """A memory (m,) of `pairs` products as one whole number below (pairs + 1)^m.

    A sum of G signs is one of the G + 1 numbers -G, -G + 2, ..., G: a digit in base G + 1.
    """
    require_int("pairs", pairs, 1)
    sent = 0
    for digit in ((state + pairs) // 2).tolist():
        require(0 <= digit <= pairs, "state", 2 * digit - pairs, f"a sum of {pairs} signs")
        sent = sent * (pairs + 1) + digit
    return sent


def unpack(sent: int, pairs: int, channels: int) -> Tensor:
    """What `pack` packed: a memory (channels,)."""
    digits = []
    for _ in range(channels):
        sent, digit = divmod(sent, pairs + 1)
        digits.append(digit)
    return 2 * torch.tensor(digits[::-1]) - pairs


def fooling_pair(encode: Callable[[int], int], num_bits: int) -> tuple[int, int] | None:
    """Two different messages of `num_bits` bits with the same code, or None.

    With fewer than `num_bits` bits of code there always are two: 2^s codes, 2^n messages.
    Bob answers both alike, and at the bits in which they differ he is wrong for one.
    """
    require_int("num_bits", num_bits, 0)
    seen: dict[int, int] = {}
    for message in range(2**num_bits):
        first = seen.setdefault(encode(message), message)
        if first != message:
            return first, message
    return None


def fewest_bits(num_bits: int, accuracy: float) -> float:
    """State that n random bits need if each is to be right with probability `accuracy`.

    n (1 - H(p)), H the entropy of a coin: s bits of state hold at most s bits about the
    message, and a bit guessed right with probability p is 1 - H(p) known (Fano). Summed
    over independent bits, with H concave, p may be their average.
    """
    require_int("num_bits", num_bits, 0)
    require(0 <= accuracy <= 1, "accuracy", accuracy, "between 0 and 1")
    entropy = -sum(p * math.log2(p) for p in (accuracy, 1 - accuracy) if p > 0)
    return num_bits * (1 - entropy)
