"""Triton as it is here, or its stand-in, and all that this library knows of its interpreter.

What depends on how Triton is built inside stands here and nowhere else. It was tried with Triton
3.6, 3.7 and 3.9 (tests/kernels/test_interpreter.py); another one is judged by a kernel whose sum
is known, and refused where that is wrong.
"""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, Protocol

import numpy as np
import torch

from zoology_teach.checks import require
from zoology_teach.kernels.memory import Memory


class _Missing:
    """Stands for `triton` and `tl` where Triton is not published: decorates, never runs."""

    constexpr = None

    @staticmethod
    def jit(kernel: Callable[..., None]) -> Callable[..., None]:
        return kernel


try:
    import triton
    import triton.language as tl
except ImportError:
    triton = tl = _Missing()

HAS_TRITON = not isinstance(triton, _Missing)
ABSENT = "Triton is not installed here; it is published for Linux only"
NOT_SWITCHED_ON = "TRITON_INTERPRET=1 was not set before Triton was imported: restart, and set it"
# What `triton.jit` makes, by the name of its class: is it interpreted?
KINDS = {"JITFunction": False, "InterpretedFunction": True}
UNSPECIFIED = 97  # what stands for NaN where a masked load of integers gives anything at all


def interpreting() -> bool:
    """Whether Triton's interpreter runs the kernels: on CPU tensors, program by program.

    The import of Triton decided it; TRITON_INTERPRET set later changes nothing. Raises ValueError
    for a Triton that does not say so in a way known here.
    """
    if not HAS_TRITON:
        return False
    kind = type(getattr(tl, "zeros", None)).__name__  # a function of Triton's own, decorated by it
    wanted = " or ".join(KINDS)
    allowed = f"one whose functions are {wanted}, as in constraints.txt; here they are {kind}"
    require(kind in KINDS, "triton", triton.__version__, allowed)
    return KINDS[kind]


@cache
def failure() -> str:
    """Why no kernel can be judged in this process, in one line; "" where a known sum is right."""
    if not HAS_TRITON:
        return ABSENT
    try:
        if not interpreting() and not torch.cuda.is_available():
            return NOT_SWITCHED_ON
        from zoology_teach.kernels.smallest import sum_is_right

        right = sum_is_right()
    except Exception as error:  # of any kind: it is not known what is in there
        return " ".join(f"Triton {triton.__version__} runs no kernel here: {error}".split())
    return "" if right else f"Triton {triton.__version__} runs a kernel here, but its sum is wrong"


class NoTriton(Exception):
    """Stops a notebook with a sentence in place of a traceback; stored outputs below stay."""

    def _render_traceback_(self) -> list[str]:  # what IPython shows
        return [str(self)]


def leave_ungraded(why: str) -> None:
    """Where `nbgrader autograde` runs this process, say `why` on its terminal and end the process.

    nbgrader gives 0 points for a cell that raises. A submission whose kernel is gone it refuses,
    with no points for anybody: it can be graded elsewhere.
    """
    if os.environ.get("NBGRADER_EXECUTION") == "autograde":
        os.write(2, f"\nNot graded, and no mark lost: {why}.\n".encode())
        time.sleep(1)  # until ipykernel, which reads what is written there, has passed it on
        os._exit(1)


def stop_without_triton() -> None:
    """Raise NoTriton, which says what to do, where no kernel can run."""
    why = failure()
    if why:
        leave_ungraded(why)
        raise NoTriton(
            f"{why}. So this notebook stops here, and the outputs below are those it came with. "
            "To run it: Linux, WSL 2 on Windows, or Colab."
        )


class Watcher(Protocol):
    """Whom the interpreter tells what a kernel does. Addresses, masks and values are by lane."""

    def launched(self, grid: tuple[int, int, int]) -> None:
        """A kernel is launched; what follows is done by its programs."""

    def at_program(self, number: tuple[int, int, int]) -> None:
        """What follows is done by this program."""

    def loaded(self, places: np.ndarray, mask: np.ndarray, values: np.ndarray) -> None:
        """It has loaded `values` where `mask` holds."""

    def stored(
        self, places: np.ndarray, mask: np.ndarray, values: np.ndarray, *, atomic: bool = False
    ) -> None:
        """It has stored `values` where `mask` holds."""

    def unspecified(self, lanes: int) -> None:
        """So many lanes of a masked load without `other` were switched off."""

    def outside(
        self, places: np.ndarray, mask: np.ndarray, beyond: np.ndarray, *, stored: bool
    ) -> None:
        """Where `beyond` holds it did not load or store: in no tensor that it was given."""


def _size(inside: Any, places: Any) -> int:
    """Bytes of what lies at an address."""
    return np.dtype(inside._get_np_dtype(places.get_element_ty())).itemsize


