"""Sweeps: resumable, atomic, honest about where a table comes from."""

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace

import pandas as pd
import pytest
import torch

from zoology_teach import plots, results, sweep
from zoology_teach.model import layer
from zoology_teach.presets import PRESETS, laptop_run
from zoology_teach.train import TrainConfig


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
    assert set(results.load(out)["seed"]) == {0, 1}
    monkeypatch.undo()
    with ThreadPoolExecutor(1) as pool:
        assert len(sweep.run(grid, out=out, executor=pool)) == 5


SWEEP_SCRIPT = """
import signal
import sys
from zoology_teach import sweep
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


def test_a_table_of_another_version_is_refused(tmp_path, counted):
    pool, _ = counted
    out = tmp_path / "t.csv"
    sweep.run([tiny()], out=out, executor=pool)
    note = json.loads(out.with_suffix(".json").read_text())
    out.with_suffix(".json").write_text(json.dumps({**note, "format": 0}))
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


def test_workers_must_be_a_number(tmp_path):
    with pytest.raises(ValueError, match="workers = 0"):
        sweep.run([tiny()], out=tmp_path / "t.csv", workers=0)


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
