"""The sandbox and what submissions do to it: each gets its row, and nobody else's changes."""

import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import torch

from zoology_teach.grading import bubblewrap
from zoology_teach.grading.bubblewrap import SandboxUnavailable, find_bwrap
from zoology_teach.grading.inside import wire
from zoology_teach.grading.ladder import Exercise, expect, expect_number
from zoology_teach.grading.ladders import EXERCISES
from zoology_teach.grading.notebooks import as_notebook
from zoology_teach.grading.records import Graded
from zoology_teach.grading.sandbox import Limits, Lost, Sandbox
from zoology_teach.grading.session import Session, grade_one
from zoology_teach.grading.submissions import Cell, Submission

ROOT = Path(__file__).parents[2]
LIMITS = Limits(cell_seconds=1.0, call_seconds=1.0, submission_seconds=15.0)
GOOD = (
    "import torch\n\ndef double(x):\n    return 2 * x\n\ndef total(x):\n    return float(x.sum())"
)

DOUBLE = Exercise("99.a", "double", "Double", minutes=5, difficulty=1)
TOTAL = Exercise("99.b", "total", "Total", minutes=5, difficulty=1)


@DOUBLE.rung("one", 1, "2 x, please")
def _(call, generator):
    x = torch.randn(3, generator=generator)
    expect(call(x), 2 * x)


@DOUBLE.rung("many", 2, "whatever the shape")
def _(call, generator):
    x = torch.randn(2, 3, 4, generator=generator)
    expect(call(x), 2 * x)


@TOTAL.rung("sum", 3, "add them all")
def _(call, generator):
    x = torch.randn(5, generator=generator)
    expect_number(call(x), x.sum().item())


@pytest.fixture(scope="module")
def sandbox():
    try:
        find_bwrap()
    except SandboxUnavailable as missing:
        if os.environ.get("ZOOLOGY_TEACH_REQUIRE_SANDBOX"):
            pytest.fail(str(missing))
        pytest.skip(str(missing))
    with Sandbox(LIMITS, core=0) as sandbox:
        yield sandbox


def handed_in(*sources: str) -> Submission:
    return Submission("A", "a-00000000", "a.ipynb", "0" * 64, as_notebook(list(sources)))


def graded(sandbox: Sandbox, *sources: str) -> Graded:
    return grade_one(sandbox, handed_in(*sources), [DOUBLE, TOTAL], seed=3)


def points(row: Graded) -> dict[str, int]:
    return {id: row.earned(id) for id in row.exercises}


def reasons(row: Graded, id: str = "99.a") -> list[str]:
    return [outcome.reason for outcome in row.exercises[id]]


ALL = {"99.a": 3, "99.b": 3}


def test_everything_that_is_said_to_hold_holds(sandbox):
    assert sandbox.isolated
    assert sandbox.holds == {"namespaces": True, "calls": True, "tasks": True}


def test_a_right_solution_earns_everything(sandbox):
    row = graded(sandbox, "from zoology_teach.grading import check", GOOD, 'check("99.a", double)')
    assert (row.status, row.detail, row.cells, points(row)) == ("ok", "", (), ALL)


@pytest.mark.parametrize("chapter", ["04", "13"])
def test_ladders_work_unchanged(sandbox, chapter):
    (path,) = (ROOT / "solutions").glob(f"{chapter}_*.md")
    submission = Submission("A", "a-00000000", path.name, "0" * 64, path.read_bytes())
    exercises = [e for id, e in EXERCISES.items() if id.startswith(chapter)]
    if chapter == "13":
        pytest.importorskip("triton")
    row = grade_one(sandbox, submission, exercises, 3, Limits())
    assert row.status == "ok" and points(row) == {e.id: e.points for e in exercises}, row


