"""benchmarks/gpu.py without a GPU: every piece at small sizes, cut off once and continued."""

import importlib
import itertools
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from zoology_teach.experiments import results, sweep
from zoology_teach.experiments.synthetic_presets import PRESETS as SYNTHETIC
from zoology_teach.experiments.text_presets import PRESETS as TEXT
from zoology_teach.model import LanguageModel, match_parameters
from zoology_teach.training import checkpoint, time_limit

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def gpu():
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        return importlib.import_module("gpu")
    finally:
        sys.path.remove(str(ROOT / "benchmarks"))


@pytest.fixture
def ticking(gpu, monkeypatch):
    """A clock on which a second passes whenever somebody looks."""
    seconds = itertools.count(1000.0)
    clock = SimpleNamespace(time=lambda: next(seconds))
    monkeypatch.setattr(gpu, "time", clock)
    monkeypatch.setattr(time_limit, "time", clock)


def synthetic_runs(gpu):
    """The first two of the paper's, at 2 % of its sizes."""
    first = gpu.most_telling(SYNTHETIC["figure2"]["released"]())[:2]
    small = {"steps": 6, "batch_size": 8, "train_examples": 16, "eval_examples": 8, "eval_every": 3}
    return [
        replace(
            run,
            task=replace(run.task, seq_len=64, num_pairs=4, vocab_size=64),
            model=replace(run.model, vocab_size=64, d_model=8),
            train=replace(run.train, **small),
        )
        for run in first
    ]


def text_run():
    """The first of the preset, of a few thousand parameters."""
    run = TEXT["gpu_shipped"].run("hybrid_short_conv", warm_up=True)
    before = tuple(replace(stage, steps=2, batch_size=4) for stage in run.train.before)
    budget = replace(run.train, steps=3, batch_size=2, eval_examples=2, before=before)
    layers = tuple(
        replace(one, options=one.options | {"num_heads": 1}) if "num_heads" in one.options else one
        for one in run.model.layers[2:4]
    )
    model = match_parameters(replace(run.model, d_model=8, layers=layers, mlp=None), 20_000)
    return replace(run, text=replace(run.text, seq_len=64), model=model, train=budget)


def records(folder, run):
    return len(checkpoint.load(folder / f"{run.id}.pt")["records"])


def test_what_a_gpu_tests_is_there(gpu):
    paths = gpu.compiled_tests()
    assert len(paths) > 8 and all(path.exists() for path in paths)


def test_the_papers_figure_is_cut_off_and_goes_on(gpu, ticking, tmp_path):
    runs, out = synthetic_runs(gpu), tmp_path / "figure2.csv"
    piece = gpu.trainings("figure2", runs, out, "cpu", workers=1)
    piece.work(5.0)
    assert piece.left() == "2 of 2 runs"
    assert 0 < records(sweep.runs_folder(out), runs[0]) < 6
    piece.work(1000.0)
    assert not piece.left()
    table = results.load(out)
    assert list(table["run"]) == [run.id for run in runs] and set(table["steps"]) == {6}
    assert results.provenance(out)["commands"][0]["device"] == "cpu"
    at_once = [run.execute(None)["loss"] for run in runs]
    assert list(table["loss"]) == at_once


def test_workers_stop_at_the_limit_too(gpu, tmp_path):
    runs, out = synthetic_runs(gpu), tmp_path / "figure2.csv"
    piece = gpu.trainings("figure2", runs, out, "cpu", workers=2)
    piece.work(0.0)
    assert piece.left() == "2 of 2 runs"
    assert records(sweep.runs_folder(out), runs[0]) == 1


