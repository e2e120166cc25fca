"""One submission, its process played by a script: what is kept, said and asked again."""

import errno
import socket
import subprocess
from types import SimpleNamespace

import pytest

from zoology_teach.grading import sandbox, session
from zoology_teach.grading.bubblewrap import SandboxUnavailable
from zoology_teach.grading.inside import confine
from zoology_teach.grading.inside.bounds import WireError
from zoology_teach.grading.ladder import CallFailed, Exercise
from zoology_teach.grading.notebooks import as_notebook
from zoology_teach.grading.sandbox import GRACE, Limits, Lost, Student
from zoology_teach.grading.session import OutOfTime, Session, grade_one, try_rungs
from zoology_teach.grading.submissions import Cell, Submission

LIMITS = Limits(cell_seconds=10, call_seconds=5, submission_seconds=60)
CELLS = [Cell(1, "import f"), Cell(2, "def f(x):"), Cell(3, "g = 1")]


class Played:
    """A worker and its processes, which answer by `script`: what is asked -> a reply or Lost."""

    limits = LIMITS

    def __init__(self, **script):
        self.script, self.asked, self.ended, self.begun = script, [], 0, 0

    def begin(self):
        self.begun += 1
        return self

    def end(self):
        self.ended += 1
        raise Lost("gone already")

    def ask(self, do, *values, seconds):
        self.asked.append((do, values[0], seconds))
        name = f"cell{values[0]}" if do == "cell" else values[0]
        found = self.script.get(name, {"answer": 7})
        found = found.pop(0) if isinstance(found, list) else found
        if isinstance(found, Exception):
            raise found
        return {"output": f"<{name}>", **found}


@pytest.fixture
def clock(monkeypatch):
    now = SimpleNamespace(seconds=1000.0)
    monkeypatch.setattr(session.time, "monotonic", lambda: now.seconds)
    return now


def begun(worker, cells=CELLS) -> Session:
    return Session(worker, cells, LIMITS)


def test_the_cells_are_run_once_and_then_functions_are_called(clock):
    worker = Played(f=[{"answer": 1}, {"answer": 2}])
    one = begun(worker)
    assert (one.call("f", 3), one.trace("f", 4)) == (1, 2)
    assert worker.asked == [
        ("cell", 1, 10), ("cell", 2, 10), ("cell", 3, 10), ("call", "f", 5), ("trace", "f", 5),
    ]  # fmt: skip
    assert (one.errors, one.stopped, one.output) == ({}, "", "<f><f>")
    one.close()
    one.close()
    assert (worker.begun, worker.ended) == (1, 1)


def test_what_a_cell_raises_is_kept_and_the_next_ones_are_run(clock):
    worker = Played(cell1={"raised": ("OSError", "at 0x7f12\nmore")}, cell2={"raised": ("E", "")})
    one = begun(worker)
    assert one.call("f") == 7
    assert one.errors == {1: "OSError: at 0x...", 2: "E"} and one.stopped == ""


def test_a_cell_that_is_late_or_lost_is_not_run_again(clock):
    one = begun(worker := Played(cell1={"late": True}, cell2=[Lost("ended it", worker=False)]))
    assert one.call("f") == 7
    assert one.errors == {1: "took longer than 10 s", 2: "ended it"}
    assert one.stopped == "cell 1 took longer than 10 s" and not one.worker_died
    assert [number for do, number, _ in worker.asked if do == "cell"] == [1, 2, 3]
    assert worker.begun == 2, "in a second process, without the two"


FAILED = [
    ({"raised": ("KeyError", "'x'\nand more")}, "your function raised KeyError: 'x'"),
    ({"raised": ("NotImplementedError", "your code here")}, "not written yet"),
    ({"refused": "a set"}, "your function returned a set"),
    ({"late": True}, "your function took longer than 5 s"),
    (Lost("took longer than 5 s", late=True), "your function took longer than 5 s"),
    (Lost("was killed"), "the process that ran your function was killed"),
    ({"missing": True}, "the function `f` is not defined"),
]


