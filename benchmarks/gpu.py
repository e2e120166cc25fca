"""What only a GPU can measure, in pieces of a few minutes: `make gpu`.

    make gpu                                    # nine minutes; started again, it goes on
    make gpu MINUTES=4 PIECES="tests text"      # these pieces only
    make gpu OUT=folder                         # also copies what it wrote into a folder

    tests     tests/kernels and the mixers' own, compiled: gpu_tests.csv
    kernels   benchmarks/kernels.py: kernels_<gpu>.csv
    figure2   the paper's Figure 2 at its own sizes, most telling runs first: figure2_released.csv
    text      models of 15M parameters on the plays: text_gpu_shipped.csv

Every piece but the last has half of the time that is left, so each of them comes on. A test
file, a kernel at a shape and a run are done when their rows are in book/results; a training
that the time cuts off goes on from its checkpoint in book/results/*_runs. No network is needed,
and no installation: python3 has to have what pyproject.toml names.
"""

import argparse
import multiprocessing
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from gpu_tests import TestFiles

from zoology_teach import files
from zoology_teach.experiments import sweep
from zoology_teach.experiments.executors import HERE
from zoology_teach.experiments.synthetic_presets import PRESETS as SYNTHETIC
from zoology_teach.experiments.synthetic_runs import SyntheticRun
from zoology_teach.experiments.text_presets import PRESETS as TEXT
from zoology_teach.training import time_limit

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "book" / "results"
COMMAND = "make gpu"
# The widths at one length first, at the rate that is likely the best; then what they leave open.
MIXERS, LENGTHS, RATES = ("attention", "base_conv", "hyena"), (256, 64, 128, 512), (2, 1, 3, 0)


@dataclass(frozen=True)
class Piece:
    """work    goes on for so many seconds at most.
    left    what is not done, in words; "" when all is.
    failed  what is done and wrong, in words.
    """

    name: str
    work: Callable[[float], None]
    left: Callable[[], str]
    failed: Callable[[], str] = lambda: ""


def tests(paths: Sequence[Path], out: Path, device: str) -> Piece:
    """Test files."""
    them = TestFiles(paths, out, device)

    def failed() -> str:
        return f"{them.failed()} tests failed: {out.name}" if them.failed() else ""

    return Piece(
        "tests",
        lambda seconds: them.work(seconds, COMMAND),
        lambda: ", ".join(path.name for path in them.missing()),
        failed,
    )


def script(name: str, command: Sequence[str]) -> Piece:
    """A program that keeps what it has done; 0 and 1 are its statuses when it is through."""
    status: list[int | None] = [None]

    def work(seconds: float) -> None:
        try:
            status[0] = subprocess.run(command, timeout=seconds, cwd=ROOT).returncode
        except subprocess.TimeoutExpired:
            status[0] = None

    def left() -> str:
        return "" if status[0] in (0, 1) else f"not through (status {status[0]})"

    return Piece(name, work, left, lambda: "see above" if status[0] == 1 else "")


def trainings(name: str, runs: Sequence[sweep.Run], out: Path, device: str, workers: int) -> Piece:
    """Runs of a sweep, in this order; the small ones leave a GPU room for several at a time."""

    def work(seconds: float) -> None:
        end = time.time() + seconds
        try:
            with processes(workers, end) as pool:
                sweep.run(runs, out=out, executor=pool, device=device, command=COMMAND)
        except KeyboardInterrupt:
            if time.time() < end:  # somebody's Ctrl-C
                raise

    def left() -> str:
        to_go = len(runs) - len(sweep.finished(out, runs))
        return f"{to_go} of {len(runs)} runs" if to_go else ""

    return Piece(name, work, left)


@contextmanager
def processes(workers: int, end: float):
    """Where runs are done until `end`; with one worker, in this process."""
    if workers > 1:
        spawn = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(workers, spawn, time_limit.stop_at, (end,)) as pool:
            yield pool
        return
    time_limit.stop_at(end)
    try:
        yield HERE
    finally:
        time_limit.stop_at(float("inf"))


