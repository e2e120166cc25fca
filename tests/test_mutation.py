"""The mutation tester: which faults it makes, and that it tells a seen one from an unseen one."""

import csv
import time

import pytest

from tests.mutation.__main__ import KNOWN, ROOT, interval
from tests.mutation.operators import mutations
from tests.mutation.reach import functions_by_line
from tests.mutation.trials import CRASHED, forked, keeps_variables

SOURCE = '''"""A module."""
import triton

LIMIT = 3


def f(a: int = 2, way: str = "up"):
    """What it does: 7."""
    if not a:
        raise ValueError(f"a = {a + 1}: must be another")
    while a <= 9 and a:
        a += 1
        break
    return [x for x in range(a) if x % 2 == 0]


@triton.jit
def kernel(a):
    return a + 1


class A:
    def é(self):
        def inner():
            return self.x - 1.5

        self.x = True
        return inner
'''
CHANGES = {
    "3 -> (4)": "",
    "2 -> (3)": "f",
    "'up' -> ('up_')": "f",
    "not a -> (not not a)": "f",
    "not a -> (a)": "f",
    "raise ValueError(f'a = {a + 1}: must be another') -> pass": "f",
    "a <= 9 and a -> (not (a <= 9 and a))": "f",
    "a <= 9 and a -> (a <= 9 or a)": "f",
    "a <= 9 -> (a < 9)": "f",
    "a <= 9 -> (a > 9)": "f",
    "9 -> (10)": "f",
    "a += 1 -> a -= 1": "f",
    "1 -> (2)": "f",
    "break -> continue": "f",
    "[x for x in range(a) if x % 2 == 0] -> (None)": "f",
    "x % 2 == 0 -> (x % 2 != 0)": "f",
    "x % 2 -> (x // 2)": "f",
    "0 -> (1)": "f",
    "self.x - 1.5 -> (None)": "A.é",
    "self.x - 1.5 -> (self.x + 1.5)": "A.é",
    "1.5 -> (2.25)": "A.é",
    "self.x = True -> pass": "A.é",
    "True -> (False)": "A.é",
    "inner -> (None)": "A.é",
}


@pytest.fixture
def module(tmp_path):
    (tmp_path / "a.py").write_text(SOURCE, encoding="utf-8")
    return tmp_path


def test_every_kind_of_fault_and_nothing_of_text_or_kernels(module):
    found = mutations(module, "a.py")
    assert {fault.change: fault.function for fault in found} == CHANGES
    outside = {fault.change for fault in found if not fault.in_body}
    assert outside == {"3 -> (4)", "'up' -> ('up_')", "2 -> (3)"}


def test_a_fault_changes_its_place_only(module):
    source = SOURCE.encode()
    (fault,) = [f for f in mutations(module, "a.py") if f.change == "1.5 -> (2.25)"]
    assert fault.applied(source) == source.replace(b"1.5", b"(2.25)")
    assert fault.text == "return self.x - 1.5"


def test_a_line_belongs_to_the_function_in_whose_body_it_lies(module):
    found = functions_by_line(str(module / "a.py"))
    lines = SOURCE.splitlines()
    assert {lines[n - 1].strip() for n in found if found[n] == "A.é"} == {
        "def inner():",
        "return self.x - 1.5",
        "self.x = True",
        "return inner",
    }
    assert "return a + 1" not in {lines[n - 1].strip() for n in found}, "a kernel is compiled"
    assert set(found.values()) == {"f", "A.é"}


def test_a_function_without_its_super_is_imported_anew(tmp_path):
    """The code of one that closes over other variables cannot be put in the place of another."""
    (tmp_path / "a.py").write_text(
        "class A(dict):\n    def f(self, x):\n        super().clear()\n        return x + 1\n"
    )
    kept = {fault.change: keeps_variables(fault, tmp_path) for fault in mutations(tmp_path, "a.py")}
    assert kept == {
        "super().clear() -> pass": False,
        "x + 1 -> (None)": True,
        "x + 1 -> (x - 1)": True,
        "1 -> (2)": True,
    }


def test_a_trial_is_ended_by_the_time_it_takes_and_not_by_a_busy_machine():
    assert forked(lambda: 3, 1) == 3
    assert forked(lambda: time.sleep(1.5) or 0, 1) == 0
    assert forked(lambda: sum(iter(int, 1)), 1) not in (0, CRASHED)


def test_the_interval_of_a_share():
    low, high = interval(9, 10)
    assert (low, high) == pytest.approx((0.596, 0.982), abs=1e-3)  # Wilson (1927)


def test_what_is_listed_is_still_there():
    """A reason belongs to a line that exists and to a change that is made."""
    with KNOWN.open(newline="", encoding="utf-8") as file:
        listed = list(csv.DictReader(file))
    made = {
        (module, fault.text, fault.change)
        for module in {row["module"] for row in listed}
        for fault in mutations(ROOT, module)
    }
    gone = [row for row in listed if (row["module"], row["text"], row["change"]) not in made]
    assert not gone
    assert all(len(row["reason"]) > 10 for row in listed)