@pytest.mark.parametrize(("reply", "said"), FAILED)
def test_why_a_call_has_failed(clock, reply, said):
    one = begun(Played(f=[reply]))
    with pytest.raises(CallFailed) as error:
        one.call("f")
    assert str(error.value) == said
    stopped = "late" in said or "longer" in said or "killed" in said
    assert bool(one.stopped) == stopped


@pytest.mark.parametrize(
    ("failed", "perhaps"),
    [((1, 2), "cell 2: E: two"), ((1, 3), "cell 1: E: one"), ((3,), "cell 3: E: three")],
)
def test_of_a_missing_function_the_cell_that_names_it_may_be_the_reason(clock, failed, perhaps):
    words = {1: "one", 2: "two", 3: "three"}
    script = {f"cell{n}": {"raised": ("E", words[n])} for n in failed}
    cells = [Cell(1, "import x"), CELLS[1], CELLS[2]]
    with pytest.raises(CallFailed) as error:
        begun(Played(f={"missing": True}, **script), cells).call("f")
    assert str(error.value).endswith(f"is not defined (perhaps its cell failed: {perhaps})")


@pytest.mark.parametrize("late", [{"late": True}, Lost("took longer", late=True)])
def test_a_function_that_was_late_twice_is_not_called_again(clock, late):
    one = begun(worker := Played(f=[late, late, late]))
    for _ in range(2):
        with pytest.raises(CallFailed, match="took longer"):
            one.call("f")
    with pytest.raises(CallFailed, match="not tried: 2 calls of your function had run out of time"):
        one.call("f")
    assert sum(do == "call" for do, *_ in worker.asked) == 2
    assert one.call("g") == 7, "another one is"


def test_a_submission_has_its_seconds_and_a_new_worker_takes_none_of_them(clock):
    worker = Played()
    one = begun(worker)
    begin = worker.begin

    def slow():
        clock.seconds += 100
        return begin()

    worker.begin = slow
    assert one.call("f") == 7
    clock.seconds += 57
    assert one.call("f") == 7 and worker.asked[-1] == ("call", "f", 3)
    clock.seconds += 3
    with pytest.raises(OutOfTime, match="no points: the submission had used up its 60 s"):
        one.call("f")
    assert one.stopped == "the submission used up its 60 s"


@pytest.mark.parametrize("late", [{"late": True}, Lost("took longer", late=True)])
def test_late_by_the_submissions_seconds_is_out_of_time(clock, late):
    one = begun(Played(f=[{"answer": 1}, late]))
    one.call("f")
    clock.seconds += 56
    with pytest.raises(OutOfTime):
        one.call("f")


A = Exercise("99.a", "f", "One", minutes=1, difficulty=1)


@A.rung("first", 1, "mistake")
def _(call, generator):
    assert call(1) == 7


@A.rung("second", 2, "mistake")
def _(call, generator):
    assert call(2) == 8


def graded(worker):
    notebook = as_notebook([cell.source for cell in CELLS])
    handed_in = Submission("Ada", "ada-0", "ada.ipynb", "0" * 64, notebook)
    return grade_one(worker, handed_in, [A], 1, LIMITS)


def test_a_submission_and_its_rungs(clock):
    row = graded(Played(f=[{"answer": 7}, {"answer": 9}], cell2={"raised": ("E", "why")}))
    assert [o.earned for o in row.exercises["99.a"]] == [1, 0]
    assert (row.status, row.cells, row.output) == ("ok", ((2, "E: why"),), {"99.a": "<f><f>"})


def test_a_submission_whose_worker_died_is_graded_once_more(clock):
    dead = Lost("was killed", worker=True)
    worker = Played(f=[dead, {"answer": 8}, {"answer": 7}, {"answer": 8}])
    row = graded(worker)
    assert [o.earned for o in row.exercises["99.a"]] == [1, 2] and row.status == "ok"
    row = graded(Played(f=[dead] * 4))
    assert [o.earned for o in row.exercises["99.a"]] == [0, 0] and row.status == "stopped"