def test_cells_are_run_as_jupyter_does(sandbox):
    row = graded(
        sandbox,
        "%matplotlib inline\n!ls\nx = !ls\nlen?\ny = 7 \\\n  % 4",
        "def broken(:\n    pass",
        "undefined_name",
        "%%time\n" + GOOD,
        "import inspect\nassert 'return 2 * x' in inspect.getsource(double)",
        "display(y)\nassert y == 3 and __name__ == '__main__'\nexit()",
        "raise ValueError('one\\ntwo')",
        "%%bash\nls",
        "%%sql\nselect all from students",
        "%%time\n1 / 1\nnot_there",
        "print(_oh, In[1], __name__)\nreturn",
    )
    assert points(row) == ALL and row.status == "ok"
    assert dict(row.cells) == {
        2: "SyntaxError: invalid syntax (<cell 2>, line 1)",
        3: "NameError: name 'undefined_name' is not defined",
        6: "SystemExit",
        7: "ValueError: one",
        9: "UsageError: Cell magic `%%sql` not found.",
        10: "NameError: name 'not_there' is not defined",
        11: "SyntaxError: 'return' outside function (<cell 11>, line 2)",
    }


def test_reasons_are_those_of_the_notebook(sandbox):
    row = graded(
        sandbox,
        "def double(x):\n    print('tried', object())\n    raise ValueError(f'at {object()}')",
        "def total(x):\n    raise NotImplementedError('your code here')",
    )
    assert reasons(row) == ["your function raised ValueError: at <object object at 0x...>"] * 2
    assert reasons(row, "99.b") == ["not written yet"]
    assert row.output["99.a"] == "tried <object object at 0x...>\n" * 2
    missing = graded(sandbox, "x = 1", "oops", "1 / 0\ndef double(x): return x")
    assert reasons(missing)[0] == (
        "the function `double` is not defined (perhaps its cell failed: "
        "cell 3: ZeroDivisionError: division by zero)"
    )
    array = graded(sandbox, "import numpy\ndef double(x): return x.numpy()")
    assert reasons(array)[0] == "2 x, please (you return a ndarray, expected a tensor)"


def test_answers_are_plain_tensors(sandbox):
    row = graded(
        sandbox,
        "import torch\nclass Yes(torch.Tensor):\n"
        "    def __eq__(self, other): return torch.ones(()).bool()\n"
        "    __torch_function__ = classmethod(lambda *a, **k: True)",
        "def double(x): return x.as_subclass(Yes)",
        "def total(x): return torch.nn.Parameter(x.sum())",
    )
    assert points(row) == {"99.a": 0, "99.b": 3}
    sparse = graded(sandbox, "def double(x): return (2 * x).to_sparse()")
    assert "only dense ones travel" in reasons(sparse)[0]
    strided = graded(sandbox, "def double(x): return (2 * x.T.contiguous()).T")
    assert points(strided)["99.a"] == 3


def test_an_infinite_loop_in_a_cell_is_passed_over(sandbox):
    row = graded(sandbox, "while True: pass", GOOD, "while True:\n try: 1 / 0\n except: pass")
    assert points(row) == ALL and row.status == "stopped"
    assert dict(row.cells) == {1: "took longer than 1 s", 3: "took longer than 1 s"}
    assert row.detail == "cell 1 took longer than 1 s"


@pytest.mark.parametrize(
    "hanging",
    ["import asyncio\nawait asyncio.sleep(99)", "%%capture\nwhile True: pass", "%time while 1: 1"],
)
def test_time_that_ipython_takes_note_of_is_over_all_the_same(sandbox, hanging):
    row = graded(sandbox, hanging, "import asyncio\nawait asyncio.sleep(0)", GOOD)
    assert points(row) == ALL and dict(row.cells) == {1: "took longer than 1 s"}


def test_a_function_whose_name_a_later_cell_gives_to_a_value_is_found(sandbox):
    row = graded(sandbox, GOOD, "double = double(2)", "total = None\ndel double")
    assert points(row) == ALL
    missing = graded(sandbox, "double = 3")
    assert "the function `double` is not defined" in reasons(missing)[0]


