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
from typing import Any

import torch

from zoology_teach.grading.inside import check, confine
from zoology_teach.grading.inside.bounds import Bounds
from zoology_teach.grading.inside.channel import send
from zoology_teach.grading.inside.child import exit_code, leaving, start, works
from zoology_teach.grading.inside.processes import (
    addresses,
    buffered,
    descendants,
    proportional,
    resident,
)
from zoology_teach.grading.inside.shell import the_shell

WARM = (
    "triton",
    "triton.language",
    "torch.nn.functional",
    "torch._dynamo",  # every optimiser imports it with its first step
    "IPython.display",
    "matplotlib.pyplot",
    "zoology_teach.kernels.trace",
    "zoology_teach.mixers",
    "zoology_teach.tasks.mqar",
)
START, KILL, GONE = b"S", b"K", b"G"  # GONE: the child hung up; kill it if it does not end
LOOK = 0.05  # seconds between two looks at a child's processes


class Worker:
    """The warm process. `limits` are those of `sandbox.Limits`, as a dict."""

    def __init__(
        self, control: socket.socket, limits: dict[str, Any], inside: bool, core: int
    ) -> None:
        self.control, self.limits = control, limits
        if core >= 0 and hasattr(os, "sched_setaffinity"):
            cores = sorted(os.sched_getaffinity(0))
            os.sched_setaffinity(0, {cores[core % len(cores)]})
        self.bounds = Bounds(**limits["answer"])
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
        limits["addresses"] = addresses() + limits["memory_bytes"]

    def serve(self) -> None:
        """Start children as told, until the grader hangs up."""
        send(self.control, self.holds, self.bounds)
        while True:
            told, files, *_ = socket.recv_fds(self.control, 1, 1)
            if not told:
                return
            if told == START:
                started = start(files[0], self.limits, self.holds)
                send(self.control, {"started": True}, self.bounds)
                send(self.control, self.watch(*started), self.bounds)

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
            # Twice: what a slow look counted may have ended before it was over.
            reason = reason or (self.excess(guard, first) and self.excess(guard, first))
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
        held = [size for size in map(resident, found) if size]  # the dead hold nothing
        if len(held) > self.limits["processes"]:
            return f"started more than {self.limits['processes']} processes"
        most = self.limits["memory_bytes"]
        if self.holds["namespaces"]:
            most -= buffered(first)
        if sum(held) > most and sum(map(proportional, found)) > most:
            return f"used more than {self.limits['memory_bytes'] >> 20:,} MiB of memory"
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


def described(code: int) -> str:
    """How a process ended, by its exit code; 128 and a signal's number, where one ended it."""
    if code == 128 + signal.SIGXCPU:
        return "used up its CPU seconds"
    if code <= 128:
        return f"ended with exit code {code}"
    with contextlib.suppress(ValueError):
        return f"was ended by {signal.Signals(code - 128).name}"
    return f"ended with exit code {code}"


def without_ladders() -> None:
    """In the sandbox `check` tries nothing: the ladders are not there."""
    vars(sys.modules["zoology_teach.grading"]).update(check=check.check)
    sys.modules["zoology_teach.grading.check"] = check


def main() -> None:
    """Serve on the socket that the command line gives, with limits, place and core."""
    number, limits, inside, core = sys.argv[1:]
    for name in WARM:
        with contextlib.suppress(Exception):  # the student's import will say what is wrong
            importlib.import_module(name)
    without_ladders()
    the_shell()  # every child has a copy: it costs them nothing to make
    control = socket.socket(fileno=int(number))
    with leaving():  # at once, without tidying up what nobody needs
        Worker(control, json.loads(limits), inside == "bwrap", int(core)).serve()
