"""One fault, one process: do the tests that reach it fail?

The quick way puts the faulty code into functions that are imported already. The sure way imports
the faulty module: for what the quick way cannot change (defaults, constants, classes) and for
functions that did their work at import.
"""

import gc
import math
import os
import resource
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import CodeType, FunctionType

import pytest

from tests.mutation.operators import Mutation

CRASHED = 70  # our own mistake, not the fault's work
BY_THE_CLOCK = 8
Identity = tuple[str, str, int]  # file, qualified name, first line
Trial = tuple[Mutation, list[str]]  # a fault and the tests to ask, in this order


def forked(work: Callable[[], int], seconds: int | None, log: Path | None = None) -> int | None:
    """``work`` in a process of its own: what it returned, or not 0 when it ran out of time.

    seconds  of the processor, as a busy machine must not look like a fault that is noticed;
             by the clock `BY_THE_CLOCK` times as many, for what waits. None for no limit.
    """
    child = os.fork()
    if child == 0:
        code = CRASHED
        try:
            os.setpgid(0, 0)
            if seconds is not None:
                resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
            if log is not None:
                output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
                os.dup2(output, 1)
                os.dup2(output, 2)
            code = int(work())
        finally:
            os._exit(code)
    end = time.monotonic() + BY_THE_CLOCK * seconds if seconds is not None else math.inf
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


class Chosen:
    """A plugin of pytest that runs the named tests, in this order."""

    def __init__(self, tests: list[str]):
        self.place = {test: i for i, test in enumerate(tests)}

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = [item for item in items if item.nodeid in self.place]
        items.sort(key=lambda item: self.place[item.nodeid])


def run(tests: list[str], *plugins: object) -> int:
    """Run the tests until one fails."""
    files = sorted({test.split("::")[0] for test in tests})
    return pytest.main([*files, "-qx", "-p", "no:cacheprovider"], plugins=[Chosen(tests), *plugins])


def survives_import(fault: Mutation, work: Callable[[], int], seconds: int, root: Path) -> bool:
    """The sure way: whether ``work`` passes, tests in a process without the library."""
    module = root / fault.module
    source, stat = module.read_bytes(), module.stat()
    try:
        module.write_bytes(fault.applied(source))
        os.utime(module, (1, 1))  # no compiled file is of that time
        code = forked(work, seconds, root.parent / "output.txt")
        if code in (CRASHED, pytest.ExitCode.NO_TESTS_COLLECTED):
            raise RuntimeError(f"the tests did not run: see {root.parent / 'output.txt'}")
        return code == 0
    finally:
        module.write_bytes(source)
        os.utime(module, ns=(stat.st_atime_ns, stat.st_mtime_ns))


class Trials:
    """A plugin of pytest that does not run the tests once, but some of them for each fault."""

    def __init__(self, trials: list[Trial], killed: Callable[[Mutation], None], root: Path):
        self.trials, self.killed, self.root = trials, killed, root

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        items = {item.nodeid: item for item in session.items}
        self.functions = imported_functions(self.root)
        gc.freeze()  # what is not touched is not copied for each process
        for fault, tests in self.trials:
            chosen = [items[test] for test in tests if test in items]
            code = forked(lambda f=fault, c=chosen: self.trial(session, f, c), 60)
            if code not in (0, CRASHED):
                self.killed(fault)
        return True

    def trial(self, session: pytest.Session, fault: Mutation, items: list[pytest.Item]) -> int:
        sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: SIM115
        if not put(fault, self.root, self.functions):
            return 0
        for item, after in zip(items, [*items[1:], None], strict=True):
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=after)
            if session.testsfailed:
                return 1
        return 0


def imported_functions(root: Path) -> dict[Identity, list[FunctionType]]:
    """All functions of the library that there are, by where their code stands."""
    found: dict[Identity, list[FunctionType]] = {}
    for thing in gc.get_objects():
        if isinstance(thing, FunctionType) and thing.__code__.co_filename.startswith(str(root)):
            found.setdefault(identity(thing.__code__), []).append(thing)
    return found


def put(fault: Mutation, root: Path, functions: dict[Identity, list[FunctionType]]) -> bool:
    """Put the faulty code into what is imported already; whether that was possible.

    A function inside the faulty one may have been made at import, as decorators do.
    """
    path = root / fault.module
    code = compile(fault.applied(path.read_bytes()), str(path), "exec")
    (faulty,) = [c for c in codes(code) if c.co_qualname == fault.function and spans(c, fault)]
    changed = False
    for fresh in codes(faulty):
        for function in functions.get(identity(fresh), ()):
            if function.__code__.co_freevars != fresh.co_freevars:
                return False  # it closes over other variables
            function.__code__, changed = fresh, True
    return changed


def keeps_variables(fault: Mutation, root: Path) -> bool:
    """Whether every function closes over the variables that it did, as `put` needs it.

    One without its `super()` no longer does.
    """
    source = (root / fault.module).read_bytes()
    was, becomes = (
        {(c.co_qualname, c.co_firstlineno): c.co_freevars for c in codes(compile(s, "", "exec"))}
        for s in (source, fault.applied(source))
    )
    return all(was.get(name, found) == found for name, found in becomes.items())


def codes(code: CodeType) -> list[CodeType]:
    inner = [
        c for constant in code.co_consts if isinstance(constant, CodeType) for c in codes(constant)
    ]
    return [code, *inner]


def spans(code: CodeType, fault: Mutation) -> bool:
    lines = [line for c in codes(code) for *_, line in c.co_lines() if line is not None]
    return min(lines) <= fault.line <= max(lines)


def identity(code: CodeType) -> Identity:
    return code.co_filename, code.co_qualname, code.co_firstlineno