def test_a_worker_that_takes_long_to_start_takes_no_time_from_a_submission(sandbox, monkeypatch):
    start = sandbox.begin

    def slowly():
        time.sleep(1.5)
        return start()

    monkeypatch.setattr(sandbox, "begin", slowly)
    limits = replace(LIMITS, submission_seconds=1.4)
    row = grade_one(sandbox, handed_in(GOOD), [DOUBLE, TOTAL], 3, limits)
    assert points(row) == ALL and row.status == "ok"


def test_an_infinite_loop_in_a_call_costs_its_exercise_only(sandbox):
    row = graded(sandbox, GOOD + "\ndef double(x):\n    while True: pass")
    assert points(row) == {"99.a": 0, "99.b": 3} and row.status == "stopped"
    assert reasons(row) == ["your function took longer than 1 s"] * 2
    assert row.detail == "`double` took longer than 1 s"


def test_a_call_that_cannot_be_interrupted_is_killed(sandbox):
    source = "import signal\ndef double(x):\n    signal.pthread_sigmask(0, [14])\n"
    row = graded(sandbox, GOOD, source + "    while True: pass")
    assert points(row) == {"99.a": 0, "99.b": 3}
    assert row.detail == "the process of `double` took longer than 1 s"


def test_the_submission_as_a_whole_is_bounded(sandbox):
    hanging = ["import time\ntime.sleep(9)"] * 9
    begun = time.monotonic()
    limits = Limits(cell_seconds=0.5, submission_seconds=1.0)
    row = grade_one(sandbox, handed_in(*hanging, GOOD), [DOUBLE, TOTAL], 3, limits)
    assert time.monotonic() - begun < 4
    assert row.status == "stopped" and points(row) == {"99.a": 0, "99.b": 0}
    assert reasons(row, "99.b") == ["no points: the submission had used up its 1 s"]


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("import os; os._exit(3)", "ended with exit code 3"),
        ("import os; os.kill(os.getpid(), 9)", "was ended by SIGKILL"),
        ("import os; os.kill(0, 9)", "was ended by SIGKILL"),
        ("import os; os.close(3); import time; time.sleep(9)", "hung up"),
        ("import resource as r, os; r.setrlimit(7, (3, 3)); os._exit(0)", "ended with exit code 0"),
        ("import ctypes; ctypes.string_at(0)", "was ended by SIGSEGV"),
    ],
)
def test_a_process_that_ends_is_replaced(sandbox, source, why):
    worker = sandbox.process.pid
    row = graded(sandbox, source, GOOD)
    assert points(row) == ALL and row.status == "stopped"
    assert dict(row.cells) == {1: why}
    indented = source.replace("; ", "\n    ")
    row = graded(sandbox, GOOD, f"def double(x):\n    {indented}")
    assert points(row) == {"99.a": 0, "99.b": 3} and row.status == "stopped"
    assert reasons(row) == [f"the process that ran your function {why}"] * 2
    assert sandbox.process.pid == worker, "the worker lives on"


HARMLESS = {
    "kill all": "import os\nfor p in (-1, 1): os.kill(p, 9)",
    "kill the group": "import os\ntry: os.killpg(1, 9)\nexcept OSError: pass",
    "threads": "import threading, time\nfor _ in range(9999):\n"
    "    threading.Thread(target=time.sleep, args=(99,), daemon=True).start()",
    "eight gigabytes": "import torch\ntorch.ones(2 << 30)",
    "printing": "for _ in range(10**5): print('x' * 1000)",
    "atexit": "import atexit, os\natexit.register(os._exit, 9)",
    "a background process": "import os, time\nif os.fork() == 0:\n"
    "    os.setsid()\n    os.fork()\n    time.sleep(99)\n    os._exit(0)",
    "a full disk": "for n in range(99): open(f'/tmp/{n}', 'wb').write(bytes(60 << 20))",
    "a large file": "open('/tmp/x', 'wb').write(bytes(80 << 20))",
    "sys.exit": "import sys\nsys.exit(1)",
    "memory files": "import os\nos.memfd_create('x')",
    "closed stdout": "import sys\nsys.stdout.close()\nsys.stderr = None\nsys.stdin = None",
    "frames on stdout": "print('ZTW1', {'answer': 1}, '99.a 3/3')",
}