def test_an_interrupt_by_hand_ends_everything(gpu, tmp_path, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(gpu.sweep, "run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        gpu.trainings("figure2", [], tmp_path / "figure2.csv", "cpu", 1).work(1000.0)


def test_the_text_table_is_cut_off_and_goes_on(gpu, ticking, tmp_path):
    run, out = text_run(), tmp_path / "text.csv"
    piece = gpu.trainings("text", [run], out, "cpu", workers=1)
    piece.work(4.0)
    assert piece.left() == "1 of 1 runs"
    assert 0 < records(sweep.runs_folder(out), run) < 9
    piece.work(1000.0)
    assert not piece.left()
    (row,) = results.load(out, run.columns).to_dict("records")
    assert (row["mixer"], row["warm_up"], row["device"]) == (run.mixer, 6, "cpu")


def test_test_files_are_cut_off_and_go_on(gpu, tmp_path, monkeypatch):
    bad = tmp_path / "test_two.py"
    bad.write_text("def test_right():\n    assert True\ndef test_wrong():\n    assert 1 == 2\n")
    monkeypatch.setattr(importlib.import_module("gpu_tests"), "ROOT", tmp_path)
    piece = gpu.tests([bad], tmp_path / "tests.csv", "cpu")
    piece.work(0.0)
    assert piece.left() == "test_two.py" and not piece.failed()
    piece.work(100.0)
    assert not piece.left() and piece.failed() == "1 tests failed: tests.csv"
    (row,) = results.load(tmp_path / "tests.csv", piece_columns()).to_dict("records")
    assert (row["tests"], row["failed"], row["skipped"]) == (2, 1, 0)
    assert "test_wrong: " in row["failures"] and "assert 1 == 2" in row["failures"]
    bad.write_text("def test_right():\n    assert True\n")
    assert piece.left() == "test_two.py", "another file is another run"


def piece_columns():
    return importlib.import_module("gpu_tests").COLUMNS


def test_a_script_is_cut_off_and_goes_on(gpu, tmp_path):
    code = "import sys, time, pathlib; p = pathlib.Path(sys.argv[1])\n"
    code += "if p.exists(): sys.exit(0)\np.touch(); time.sleep(100)"
    piece = gpu.script("kernels", [sys.executable, "-c", code, str(tmp_path / "kept")])
    while not (tmp_path / "kept").exists():
        piece.work(1.0)
    assert piece.left() == "not through (status None)"
    piece.work(100.0)
    assert not piece.left() and not piece.failed()


def test_pieces_share_the_time_and_one_that_fails_stops_no_other(gpu, ticking, capsys):
    given = []

    def fails(seconds):
        given.append(seconds)
        raise ValueError("no\nroom")

    pieces = [gpu.Piece("a", fails, lambda: "b.py"), gpu.Piece("b", given.append, lambda: "")]
    assert gpu.go_on(pieces, 101.0) == 1
    assert given == [50.0, 99.0]
    said = capsys.readouterr().out.splitlines()
    assert said[-2:] == ["a: left: b.py; ValueError: no room", "b: done"]


def test_what_runs_on_the_gpu(gpu):
    assert [piece.name for piece in gpu.pieces(4)] == ["tests", "kernels", "figure2", "text"]
    runs = gpu.most_telling(SYNTHETIC["figure2"]["released"]())
    first = [(run.mixer, run.model.d_model, run.task.seq_len) for run in runs[:12]]
    mixers, widths = ("attention", "base_conv", "hyena"), (64, 128, 256, 512)
    assert first == [(mixer, width, 256) for width in widths for mixer in mixers]
    assert len(runs) == 4 * 4 * 4 * 3 * 7


def test_the_released_configuration():
    """By options; the ids are other ones than those of the preset paper."""
    paper, runs = (SYNTHETIC["figure2"][name]() for name in ("paper", "released"))
    assert not {run.id for run in paper} & {run.id for run in runs}
    last = {(run.mixer, run.task.seq_len): run.model.layers[1].options for run in runs}
    for n in (64, 128, 256, 512):
        assert last["h3", n] == {"d_state": n}
        assert last["mamba", n] == {"expand": 2}
        assert last["linear_attention", n] == {"feature_dim": 8}
    assert {run.train.clip for run in runs} == {1e9}


def test_text_models_are_of_one_size():
    sizes = []
    for run in TEXT["gpu_shipped"].runs(seeds=[0]):
        with torch.device("meta"):
            sizes.append(LanguageModel(run.model).num_parameters())
    assert len(sizes) == 12 and max(sizes) <= 1.01 * min(sizes)
    assert all(10e6 < size < 30e6 for size in sizes)


def test_copies_what_was_written(gpu, tmp_path, monkeypatch):
    monkeypatch.setattr(gpu, "RESULTS", tmp_path / "results")
    (tmp_path / "results" / "a_runs").mkdir(parents=True)
    for name, written in {"old.csv": 1.0, "a.csv": 9.0, "a.json": 9.0, "a.lock": 9.0}.items():
        (tmp_path / "results" / name).write_text(name)
        os.utime(tmp_path / "results" / name, (written, written))
    gpu.copy_tables(5.0, tmp_path / "out")
    assert {p.name: p.read_text() for p in (tmp_path / "out").iterdir()} == {
        "a.csv": "a.csv",
        "a.json": "a.json",
    }


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_so():
    command = [sys.executable, str(ROOT / "benchmarks" / "gpu.py")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr == "make gpu: there is no GPU that PyTorch can use here\n"
