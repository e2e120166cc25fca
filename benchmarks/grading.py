"""A class of 300 graded on two cores: minutes, memory, and whether a kill changes a mark.

    python benchmarks/grading.py            # about three minutes
    python benchmarks/grading.py 60 13      # fewer submissions, another chapter

The class hands in right solutions, blank stubs, wrong solutions (the mutants of the tests),
two of three exercises, cells with errors and slow cells. The command grades it in one go, then
once more into another folder with a kill -9 in the middle; the two grades.csv must be the same
bytes. Memory is the sum over all processes of their proportional set sizes, every half second.
"""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from runpy import run_path

import jupytext
import psutil

from zoology_teach.grading.grade import GRADED
from zoology_teach.grading.ladders import EXERCISES
from zoology_teach.grading.notebooks import as_notebook

ROOT = Path(__file__).resolve().parents[1]
COMMAND = Path(sys.executable).with_name("zoology-teach")


def code(notebook: Path) -> list[str]:
    return [cell.source for cell in jupytext.read(notebook).cells if cell.cell_type == "code"]


def variants(chapter: str) -> list[list[str]]:
    """The code cells of ten submissions as a class hands them in; then the mutants'."""
    (solved,) = (ROOT / "solutions").glob(f"{chapter}_*.md")
    (stub,) = (ROOT / "exercises").glob(f"{chapter}_*.ipynb")
    right, blank = code(solved), code(stub)
    wrong = ROOT / "tests" / "mutants" / f"ch{chapter}.py"
    mutants = [
        [*right, wrong.read_text(), f"{EXERCISES[name].function} = {mutant.__name__}"]
        for name, _, mutant in run_path(str(wrong))["MUTANTS"]
    ]
    half = [*right[:-2], *blank[-2:]]
    scratch = [right[0], "u = torch.randn(2, 3)\nu @ u", *right[1:]]
    slow = [*right, "import time\ntime.sleep(1)"]
    return [right, right, right, half, half, blank, scratch, slow, *mutants]


def hand_in(folder: Path, chapter: str, students: int) -> None:
    folder.mkdir()
    kinds = variants(chapter)
    for number in range(students):
        data = as_notebook([*kinds[number % len(kinds)], f"# handed in by student {number}"])
        (folder / f"student{number:03}.ipynb").write_bytes(data)


def run(source: Path, out: Path, chapter: str, until: Callable[[], bool]) -> tuple[float, int]:
    """Grade with two jobs, and kill -9 once `until`: minutes, and bytes of memory at the peak."""
    words = [source, "-o", out, "--exercise", chapter, "--seed", "5", "--jobs", "2"]
    begun, most = time.monotonic(), 0
    with subprocess.Popen([COMMAND, "grade", *words], stderr=subprocess.DEVNULL) as process:
        while process.poll() is None:
            most = max(most, memory_of_all(psutil.Process(process.pid)))
            if until():
                os.kill(process.pid, signal.SIGKILL)
            time.sleep(0.5)
    return (time.monotonic() - begun) / 60, most


def memory_of_all(process: psutil.Process) -> int:
    """Bytes of a process and all below it, shared ones in equal parts."""
    total = 0
    for one in (process, *process.children(recursive=True)):
        with contextlib.suppress(psutil.Error):  # it has ended, or shows nothing
            total += one.memory_full_info().pss
    return total


def main(students: int = 300, chapter: str = "04") -> None:
    with tempfile.TemporaryDirectory() as folder:
        source, whole, killed = (Path(folder, name) for name in ("in", "whole", "killed"))
        hand_in(source, chapter, students)
        minutes, most = run(source, whole, chapter, lambda: False)
        done = killed / GRADED

        def in_the_middle() -> bool:
            return done.exists() and done.read_bytes().count(b"\n") >= students // 2

        run(source, killed, chapter, in_the_middle)
        kept = done.read_bytes().count(b"\n")
        again, _ = run(source, killed, chapter, lambda: False)
        one, two = ((out / "grades.csv").read_bytes() for out in (whole, killed))
        print("| submissions of chapter | minutes | a minute | peak memory, GiB |")
        print("|---|---:|---:|---:|")
        print(f"| {students} of {chapter} | {minutes:.2f} | {students / minutes:.0f} ", end="")
        print(f"| {most / 2**30:.2f} |")
        print(f"killed after {kept}, the rest in {again:.2f} minutes; ", end="")
        print("grades.csv is the same" if one == two else "grades.csv is NOT the same")
        if one != two or not students // 2 <= kept < students:
            raise SystemExit(1)


if __name__ == "__main__":
    main(*(kind(word) for kind, word in zip((int, str), sys.argv[1:], strict=False)))