@pytest.mark.parametrize("name", HARMLESS)
def test_harm_is_confined_to_its_cell(sandbox, name):
    worker = sandbox.process.pid
    row = graded(sandbox, HARMLESS[name], GOOD)
    assert points(row) == ALL, row
    assert sandbox.process.pid == worker, "the worker lives on"


@pytest.mark.parametrize("first", ["pass", "import ctypes; ctypes.CDLL(None).prctl(4, 0)"])
def test_memory_of_all_processes_counts_hidden_or_not(sandbox, first):
    grow = "import os, time\nfor _ in range(4):\n    if os.fork() == 0:\n"
    grow += "        x = b'x' * (400 << 20)\n        time.sleep(9)\n        os._exit(0)\n"
    notebook = handed_in(f"{first}\n{grow}time.sleep(8)", GOOD)
    unhurried = replace(LIMITS, cell_seconds=9.0)  # a busy machine takes a while to fill memory
    row = grade_one(sandbox, notebook, [DOUBLE, TOTAL], 3, unhurried)
    assert points(row) == ALL
    assert dict(row.cells) == {1: "used more than 1,024 MiB of memory"}


def test_memory_of_a_process_whose_first_thread_has_ended_counts(sandbox):
    grow = """
import ctypes, os, threading, time
def fill():
    time.sleep(0.3)
    kept = b"x" * (400 << 20)
    time.sleep(9)
    del kept
for _ in range(4):
    if os.fork() == 0:
        threading.Thread(target=fill).start()
        ctypes.CDLL(None).syscall({"x86_64": 60, "aarch64": 93}[os.uname().machine], 0)
time.sleep(8)
"""
    unhurried = replace(LIMITS, cell_seconds=9.0)
    row = grade_one(sandbox, handed_in(grow, GOOD), [DOUBLE, TOTAL], 3, unhurried)
    assert dict(row.cells) == {1: "used more than 1,024 MiB of memory"}
    assert points(row) == ALL


@pytest.mark.parametrize("fork", ["os.fork", "ctypes.CDLL(None).fork"])
def test_one_process_answers_and_always_the_same(sandbox, fork):
    source = f"import ctypes, os, time\nfork = {fork}\n"
    source += "def double(x):\n    if fork() == 0: return x\n    time.sleep(0.02)\n    return 2 * x"
    rows = [graded(sandbox, GOOD, source) for _ in range(8)]
    assert rows == [rows[0]] * 8
    assert points(rows[0]) == ALL and rows[0].status == "ok"


def test_a_child_that_falls_out_of_a_cell_runs_no_other(sandbox):
    row = graded(sandbox, "import os\npid = os.fork()", "if pid == 0: raise KeyError", GOOD)
    assert points(row) == ALL and row.cells == ()


def test_a_fork_bomb_is_bounded(sandbox):
    begun = time.monotonic()
    row = graded(
        sandbox, "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass", GOOD
    )
    assert points(row) == ALL and row.status == "stopped"
    assert time.monotonic() - begun < 8


def test_what_a_late_cell_started_ends_with_it(sandbox):
    start = "import os, time\nfor orphan in (False, True):\n    if os.fork() == 0:\n"
    start += "        if orphan and os.fork(): os._exit(0)\n        while True: pass\n"
    start += "while True: pass"
    alone = "time.sleep(0.2)  # until the orphan is buried\ntry: os.kill(-1, 0)\n"
    alone += "except ProcessLookupError:\n    def double(x): return 2 * x"
    row = graded(sandbox, GOOD.replace("double", "other"), start, alone)
    assert points(row) == ALL
    assert dict(row.cells) == {2: "took longer than 1 s"}


