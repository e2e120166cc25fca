"""Where student code runs: a bubblewrap sandbox with a warm worker in it, seen from outside.

`bubblewrap` says what is in the sandbox. Without it a plain subprocess speaks the same
protocol; that limits accidents and holds back nobody who means harm.
"""

import json
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field
from typing import Any

from zoology_teach.checks import require
from zoology_teach.grading.bubblewrap import (
    ENVIRONMENT,
    PACKAGE,
    SandboxUnavailable,
    bwrap_command,
    find_bwrap,
    inside,
)
from zoology_teach.grading.inside import channel
from zoology_teach.grading.inside.bounds import REQUEST, Bounds, WireError, need

BOOTSTRAP = """
import sys, types, zoology_teach
grading = types.ModuleType("zoology_teach.grading")  # in place of the one that loads the ladders
grading.__path__ = [zoology_teach.__path__[0] + "/grading"]
sys.modules[grading.__name__] = zoology_teach.grading = grading
from zoology_teach.grading.inside.worker import main
main()
"""
KINDS = ("auto", "bwrap", "none")
GRACE = 1.0  # seconds between the interrupt of a cell or call and the end of its process


class Lost(Exception):
    """The process that ran a submission is gone or can no longer be believed; says why.

    `late` where its time was up; `worker` where the worker is gone too, which no submission
    should be able to bring about.
    """

    def __init__(self, reason: str, *, late: bool = False, worker: bool = False) -> None:
        super().__init__(reason)
        self.late, self.worker = late, worker


@dataclass(frozen=True)
class Limits:
    """What one submission may use: seconds by the clock unless named otherwise, and bytes.

    memory_bytes: of all its processes together, with what may wait in their sockets; addresses
        of each beyond those of an idle one.
    file_bytes: each file, and all files in each of its two folders in memory.
    processes: at a time, threads included.
    output_chars: of what is printed during each cell or call.
    """

    cell_seconds: float = 10.0
    call_seconds: float = 5.0
    submission_seconds: float = 60.0
    cpu_seconds: int = 60
    memory_bytes: int = 1 << 30
    file_bytes: int = 64 << 20
    processes: int = 64
    output_chars: int = 4000
    answer: Bounds = field(default_factory=Bounds)


