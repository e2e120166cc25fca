"""Which test reaches which function, and how long it takes."""

import os
import signal
import sys
import threading
from pathlib import Path

import pytest

LONGEST = 6  # CPU seconds of a test that is still worth running for each mutation


class TooLong(BaseException):
    """The test is left out."""


class Reach:
    """A plugin of pytest that notes the functions of the library that each passing test calls."""

    def __init__(self, root: Path):
        self.library = f"{root}{os.sep}zoology_teach{os.sep}"
        self.root = f"{root}{os.sep}"
        self.called: set[tuple[str, str]] = set()
        self.tests: dict[str, dict] = {}

    def note(self, frame, event, argument) -> None:
        code = frame.f_code
        if code.co_filename.startswith(self.library):
            self.called.add((code.co_filename, code.co_qualname))

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item):
        self.called, self.passed, began = set(), True, sum(os.times()[:4])
        signal.signal(signal.SIGPROF, too_long)
        signal.setitimer(signal.ITIMER_PROF, LONGEST)
        sys.settrace(self.note)
        threading.settrace(self.note)
        try:
            return (yield)
        except TooLong:
            self.passed = False
            return True
        finally:
            sys.settrace(None)
            threading.settrace(None)
            signal.setitimer(signal.ITIMER_PROF, 0)
            if self.passed:
                functions = {
                    f"{file.removeprefix(self.root)}:{name.split('.<locals>')[0]}"
                    for file, name in self.called
                }
                seconds = round(sum(os.times()[:4]) - began, 3)
                self.tests[item.nodeid] = {"seconds": seconds, "functions": sorted(functions)}

    def pytest_runtest_logreport(self, report):
        self.passed &= report.outcome == "passed"


def too_long(signum, frame):
    raise TooLong