BROKEN = {
    "json": "import json\njson.dumps = json.loads = lambda *a, **k: '[true, []]'",
    "builtins": "import builtins\nbuiltins.isinstance = builtins.len = lambda *a: 1",
    "torch": "import torch\ntorch.Tensor.numpy = torch.isclose = lambda *a, **k: torch.ones(1)",
    "the protocol": "from zoology_teach.grading.inside import wire\n"
    "wire.encode = lambda *a: b'ZTW1' * 9",
}


@pytest.mark.parametrize("name", BROKEN)
def test_patches_stay_where_they_are_made(sandbox, name):
    wrong = "def double(x): return x\ndef total(x): return -1.0"
    assert points(graded(sandbox, wrong, BROKEN[name])) == {"99.a": 0, "99.b": 0}
    row = graded(sandbox, GOOD)
    assert points(row) == ALL and row.status == "ok"


def frame(header: str, body: bytes = b"") -> bytes:
    return wire.HEAD.pack(wire.MAGIC, len(header), len(body)) + header.encode() + body


def reply(answer: str, id: int = 1, arrays: str = "[]") -> str:
    return f'[{{"dict": [["id", {id}], ["output", ""], ["answer", {answer}]]}}, {arrays}]'


FORGED = {
    "bad magic": (b"HTTP/1.1 200 OK, and so on", "bad magic b'HTTP'"),
    "absurd lengths": (wire.HEAD.pack(wire.MAGIC, 2**63, 5), "a header of 9,223,372,036,"),
    "absurd body": (wire.HEAD.pack(wire.MAGIC, 5, 2**40), "1,099,511,627,776 bytes of tensors"),
    "cut off": (frame(reply("1"))[:-3], "a frame cut off"),
    "another id": (frame(reply("1", id=7)), "a reply to another request"),
    "NaN": (frame(reply("NaN")), "a bare NaN"),
    "deep": (frame("[" * 100_000), "a header that is not JSON (RecursionError)"),
    "shape": (frame(reply('{"tensor": 0}', arrays='[["float32", [3]]]'), b"xx"), "beyond the byte"),
    "dtype": (frame(reply('{"tensor": 0}', arrays='[["object", [1]]]'), b"x"), "unknown dtype"),
    "a bool of 7": (frame(reply('{"tensor": 0}', arrays='[["bool", [1]]]'), b"\7"), "neither"),
    "no reply": (frame("[[1, 2], []]"), "a reply of another form"),
}


@pytest.mark.parametrize("name", FORGED)
def test_whatever_arrives_is_judged(sandbox, name):
    data, why = FORGED[name]
    student = sandbox.begin()
    forge = f"import os\nos.write(3, {data!r})\nos._exit(0)"
    with pytest.raises(Lost, match="sent what is no answer") as lost:
        student.ask("cell", 1, forge, seconds=2)
    assert why in str(lost.value)
    assert points(graded(sandbox, GOOD)) == ALL


def test_a_forged_answer_is_only_an_answer(sandbox):
    forge = "\nimport os\ndef double(x):\n"
    forge += (
        f"    os.write(3, {frame(reply('true', id=3))!r})\n    os.write(3, b'more')\n    return 1"
    )
    row = graded(sandbox, GOOD, forge)
    assert points(row) == {"99.a": 0, "99.b": 3}
    assert reasons(row)[0] == "2 x, please (you return a bool, expected a tensor)"


def test_too_much_is_refused_with_the_reason(sandbox):
    row = graded(
        sandbox,
        "import torch\ndef double(x): return torch.zeros(25 << 20)",
        "def total(x): return [0] * 10**6",
    )
    assert reasons(row)[0] == (
        "your function returned 104,857,600 bytes of tensors; at most 16,777,216 are read"
    )
    assert reasons(row, "99.b") == ["your function returned more than 20,000 items"]
    expanded = graded(sandbox, "import torch\ndef double(x): return torch.ones(1).expand(1 << 40)")
    assert "bytes of tensors; at most" in reasons(expanded)[0]
    assert expanded.status == "ok"


