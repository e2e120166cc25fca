"""Where Triton is not published: chapters 12 and 13 say so, the rest works, and no mark is lost."""

import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from zoology_teach.grading import chosen

ROOT = Path(__file__).parents[1]
KERNEL_CHAPTERS = ("12_kernels_short_conv_and_gate", "13_kernels_toeplitz_flash_sparse")
HIDDEN = """
import sys
class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "triton":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Hidden())
"""


def without_triton(script: str) -> str:
    """What `script` prints in a Python that finds no Triton."""
    command = [sys.executable, "-c", HIDDEN + script]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def first_code(path: Path) -> str:
    cells = nbformat.read(path, as_version=4).cells
    return next(cell.source for cell in cells if cell.cell_type == "code")


def test_the_first_cell_says_so_in_a_sentence_and_stops():
    """Jupyter runs no cell after one that raised, so what is stored below stays."""
    folders = ("book", "exercises")
    cells = [first_code(ROOT / f / f"{name}.ipynb") for name in KERNEL_CHAPTERS for f in folders]
    script = (
        "from IPython.core.interactiveshell import InteractiveShell\n"
        f"for cell in {cells!r}:\n"
        "    print(type(InteractiveShell().run_cell(cell).error_in_exec).__name__)\n"
    )
    lines = without_triton(script).strip().splitlines()
    assert len(lines) == 2 * len(cells) and set(lines[1::2]) == {"NoTriton"}
    for sentence in lines[::2]:
        assert sentence.startswith("Triton is not installed here; it is published for Linux only.")
        assert "the outputs below are those it came with" in sentence


def test_the_rest_of_the_library_works():
    script = """
import torch
from zoology_teach.kernels.short_conv import short_conv
from zoology_teach.mixers import MIXERS
u = torch.ones(1, 3, 2)
print(short_conv(u, torch.ones(2, 2)).sum().item(), MIXERS["attention"](2)(u).shape)
"""
    assert without_triton(script) == "10.0 torch.Size([1, 3, 2])\n"


def test_a_check_of_a_kernel_refuses_and_counts_nothing():
    script = """
from zoology_teach.grading import check
try:
    print(check("12.a", len))
except ValueError as error:
    print(error)
"""
    assert without_triton(script) == (
        "exercise = '12.a': cannot be judged here (no mark lost): "
        "Triton is not installed here; it is published for Linux only\n"
    )


def autograded(script: str) -> subprocess.CompletedProcess:
    """`script` as a cell that `nbgrader autograde` runs, in a Python that finds no Triton."""
    env = {**os.environ, "NBGRADER_EXECUTION": "autograde"}
    command = [sys.executable, "-c", HIDDEN + script]
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize(
    ("cell", "asked"),
    [
        ("stop_without_triton()", ""),
        ("check('12.a', len)", "12.a: "),
    ],
)
def test_nbgrader_is_left_no_cell_to_give_no_points_for(cell, asked):
    """It gives 0 for a cell that raises, and refuses a submission whose kernel has ended."""
    script = """
from zoology_teach.grading import check
from zoology_teach.kernels.interpreter import stop_without_triton
try:
    CELL
finally:
    print("graded")
"""
    done = autograded(script.replace("CELL", cell))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.strip() == (
        f"Not graded, and no mark lost: {asked}"
        "Triton is not installed here; it is published for Linux only."
    )
    judged = autograded("from zoology_teach.grading import check\nprint(check('00.a', len).earned)")
    assert (judged.returncode, judged.stdout) == (0, "0\n")


def test_the_grader_leaves_kernels_out_where_none_runs(monkeypatch):
    monkeypatch.setattr(chosen, "failure_in_a_process", lambda: "there is none")
    judged, (note,) = chosen.judgeable(chosen.chosen(None))
    assert {exercise.id[:2] for exercise in judged} == {*(f"{n:02}" for n in range(12)), "14"}
    assert note.startswith("12.a, 12.b, 12.c, 13.a") and note.endswith("and there is none")
    assert chosen.judgeable(chosen.chosen("03")) == (chosen.chosen("03"), [])
    with pytest.raises(ValueError, match=r"exercise = '12.a, 12.b, 12.c': must be graded where"):
        chosen.judgeable(chosen.chosen("12"))


@pytest.mark.kernel
def test_the_grader_judges_kernels_where_they_run():
    pytest.importorskip("triton")
    assert chosen.judgeable(chosen.chosen("12")) == (chosen.chosen("12"), [])
