"""Inside the sandbox: run the cells of one notebook, then answer calls by name.

This is the student's process: whatever stands here can be changed by the code it runs. It is
written for the honest ones; the grader believes nothing that comes out of it.
"""

import builtins
import io
import linecache
import random
import signal
import socket
import sys
import types
from collections.abc import Callable
from typing import Any

import numpy
import torch
from IPython.core.inputtransformer2 import TransformerManager
from torch import Tensor

from zoology_teach.grading.inside import wire

RUNS_ITS_BODY = ("time", "timeit", "capture", "prun")
REPEAT = 0.2  # seconds between interrupts of code that catches them


class TimeUp(BaseException):
    """Interrupts a cell or call; no `except Exception` catches it."""


class Missing(Exception):
    """There is no such function."""


class Printed(io.TextIOBase):
    """Keeps the first `room` characters that are printed."""

    def __init__(self, room: int) -> None:
        self.room, self.parts = room, []

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        if self.room > 0:
            self.parts.append(str(text)[: self.room])
            self.room -= len(self.parts[-1])
        return len(text)


class Shell:
    """What `get_ipython()` gives: IPython turns magics and `!` lines into calls of these.

    Magics that run their body run it; the others, and shell commands, do nothing.
    """

    def __init__(self, run: Callable[[str], None]) -> None:
        self.run = run

    def run_line_magic(self, name: str, line: str, *_: Any, **__: Any) -> None:
        if name in RUNS_ITS_BODY:
            self.run(line)

    def run_cell_magic(self, name: str, line: str, cell: str) -> None:
        if name not in RUNS_ITS_BODY:
            raise ValueError(f"the cell magic %%{name} is not run here")
        self.run(cell)

    def system(self, command: str) -> None:
        """Nothing: no shell command runs."""

    def getoutput(self, command: str, *_: Any, **__: Any) -> list[str]:
        """Nothing: no shell command runs."""
        return []


class Runner:
    """The notebook's namespace and what can be asked of it."""

    def __init__(self) -> None:
        module = types.ModuleType("__main__")
        shell = Shell(self.execute)
        self.scope = module.__dict__
        self.scope.update(get_ipython=lambda: shell, display=lambda *_, **__: None)
        self.number = self.executed = 0
        sys.modules["__main__"] = module

    def execute(self, source: str) -> None:
        """Run source as a Jupyter cell; `inspect` finds it, which Triton needs."""
        self.executed += 1
        nested = f", part {self.executed}" if self.executed > 1 else ""
        name = f"<cell {self.number}{nested}>"
        source = TransformerManager().transform_cell(source)
        linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
        exec(compile(source, name, "exec", dont_inherit=True), self.scope)

    def cell(self, number: int, source: str) -> None:
        """Run one cell. Nothing is answered; what it raises is."""
        self.number, self.executed = number, 0
        self.execute(source)

    def call(self, name: str, arguments: tuple, keywords: dict) -> Any:
        """Call the notebook's function `name`."""
        return self.find(name)(*arguments, **keywords)

    def module(
        self,
        name: str,
        arguments: tuple,
        keywords: dict,
        state: dict[str, Tensor],
        inputs: tuple,
        gradient: Tensor | None,
    ) -> tuple[Any, list, dict]:
        """Build the nn.Module `name`, load `state`, run it on `inputs` and back from `gradient`.

        Gives the output, the gradients of the floating-point inputs (None for the others) and
        those of the parameters by name; without `gradient` the last two are empty.
        """
        module = self.find(name)(*arguments, **keywords)
        module.load_state_dict(state)
        leaves = [
            value.requires_grad_()
            if isinstance(value, Tensor) and value.is_floating_point() and gradient is not None
            else value
            for value in inputs
        ]
        output = module(*leaves)
        if gradient is None:
            return output, [], {}
        output.backward(gradient)
        given = [leaf.grad if isinstance(leaf, Tensor) else None for leaf in leaves]
        return output, given, {n: p.grad for n, p in module.named_parameters()}

    def find(self, name: str) -> Callable[..., Any]:
        if not callable(self.scope.get(name)):
            raise Missing(name)
        return self.scope[name]

    def answer(self, request: dict[str, Any], bounds: wire.Bounds, room: int) -> bytes:
        """The frame that answers one request, whatever the student's code does on the way."""
        printed = Printed(room)
        sys.stdout = sys.stderr = printed

        def reply(**found: Any) -> bytes:
            output = "".join(printed.parts)
            return wire.encode({"id": request["id"], "output": output, **found}, bounds)

        try:
            signal.signal(signal.SIGALRM, interrupt)
            signal.setitimer(signal.ITIMER_REAL, request["seconds"], REPEAT)
            try:
                found = getattr(self, request["do"])(*request["with"])
                return reply(answer=found)
            except Missing:
                return reply(missing=True)
            except wire.WireError as error:
                return reply(refused=str(error))
            except TimeUp:
                raise
            except BaseException as error:
                return reply(raised=(kind(error), message(error)))
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
        except TimeUp:
            signal.setitimer(signal.ITIMER_REAL, 0)
            return reply(late=True)


def interrupt(*_: Any) -> None:
    raise TimeUp


def kind(error: BaseException) -> str:
    """Its type's name; all kinds of NotImplementedError are one."""
    is_stub = isinstance(error, NotImplementedError)
    return "NotImplementedError" if is_stub else type(error).__name__[:100]


def message(error: BaseException) -> str:
    """What it says, cut to a bearable length."""
    try:
        return str(error)[:2000]
    except Exception:
        return ""


def serve(channel: socket.socket, bounds: wire.Bounds, room: int) -> None:
    """Answer requests until the grader hangs up."""
    torch.set_num_threads(1)
    for seed in (random.seed, numpy.random.seed, torch.manual_seed):
        seed(0)  # as far as the student leaves it open, the same again next time
    builtins.exit = builtins.quit = sys.exit
    runner = Runner()
    while True:
        try:
            request = wire.receive(channel, wire.REQUEST)
        except (EOFError, OSError):
            return
        frame = runner.answer(request, bounds, room)
        channel.settimeout(None)
        channel.sendall(frame)