LOOK_ROUND = """
import os, socket
found = {}

def tried(f, *arguments):
    try:
        return f(*arguments)
    except Exception as error:
        return type(error).__name__

def connect(family, address):
    with socket.socket(family) as s:
        s.settimeout(0.5)
        s.connect(address)

def writable():
    kept = []
    for folder, folders, files in os.walk("/"):
        if "site-packages" in folder or folder.startswith("/usr/"):
            folders.clear()
        try:
            open(os.path.join(folder, "left"), "w").close()
            kept.append(folder)
        except OSError:
            pass
    return kept

def look():
    return {
        "proc": tried(os.listdir, "/proc"),
        "environment": sorted(os.environ),
        "home": tried(os.listdir, os.path.expanduser("~")),
        "files": [n for n in range(64) if os.path.exists(f"/dev/fd/{n}") or fd(n)],
        "network": tried(connect, socket.AF_INET, ("1.1.1.1", 80)),
        "vsock": tried(socket.socket, 40),
        "grading": sorted(os.listdir("/course/zoology_teach/grading")),
        "cores": len(os.sched_getaffinity(0)),
        "other cores": tried(os.sched_setaffinity, 0, range(64)),
        "shm": os.listdir("/dev/shm"),
        "user": os.getuid(),
    }

def fd(n):
    try:
        os.fstat(n)
        return True
    except OSError:
        return False

def exists(path):
    return os.path.exists(path)
"""


def test_what_a_submission_can_see_and_reach(sandbox):
    session = Session(sandbox, [Cell(1, LOOK_ROUND)], Limits())
    seen = session.call("look")
    assert seen["proc"] == [] and seen["home"] == [] and seen["shm"] == []
    assert seen["cores"] == 1 and seen["other cores"] == "PermissionError"
    assert seen["files"] == [0, 1, 2, 3]
    assert seen["network"] == "OSError" and seen["vsock"] == "OSError"
    assert seen["grading"] == ["inside"] and seen["user"] == 65534, "whoever grades"
    assert not [name for name in seen["environment"] if "ZOOLOGY" in name or "TOKEN" in name]
    for path in ("/etc/passwd", "/home", "/sys", str(ROOT / "solutions"), str(ROOT / "tests")):
        assert session.call("exists", path) is False
    assert sorted(session.call("writable")) == ["/dev/shm", "/tmp"]
    session.close()
    fresh = Session(sandbox, [Cell(1, LOOK_ROUND)], Limits())
    assert fresh.call("exists", "/tmp/left") is False, "a file of the submission before"
    assert fresh.call("exists", "/dev/shm/left") is False
    fresh.close()


def test_other_processes_can_be_neither_seen_nor_traced(sandbox):
    source = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)

def number(result):
    return ctypes.get_errno() if result < 0 else 0

def errors():
    return {
        "ptrace the init": number(libc.ptrace(16, 1, 0, 0)),
        "trace me": number(libc.ptrace(0, 0, 0, 0)),
        "read memory": number(libc.process_vm_readv(1, None, 0, None, 0, 0)),
        "namespaces": number(libc.unshare(0x10000000)),
        "mount": number(libc.mount(b"proc", b"/proc", b"proc", 0, None)),
        "unmount": number(libc.umount2(b"/proc", 2)),
        "become root": number(libc.setuid(0)),
        "shared memory": number(libc.shmget(0, 1 << 30, 0o1600)),
        "clone": number(libc.syscall(56, 0x10000000 | 17, 0, 0, 0, 0)),
        "x32": number(libc.syscall(0x40000000 + 101, 0, 0, 0, 0)),
    }

def others():
    found = []
    for pid in range(1, 2000):
        try:
            os.kill(pid, 0)
            found.append(pid)
        except PermissionError:
            found.append(-pid)
        except OSError:
            pass
    return found, os.getppid()
