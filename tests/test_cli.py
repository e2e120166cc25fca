"""The command line: what is wrong is said in one line, and --help does not wait for torch."""

import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
from nbclient.exceptions import CellExecutionError
from typer.testing import CliRunner

import zoology_teach
from zoology_teach import cli


def invoke(*args):
    return CliRunner().invoke(cli.app, list(args))


def provide(monkeypatch, name, **contents):
    """Let ``zoology_teach.<name>`` be a module with `contents`."""
    module = ModuleType(f"zoology_teach.{name}")
    vars(module).update(contents)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    if "." not in name:
        monkeypatch.setattr(zoology_teach, name, module, raising=False)


@pytest.fixture
def sweeps(monkeypatch):
    """A stand-in for the sweeps: three runs, of which one is done. Records what is asked."""
    asked = SimpleNamespace()

    def run(grid, **options):
        asked.grid, asked.options = grid, options

    provide(monkeypatch, "presets", PRESETS={"figure2": {"laptop": lambda: ["a", "b", "c"]}})
    provide(monkeypatch, "sweep", run=run, finished=lambda out, grid: {"a"})
    return asked


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


def test_sweep_writes_the_table_of_the_book(sweeps):
    assert invoke("sweep", "figure2", "--preset", "laptop", "--workers", "2").exit_code == 0
    assert sweeps.grid == ["a", "b", "c"]
    assert sweeps.options["out"] == cli.root() / "book" / "results" / "figure2.csv"
    assert sweeps.options["workers"] == 2
    assert sweeps.options["command"].startswith("zoology-teach ")


def test_sweep_dry_run_counts_and_measures_nothing(sweeps):
    result = invoke("sweep", "figure2", "--preset", "laptop", "--dry-run")
    assert "3 runs, 1 done, 2 to go" in result.output
    assert not vars(sweeps)


@pytest.mark.parametrize(
    "args, message",
    [
        (["figure3", "--preset", "laptop"], "sweep = 'figure3': must be one of figure2"),
        (["figure2", "--preset", "desktop"], "preset = 'desktop': must be one of laptop"),
    ],
)
def test_sweep_lists_the_choices(sweeps, args, message):
    result = invoke("sweep", *args)
    assert (result.exit_code, result.stderr) == (2, f"zoology-teach: {message}\n")


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

    provide(monkeypatch, "presets", PRESETS={"figure2": {"laptop": fail}})
    provide(monkeypatch, "sweep")
    result = invoke("sweep", "figure2", "--preset", "laptop")
    assert result.exit_code == status
    assert result.stderr.startswith(line) and result.stderr.count("\n") == 1


def test_build_takes_the_named_chapters(monkeypatch):
    built = []

    def build(path, force):
        built.append((path.name, force))
        return path.name == "07_memory.md"

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
    monkeypatch.setattr(cli, "root", lambda: tmp_path)
    (tmp_path / "book").mkdir()
    for name in ("02_b.md", "00_a.md", "notes.md", "teacher.md"):
        (tmp_path / "book" / name).touch()
    assert invoke("build").exit_code == 0
    assert built == ["00_a.md", "02_b.md", "teacher.md"]


@pytest.mark.parametrize("args, status", [([], 0), (["--check"], 1)])
def test_release_names_what_changed_and_check_fails(monkeypatch, args, status):
    stale = SimpleNamespace(
        written=[Path("exercises/02_write_the_task.ipynb")], removed=[], kept=[]
    )
    provide(monkeypatch, "grading.release", release=lambda *folders, check: stale)
    result = invoke("release", *args)
    assert result.exit_code == status
    assert "02_write_the_task.ipynb" in result.output
