"""Inside the sandbox: a warm process that forks one isolated child for each submission.

It imports torch once, runs no student code itself, and reads nothing that a student's process
wrote. The grader tells it by single bytes on the control socket to start a child (with the
socket on which the child will answer) or to kill it, and it says how each child ended. While
a child lives it watches the child's processes: their number and their memory together.
"""

import contextlib
import importlib
import json
import math
import os
import select
import signal
import socket
import sys
import time
import types
from pathlib import Path
from typing import Any

import torch

from zoology_teach.grading.inside import confine, runner, wire
from zoology_teach.grading.inside.processes import addresses, descendants, proportional, resident

WARM = (
    "triton",
    "triton.language",
    "triton.runtime.interpreter",
    "torch.nn.functional",
    "matplotlib.pyplot",
    "zoology_teach.mixers",
    "zoology_teach.tasks.mqar",
)
START, KILL, GONE = b"S", b"K", b"G"  # GONE: the child hung up; kill it if it does not end
LOOK = 0.05  # seconds between two looks at a child's processes
CHANNEL = 3  # the child's only open file beside /dev/null


class Worker:
    """The warm process. `limits` are those of `sandbox.Limits`, as a dict."""

    def __init__(
        self, control: socket.socket, limits: dict[str, Any], inside: bool, core: int
    ) -> None:
        self.control, self.limits = control, limits
        if core >= 0 and hasattr(os, "sched_setaffinity"):
            cores = sorted(os.sched_getaffinity(0))
            os.sched_setaffinity(0, {cores[core % len(cores)]})
        self.bounds = wire.Bounds(**limits["answer"])
        self.holds = {"namespaces": False, "calls": False, "tasks": False}
        if inside:
            dropped = os.getuid() == 0
            confine.become_nobody()
            if not os.access(torch.__file__, os.R_OK):
                raise PermissionError("Python's files must be readable for all users")
            kernel = tuple(int(n) for n in os.uname().release.split("-")[0].split(".")[:2])
            self.holds["tasks"] = dropped or kernel >= (5, 14)  # before: all of a user's tasks
            self.holds["namespaces"] = works(confine.new_namespaces, limits["file_bytes"])
            self.holds["calls"] = works(confine.filter_system_calls)
        else:
            with contextlib.suppress(OSError, AttributeError):  # orphans come here, on Linux
                confine.prctl(confine.SET_CHILD_SUBREAPER, 1)
        self.addresses = addresses()

    def serve(self) -> None:
        """Start children as told, until the grader hangs up."""
        wire.send(self.control, self.holds, self.bounds)
        while True:
            told, files, *_ = socket.recv_fds(self.control, 1, 1)
            if not told:
                return
            if told == START:
                started = self.start(files[0])
                wire.send(self.control, {"started": True}, self.bounds)
                wire.send(self.control, self.watch(*started), self.bounds)

    def start(self, channel: int) -> tuple[int, int]:
        """Fork a child that answers on `channel`: the pids of its guard and of its first process.

        With namespaces the guard is outside and waits; the first process is the init of the
        child's own, and nothing in there outlives it.
        """
        reader, writer = os.pipe()
        guard = os.fork()
        if guard == 0:
            with leaving():
                os.close(reader)
                self.become_guard(channel, writer)
        os.close(writer)
        os.close(channel)
        with open(reader, "rb") as pipe:
            first = pipe.read()
        return guard, int(first or guard)

    def become_guard(self, channel: int, writer: int) -> None:
        """In the guard: make the namespaces, fork their init, end as it ends."""
        confine_files(channel, writer)
        if not self.holds["namespaces"]:
            os.close(CHANNEL + 1)
            self.become_student()
        Path("/proc/self/oom_score_adj").write_text("1000")  # should memory run out, this first
        confine.new_namespaces(self.limits["file_bytes"])
        confine.prctl(confine.SET_PDEATHSIG, confine.SIGKILL)
        init = os.fork()
        if init:
            os.write(CHANNEL + 1, str(init).encode())
            os.closerange(CHANNEL, CHANNEL + 2)
            os._exit(exit_code(os.waitpid(init, 0)[1]))
        os.close(CHANNEL + 1)
        os.setsid()  # a signal to one's process group crosses namespaces
        confine.prctl(confine.SET_PDEATHSIG, confine.SIGKILL)
        confine.drop_capabilities()
        confine.prctl(confine.SET_DUMPABLE, 0)
        for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD}:
            signal.signal(number, signal.SIG_IGN)
        student = os.fork()
        if student == 0:
            self.become_student()
        os.close(CHANNEL)
        while True:
            pid, status = os.wait()
            if pid == student:
                os._exit(exit_code(status))

    def become_student(self) -> None:
        """In the child: give up what is left to give up, then answer."""
        os.setsid()
        with contextlib.suppress(OSError, AttributeError):  # only Linux has it
            confine.prctl(confine.SET_DUMPABLE, 1)  # its share of the memory can be read
        for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP, signal.SIGPIPE}:
            signal.signal(number, signal.SIG_DFL)
        confine.limit(
            self.addresses + self.limits["memory_bytes"],
            self.limits["file_bytes"],
            self.limits["cpu_seconds"],
            self.limits["processes"] + 3 if self.holds["tasks"] else None,
        )
        if self.holds["calls"]:
            confine.filter_system_calls()
        channel = socket.socket(fileno=CHANNEL)
        runner.serve(channel, self.bounds, self.limits["output_chars"])
        os._exit(0)

    def watch(self, guard: int, first: int) -> dict[str, str]:
        """Wait for the child to end, and see that it does; {"ended": how}."""
        reason, told, patience = "", b"", math.inf
        while True:
            if select.select([self.control], [], [], min(LOOK, patience))[0]:
                told = self.control.recv(1)
                patience = 0.01
                reason = "" if told == GONE else "was stopped"
                deadline = time.monotonic() + 1
            elif told == GONE and time.monotonic() > deadline:
                reason = "hung up"
            reason = reason or self.excess(guard, first)
            if reason:
                self.end(first)
            pid, status = os.waitpid(guard, 0 if reason else os.WNOHANG)
            if pid:
                self.sweep()
                return {"ended": reason or described(exit_code(status))}

    def excess(self, guard: int, first: int) -> str:
        """Which limit the child's processes together exceed, "" where none."""
        found = descendants(os.getpid())
        if self.holds["namespaces"]:
            found -= {guard, first}
        if len(found) > self.limits["processes"]:
            return f"started more than {self.limits['processes']} processes"
        most = self.limits["memory_bytes"]
        if sum(map(resident, found)) > most and sum(map(proportional, found)) > most:
            return f"used more than {most >> 20:,} MiB of memory"
        return ""

    def end(self, first: int) -> None:
        """Kill the child: its namespaces' init, and all in them, or its process group."""
        with contextlib.suppress(OSError):
            (os.kill if self.holds["namespaces"] else os.killpg)(first, signal.SIGKILL)

    def sweep(self) -> None:
        """Without namespaces, what a child left behind has to be looked for."""
        if not self.holds["namespaces"]:
            while left := descendants(os.getpid()):
                for pid in left:
                    with contextlib.suppress(OSError):
                        os.kill(pid, signal.SIGKILL)
                with contextlib.suppress(ChildProcessError):
                    os.wait()