"""
    session = Session(sandbox, [Cell(1, source)], Limits())
    errors = session.call("errors")
    assert errors.pop("become root") == 22, "there is no root to become"
    assert set(errors.values()) == {1}, errors
    assert session.call("others") == ([1, 2], 1)
    session.close()


@pytest.mark.skipif(os.getuid() != 0, reason="writes below /usr")
@pytest.mark.parametrize("folder", ["/usr/local/{}", "/usr/src/{}/app", "/usr/share/{}"])
@pytest.mark.parametrize("inside", [True, False])
def test_a_checkout_below_usr_is_hidden(folder, inside):
    """`inside`: the command is run in the checkout, or else elsewhere."""
    checkout = Path(folder.format(f"zoology-test-{os.getpid()}"))
    top = checkout if checkout.name != "app" else checkout.parent
    source = f"""
import os
def found(words):
    return [f for f, folders, files in os.walk("/") if f.endswith(words)
            or any(name.startswith("02_write") for name in files)]
def seen():
    return found("grading/ladders"), os.path.exists("{checkout}/zoology_teach/model.py")
def library():
    import zoology_teach.model
    return zoology_teach.model.__file__
"""
    grader = f"""
from zoology_teach.grading.sandbox import Limits, Sandbox
from zoology_teach.grading.session import Session
from zoology_teach.grading.submissions import Cell
with Sandbox() as sandbox:
    session = Session(sandbox, [Cell(1, {source!r})], Limits(call_seconds=50))
    print(session.call("seen"), session.call("library"))
"""
    try:
        for name in ("zoology_teach", "solutions", "exercises", "tests/submissions"):
            skipped = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, checkout / name, ignore=skipped)
        (checkout / "book").mkdir()
        (checkout / "book" / "02_write_the_task.md").write_text("the solution")
        environment = os.environ | {"PYTHONPATH": str(checkout)}
        words, place = [sys.executable, "-c", grader], checkout if inside else "/"
        said = subprocess.check_output(words, cwd=place, env=environment, text=True)
        assert said == "([], False) /course/zoology_teach/model.py\n"
    finally:
        shutil.rmtree(top)


def test_copies_of_the_package_and_checkouts_are_hidden_by_the_command(tmp_path, monkeypatch):
    checkout, copies = tmp_path / "course", tmp_path / "lib" / "packages"
    for folder in (checkout / "solutions", checkout / "zoology_teach", copies / "zoology_teach"):
        folder.mkdir(parents=True)
    monkeypatch.setattr(bubblewrap, "SYSTEM", ("/usr", str(tmp_path)))
    monkeypatch.setattr(sys, "path", [*sys.path, str(copies)])
    monkeypatch.chdir(checkout)
    command = bubblewrap.bwrap_command("bwrap")
    shown = command.index(str(tmp_path))
    for hidden in (checkout, copies / "zoology_teach"):
        assert shown < command.index(str(hidden)), "hidden after it was shown"
        assert command[command.index(str(hidden)) - 1] == "--tmpfs"


def test_the_inputs_change_with_the_seed_and_only_with_it(sandbox):
    source = "def double(x):\n    print(x.flatten()[0].item())\n    return 2 * x"
    a, b, c = (grade_one(sandbox, handed_in(source), [DOUBLE], seed) for seed in (1, 2, 1))
    assert a == c and a.output != b.output


def test_an_unreadable_notebook_gets_its_row(sandbox):
    row = grade_one(sandbox, Submission("A", "a", "a.ipynb", "0", b"{"), [DOUBLE], 3)
    assert row.status == "unreadable" and points(row) == {"99.a": 0}
    assert row.detail == "not a notebook: it is not JSON"


def processes_named(mark: str) -> list[int]:
    words = psutil.process_iter(["pid", "cmdline"])
    return [p.pid for p in words if any(mark in word for word in p.info["cmdline"] or ())]


def test_nothing_is_left_when_the_sandbox_closes(sandbox):
    mark = '"submission_seconds": 15.03125'  # on the command line of all its processes
    with Sandbox(Limits(submission_seconds=15.03125)) as mine:
        mine.begin().ask("cell", 1, HARMLESS["a background process"], seconds=5)
        assert len(processes_named(mark)) > 4
    assert processes_named(mark) == []


def test_the_sandbox_dies_with_a_killed_grader(sandbox):
    mark = '"submission_seconds": 15.0625'
    grader = (
        "import time\nfrom zoology_teach.grading.sandbox import *\n"
        "student = Sandbox(Limits(submission_seconds=15.0625)).begin()\n"
        f"student.ask('cell', 1, {HARMLESS['a background process']!r}, seconds=5)\n"
        "print('ready', flush=True)\ntime.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", grader], stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"ready\n"
        assert len(processes_named(mark)) > 4
        os.kill(process.pid, signal.SIGKILL)
    deadline = time.monotonic() + 5
    while processes_named(mark) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert processes_named(mark) == []


def test_a_worker_that_died_is_replaced(sandbox):
    sandbox.process.kill()
    assert points(graded(sandbox, GOOD)) == ALL


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_without_a_sandbox_the_same_is_graded_and_limits_hold():
    with Sandbox(LIMITS, "none") as plain:
        assert not plain.isolated
        assert points(graded(plain, GOOD)) == ALL
        row = graded(plain, HARMLESS["a background process"], "while True: pass", GOOD)
        assert points(row) == ALL and dict(row.cells) == {2: "took longer than 1 s"}
        row = graded(plain, "import os; os._exit(3)", HARMLESS["eight gigabytes"], GOOD)
        assert points(row) == ALL and row.cells[0] == (1, "ended with exit code 3")
        if sys.platform.startswith("linux"):
            assert processes_named("99999") == []


def test_a_kind_of_sandbox_must_be_known():
    with pytest.raises(ValueError, match="sandbox"):
        Sandbox(kind="docker")


@pytest.mark.parametrize("kind", ["SOCK_STREAM", "SOCK_DGRAM"])
def test_memory_that_waits_in_sockets_counts(sandbox, kind):
    fill = f"""
