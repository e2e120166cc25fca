"""What the tests of experiments share."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import torch

from zoology_teach.experiments import results
from zoology_teach.experiments.cells import spread
from zoology_teach.experiments.synthetic_runs import SyntheticRun
from zoology_teach.experiments.text_presets import PRESETS
from zoology_teach.tasks.source import Text
from zoology_teach.training import TrainConfig


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def table(request):
    """The table of the book that the module names `TABLE`."""
    return results.load(request.module.TABLE)


@pytest.fixture(scope="module")
def mean(table):
    """The mean accuracy of each cell, by mixer, length and width."""
    return spread(table).set_index(["mixer", "seq_len", "d_model"])["mean"]


@pytest.fixture
def counted(monkeypatch):
    """An executor in this process, and the ids of the runs that it was given."""
    done = []

    def execute(run, *where, original=SyntheticRun.execute, **how):
        done.append(run.id)
        return original(run, *where, **how)

    monkeypatch.setattr(SyntheticRun, "execute", execute)
    with ThreadPoolExecutor(1) as pool:
        yield pool, done


@pytest.fixture
def preset(monkeypatch, tmp_path):
    """The laptop's preset for texts, but it trains in a second on a folder of three files."""
    folder = tmp_path / "texts"
    folder.mkdir()
    for i in range(3):
        (folder / f"{i}.txt").write_text(f"Exit Caliban {i}, a bear. Enter Caliban. " * 60)
    small = replace(
        PRESETS["laptop"],
        text=Text(str(folder), 32, held_out=0.4),
        d_model=16,
        parameters=40_000,
        train=TrainConfig(steps=3, batch_size=4, eval_examples=5, eval_every=2),
        warm_ups=(False,),
        choosing=(),
    )
    monkeypatch.setitem(PRESETS, "laptop", small)
    return small
