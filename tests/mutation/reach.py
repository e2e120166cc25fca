"""Which test reaches which function, and how long it takes."""

import ast
import os
import signal
from functools import cache
from pathlib import Path

import pytest
from coverage import Coverage

from tests.mutation.operators import nodes

LONGEST = 6  # CPU seconds of a test that is still worth running for each mutation


class TooLong(BaseException):
    """The test is left out."""


class Reach:
    """A plugin of pytest that notes the functions of the library that each passing test calls."""

    def __init__(self, root: Path):
        self.root = root
        self.coverage = Coverage(data_file=None, source=[str(root / "zoology_teach")])
        self.seconds: dict[str, float] = {}

    @pytest.hookimpl(wrapper=True)
    def pytest_runtestloop(self):
        self.coverage.start()
        try:
            return (yield)
        finally:
            self.coverage.stop()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item):
        self.passed, began = True, sum(os.times()[:4])
        self.coverage.switch_context(item.nodeid)
        signal.signal(signal.SIGPROF, too_long)
        signal.setitimer(signal.ITIMER_PROF, LONGEST)
        try:
            return (yield)
        except TooLong:
            self.passed = False
            return True
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
            if self.passed:
                self.seconds[item.nodeid] = round(sum(os.times()[:4]) - began, 3)

    def pytest_runtest_logreport(self, report):
        self.passed &= report.outcome == "passed"

    def tests(self) -> dict[str, dict]:
        """Of each passing test its CPU seconds and its functions, as "path:qualified name"."""
        called: dict[str, set[str]] = {name: set() for name in self.seconds}
        data = self.coverage.get_data()
        for file in filter(is_module, data.measured_files()):
            module = Path(file).relative_to(self.root).as_posix()
            for line, tests in data.contexts_by_lineno(file).items():
                if function := functions_by_line(file).get(line):
                    for name in called.keys() & tests:
                        called[name].add(f"{module}:{function}")
        return {
            name: {"seconds": seconds, "functions": sorted(called[name])}
            for name, seconds in self.seconds.items()
        }


def is_module(file: str) -> bool:
    """Whether it is Python; a page's template counts as run too."""
    return file.endswith(".py")


@cache
def functions_by_line(file: str) -> dict[int, str]:
    """The function in whose body a line lies, for every line that lies in one."""
    found = {}
    for node, function, in_body in nodes(ast.parse(Path(file).read_bytes())):
        if in_body and isinstance(node, ast.stmt):
            found |= dict.fromkeys(range(node.lineno, node.end_lineno + 1), function)
    return found


def too_long(signum, frame):
    raise TooLong
