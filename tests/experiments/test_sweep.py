"""Sweeps: resumable, atomic, honest about where a table comes from."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch

from zoology_teach import plots
from zoology_teach.experiments import results, sweep
from zoology_teach.experiments.synthetic_presets import PRESETS, laptop_run
from zoology_teach.model import layer
from zoology_teach.training import TrainConfig


def tiny(seed: int = 0, mixer: str = "base_conv", **train):
    run = laptop_run(mixer, 16, 32, seed, steps=3)
    return replace(
        run, train=TrainConfig(**{"steps": 3, "eval_examples": 20, "seed": seed, **train})
    )


@pytest.fixture
def counted(monkeypatch):
    """An executor in this process that counts the runs it is given."""
    done = []

    def execute(run, original=sweep.execute):
        done.append(run.id)
        return original(run)

    monkeypatch.setattr(sweep, "execute", execute)
    with ThreadPoolExecutor(1) as pool:
        yield pool, done


def test_a_sweep_does_only_what_is_missing(tmp_path, counted):
    pool, done = counted
    out = tmp_path / "new" / "table.csv"
    first = sweep.run([tiny(0), tiny(1)], out=out, executor=pool)
    assert len(first) == len(done) == 2
    again = sweep.run([tiny(0), tiny(1), tiny(2), tiny(2)], out=out, executor=pool)
    assert len(again) == len(done) == 3
    assert set(again["run"]) == {tiny(s).id for s in range(3)}
    assert sweep.finished(out, [tiny(1), tiny(9)]) == {tiny(1).id}


def test_every_field_is_stored_and_changes_the_id(tmp_path, counted):
    run = tiny()
    row = sweep.run([run], out=tmp_path / "t.csv", executor=counted[0]).iloc[0]
    config = json.loads(row["config"])
    assert config["model"]["layers"][1]["options"] == {
        "filter": "long", "max_len": 32, "init": "identity",
    }  # fmt: skip
    assert set(config["train"]) == set(vars(run.train))
    assert row["state_size"] == 16 * 2 + 16 * 32 and row["steps"] == 3
    other_model = replace(run.model, layers=(*run.model.layers, layer("attention")))
    changed = [
        replace(run, model=other_model),
        replace(run, train=replace(run.train, clip=2.0)),
        replace(run, task=replace(run.task, power=0.1)),
        replace(run, recipe="another"),
    ]
    assert len({run.id, *(c.id for c in changed)}) == 5


def test_ids_outlive_the_process():
    code = "from tests.test_sweep import tiny; print(tiny().id)"
    seen = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert seen.stdout.strip() == tiny().id


def test_the_same_run_gives_the_same_numbers(tmp_path):
    with ProcessPoolExecutor(2) as pool:
        rows = list(pool.map(sweep.execute, [tiny(), tiny()]))
    assert rows[0]["accuracy"] == rows[1]["accuracy"] and rows[0]["loss"] == rows[1]["loss"]


def test_a_run_that_diverges_is_a_row_and_not_the_end(tmp_path, counted):
    wild = tiny(lr=1e30, clip=1e30, warmup=0.0, steps=50)
    table = sweep.run([wild, tiny()], out=tmp_path / "t.csv", executor=counted[0])
    row = table[table["run"] == wild.id].iloc[0]
    assert pd.isna(row["accuracy"]) and 0 < row["steps"] < 50
    assert plots.spread(table)["mean"].notna().all()


def test_an_interrupt_keeps_the_finished_runs(tmp_path, monkeypatch):
    def execute(run, original=sweep.execute):
        if run.train.seed == 2:
            raise KeyboardInterrupt
        return original(run)

    monkeypatch.setattr(sweep, "execute", execute)
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
from tests.test_sweep import tiny

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a background shell ignores it
    sweep.run([tiny(s, steps=120) for s in range(30)], out=sys.argv[1], workers=2)
"""


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
from tests.test_sweep import tiny

if __name__ == "__main__":
    runs = [tiny(s, steps=100) for s in range(12)]
    synthetic_presets.PRESETS["figure2"] = {"laptop": lambda: runs}
    cli.main()