@contextmanager
def watched(watcher: Watcher) -> Iterator[None]:
    """Inside, `watcher` is told what interpreted kernels do, and `other` has to be given.

    Triton does not say what a masked load without `other` gives where the mask is off. Its
    interpreter fills in 0, which hides the mistake; inside it is NaN (in integers UNSPECIFIED).
    So is what lies outside of the tensors that a kernel is given: the interpreter would read and
    write there, and end this process or spoil its memory.
    """
    from triton.runtime import interpreter as inside

    builder, memory = inside.interpreter_builder, Memory()
    names = "set_grid_dim set_grid_idx create_masked_load create_masked_store"
    names += " create_atomic_rmw create_atomic_cas"
    own = {name: getattr(builder, name) for name in names.split()}
    prepare = inside.GridExecutor._init_args_hst

    def prepared(executor: Any, *given: Any) -> Any:
        arguments, named = prepare(executor, *given)
        memory.take_in([*arguments, *named.values()])
        return arguments, named

    def within(places: Any, mask: Any, *, stored: bool) -> Any:
        on = mask.data.astype(bool)
        beyond = on & ~memory.covers(places.data, _size(inside, places))
        if not beyond.any():
            return mask
        watcher.outside(places.data, on, beyond, stored=stored)
        return inside.TensorHandle(on & ~beyond, mask.dtype)

    def launched(x: int, y: int, z: int) -> None:
        own["set_grid_dim"](x, y, z)
        watcher.launched((x, y, z))

    def at_program(x: int, y: int, z: int) -> None:
        own["set_grid_idx"](x, y, z)
        watcher.at_program((x, y, z))

    def load(places: Any, mask: Any, other: Any, *how: Any, **named: Any) -> Any:
        off = int(np.count_nonzero(~mask.data))
        if other is None and off:
            watcher.unspecified(off)
        mask = within(places, mask, stored=False)
        other = _anything(inside, places) if other is None else other
        found = own["create_masked_load"](places, mask, other, *how, **named)
        watcher.loaded(places.data, mask.data, found.data)
        return found

    def store(places: Any, value: Any, mask: Any, *how: Any, **named: Any) -> Any:
        mask = within(places, mask, stored=True)
        own["create_masked_store"](places, value, mask, *how, **named)
        watcher.stored(places.data, mask.data, value.data)

    def update(operation: Any, places: Any, value: Any, mask: Any, *how: Any) -> Any:
        mask = within(places, mask, stored=True)
        before = own["create_atomic_rmw"](operation, places, value, mask, *how)
        _tell_update(inside, watcher, places.data, mask.data, before.data)
        return before

    def exchange(places: Any, expected: Any, value: Any, *how: Any) -> Any:
        every = inside.TensorHandle(np.ones_like(places.data, dtype=bool), tl.int1)
        if within(places, every, stored=True) is not every:
            return _anything(inside, places)
        before = own["create_atomic_cas"](places, expected, value, *how)
        _tell_update(inside, watcher, places.data, every.data, before.data)
        return before

    spies = (launched, at_program, load, store, update, exchange)
    vars(builder).update(zip(own, spies, strict=True))
    inside.GridExecutor._init_args_hst = prepared
    try:
        yield
    finally:
        inside.GridExecutor._init_args_hst = prepare
        for name in own:
            vars(builder).pop(name, None)


@contextmanager
def counted(grids: list[tuple[int, ...]]) -> Iterator[None]:
    """Inside, the grid of each launch of a compiled kernel is noted, () where it is computed."""
    own = triton.JITFunction.run

    def run(self: Any, *arguments: Any, grid: Any, **named: Any) -> Any:
        grids.append(() if callable(grid) else tuple(grid))
        return own(self, *arguments, grid=grid, **named)

    triton.JITFunction.run = run
    try:
        yield
    finally:
        triton.JITFunction.run = own


def _anything(inside: Any, places: Any) -> Any:
    """What a load gives where nothing says what: NaN, or UNSPECIFIED."""
    kind = places.get_element_ty()
    values = np.full_like(places.data, UNSPECIFIED, dtype=inside._get_np_dtype(kind))
    if kind.is_floating():
        values = values.astype(np.float32) if kind.is_bf16() else values
        values[...] = np.nan
        values = (values.view(np.uint32) >> 16).astype(np.uint16) if kind.is_bf16() else values
    return inside.TensorHandle(values, kind)


def _tell_update(
    inside: Any, watcher: Watcher, places: np.ndarray, mask: np.ndarray, before: np.ndarray
) -> None:
    """An atomic update: what was there, and what is there after it."""
    watcher.loaded(places, mask, before)
    after = inside._interpreter.load(places, mask, before, before.dtype)
    watcher.stored(places, mask, after, atomic=True)