class Sandbox:
    """A warm worker in a sandbox. `kind` is "auto" or "bwrap", or "none" for no sandbox.

    With `core` student code stays on that processor core (counted from 0, and round again), so
    that of several workers none can take another's time. A context manager; all its processes
    end with it, and with the thread that made it. `begin` gives a `Student`, one at a time.
    Raises SandboxUnavailable where it cannot be started.
    """

    def __init__(
        self, limits: Limits | None = None, kind: str = "auto", core: int | None = None
    ) -> None:
        require(kind in KINDS, "sandbox", kind, f"one of {KINDS}")
        self.limits = limits or Limits()
        self.bwrap = None if kind == "none" else find_bwrap()
        self.folder = None if self.bwrap else tempfile.TemporaryDirectory()
        self.core = core
        self.process: subprocess.Popen | None = None
        self.busy = False  # whether a submission's process is there
        self.holds: dict[str, bool] = {}
        self.start()

    @property
    def isolated(self) -> bool:
        """Whether what runs in there is kept from the rest of the machine."""
        return self.bwrap is not None

    def start(self) -> None:
        """Start the worker and wait until it is warm."""
        self.control, inner = socket.socketpair()
        words = [str(inner.fileno()), json.dumps(asdict(self.limits))]
        if self.bwrap:
            command, environment, place = bwrap_command(self.bwrap), {}, "/"
        else:
            assert self.folder is not None  # what is not in bubblewrap has one
            command, place = [], self.folder.name
            environment = ENVIRONMENT | {"HOME": place, "TMPDIR": place}
            environment["PYTHONPATH"] = str(PACKAGE.parent)
        words += ["bwrap" if self.bwrap else "none", str(-1 if self.core is None else self.core)]
        python = inside(sys.executable) if self.bwrap else sys.executable
        command += [python, "-c", BOOTSTRAP, *words]
        with inner, tempfile.TemporaryFile() as complaints:
            self.process = subprocess.Popen(
                command,
                env=environment,
                pass_fds=[inner.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=complaints,
                cwd=place,
                start_new_session=True,
            )
            inner.close()
            try:
                self.holds = channel.receive(self.control, self.limits.answer, 120)
            except (OSError, EOFError, WireError):
                self.close()
                complaints.seek(0)
                said = complaints.read(10_000).decode(errors="replace").strip().splitlines()
                why = said[-1] if said else "it said nothing"
                raise SandboxUnavailable(f"the sandbox could not be started: {why}") from None

    def begin(self) -> "Student":
        """A process for one submission; ends the one before it."""
        if self.busy:
            self.ended()
        for _ in range(3):
            if self.process is None:
                self.start()
            outer, inner = channel.pair()
            try:
                with inner:
                    socket.send_fds(self.control, [b"S"], [inner.fileno()])
                channel.receive(self.control, self.limits.answer, 30)
                self.busy = True
                return Student(self, outer, channel.greeted(outer, 30))
            except (OSError, EOFError):
                outer.close()
                self.close()
        raise SandboxUnavailable("the sandbox ends whenever it is started")

    def ended(self, *, gone: bool = False) -> str:
        """Have the submission's process killed: how it ended. All that it started is gone.

        One that is `gone` has a second to end by itself, so that it can be said how. Raises Lost
        where the worker is gone too.
        """
        self.busy = False
        try:
            self.control.settimeout(10)
            self.control.sendall(b"G" if gone else b"K")
            answer = channel.receive(self.control, self.limits.answer, 10)["ended"]
            if not self.holds["namespaces"] and self.isolated:
                self.close()  # what it left behind can be neither seen nor trusted to be gone
            return answer
        except (OSError, EOFError, WireError, LookupError, TypeError):
            self.close()
            raise Lost("ended, and the worker with it", worker=True) from None

    def close(self) -> None:
        """Kill everything in the sandbox and wait until it is gone."""
        self.control.close()  # at which the worker kills what it started, and ends
        self.busy = False
        if self.process is not None:
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self.process = None

    def __enter__(self) -> "Sandbox":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
        if self.folder is not None:
            self.folder.cleanup()


class Student:
    """The process that runs one submission, over a socket on which anything may arrive.

    What processes other than `sender` write is passed over.
    """

    def __init__(self, sandbox: Sandbox, outer: socket.socket, sender: int | None) -> None:
        self.sandbox, self.channel, self.sender = sandbox, outer, sender
        self.asked = 0

    def ask(self, do: str, *values: Any, seconds: float) -> dict[str, Any]:
        """Have `do` ("cell" or "call") done. Raises Lost, and the process is ended.

        The reply holds "output" and one of "answer", "raised" (type, message), "refused" (why
        the answer cannot travel), "missing", "late".
        """
        self.asked += 1
        request = {"id": self.asked, "do": do, "with": values, "seconds": seconds}
        deadline = time.monotonic() + seconds + GRACE
        try:
            channel.send(self.channel, request, REQUEST, seconds + GRACE)
            left = deadline - time.monotonic()
            reply = channel.receive(self.channel, self.sandbox.limits.answer, left, self.sender)
            return checked(reply, self.asked)
        except TimeoutError:
            self.end()
            raise Lost(f"took longer than {seconds:g} s", late=True) from None
        except (EOFError, OSError):
            raise Lost(self.end(gone=True)) from None
        except WireError as error:
            self.end()
            raise Lost(f"sent what is no answer: {error}") from None

    def end(self, *, gone: bool = False) -> str:
        """Kill the process and everything that it started; how it had ended."""
        self.channel.close()
        return self.sandbox.ended(gone=gone)


def checked(reply: Any, number: int) -> dict[str, Any]:
    """`reply`, if it has the form of one. Raises WireError."""
    need(type(reply) is dict and len(reply) == 3, "a reply of another form")
    need(type(reply.get("id")) is int and reply["id"] == number, "a reply to another request")
    need(type(reply.get("output")) is str, "a reply without its output")
    match reply:
        case {"answer": _} | {"refused": str()} | {"missing": True} | {"late": True}:
            return reply
        case {"raised": (str(), str())}:
            return reply
    raise WireError("a reply of an unknown kind")
