"""Inside the sandbox: run the cells of one notebook, then answer calls by name.

This is the student's process: whatever stands here can be changed by the code it runs. It is
written for the honest ones; the grader believes nothing that comes out of it.
"""

import builtins
import contextlib
import importlib
import io
import os
import random
import signal
import socket
import sys
from collections.abc import Callable
from types import FunctionType
from typing import Any

import numpy
import torch

from zoology_teach.grading.inside import wire
from zoology_teach.grading.inside.bounds import REQUEST, Bounds, WireError
from zoology_teach.grading.inside.channel import GREETING, receive
from zoology_teach.grading.inside.shell import the_shell

REPEAT = 0.2  # seconds between interrupts of code that catches them


class TimeUp(BaseException):
    """Interrupts a cell or call; no `except Exception` catches it."""


class Missing(Exception):
    """There is no such function."""


class Printed(io.TextIOBase):
    """Keeps the first `room` characters that are printed."""

    encoding = "utf-8"

    def __init__(self, room: int) -> None:
        self.room = room
        self.parts: list[str] = []

    def writable(self) -> bool:
        """Yes: `print` asks."""
        return True

    def write(self, text: str) -> int:
        """Keep what there is room for; all of it counts as written."""
        if self.room > 0:
            self.parts.append(str(text)[: self.room])
            self.room -= len(self.parts[-1])
        return len(text)


class Runner:
    """The notebook's shell and what can be asked of it."""

    def __init__(self) -> None:
        self.shell = the_shell()
        self.late = False  # whether the time of what is being done is up
        self.functions: dict[str, Callable[..., Any]] = {}  # as they were last after a cell

    def cell(self, number: int, source: str) -> None:
        """Run one cell. Nothing is answered; what it raises is."""
        try:
            self.shell.run(number, source)
        finally:
            there = dict(self.shell.user_ns)  # a thread of the cell may go on writing to it
            self.functions |= {n: f for n, f in there.items() if isinstance(f, FunctionType)}

    def call(self, name: str, arguments: tuple, keywords: dict) -> Any:
        """Call the notebook's function `name`."""
        with self.shell.builtin_trap:
            return self.find(name)(*arguments, **keywords)

    def trace(self, name: str, arguments: tuple, keywords: dict) -> Any:
        """Call `name`, which launches kernels: what it returns, and what their programs did."""
        traced = importlib.import_module("zoology_teach.kernels.trace").traced
        with self.shell.builtin_trap:
            return traced(self.find(name), *arguments, **keywords)

    def find(self, name: str) -> Callable[..., Any]:
        """The notebook's function `name`, also where a later cell calls a value so, as in
        `answers = answers(x)`. Raises Missing where there is none.
        """
        found = self.shell.user_ns.get(name)
        if callable(found):
            return found
        if name in self.functions:
            return self.functions[name]
        raise Missing(name)

    def interrupt(self, *_: Any) -> None:
        """End what is being done; again and again where code catches that."""
        self.late = True
        raise TimeUp

    def be_in_time(self) -> None:
        """Raise TimeUp where it has been raised: code, or IPython itself, may have caught it."""
        if self.late:
            raise TimeUp

    def answer(self, request: dict[str, Any], bounds: Bounds, room: int) -> bytes:
        """The frame that answers one request, whatever the student's code does on the way."""
        printed = Printed(room)
        sys.stdout = sys.stderr = printed

        def reply(**found: Any) -> bytes:
            output = "".join(printed.parts)
            return wire.encode({"id": request["id"], "output": output, **found}, bounds)

        self.late = False
        try:
            signal.signal(signal.SIGALRM, self.interrupt)
            signal.setitimer(signal.ITIMER_REAL, request["seconds"], REPEAT)
            try:
                found = getattr(self, request["do"])(*request["with"])
                self.be_in_time()
                return reply(answer=found)
            except TimeUp:
                raise
            except BaseException as error:
                self.be_in_time()
                match error:
                    case Missing():
                        return reply(missing=True)
                    case WireError():
                        return reply(refused=str(error))
                return reply(raised=(kind(error), message(error)))
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
        except TimeUp:
            signal.setitimer(signal.ITIMER_REAL, 0)
            return reply(late=True)


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


def end_all_others() -> None:
    """Kill what else runs in this process's namespace, except its init, and bury the children."""
    with contextlib.suppress(ProcessLookupError, ChildProcessError):
        os.kill(-1, signal.SIGKILL)
        while True:
            os.wait()


def serve(channel: socket.socket, bounds: Bounds, room: int, *, namespaces: bool) -> None:
    """Answer requests until the grader hangs up; this process does, and none that it forks.

    With `namespaces` of its own, what runs beside it when its time is up is ended: a fork bomb
    would take the time of the cells after it.
    """
    torch.set_num_threads(1)
    for seed in (random.seed, numpy.random.seed, torch.manual_seed):
        seed(0)  # as far as the student leaves it open, the same again next time
    vars(builtins).update(exit=sys.exit, quit=sys.exit)
    del sys.argv[1:]
    os.register_at_fork(after_in_child=channel.close)
    runner, asked = Runner(), os.getpid()
    channel.sendall(GREETING)
    while True:
        try:
            request = receive(channel, REQUEST)
        except (EOFError, OSError):
            return
        frame = runner.answer(request, bounds, room)
        if os.getpid() != asked:
            os._exit(0)
        if runner.late and namespaces:
            end_all_others()
        channel.settimeout(None)
        channel.sendall(frame)
