"""What PyTorch's operations read and write, one by one (chapters 11, 12 and 13)."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor
from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Traffic(TorchDispatchMode):
    """Inside a `with`, the bytes that each operation reads and writes; views move none.

    moved   (name of the operation, bytes), in order

    An operation reads its inputs and writes its outputs in full, whether or not they were in a
    cache; a tensor that it changes in place counts once. On the device "meta" tensors have
    shapes and no numbers, so that counting a layer of any size costs nothing.
    """

    def __init__(self) -> None:
        super().__init__()
        self.moved: list[tuple[str, int]] = []

    @property
    def bytes(self) -> int:
        """Of all operations together."""
        return sum(moved for _, moved in self.moved)

    def __torch_dispatch__(
        self,
        operation: OpOverload,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        result = operation(*args, **(kwargs or {}))
        if not operation.is_view:
            leaves = tree_leaves((args, kwargs, result))
            tensors = {id(t): t for t in leaves if isinstance(t, Tensor)}
            self.moved.append((operation.__name__, sum(t.nbytes for t in tensors.values())))
        return result
