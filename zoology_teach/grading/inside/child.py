"""How a student's process comes to be: forked, in namespaces of its own, with all given up.

With namespaces there are three: a guard outside that waits, the init of the new namespaces,
and the student's process below it. Nothing in there outlives the init.
"""

import contextlib
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from zoology_teach.grading.inside import confine, runner
from zoology_teach.grading.inside.bounds import Bounds

CHANNEL = 3  # a student's only open file beside /dev/null


def start(channel: int, limits: dict[str, Any], holds: dict[str, bool]) -> tuple[int, int]:
    """Fork a child that answers on `channel`: the pids of its guard and of its first process.

    Without namespaces both are the student's process itself. `limits` are those of
    `sandbox.Limits` and the most "addresses" of a process, in bytes; `holds` says which
    confinements can be had here.
    """
    reader, writer = os.pipe()
    guard = os.fork()
    if guard == 0:
        with leaving():
            os.close(reader)
            become_guard(channel, writer, limits, holds)
    os.close(writer)
    os.close(channel)
    with open(reader, "rb") as pipe:
        first = pipe.read()
    return guard, int(first or guard)


def become_guard(channel: int, writer: int, limits: dict[str, Any], holds: dict[str, bool]) -> None:
    """In the guard: make the namespaces, fork their init, end as it ends."""
    confine_files(channel, writer)
    if not holds["namespaces"]:
        os.close(CHANNEL + 1)
        become_student(limits, holds)
    Path("/proc/self/oom_score_adj").write_text("1000")  # should memory run out, this first
    confine.new_namespaces(limits["file_bytes"])
    confine.prctl(confine.SET_PDEATHSIG, confine.SIGKILL)
    init = os.fork()
    if init:
        os.write(CHANNEL + 1, str(init).encode())
        os.closerange(CHANNEL, CHANNEL + 2)
        os._exit(exit_code(os.waitpid(init, 0)[1]))
    os.close(CHANNEL + 1)
    become_init(limits, holds)


def become_init(limits: dict[str, Any], holds: dict[str, bool]) -> None:
    """In the init: fork the student's process, bury whoever is orphaned, end as it ends."""
    os.setsid()  # a signal to one's process group crosses namespaces
    confine.prctl(confine.SET_PDEATHSIG, confine.SIGKILL)
    confine.drop_capabilities()
    confine.prctl(confine.SET_DUMPABLE, 0)
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD}:
        signal.signal(number, signal.SIG_IGN)
    student = os.fork()
    if student == 0:
        become_student(limits, holds)
    os.close(CHANNEL)
    while True:
        pid, status = os.wait()
        if pid == student:
            os._exit(exit_code(status))


def become_student(limits: dict[str, Any], holds: dict[str, bool]) -> None:
    """In the child: give up what is left to give up, then answer."""
    os.setsid()
    with contextlib.suppress(OSError, AttributeError):  # only Linux has it
        confine.prctl(confine.SET_DUMPABLE, 1)  # its share of the memory can be read
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP, signal.SIGPIPE}:
        signal.signal(number, signal.SIG_DFL)
    confine.limit(
        limits["addresses"],
        limits["file_bytes"],
        limits["cpu_seconds"],
        limits["processes"] + 3 if holds["tasks"] else None,
    )
    if holds["calls"]:
        confine.filter_system_calls()
    channel = socket.socket(fileno=CHANNEL)
    bounds = Bounds(**limits["answer"])
    runner.serve(channel, bounds, limits["output_chars"], namespaces=holds["namespaces"])
    os._exit(0)


@contextlib.contextmanager
def leaving() -> Iterator[None]:
    """The process ends here, whatever happens: nothing of its parent's runs on in it."""
    try:
        yield
    except BaseException as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
    finally:
        os._exit(70)


def works(step: Callable[..., Any], *arguments: Any) -> bool:
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