"""


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


class AtOnce(Executor):
    """Does what it is given when it is given it."""

    def submit(self, function, *args):
        future = Future()
        future.set_result(function(*args))
        return future


def made_up(run):
    """A row without a training."""
    row = {**dict.fromkeys(results.COLUMNS, 1), "run": run.id, "seed": run.train.seed}
    return {**row, "recipe": 'ö, "quoted"', "config": "{}"}


def kill_at_every_line(folder: Path) -> None:
    """A sweep, killed as it comes to its first line, its second, ... that touches the table."""
    sweep.execute = made_up
    grid = [tiny(0), tiny(1)]
    watched = {f.__code__ for f in vars(results).values() if hasattr(f, "__code__")}
    watched |= {sweep.run.__code__, sweep._do.__code__, sweep.finished.__code__}
    watched |= {f.__wrapped__.__code__ for f in (results.sole_writer,)}
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


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_sweep_killed_at_any_line_leaves_a_table_that_loads_and_goes_on(tmp_path):
    code = "import sys, pathlib, tests.test_sweep as t; t.kill_at_every_line(pathlib.Path({!r}))"
    command = [sys.executable, "-c", code.format(str(tmp_path))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 60, "lines at which it was killed"


def test_a_table_cut_off_anywhere_loads_and_goes_on(tmp_path):
    out = tmp_path / "t.csv"
    rows = [made_up(tiny(seed)) for seed in range(3)]
    results.note_provenance(out, "", results.environment())
    for row in rows[:2]:
        results.append(out, row)
    whole = out.read_bytes()
    for end in range(len(whole) + 1):
        out.write_bytes(whole[:end])
        kept = max(whole[:end].count(b"\n") - 1, 0)
        assert results.load(out)["seed"].tolist() == [0, 1][:kept]
        results.mend(out)
        results.append(out, rows[2])
        assert results.load(out)["seed"].tolist() == [*[0, 1][:kept], 2]


def test_a_disk_that_is_full_leaves_no_half_row(tmp_path):
    resource = pytest.importorskip("resource")
    out = tmp_path / "t.csv"
    results.note_provenance(out, "", results.environment())
    results.append(out, made_up(tiny(0)))
    whole = out.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(whole) + 20, limits[1]))
    try:
        with pytest.raises(OSError, match="no room for another row"):
            results.append(out, made_up(tiny(1)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert out.read_bytes() == whole


def test_one_sweep_at_a_time_writes_a_table(tmp_path, monkeypatch):
    started, go_on = threading.Event(), threading.Event()

    def execute(run):
        started.set()
        assert go_on.wait(60)
        return made_up(run)

    monkeypatch.setattr(sweep, "execute", execute)
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

    def execute(run):
        if run.train.seed == 0:
            assert last.wait(60)
            time.sleep(0.2)  # until the futures of the others know
            raise ArithmeticError("this run fails")
        if run.train.seed == 2:
            last.set()
        return made_up(run)

    monkeypatch.setattr(sweep, "execute", execute)
    out = tmp_path / "t.csv"
    with ThreadPoolExecutor(2) as pool, pytest.raises(ArithmeticError):
        sweep.run([tiny(s) for s in range(3)], out=out, executor=pool)
    assert sorted(results.load(out)["seed"]) == [1, 2]


def test_the_machines_that_made_the_rows_are_noted(tmp_path, monkeypatch):
    out = tmp_path / "t.csv"
    here, there = {"torch": "2.13.0"}, {"torch": "2.13.0+cuda"}
    seen = iter([here, there, there, here])
    monkeypatch.setattr(sweep, "environment", lambda: next(seen))
    monkeypatch.setattr(sweep, "execute", made_up)
    sweep.run([tiny(s) for s in range(3)], out=out, executor=AtOnce())
    assert [entry["torch"] for entry in results.provenance(out)["commands"]] == [
        "2.13.0", "2.13.0+cuda",
    ]  # fmt: skip


def test_a_file_that_is_no_table_is_left_as_it_is(tmp_path):
    out = tmp_path / "notes.csv"
    out.write_text("a file of another kind, without an end of line")
    with pytest.raises(ValueError, match="not a table of format 1"):
        sweep.run([tiny()], out=out, executor=AtOnce())
    assert out.read_text().endswith("end of line")
    out.unlink()
    out.with_suffix(".json").write_text("{")
    with pytest.raises(ValueError, match=r"notes\.json: not the provenance of a table"):
        sweep.run([tiny()], out=out, executor=AtOnce())
    assert not out.exists()


def test_a_table_of_another_version_is_refused(tmp_path, counted):
    pool, _ = counted
    out = tmp_path / "t.csv"
    sweep.run([tiny()], out=out, executor=pool)
    note = json.loads(out.with_suffix(".json").read_text())
    out.with_suffix(".json").write_text(json.dumps({**note, "format": 0}))
    with pytest.raises(ValueError, match="format 0, this version reads 1"):
        sweep.run([tiny()], out=out, executor=pool)
    out.unlink()
    with pytest.raises(ValueError, match="format 0, this version reads 1"):
        sweep.run([tiny()], out=out, executor=pool)
    out.write_text("model,accuracy\nbase_conv,0.5\n")
    with pytest.raises(ValueError, match="not a table of format 1"):
        results.load(out)


def test_provenance_says_how_it_was_made(tmp_path, counted):
    out = tmp_path / "t.csv"
    sweep.run([tiny()], out=out, executor=counted[0], command="zoology-teach sweep figure2")
    (entry,) = results.provenance(out)["commands"]
    assert entry["command"] == "zoology-teach sweep figure2"
    assert entry["torch"] == torch.__version__


def test_workers_must_be_a_number_and_our_own(tmp_path):
    with pytest.raises(ValueError, match="workers = 0"):
        sweep.run([tiny()], out=tmp_path / "t.csv", workers=0)
    with pytest.raises(ValueError, match="workers = 2: must be left out"):
        sweep.run([tiny()], out=tmp_path / "t.csv", workers=2, executor=AtOnce())


def test_the_paper_preset_is_the_papers_set_up():
    runs = PRESETS["figure2"]["paper"]()
    assert {r.task.vocab_size for r in runs} == {8192}
    shapes = {(r.task.seq_len, r.task.num_pairs, r.train.batch_size) for r in runs}
    assert shapes == {(64, 4, 512), (128, 8, 512), (256, 16, 256), (512, 64, 128)}
    assert {r.model.d_model for r in runs} == {64, 128, 256, 512}
    rates = sorted({r.train.lr for r in runs})
    assert rates == pytest.approx([1e-4, 10 ** (-10 / 3), 10 ** (-8 / 3), 1e-2])
    assert {r.train.train_examples for r in runs} == {100_000}
    assert all(len(r.model.layers) == 2 for r in runs)
    assert {r.model.max_len is not None for r in runs if r.mixer == "base_conv"} == {False}
    assert len({r.id for r in runs}) == len(runs)
