"""Which memory a kernel was given: all else would be read and written by accident."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from torch import Tensor


class Memory:
    """The memory of the tensors among a kernel's arguments."""

    def take_in(self, arguments: Sequence[Any]) -> None:
        """Whole storages count: a view may reach as far as what it is a view of."""
        storages = [tensor.untyped_storage() for tensor in _tensors(arguments)]
        self.starts = np.array([s.data_ptr() for s in storages], dtype=np.uint64)
        self.ends = self.starts + np.array([s.nbytes() for s in storages], dtype=np.uint64)

    def covers(self, places: np.ndarray, size: int) -> np.ndarray:
        """Whether the `size` bytes at each address lie in one of these tensors."""
        first = places.astype(np.uint64)[..., None]
        inside = (first >= self.starts) & (first + np.uint64(size) <= self.ends)
        return np.asarray(inside.any(-1))


def _tensors(value: Any) -> Iterator[Tensor]:
    """The tensors in an argument: a tensor, several, or Triton's descriptor or wrapper of one."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, tuple | list):
        for part in value:
            yield from _tensors(part)
    elif hasattr(value, "base"):
        yield from _tensors(value.base)