@contextlib.contextmanager
def leaving() -> Any:
    """The process ends here, whatever happens: nothing of its parent's runs on in it."""
    try:
        yield
    except BaseException as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
    finally:
        os._exit(70)


def works(step: Any, *arguments: Any) -> bool:
    """Whether `step` can be done here; tried in a child."""
    pid = os.fork()
    if pid == 0:
        with leaving():
            step(*arguments)
            os._exit(0)
    return os.waitpid(pid, 0)[1] == 0


def confine_files(channel: int, writer: int) -> None:
    """Keep two open files, at known numbers, beside /dev/null in place of the standard three."""
    high = [os.dup2(f, 100 + n) for n, f in enumerate((channel, writer))]
    null = os.open(os.devnull, os.O_RDWR)
    for number in range(3):
        os.dup2(null, number)
    for n, file in enumerate(high):
        os.dup2(file, CHANNEL + n, inheritable=False)
    os.closerange(CHANNEL + 2, 4096)


def exit_code(status: int) -> int:
    """As a shell has it: 128 and the signal's number for what a signal ended."""
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def described(code: int) -> str:
    if code == 128 + signal.SIGXCPU:
        return "used up its CPU seconds"
    if code <= 128:
        return f"ended with exit code {code}"
    with contextlib.suppress(ValueError):
        return f"was ended by {signal.Signals(code - 128).name}"
    return f"ended with exit code {code}"


def stub_check() -> None:
    """In the sandbox `check` does nothing: the ladders are not there."""
    package = sys.modules["zoology_teach.grading"]
    package.check = lambda *_, **__: None
    module = types.ModuleType("zoology_teach.grading.check")
    module.check = package.check
    sys.modules[module.__name__] = module


def main() -> None:
    """Serve on the socket that the command line gives, with limits, place and core."""
    number, limits, inside, core = sys.argv[1:]
    for name in WARM:
        with contextlib.suppress(Exception):  # the student's import will say what is wrong
            importlib.import_module(name)
    stub_check()
    control = socket.socket(fileno=int(number))
    Worker(control, json.loads(limits), inside == "bwrap", int(core)).serve()
