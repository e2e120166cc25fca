"""Sweeps: a run is done once and its row kept, whatever dies in between."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import CancelledError, Executor, Future, ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path

import pandas as pd
import pytest

from tests.experiments.runs import AtOnce, made_up, tiny
from zoology_teach import files
from zoology_teach.experiments import results, sweep
from zoology_teach.experiments.synthetic_runs import SyntheticRun


def test_a_sweep_does_only_what_is_missing(tmp_path, counted, capsys):
    pool, done = counted
    out = tmp_path / "new" / "table.csv"
    first = sweep.run([tiny(0), tiny(1)], out=out, executor=pool)
    assert len(first) == len(done) == 2 and "2/2" in capsys.readouterr().err
    again = sweep.run([tiny(0), tiny(1), tiny(2), tiny(2)], out=out, executor=pool)
    said = capsys.readouterr().err
    assert len(again) == len(done) == 3 and "2/3" in said and "3/3" in said
    assert set(again["run"]) == {tiny(s).id for s in range(3)}
    assert sweep.finished(out, [tiny(1), tiny(9)]) == {tiny(1).id}


def test_an_interrupt_keeps_the_finished_runs(tmp_path, monkeypatch):
    def execute(run, *where, original=SyntheticRun.execute, **how):
        if run.train.seed == 2:
            raise KeyboardInterrupt
        return original(run, *where, **how)

    monkeypatch.setattr(SyntheticRun, "execute", execute)
    out = tmp_path / "t.csv"
    grid = [tiny(s) for s in range(5)]
    with ThreadPoolExecutor(1) as pool, pytest.raises(KeyboardInterrupt):
        sweep.run(grid, out=out, executor=pool)
    seeds = set(results.load(out)["seed"])
    assert {0, 1} <= seeds and 2 not in seeds  # the thread may have begun with the next one
    monkeypatch.undo()
    with ThreadPoolExecutor(1) as pool:
        assert len(sweep.run(grid, out=out, executor=pool)) == 5


SWEEP_SCRIPT = """
import signal
import sys
from zoology_teach.experiments import sweep
from tests.experiments.runs import tiny

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a background shell ignores it
    sweep.run([tiny(s, steps=120) for s in range(30)], out=sys.argv[1], workers=2)
"""


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_sweep_continues_and_leaves_no_process(tmp_path, how):
    script, out = tmp_path / "go.py", tmp_path / "t.csv"
    script.write_text(SWEEP_SCRIPT)
    environment = {**os.environ, "PYTHONPATH": os.getcwd()}
    process = subprocess.Popen(
        [sys.executable, script, out], env=environment, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 90
    while not out.exists() or len(out.read_text().splitlines()) < 3:
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.05)
    children = _descendants(process.pid)
    assert children
    process.send_signal(how)
    process.wait(timeout=30)
    survived = results.load(out)
    assert 2 <= len(survived) < 30
    while any(_alive(pid) for pid in children):
        assert time.monotonic() < deadline, "a worker outlived its sweep"
        time.sleep(0.1)
    grid = [tiny(s, steps=120) for s in survived["seed"]] + [tiny(99)]
    with ThreadPoolExecutor(1) as pool:
        table = sweep.run(grid, out=out, executor=pool)
    assert len(table) == len(survived) + 1
    assert survived["run"].tolist() == table["run"].tolist()[: len(survived)]


def _descendants(pid: int) -> list[int]:
    listing = subprocess.run(["ps", "-eo", "pid,ppid"], capture_output=True, text=True).stdout
    parents = [tuple(map(int, line.split())) for line in listing.splitlines()[1:]]
    return [child for child, parent in parents if parent == pid]


def _alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_half_a_last_line_does_not_count(tmp_path, counted):
    pool, _ = counted
    out = tmp_path / "t.csv"
    sweep.run([tiny(0), tiny(1)], out=out, executor=pool)
    whole = out.read_bytes()
    out.write_bytes(whole[:-20])
    assert results.load(out)["seed"].tolist() == [0]
    sweep.run([tiny(0), tiny(1)], out=out, executor=pool)
    assert sorted(results.load(out)["seed"]) == [0, 1]
    out.write_bytes(whole[:10])  # not even the header
    assert len(sweep.run([tiny(0)], out=out, executor=pool)) == 1


CLI_SCRIPT = """
from zoology_teach import cli
from zoology_teach.experiments import synthetic_presets
from tests.experiments.runs import tiny

