"""What the programs of a kernel read and write: address by address, in Triton's interpreter.

    with tracing(x=x, y=y) as trace:
        copy_kernel[(2,)](x, y, BLOCK=4)
    trace.lines("x")    # 128-byte lines that each warp asks for

A load is noted in the order of its lanes. On a GPU the compiler gives lanes to threads; here 32
that follow one another are taken for a warp, as they are in one dimension (chapter 12).
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from zoology_teach.checks import require
from zoology_teach.kernels.interpreter import UNSPECIFIED, counted, interpreting, watched

LINE = 128  # bytes that a GPU fetches from memory at once
WARP = 32  # lanes that run in step, and whose loads are one request
LOAD, STORE, ATOMIC = range(3)
ELSEWHERE = -1  # in the place of a tensor's number
OFF = -(2**62)  # in the place of an offset: this lane is switched off
MOST_FOREIGN = 8  # of these, and of those refused, so many are kept
GUARD = 1024  # numbers on both sides of what a student's kernel is given


@dataclass(frozen=True)
class Access:
    """One load or store of one program: which tensor, and which of its numbers, by lane."""

    launch: int
    program: int
    kind: int
    tensor: int
    offsets: np.ndarray  # in numbers, from where the tensor begins; OFF where the mask is off


@dataclass
class Trace:
    """What the kernels that ran inside `tracing` did with its tensors.

    grids        the grid of each launch
    accesses     every load and store, in order
    unspecified  lanes that a masked load without `other` had switched off
    images       each tensor as kernels alone have left it
    foreign      loads of what no kernel stored and no tensor held at first: (launch, program,
                 number of the tensor or ELSEWHERE, offset)
    refused      what was to be loaded or stored outside of all tensors that a kernel was given,
                 and was not: (launch, program, kind, number of the tensor in which other lanes
                 were or ELSEWHERE, offset)

    Around each tensor lie `guard` more numbers of ours: what is read there, lies beyond it.
    """

    tensors: dict[str, Tensor]
    guard: int = 0
    grids: list[tuple[int, int, int]] = field(default_factory=list)
    accesses: list[Access] = field(default_factory=list)
    unspecified_lanes: int = 0
    images: list[Tensor] = field(default_factory=list)
    foreign: list[tuple[int, int, int, int]] = field(default_factory=list)
    refused: list[tuple[int, int, int, int, int]] = field(default_factory=list)
    _program: int = 0
    _scratch: dict[int, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, tensor in self.tensors.items():
            require(tensor.is_contiguous(), name, "strided", "contiguous")
            around = (tensor.numel() + 2 * self.guard,)
            before = tensor.storage_offset() - self.guard
            self.images.append(tensor.detach().as_strided(around, (1,), before).clone())

    def launched(self, grid: tuple[int, int, int]) -> None:
        """A kernel is launched."""
        self.grids.append(grid)

    def at_program(self, number: tuple[int, int, int]) -> None:
        """Programs are numbered along the grid's first axis first."""
        wide, high, _ = self.grids[-1]
        self._program = number[0] + wide * (number[1] + high * number[2])

    def unspecified(self, lanes: int) -> None:
        """Lanes of a masked load without `other`."""
        self.unspecified_lanes += lanes

    def outside(
        self, places: np.ndarray, mask: np.ndarray, beyond: np.ndarray, *, stored: bool
    ) -> None:
        """A load or store of which some lanes lie in no tensor that the kernel was given."""
        places, on, beyond = _lanes(places, mask, beyond)
        number = next((n for n, *_ in self._owners(places, on & ~beyond)), ELSEWHERE)
        start, size = 0, 1
        if number != ELSEWHERE:
            tensor = list(self.tensors.values())[number]
            start, size = tensor.data_ptr(), tensor.element_size()
        for place in places[beyond][: MOST_FOREIGN - len(self.refused)].tolist():
            kind, offset = STORE if stored else LOAD, (place - start) // size
            self.refused.append((len(self.grids) - 1, self._program, kind, number, offset))

    def loaded(self, places: np.ndarray, mask: np.ndarray, values: np.ndarray) -> None:
        """A load; what it finds is compared with what kernels and the beginning left there."""
        places, on, values = _lanes(places, mask, values)
        for number, offsets, here in self._owners(places, on):
            self._note(LOAD, number, offsets)
            at = np.flatnonzero(here)
            if number == ELSEWHERE:
                size = values.itemsize
                kept = [self._scratch.get(int(p), bytes(size)) for p in places[at]]
                right = np.array([v.tobytes() == k for v, k in zip(values[at], kept, strict=True)])
            else:
                found = _bits(self.images[number])[offsets[at] + self.guard]
                right = found == np.ascontiguousarray(values[at]).view(found.dtype)
            for lane in at[~right][: MOST_FOREIGN - len(self.foreign)]:
                foreign = (len(self.grids) - 1, self._program, number, int(offsets[lane]))
                self.foreign.append(foreign)

    def stored(
        self, places: np.ndarray, mask: np.ndarray, values: np.ndarray, *, atomic: bool = False
    ) -> None:
        """A store, which changes the image of the tensor it goes to."""
        places, on, values = _lanes(places, mask, values)
        for number, offsets, here in self._owners(places, on):
            self._note(ATOMIC if atomic else STORE, number, offsets)
            at = np.flatnonzero(here)
            if number == ELSEWHERE:
                self._scratch |= {int(places[i]): values[i].tobytes() for i in at}
            else:
                image = _bits(self.images[number])
                image[offsets[at] + self.guard] = np.ascontiguousarray(values[at]).view(image.dtype)

    def _owners(
        self, places: np.ndarray, on: np.ndarray
    ) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
        """Each tensor that some of these addresses lie in: its number, offsets, which lanes."""
        left = on.copy()
        for number, tensor in enumerate(self.tensors.values()):
            size = tensor.element_size()
            offsets = (places.astype(np.int64) - tensor.data_ptr()) // size
            here = on & (offsets >= -self.guard) & (offsets < tensor.numel() + self.guard)
            if here.any():
                yield number, np.where(here, offsets, OFF), here
                left &= ~here
        if left.any():
            yield ELSEWHERE, np.where(left, 0, OFF), left

    def _note(self, kind: int, tensor: int, offsets: np.ndarray) -> None:
        self.accesses.append(Access(len(self.grids) - 1, self._program, kind, tensor, offsets))

    def of(self, name: str, kind: int = LOAD) -> list[Access]:
        """The accesses of one kind to the tensor `name`, in order."""
        require(name in self.tensors, "name", name, f"one of {list(self.tensors)}")
        number = list(self.tensors).index(name)
        return [a for a in self.accesses if a.tensor == number and a.kind == kind]

    def lines(self, name: str, kind: int = LOAD) -> list[int]:
        """128-byte lines of the tensor `name` that each warp of each access asks for."""
        accesses = self.of(name, kind)
        size = self.tensors[name].element_size()
        warps = [
            access.offsets[lane : lane + WARP]
            for access in accesses
            for lane in range(0, len(access.offsets), WARP)
        ]
        return [len(np.unique(w[w != OFF] * size // LINE)) for w in warps]

    def touched(self) -> Tensor:
        """(T, 5) int64, each once: launch, program, kind, number of the tensor, offset."""
        rows = [
            np.stack([np.full(n, x) for x in (a.launch, a.program, a.kind, a.tensor)] + [o], 1)
            for a in self.accesses
            for o in [a.offsets[a.offsets != OFF]]
            for n in [len(o)]
        ]
        found = np.unique(np.concatenate(rows), axis=0) if rows else np.zeros((0, 5))
        return torch.from_numpy(found.astype(np.int64))


def _lanes(places: np.ndarray, mask: np.ndarray, values: np.ndarray) -> Any:
    """Addresses, mask and values as vectors of one length."""
    full = np.broadcast_arrays(places, mask.astype(bool), values)
    return [a.ravel() for a in full]


def _bits(tensor: Tensor) -> np.ndarray:
    """The numbers of a tensor as whole numbers in the same memory: NaN equals itself."""
    whole = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
    return tensor.view(-1).view(whole[tensor.element_size()]).numpy()


@contextmanager
def tracing(*, guard: int = 0, **tensors: Tensor) -> Iterator[Trace]:
    """Note what kernels do with these contiguous CPU tensors; needs Triton's interpreter.

    A masked load without `other` gives NaN inside. Raises ValueError where kernels are compiled.
    """
    allowed = "interpreted: TRITON_INTERPRET=1 before Triton is imported, on a machine without GPU"
    require(interpreting(), "kernels", "compiled", allowed)
    trace = Trace(tensors, guard)
    with watched(trace):
        yield trace


def guarded(tensor: Tensor) -> Tensor:
    """A copy with GUARD numbers on both sides, NaN where there is one: none reads it by right."""
    nothing = float("nan") if tensor.is_floating_point() else UNSPECIFIED
    buffer = torch.full((tensor.numel() + 2 * GUARD,), nothing, dtype=tensor.dtype)
    middle = buffer[GUARD : GUARD + tensor.numel()].view(tensor.shape)
    return middle.copy_(tensor)


def traced(f: Callable[..., Any], *arguments: Any) -> tuple[Any, dict[str, Any]]:
    """What `f` returns, and what its kernels did with its arguments, in plain tensors and lists.

    Where kernels are compiled only their grids are known. Tensors are numbered among themselves.
    """
    if not interpreting():
        grids: list[tuple[int, ...]] = []
        with counted(grids):
            return f(*arguments), {"grids": grids}
    given = [guarded(a) if isinstance(a, Tensor) else a for a in arguments]
    tensors = {str(i): a for i, a in enumerate(given) if isinstance(a, Tensor)}
    with tracing(guard=GUARD, **tensors) as trace:
        answer = f(*given)
    return answer, {
        "grids": trace.grids,
        "touched": trace.touched(),
        "images": [image[GUARD:-GUARD] for image in trace.images],
        "foreign": trace.foreign,
        "refused": trace.refused,
        "unspecified": trace.unspecified_lanes,
    }
