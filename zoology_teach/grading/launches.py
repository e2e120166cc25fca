"""What a rung of a kernel exercise sees: the output, and which program read and wrote what.

Outputs go in full of NaN and with room behind what is to be written, so that a number no
program wrote is seen, and so is one that lies beyond the end. What the programs did is told by
`zoology_teach.kernels.trace`; where kernels are compiled only the launches are known.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from zoology_teach.grading.ladder import Call, expect, expect_shape
from zoology_teach.kernels.trace import ATOMIC, LOAD, STORE

MOST_PROGRAMS, MOST_RUNS = 3, 3  # that a picture in words shows
MOST_LAUNCHES = 2  # of one call: the grid is for the rest
LAUNCH = "The exercise asks for a Triton kernel: launch one that loads the inputs and stores `out`."


def poisoned(rows: int, block: int, *columns: int) -> Tensor:
    """NaN, with room for a block and a half behind the rows that are to be written."""
    return torch.full((rows + 3 * block // 2, *columns), float("nan"))


class Launched:
    """A launcher's output, of which kernels have written every number.

    Raises AssertionError where none was launched, where one reached beyond its tensors, and where
    PyTorch wrote `out` or anything that a kernel read. What is told comes out of the student's
    process: evidence, not proof; to forge it takes the kernel's own addresses and values.
    """

    def __init__(self, answer: Any, told: dict[str, Any], inputs: dict[str, Any], out: Tensor):
        self.tensors = {n: t for n, t in (inputs | {"out": out}).items() if isinstance(t, Tensor)}
        self.names = list(self.tensors)
        assert told["grids"], "no Triton kernel was launched: PyTorch, or nobody, did the work"
        times = len(told["grids"])
        assert times <= MOST_LAUNCHES, f"{times} launches: let the programs of one grid do it"
        self.written: dict[str, int] = {}  # how many numbers of a tensor the exercise asks for
        self.grids = [size(grid) for grid in told["grids"]]
        self.touched, self.unspecified = told.get("touched"), told.get("unspecified", 0)
        if self.touched is not None:
            self._refuse_outside(told["refused"])
            assert self.rows("out", STORE, ATOMIC).numel(), "no program stored a number in `out`"
            self._refuse_foreign(told["foreign"])
        try:
            expect_shape(answer, tuple(out.shape))
        except AssertionError as failure:
            raise AssertionError(f"{failure}: return `out`, and all of it") from None
        self.out = answer.cpu()
        if self.touched is not None:
            self.images = dict(zip(self.names, told["images"], strict=True))
            self._refuse_pytorchs(self.images["out"])

    def _refuse_outside(self, refused: Sequence[tuple[int, int, int, int, int]]) -> None:
        for _, program, kind, number, offset in refused:
            did = "read" if kind == LOAD else "write"
            where = f" ({self.place(self.names[number], offset)})" if number >= 0 else ""
            raise AssertionError(
                f"program {program} was to {did} outside of the tensors that its kernel was given"
                f"{where}, which may end the process, and was stopped; {self.picture()}"
            )

    def _refuse_foreign(self, foreign: Sequence[tuple[int, int, int, int]]) -> None:
        for _, program, number, offset in foreign:
            if number >= 0:
                where = self.place(self.names[number], offset)
                raise AssertionError(f"program {program} read {where} after PyTorch had changed it")
            made = "a tensor that PyTorch had made: read the inputs as they came"
            raise AssertionError(f"program {program} read {made}")

    def _refuse_pytorchs(self, image: Tensor) -> None:
        image = image.view(self.out.shape)
        same = (self.out == image) | (self.out.isnan() & image.isnan())
        if not same.all():
            offset = int((~same).flatten().nonzero()[0])
            raise AssertionError(f"PyTorch wrote {self.place('out', offset)}, not your kernel")

    def rows(self, name: str, *kinds: int) -> Tensor:
        """(T, 3): launch, program and offset of each number of `name` touched in these ways."""
        assert isinstance(self.touched, Tensor) and self.touched.shape[1:] == (5,)
        launch, program, kind, number, offset = self.touched.T
        chosen = (number == self.names.index(name)) & torch.isin(kind, torch.tensor(kinds))
        return torch.stack([launch, program, offset], 1)[chosen]

    def place(self, name: str, offset: int) -> str:
        """As in out[3, 0], or on which side of the tensor."""
        if offset < 0:
            return f"before the beginning of {name}"
        if offset >= self.tensors[name].numel():
            return f"beyond the end of {name}"
        index = torch.unravel_index(torch.tensor(offset), self.tensors[name].shape)
        return f"{name}[{', '.join(str(int(i)) for i in index)}]"

    def expect(self, expected: Tensor, *, share: int) -> "Launched":
        """Assert that `out` begins with `expected`, that no two programs wrote one number of it,
        and none more than `share`.
        """
        self.expect_written(out=expected.numel())
        with self.pictured():
            expect(self.out[: len(expected)], expected)
            self._refuse_lone_programs(expected.numel(), share)
        self.room = self.out[len(expected) :]
        return self

    def expect_written(self, **numbers: int) -> None:
        """Assert that so many numbers of these tensors were written, each by one program."""
        self.written |= numbers
        with self.pictured():
            for name, mine in numbers.items() if self.touched is not None else ():
                self._refuse_races(name)
                self._refuse_gaps(name, mine)

    @contextmanager
    def pictured(self) -> Iterator[None]:
        """What is asserted inside is explained by what the programs did."""
        try:
            yield
        except AssertionError as failure:
            raise AssertionError(f"{failure}{self.hint()}; {self.picture()}") from None

    def expect_untouched(self) -> None:
        """Assert that nothing but the output was written, and nothing beyond an end was read."""
        room = ~self.room.isnan()
        touched = room.flatten(1).any(1) if room.dim() > 1 else room
        for name in self.names if self.touched is not None else []:
            mine = self.written.get(name, 0)
            last = f": yours end with {self.place(name, mine - 1)}" if mine else ": it is an input"
            self._refuse_beyond("wrote", self.rows(name, STORE, ATOMIC), name, mine, last)
        for name in self.names if self.touched is not None else []:
            end = self.tensors[name].numel()
            self._refuse_beyond("read", self.rows(name, LOAD), name, end, ": mask the load")
        assert not touched.any(), f"you wrote {int(touched.sum())} places behind the end"

    def _refuse_beyond(self, did: str, rows: Tensor, name: str, end: int, why: str) -> None:
        for _, program, offset in beyond(rows, end)[:1]:
            raise AssertionError(f"program {program} {did} {self.place(name, offset)}{why}")

    def _refuse_gaps(self, name: str, mine: int) -> None:
        stored = self.rows(name, STORE, ATOMIC)[:, 2]
        missing = (~torch.isin(torch.arange(mine), stored)).nonzero()[:, 0].tolist()
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        assert not missing, f"no program wrote {self.place(name, missing[0])}{more}"

    def _refuse_races(self, name: str) -> None:
        writers: dict[tuple[int, int], int] = {}
        for launch, program, offset in self.rows(name, STORE).tolist():
            other = writers.setdefault((launch, offset), program)
            where = self.place(name, offset)
            assert other == program, f"programs {other} and {program} both wrote {where}"

    def _refuse_lone_programs(self, wanted: int, share: int) -> None:
        if self.touched is None:
            return
        rows = self.rows("out", STORE)
        mine = (rows[:, 2] >= 0) & (rows[:, 2] < wanted)
        programs, counts = rows[mine][:, :2].unique(dim=0, return_counts=True)
        for (_, program), count in zip(programs.tolist(), counts.tolist(), strict=True):
            assert count <= share, f"program {program} wrote {count} numbers; {share} are its own"

    def expect_read(self, *names: str) -> None:
        """Assert that programs loaded every number of these inputs."""
        for name in names if self.touched is not None else ():
            every = torch.arange(self.tensors[name].numel())
            missing = ~torch.isin(every, self.rows(name, LOAD)[:, 2])
            if missing.any():
                where = self.place(name, int(missing.nonzero()[0]))
                raise AssertionError(f"no program read {where}; {self.picture()}")

    def hint(self) -> str:
        """What a NaN that a program stored may come from."""
        if self.touched is None:
            return ""
        stored = self.rows("out", STORE)[:, 2]
        stored = stored[(stored >= 0) & (stored < self.written.get("out", 0))]
        if not self.out.flatten()[stored].isnan().any():
            return ""
        if self.unspecified:
            return "; a masked load without other= gives anything, here NaN"
        beside = [n for n, t in self.tensors.items() if beyond(self.rows(n, LOAD), t.numel())]
        return f"; beside {beside[0]} lies NaN, which was read: mask the load" if beside else ""

    def picture(self) -> str:
        """Which program read and wrote what, in words."""
        return "; ".join(p for launch in range(len(self.grids)) for p in self._pictured(launch))

    def _pictured(self, launch: int) -> Iterator[str]:
        programs = self.grids[launch]
        of = f"launch {launch}: " if len(self.grids) > 1 else ""
        yield f"{of}{programs} program{'s' if programs > 1 else ''}"
        for program in range(min(programs, MOST_PROGRAMS)) if self.touched is not None else ():
            read = [self.runs(n, launch, program, LOAD) for n in self.names]
            wrote = [self.runs(n, launch, program, STORE, ATOMIC) for n in self.names]
            did = (", ".join(filter(None, runs)) or "nothing" for runs in (read, wrote))
            yield f"{program} read {', wrote '.join(did)}"

    def runs(self, name: str, launch: int, program: int, *kinds: int) -> str:
        """As in "u rows 0-3, 8": what a program touched, rows where there are several axes."""
        shape = self.tensors[name].shape
        rows = self.rows(name, *kinds)
        mine = (rows[:, 0] == launch) & (rows[:, 1] == program)
        offsets, end = rows[mine][:, 2], self.tensors[name].numel()
        inside = offsets[(offsets >= 0) & (offsets < end)]
        found: list[list[int]] = []
        for n in (inside // (shape[-1] if len(shape) > 1 else 1)).unique().tolist():
            if found and n == found[-1][1] + 1:
                found[-1][1] = n
            else:
                found.append([n, n])
        parts = [str(a) if a == b else f"{a}-{b}" for a, b in found]
        parts = parts[:MOST_RUNS] + ["…"] * (len(parts) > MOST_RUNS)
        parts += ["before it"] * bool((offsets < 0).any())
        parts += ["beyond it"] * bool((offsets >= end).any())
        several = " rows" if len(shape) > 1 else ""
        return f"{name}{several} {', '.join(parts)}" if parts else ""


def beyond(rows: Tensor, end: int) -> list[list[int]]:
    """Those of `Launched.rows` that lie before the tensor or not before `end`."""
    return rows[(rows[:, 2] < 0) | (rows[:, 2] >= end)].tolist()


def size(grid: Sequence[int]) -> int:
    """How many programs a grid has; 1 where that is not known."""
    return math.prod(grid)


def launch(call: Call, *, out: Tensor, block: int, **inputs: Any) -> Launched:
    """Call a launcher with its inputs in order, `out` and `block`; on a GPU where there is one."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    moved = [a.to(device) if isinstance(a, Tensor) else a for a in inputs.values()]
    answer, told = call(*moved, out.to(device), block)
    return Launched(answer, told, inputs, out)