import socket, time
held = []
for n in range(40):
    held.append(socket.socket(socket.AF_UNIX, socket.{kind}))
    held[-1].bind(f"/tmp/{{n}}")
    if "{kind}" == "SOCK_STREAM":
        held[-1].listen(4096)
    for _ in range(200):
        with socket.socket(socket.AF_UNIX, socket.{kind}) as sender:
            sender.setblocking(False)
            try:
                sender.connect(f"/tmp/{{n}}")
                while True:
                    sender.send(bytes(30_000))
            except BlockingIOError:
                pass
time.sleep(8)
"""
    if kind == "SOCK_DGRAM":  # one process has too few files for it
        fill = (
            "import os\nfor _ in range(7):\n    if os.fork() == 0:\n        break\n"
            + fill.replace('f"/tmp/{n}"', 'f"/tmp/{os.getpid()}-{n}"')
        )
    unhurried = replace(LIMITS, cell_seconds=9.0)
    row = grade_one(sandbox, handed_in(fill, GOOD), [DOUBLE, TOTAL], 3, unhurried)
    assert dict(row.cells) == {1: "used more than 1,024 MiB of memory"}
    assert points(row) == ALL


@pytest.mark.parametrize(
    "cells",
    [
        ["files = !ls\nassert files.n == files.s == '' and files.grep('x') == []"],
        ["from asyncio import create_task, sleep", "create_task(sleep(0))"],
        ["%%time\nimport asyncio\nawait asyncio.sleep(0)"],
        ["async def f(): return 3", "%time await f()\nassert await f() == 3"],
        ["async def f(): return 3", "if True:\n    %time x = await f()\nassert x == 3"],
        ["import sys\nassert sys.stdout.encoding.lower() == 'utf-8'"],
        ["%%prun\nlen('')"],
        ["%notebook here.ipynb"],
        ["from torch.utils.data import DataLoader\nassert len(list(DataLoader(range(4), 2, "
         "num_workers=2))) == 2"],
    ],
)  # fmt: skip
def test_what_jupyter_runs_is_run(sandbox, cells):
    row = graded(sandbox, *cells, GOOD)
    assert row.cells == () and row.status == "ok" and points(row) == ALL