def test_out_of_time_ends_every_rung_that_is_left(clock):
    one = begun(Played())
    one.deadline = clock.seconds
    first, second = try_rungs(one, A, 1)
    assert first.earned == second.earned == 0
    assert first.reason == second.reason == "no points: the submission had used up its 60 s"


def test_a_process_is_waited_for_a_little_longer_than_it_has(monkeypatch):
    seen = []
    answer = {"id": 1, "output": "", "answer": 3}
    monkeypatch.setattr(sandbox.channel, "send", lambda *a: seen.append(a[1:]))
    monkeypatch.setattr(sandbox.channel, "receive", lambda *a: seen.append(a[2:]) or answer)
    owner = SimpleNamespace(limits=LIMITS, ended=lambda gone: f"has ended, gone: {gone}")
    student = Student(owner, SimpleNamespace(close=lambda: seen.append("closed")), 42)
    assert student.ask("cell", 1, "x", seconds=4) == answer
    (request, _, seconds), (left, sender) = seen
    assert request == {"id": 1, "do": "cell", "with": (1, "x"), "seconds": 4}
    assert seconds == 4 + GRACE and left == pytest.approx(4 + GRACE, abs=0.5) and sender == 42
    for error, said, is_late in (
        (TimeoutError(), "took longer than 4 s", True),
        (EOFError(), "has ended, gone: True", False),
        (WireError("half"), "sent what is no answer: half", False),
    ):

        def fails(*_, error=error):
            raise error

        monkeypatch.setattr(sandbox.channel, "receive", fails)
        with pytest.raises(Lost) as lost:
            student.ask("call", "f", (), {}, seconds=4)
        assert (str(lost.value), lost.value.late, seen[-1]) == (said, is_late, "closed")


@pytest.mark.parametrize("hangs", [False, True])
def test_a_worker_that_does_not_end_is_killed(hangs):
    seen = []

    def wait(seconds=None):
        seen.append(seconds)
        if hangs and seconds is not None:
            raise subprocess.TimeoutExpired("worker", seconds)

    one = sandbox.Sandbox.__new__(sandbox.Sandbox)
    one.control = SimpleNamespace(close=lambda: seen.append("hung up"))
    one.process = SimpleNamespace(wait=wait, kill=lambda: seen.append("killed"))
    one.busy = True
    one.close()
    one.close()
    assert seen == ["hung up", 5, *(["killed", None] if hangs else []), "hung up"]
    assert one.process is None and one.busy is False


@pytest.mark.parametrize(
    ("complaint", "why"),
    [("echo no room for a namespace >&2", "no room for a namespace"), ("", "it said nothing")],
)
def test_a_worker_that_does_not_start_says_why(tmp_path, monkeypatch, complaint, why):
    broken = tmp_path / "python"
    broken.write_text(f"#!/bin/sh\n{complaint}\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setattr(sandbox.sys, "executable", str(broken))
    with pytest.raises(SandboxUnavailable, match=f"could not be started: {why}$"):
        sandbox.Sandbox(kind="none")


def test_a_worker_that_ends_whenever_it_is_started_is_given_up(monkeypatch):
    started = []

    def start(box):
        started.append(box)
        box.control, other = socket.socketpair()
        other.close()
        box.process = subprocess.Popen(["true"])

    monkeypatch.setattr(sandbox.Sandbox, "start", start)
    with (
        sandbox.Sandbox(kind="none") as box,
        pytest.raises(SandboxUnavailable, match="ends whenever it is started"),
    ):
        box.begin()
    assert len(started) == 3 and box.process is None


def test_a_refused_call_into_libc_says_what_the_system_said():
    with pytest.raises(OSError, match="prctl -1") as refused:
        confine.prctl(-1)
    assert refused.value.errno == errno.EINVAL
