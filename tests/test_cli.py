"""The command line: what is wrong is said in one line, and --help does not wait for torch."""

import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest
from nbclient.exceptions import CellExecutionError
from typer.testing import CliRunner

import zoology_teach
from zoology_teach import cli
from zoology_teach.experiments.synthetic_presets import PRESETS
from zoology_teach.grading.release import Released


def invoke(*args):
    return CliRunner().invoke(cli.app, list(args))


def provide(monkeypatch, name, **contents):
    """Let ``zoology_teach.<name>`` be a module with `contents`."""
    module = ModuleType(f"zoology_teach.{name}")
    vars(module).update(contents)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    if "." not in name:
        monkeypatch.setattr(zoology_teach, name, module, raising=False)


def test_help_is_quick_and_imports_no_torch():
    script = (
        "import sys, time; start = time.perf_counter()\n"
        "from zoology_teach.cli import app\n"
        "app(['--help'], standalone_mode=False)\n"
        "sys.exit('torch' in sys.modules)"
    )
    start = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    seconds = time.perf_counter() - start
    assert done.returncode == 0, done.stderr
    assert all(command in done.stdout for command in ("doctor", "sweep", "build", "release"))
    assert seconds < 5, "about 0.3 s on a quiet machine"


@pytest.mark.parametrize(
    "error, status, line",
    [
        (ValueError("seq_len = 3:\n must be even"), 2, "zoology-teach: seq_len = 3: must be even"),
        (FileNotFoundError(2, "No such file", "x.csv"), 2, "zoology-teach: [Errno 2] No such"),
        (ImportError("No module named 'torch'"), 2, "zoology-teach: No module named 'torch'; to"),
        (KeyboardInterrupt(), 130, "interrupted; what was finished is kept"),
    ],
)
def test_an_error_is_one_line(monkeypatch, error, status, line):
    def fail(*args, **options):
        raise error

    monkeypatch.setitem(PRESETS, "figure2", {"laptop": fail})
    result = invoke("sweep", "figure2", "--preset", "laptop")
    assert result.exit_code == status
    assert result.stderr.startswith(line) and result.stderr.count("\n") == 1


def test_build_takes_the_named_chapters(monkeypatch):
    built = []

    def build(path, force):
        built.append((path.name, force))
        return "executed" if path.name == "07_memory.md" else "nothing changed"

    provide(monkeypatch, "chapters", build=build)
    result = invoke("build", "07_memory.md", "08_filters.md", "--force")
    assert result.output == "07_memory.md: executed\n08_filters.md: nothing changed\n"
    assert built == [("07_memory.md", True), ("08_filters.md", True)]


def test_build_shows_the_cell_that_failed(monkeypatch):
    def build(path, force):
        raise CellExecutionError("the cell", "ZeroDivisionError", "division by zero")

    provide(monkeypatch, "chapters", build=build)
    result = invoke("build", "07_memory.md")
    assert result.exit_code == 1
    assert result.stderr.startswith("zoology-teach: a cell of 07_memory.md failed\nthe cell")


def test_build_takes_every_chapter_in_order(monkeypatch, tmp_path):
    built = []
    provide(monkeypatch, "chapters", build=lambda path, force: built.append(path.name))
    monkeypatch.setattr(cli, "book", lambda: tmp_path / "book")
    (tmp_path / "book").mkdir()
    for name in ("02_b.md", "00_a.md", "notes.md", "teacher.md"):
        (tmp_path / "book" / name).touch()
    assert invoke("build").exit_code == 0
    assert built == ["00_a.md", "02_b.md", "teacher.md"]


@pytest.mark.parametrize("args, status", [([], 0), (["--check"], 1)])
def test_release_names_what_changed_and_check_fails(monkeypatch, args, status):
    stale = Released([Path("exercises/02_write_the_task.ipynb")], [], [])
    provide(monkeypatch, "grading.release", release=lambda *folders, check: stale)
    result = invoke("release", *args)
    assert result.exit_code == status
    assert "02_write_the_task.ipynb" in result.output