def most_telling(runs: Sequence[SyntheticRun]) -> list[SyntheticRun]:
    """First one seed of three mixers at all widths."""
    rates = sorted({run.train.lr for run in runs})

    def place(run: SyntheticRun) -> tuple:
        length, rate = LENGTHS.index(run.task.seq_len), RATES.index(rates.index(run.train.lr))
        of_the_three = run.mixer in MIXERS
        return run.train.seed, not of_the_three, length, rate, run.model.d_model, run.mixer

    return sorted(runs, key=place)


def compiled_tests() -> list[Path]:
    """What a GPU tests: the kernels, and the mixers that call them."""
    of_mixers = ROOT / "tests" / "mixers" / "test_mixers_in_triton.py"
    return [*sorted((ROOT / "tests" / "kernels").glob("test_*.py")), of_mixers]


def pieces(workers: int) -> list[Piece]:
    """All of it, on the GPU."""
    paths = compiled_tests()
    figure2 = most_telling(SYNTHETIC["figure2"]["released"]())
    text, shipped = TEXT["gpu_shipped"].runs(), RESULTS / "text_gpu_shipped.csv"
    return [
        tests(paths, RESULTS / "gpu_tests.csv", "cuda"),
        script("kernels", [sys.executable, str(ROOT / "benchmarks" / "kernels.py")]),
        trainings("figure2", figure2, RESULTS / "figure2_released.csv", "cuda", workers),
        trainings("text", text, shipped, "cuda", min(2, workers)),
    ]


def go_on(chosen: Sequence[Piece], seconds: float) -> int:
    """Each piece in its share of the time, then what is left; 1 where something failed."""
    end, broken = time.time() + seconds, {}
    for number, piece in enumerate(chosen, 1):
        share = (end - time.time()) / (1 if number == len(chosen) else 2)
        print(f"== {piece.name}: at most {share:.0f} s", flush=True)
        try:
            piece.work(max(1.0, share))
        except (ValueError, OSError, ImportError, RuntimeError) as error:
            broken[piece.name] = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
    for piece in chosen:
        bad = broken.get(piece.name) or piece.failed()
        left = piece.left()
        print(f"{piece.name}: {f'left: {left}' if left else 'done'}{f'; {bad}' if bad else ''}")
        broken |= {piece.name: bad} if bad else {}
    return int(bool(broken))


def copy_tables(since: float, out: Path) -> None:
    """The tables written since then, and their provenance, into a folder of the caller's."""
    for path in sorted(RESULTS.iterdir()):
        if path.suffix in (".csv", ".json") and path.stat().st_mtime >= since:
            files.replace(out / path.name, path.read_bytes())
            print(out / path.name)


def main() -> int:
    """0, or 1 where something failed, or 2 where there is no GPU or a package is missing."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--minutes", type=float, default=9.0, help="in all (9)")
    parser.add_argument("--out", type=Path, help="a folder that gets a copy of the tables")
    parser.add_argument("--workers", type=int, default=4, help="trainings at a time (4)")
    parser.add_argument("pieces", nargs="*", help="tests, kernels, figure2, text; none: all")
    asked, started = parser.parse_args(), time.time()
    if not torch.cuda.is_available():
        print("make gpu: there is no GPU that PyTorch can use here", file=sys.stderr)
        return 2
    there = {piece.name: piece for piece in pieces(asked.workers)}
    unknown = set(asked.pieces) - set(there)
    if unknown:
        parser.error(f"pieces = {sorted(unknown)}: must be of {list(there)}")
    try:
        return go_on([there[name] for name in asked.pieces or there], 60 * asked.minutes)
    finally:
        if asked.out is not None:
            copy_tables(started, asked.out)


if __name__ == "__main__":
    sys.exit(main())
