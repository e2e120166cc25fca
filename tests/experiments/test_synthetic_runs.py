"""One run on a synthetic task: its identity, its row, what is left when it is interrupted."""

import json
import math
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context

import pandas as pd
import pytest
import torch

from tests.experiments.runs import tiny
from zoology_teach import plots
from zoology_teach.experiments import sweep
from zoology_teach.model import layer
from zoology_teach.tasks.mqar import MQAR
from zoology_teach.training import Stage, loop


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
    code = "from tests.experiments.runs import tiny; print(tiny().id)"
    seen = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert seen.stdout.strip() == tiny().id


def test_a_run_that_diverges_is_a_row_and_not_the_end(tmp_path, counted):
    wild = tiny(lr=1e30, clip=1e30, warmup=0.0, steps=50)
    table = sweep.run([wild, tiny()], out=tmp_path / "t.csv", executor=counted[0])
    row = table[table["run"] == wild.id].iloc[0]
    assert pd.isna(row["accuracy"]) and 0 < row["steps"] < 50
    assert plots.spread(table)["mean"].notna().all()


def test_a_field_at_its_default_leaves_an_id_alone_and_any_other_value_changes_it():
    """Ids of the committed tables hash what is not at its default."""
    assert tiny().id == replace(tiny(), train=replace(tiny().train, before=())).id
    changed = [
        {"train": replace(tiny().train, **{name: value})}
        for name, value in {
            "steps": 4,
            "batch_size": 31,
            "lr": 0.02,
            "weight_decay": 0.0,
            "warmup": 0.0,
            "train_examples": 64,
            "eval_every": 1,
            "seed": 9,
            "before": (Stage(MQAR(8, 1, 256), 1, 4),),
            "fresh_optimizer": True,
        }.items()
    ]
    changed.append({"train": replace(tiny().train, eval_every=1, stop_accuracy=0.5)})
    assert len({replace(tiny(), **change).id for change in changed} | {tiny().id}) == 12


def work(run, folder):
    return run.execute(folder)


def test_the_same_run_gives_the_same_numbers_in_any_process(tmp_path):
    # As many threads as here: sums of another number of threads round in another order.
    with ProcessPoolExecutor(2, get_context("spawn"), torch.set_num_threads, (1,)) as pool:
        rows = list(pool.map(work, [tiny()] * 2, [tmp_path] * 2))
    rows.append(tiny().execute(tmp_path))
    assert len({(row["accuracy"], row["loss"]) for row in rows}) == 1
    assert not list(tmp_path.iterdir()), "a short run leaves nothing"


def test_the_row_says_how_its_lessons_ended(tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "MASTERED_OVER", 2)
    easy = MQAR(8, 1, 256)
    lessons = (
        Stage(easy, 4, 4),
        Stage(easy, 30, 64, until=1e-9, lr=3e-2),
        Stage(easy, 3, 4, until=1.0),
    )
    run = tiny(steps=5, before=lessons)
    row = run.execute(tmp_path)
    (first, mastered, last) = json.loads(row["stages"])
    assert first == [4, False] and last == [3, False]
    assert mastered[1] is (mastered[0] < 30)
    assert row["steps"] == 4 + mastered[0] + 3 + 5
    assert tiny().execute(tmp_path)["stages"] == ""
    assert json.loads(row["config"])["train"]["before"][0]["steps"] == 4


def test_an_interrupted_run_has_no_row_and_goes_on(tmp_path, monkeypatch):
    whole = tiny(steps=8).execute(tmp_path / "whole")
    drawn = []

    def sample(task, *args, original=MQAR.sample, **options):
        drawn.append(1)
        if len(drawn) == 5:
            raise KeyboardInterrupt
        return original(task, *args, **options)

    def eager(*args, original=loop.train, **options):
        return original(*args, **options | {"save_seconds": 0})

    monkeypatch.setattr("zoology_teach.experiments.synthetic_runs.train", eager)
    with monkeypatch.context() as patch:
        patch.setattr(MQAR, "sample", sample)
        with pytest.raises(KeyboardInterrupt):
            tiny(steps=8).execute(tmp_path)
    assert (tmp_path / f"{tiny(steps=8).id}.pt").exists()
    row = tiny(steps=8).execute(tmp_path)
    assert (row["accuracy"], row["loss"]) == (whole["accuracy"], whole["loss"])
    assert not (tmp_path / f"{tiny(steps=8).id}.pt").exists()


def test_its_accuracy_is_of_examples_that_nothing_is_trained_on(tmp_path, monkeypatch):
    drawn = []

    def sample(task, num_examples, seed, original=MQAR.sample):
        drawn.append((num_examples, seed))
        return original(task, num_examples, seed)

    monkeypatch.setattr(MQAR, "sample", sample)
    row = tiny(3).execute(tmp_path)
    assert [d for d in drawn if isinstance(d[1], int)] == [(20, 2 * 3 + 1)]
    assert (row["seed"], row["batch_size"], row["lr"], row["d_model"]) == (3, 32, 0.01, 16)
    assert (row["seq_len"], row["num_pairs"], row["vocab_size"]) == (32, 4, 256)
    assert row["mixer"] == "base_conv" and row["recipe"] == "identity-like init"
    assert 0 < row["cpu_seconds"] and 0 < row["seconds"]


def test_a_run_lost_at_its_first_step_has_a_row(tmp_path, monkeypatch):
    row = tiny(lr=1e30, clip=1e30, warmup=0.0, steps=50).execute(tmp_path)
    assert math.isnan(row["accuracy"]) and math.isnan(row["loss"])
