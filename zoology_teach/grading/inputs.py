"""What several ladders draw: random tensors, signs, tokens, marks.

Random numbers have two decimals, so that a message can quote them whole.
"""

from typing import Any

import torch
from torch import Generator, Tensor


def hundredths(x: Tensor) -> Tensor:
    """`x` to two decimals."""
    return (100 * x).round() / 100


def randn(generator: Generator, *shape: int) -> Tensor:
    """Normal numbers."""
    return hundredths(torch.randn(shape, generator=generator))


def rand(generator: Generator, *shape: int) -> Tensor:
    """Numbers drawn evenly from 0 .. 1."""
    return hundredths(torch.rand(shape, generator=generator))


def draw(generator: Generator, low: int, high: int) -> int:
    """A whole number, low <= x < high."""
    return int(torch.randint(low, high, (), generator=generator))


def different(generator: Generator, number: int) -> list[int]:
    """So many different tokens of 1 .. 90."""
    return (1 + torch.randperm(90, generator=generator)[:number]).tolist()


def signs(generator: Generator, *shape: int) -> Tensor:
    """Random -1.0 and 1.0."""
    return torch.randint(2, shape, generator=generator) * 2.0 - 1


def distinct_signs(generator: Generator, rows: int) -> Tensor:
    """(rows, c) signs, as few columns as keep the rows apart, in a random order."""
    return sign_table(rows)[torch.randperm(rows, generator=generator)]


def sign_table(rows: int) -> Tensor:
    """(rows, c): row i has the binary digits of i, lowest first, with -1.0 for 0."""
    columns = max(1, (rows - 1).bit_length())
    return torch.tensor(
        [[1.0 if i >> j & 1 else -1.0 for j in range(columns)] for i in range(rows)]
    )


def walsh(m: int) -> Tensor:
    """(m, m) signs, the rows at right angles; the product of rows i and j is row i ^ j."""
    return torch.tensor([[(-1.0) ** (i & j).bit_count() for j in range(m)] for i in range(m)])


def runs(*steps: tuple[float, int]) -> Tensor:
    """(n,): each number so many times."""
    return torch.cat([torch.full((times,), float(number)) for number, times in steps])


def wide(numbers: Tensor, d: int) -> Tensor:
    """(n, d): each number d times."""
    return numbers[:, None].repeat(1, d)


def plain_attention(rows: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """q (rows, 16) of ones, and k and v (N, 16) of one number a token, which scores 4 k."""
    return torch.ones(rows, 16), wide(k, 16), wide(v, 16)


def flags(*rows: str) -> Tensor:
    """ "01" per token, one text a sequence -> bool (B, N)."""
    return torch.tensor([[letter == "1" for letter in row] for row in rows])


def doubles(*rows: Any) -> Tensor:
    """A float64 tensor."""
    return torch.tensor(rows[0] if len(rows) == 1 else rows, dtype=torch.float64)