if __name__ == "__main__":
    runs = [tiny(s, steps=100) for s in range(12)]
    synthetic_presets.PRESETS["figure2"] = {"laptop": lambda: runs}
    cli.main()
"""


@pytest.mark.slow
def test_a_whole_sweep_killed_at_random_moments_ends_as_if_it_had_not_been(tmp_path):
    script, out = tmp_path / "go.py", tmp_path / "t.csv"
    script.write_text(CLI_SCRIPT)
    command = [sys.executable, script, "sweep", "figure2", "--preset", "laptop", "--out", out]
    environment = {**os.environ, "PYTHONPATH": os.getcwd()}

    def start():
        return subprocess.Popen(
            [*command, "--workers", "2"],
            env=environment,
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def rows():
        return results.load(out)["run"].tolist() if out.exists() else []

    def progress():
        return out.with_suffix(".json").exists(), len(rows())

    kept, deadline = [], time.monotonic() + 240
    for _ in range(3):
        before, process = progress(), start()
        while progress() == before and process.poll() is None:
            assert time.monotonic() < deadline  # of the provenance, later of one more row
            time.sleep(0.01)
        time.sleep(random.uniform(0, 0.3))
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert rows()[: len(kept)] == kept
        kept = rows()
    assert start().wait(timeout=240) == 0

    grid = [tiny(s, steps=100) for s in range(12)]
    with ThreadPoolExecutor(1) as pool:
        whole = sweep.run(grid, out=tmp_path / "whole.csv", executor=pool)
    lines = out.read_text().splitlines()
    assert sorted(line[:12] for line in lines[1:]) == sorted(whole["run"])
    timed = ["cpu_seconds", "seconds"]
    table = results.load(out).set_index("run").loc[whole["run"]].reset_index()
    pd.testing.assert_frame_equal(table.drop(columns=timed), whole.drop(columns=timed))


def kill_at_every_line(folder: Path) -> None:
    """A sweep, killed as it comes to its first line, its second, ... that touches the table."""
    SyntheticRun.execute = made_up
    grid = [tiny(0), tiny(1)]
    inside = [f for m in (results, files, sweep) for f in vars(m).values() if callable(f)]
    watched = {getattr(f, "__wrapped__", f).__code__ for f in inside if hasattr(f, "__code__")}
    watched |= {c for c in sweep.run.__code__.co_consts if hasattr(c, "co_name")}  # its keep()

    def run_until(line: int, out: Path) -> None:
        def trace(frame, event, _):
            nonlocal line
            if frame.f_code not in watched:
                return None
            line -= event == "line"
            if line == 0:
                os.killpg(0, signal.SIGKILL)
            return trace

        os.setsid()
        sys.settrace(trace)
        sweep.run(grid, out=out, executor=AtOnce())
        os._exit(0)

    for line in range(1, 1000):
        out = folder / str(line) / "t.csv"
        child = os.fork()
        if not child:
            run_until(line, out)
        _, status = os.waitpid(child, 0)
        if status == 0:
            break
        assert os.WTERMSIG(status) == signal.SIGKILL
        kept = results.load(out)["run"].tolist() if out.exists() else []
        table = sweep.run(grid, out=out, executor=AtOnce())
        assert table["run"].tolist()[: len(kept)] == kept
        lines = [text[:12] for text in out.read_text().splitlines()[1:]]
        assert sorted(lines) == sorted(table["run"]) == sorted(run.id for run in grid)
        assert results.provenance(out)["commands"]
    print(line - 1)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_sweep_killed_at_any_line_leaves_a_table_that_loads_and_goes_on(tmp_path):
    code = "import pathlib, tests.experiments.test_sweep as t; t.kill_at_every_line({})"
    place = f"pathlib.Path({str(tmp_path)!r})"
    command = [sys.executable, "-c", code.format(place)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 60, "lines at which it was killed"


def test_one_sweep_at_a_time_writes_a_table(tmp_path, monkeypatch):
    started, go_on = threading.Event(), threading.Event()

    def execute(run, *where, **how):
        started.set()
        assert go_on.wait(60)
        return made_up(run)

    monkeypatch.setattr(SyntheticRun, "execute", execute)
    out = tmp_path / "t.csv"
    with ThreadPoolExecutor(1) as pool, ThreadPoolExecutor(1) as thread:
        first = thread.submit(sweep.run, [tiny(0)], out=out, executor=pool)
        try:
            assert started.wait(60)
            with pytest.raises(OSError, match=r"t\.csv: another run is writing it"):
                sweep.run([tiny(1)], out=out, executor=pool)
            assert sweep.finished(out, [tiny(0)]) == set()  # but it can be read
        finally:
            go_on.set()
        first.result(timeout=60)
        assert len(sweep.run([tiny(0), tiny(1)], out=out, executor=pool)) == 2


def test_what_is_finished_beside_a_run_that_fails_is_kept(tmp_path, monkeypatch):
    last = threading.Event()

    def execute(run, *where, **how):
        if run.train.seed == 0:
            assert last.wait(60)
            time.sleep(0.2)  # until the futures of the others know
            raise ArithmeticError("this run fails")
        if run.train.seed == 2:
            last.set()
        return made_up(run)

    monkeypatch.setattr(SyntheticRun, "execute", execute)
    out = tmp_path / "t.csv"
    with ThreadPoolExecutor(2) as pool, pytest.raises(ArithmeticError):
        sweep.run([tiny(s) for s in range(3)], out=out, executor=pool)
    assert sorted(results.load(out)["seed"]) == [1, 2]


class Prepared(Executor):
    """Gives out futures that are as they were prepared, one a run."""

    def __init__(self, *futures):
        self.futures = iter(futures)

    def submit(self, function, run, *where):
        future = next(self.futures)
        if future is FINISHED:
            future = Future()
            future.set_result((made_up(run), {"torch": "1"}))
        return future


FINISHED = object()


def broken(error=None):
    future = Future()
    if error is None:
        future.cancel()
        future.set_running_or_notify_cancel()
    else:
        future.set_exception(error)
    return future


def running():
    future = Future()
    future.set_running_or_notify_cancel()
    return future


@pytest.mark.parametrize("first", [None, ArithmeticError("this run fails")])
def test_of_futures_beside_one_that_failed_only_the_finished_count(tmp_path, first):
    out, grid = tmp_path / "t.csv", [tiny(seed) for seed in range(6)]
    waiting, busy = Future(), running()
    others = (FINISHED, broken(), broken(ValueError("another")), waiting, busy)
    with pytest.raises((CancelledError, ArithmeticError, ValueError)):
        sweep.run(grid, out=out, executor=Prepared(broken(first), *others))
    assert results.load(out)["seed"].tolist() == [1]
    assert waiting.cancelled() and busy.running()


def test_here_the_runs_are_done_one_after_another_with_their_labels(tmp_path, monkeypatch):
    seen = []

    def execute(run, folder, device, *, progress):
        seen.append((run.train.seed, folder, device, progress))
        return made_up(run)

    monkeypatch.setattr(SyntheticRun, "execute", execute)
    out = tmp_path / "t.csv"
    sweep.run([tiny(0)], out=out, executor="here")
    sweep.run([tiny(s) for s in range(3)], out=out, executor="here")
    label = "base_conv, d = 16, N = 32, seed"
    folder = tmp_path / "t_runs"
    assert seen == [
        (0, folder, "cpu", f"{label} 0 (1 of 1)"),
        (1, folder, "cpu", f"{label} 1 (1 of 2)"),
        (2, folder, "cpu", f"{label} 2 (2 of 2)"),
    ]


def test_a_grid_without_a_run_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"grid = \[\]: must be at least one run"):
        sweep.run([], out=tmp_path / "t.csv", executor=AtOnce())
    assert not list(tmp_path.iterdir())
    assert sweep.finished(tmp_path / "t.csv", []) == set()


@pytest.mark.parametrize("given", [{"executor": "dask://here:1"}, {"workers": 2}])
def test_what_torchrun_has_no_use_for_is_refused(tmp_path, monkeypatch, given):
    monkeypatch.setattr(sweep, "process_group", lambda device: nullcontext((0, 2)))
    (name,) = given
    with pytest.raises(ValueError, match=f"{name} = .*: must be left out under torchrun"):
        sweep.run([tiny()], out=tmp_path / "t.csv", **given)
