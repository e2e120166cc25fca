"""``zoology-teach sweep`` and ``text``: what they ask for and refuse, mixers from outside."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch
from typer.testing import CliRunner

from tests.experiments.runs import MY_MIXER, made_up, tiny
from zoology_teach import plots
from zoology_teach.cli import app
from zoology_teach.experiments import results, sweep, synthetic_presets, text_presets, text_runs
from zoology_teach.experiments.sweep import runs_folder
from zoology_teach.experiments.synthetic_runs import SyntheticRun
from zoology_teach.files import book


def invoke(*words):
    return CliRunner().invoke(app, list(map(str, words)))


@pytest.fixture
def asked(monkeypatch):
    """What `sweep.run` is asked for, of a preset of three small runs."""
    calls = []
    monkeypatch.setattr(sweep, "run", lambda grid, **options: calls.append((grid, options)))
    runs = [tiny(seed) for seed in range(3)]
    monkeypatch.setitem(synthetic_presets.PRESETS, "figure2", {"laptop": lambda: runs})
    return calls


def test_sweep_writes_the_table_of_the_book(asked):
    assert invoke("sweep", "figure2", "--preset", "laptop", "--workers", "2").exit_code == 0
    ((grid, options),) = asked
    assert [run.id for run in grid] == [tiny(seed).id for seed in range(3)]
    assert options["out"] == book() / "results" / "figure2.csv"
    assert options["workers"] == 2 and options["device"] == "cpu" and not options["plugins"]
    assert options["command"].startswith("zoology-teach")


def test_sweep_dry_run_counts_and_measures_nothing(asked, monkeypatch):
    monkeypatch.setattr(sweep, "finished", lambda out, grid: {grid[0].id})
    result = invoke("sweep", "figure2", "--preset", "laptop", "--dry-run")
    assert "figure2.csv: 3 runs, 1 done, 2 to go" in result.output
    assert not asked


@pytest.mark.parametrize(
    "words, message",
    [
        (["figure3", "--preset", "laptop"], "sweep = 'figure3': must be one of figure2"),
        (["figure2", "--preset", "desktop"], "preset = 'desktop': must be one of laptop"),
    ],
)
def test_sweep_lists_the_choices(words, message):
    result = invoke("sweep", *words)
    assert result.exit_code == 2
    assert result.stderr.startswith(f"zoology-teach: {message}") and result.stderr.count("\n") == 1


def test_other_runs_need_a_table_of_their_own(asked):
    result = invoke("sweep", "figure2", "--preset", "laptop", "--steps", "7")
    assert result.exit_code == 2 and "--out" in result.output and not asked


def test_a_table_of_the_book_takes_its_own_runs_only():
    for options in (
        ["--steps", "5"],
        ["--lr", "6e-3"],
        ["--seed", "7"],
        ["--source", "book"],
        ["--mixer", "hybrid_random"],
    ):
        result = CliRunner().invoke(app, ["text", "--preset", "laptop", *options])
        assert result.exit_code == 2 and "--out" in result.output, result.output


def test_a_learning_rate_of_ones_own(preset, tmp_path):
    """It is the text's; the preset's own is no other run."""
    out = tmp_path / "rates.csv"
    command = ["text", "--preset", "laptop", "--mixer", "base_conv", "--seed", "0", "--out", out]
    for lr in (6e-3, text_presets.PRESETS["laptop"].train.lr, 6e-3):
        result = invoke(*command, "--lr", lr)
        assert result.exit_code == 0, result.output
    assert list(pd.read_csv(out).lr) == [6e-3, text_presets.PRESETS["laptop"].train.lr]
    refused = invoke(*command, "--lr", "nan")
    assert refused.exit_code == 2 and "lr = nan" in refused.output


def test_the_command_goes_on_where_it_stopped(preset, tmp_path, monkeypatch):
    out = tmp_path / "text.csv"
    command = ["text", "--preset", "laptop", "--mixer", "base_conv", "--out", str(out)]

    def interrupt(*args, **options):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(text_runs, "measured", interrupt)
        stopped = CliRunner().invoke(app, [*command, "--seed", "1"])
    assert (stopped.exit_code, out.exists()) == (130, False), stopped.output
    assert (
        "1 runs, 0 done, 1 to go"
        in CliRunner().invoke(app, [*command, "--seed", "1", "--dry-run"]).stdout
    )
    assert CliRunner().invoke(app, [*command, "--seed", "1"]).exit_code == 0
    assert "3 runs, 1 done, 2 to go" in CliRunner().invoke(app, [*command, "--dry-run"]).stdout
    assert len(list(runs_folder(out).glob("*.npy"))) == 1
    note = json.loads(out.with_suffix(".json").read_text())
    assert note["commands"][0]["device"] == "cpu"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--preset", "desktop"],
            "preset = 'desktop': must be one of laptop, longer, gpu_shipped, gpu, pile",
        ),
        (["--preset", "laptop", "--mixer", "attn"], "attn"),
        (
            ["--preset", "laptop", "--source", "no/such"],
            "source = 'no/such': must be 'shakespeare'",
        ),
    ],
)
def test_a_wrong_command_is_answered_in_one_line(options, message, tmp_path):
    result = CliRunner().invoke(app, ["text", *options, "--out", str(tmp_path / "text.csv")])
    assert result.exit_code == 2
    assert result.stderr.startswith("zoology-teach: ") and result.stderr.count("\n") == 1
    assert message in result.stderr


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is at hand")
def test_a_preset_for_a_gpu_says_that_there_is_none(tmp_path):
    out = str(tmp_path / "text.csv")
    result = CliRunner().invoke(app, ["text", "--preset", "gpu", "--out", out])
    assert result.exit_code == 2
    assert result.stderr.startswith("zoology-teach: device = 'cuda': must be there; no GPU")


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """A folder of somebody's own, its name with a space, and in it a mixer."""
    folder = tmp_path / "my work"
    folder.mkdir()
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield shutil.copy(MY_MIXER, folder / "delta_one.py")
    sys.modules.pop("delta_one", None)


def command(*words, cwd=None):
    """The command in a process of its own."""
    done = subprocess.run(
        [Path(sys.executable).with_name("zoology-teach"), *map(str, words)],
        env=os.environ | {"PYTHONPATH": str(Path.cwd()), "OMP_NUM_THREADS": "1"},
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=300,
    )
    return done


CELL = "--width 16 --length 32 --seed 0 --steps 20 --workers 2".split()


@pytest.mark.slow
def test_a_mixer_from_outside_is_measured_and_shown(mine):
    """By its relative path, in processes that are started afresh, beside a second plugin."""
    folder = Path(mine).parent
    (folder / "delta_two.py").write_text(Path(mine).read_text().replace("Delta", "Twice"))
    plugins = ["--plugin", "delta_one.py", "--plugin", "../my work/delta_two.py"]
    table = folder / "T.csv"
    words = ["sweep", "figure2", "--preset", "identity", *plugins, *CELL, "--out", "T.csv"]
    done = command(*words, cwd=folder)
    assert done.returncode == 0, done.stderr
    runs = results.load(table)
    assert set(runs["mixer"]) == {"delta_one:Delta", "delta_two:Twice"} and len(runs) == 6
    assert set(runs["steps"]) == {20} and set(runs["state_size"]) == {16 * 16 + 2 * 16}
    (note,) = results.provenance(table)["commands"]
    assert note["plugins"].startswith("delta_one.py ") and ", delta_two.py " in note["plugins"]
    again = command(*words, "--dry-run", cwd=folder)
    assert again.stdout == "T.csv: 6 runs, 6 done, 0 to go\n"
    for picture in (plots.accuracy_by_width(runs), plots.width_and_state(runs, 16, 32)):
        (legend,) = picture.figure.legends
        named = [text.get_text() for text in legend.get_texts()]
        for name in ("delta_one:Delta", "delta_two:Twice"):
            assert sum(label.startswith(name) for label in named) == 1
            assert name in picture.alt


@pytest.mark.slow
def test_the_shipped_examples_are_measured_and_shown(tmp_path):
    files = sorted((Path(__file__).parents[2] / "examples").glob("*.py"))
    words = ["sweep", "figure2", "--preset", "identity", *CELL, "--out", tmp_path / "T.csv"]
    done = command(*words, *(word for file in files for word in ("--plugin", file)))
    assert done.returncode == 0, done.stderr
    runs = results.load(tmp_path / "T.csv")
    own = {"delta_rule:DeltaRule": 256, "gated_delta_rule:GatedDeltaRule": 256}
    own |= {"mamba2:Mamba2": 16 * 32 + 3 * (16 + 2 * 32)}
    sizes = runs.set_index("mixer")["state_size"].to_dict()
    assert sizes == {name: size + 2 * 16 for name, size in own.items()}, "and a short BaseConv"
    picture = plots.width_and_state(runs, 16, 32)
    assert all(name in picture.alt for name in own)


def test_a_mixer_from_outside_reads_text(mine, preset, tmp_path):
    words = ["text", "--preset", "laptop", "--plugin", mine, "--steps", 3, "--seed", 0]
    done = invoke(*words, "--out", tmp_path / "t.csv")
    assert done.exit_code == 0, done.output
    row = pd.read_csv(tmp_path / "t.csv").iloc[0]
    assert (row["mixer"], row["layers"], row["steps"]) == (
        "delta_one:Delta", "base_conv delta_one:Delta", 3,
    )  # fmt: skip
    note = json.loads((tmp_path / "t.json").read_text())["commands"][0]
    assert note["plugins"].startswith("delta_one.py ")


def test_a_plugin_named_twice_is_one_curve(mine, tmp_path, monkeypatch):
    monkeypatch.setattr(SyntheticRun, "execute", made_up)
    words = ["sweep", "figure2", "--preset", "identity", "--plugin", mine, *CELL]
    words += ["--mixer", "delta_one:Delta", "--out", tmp_path / "t.csv", "--dry-run"]
    assert "3 runs, 0 done, 3 to go" in invoke(*words).output


def test_a_plugin_that_was_edited_is_refused_before_it_is_counted(mine, tmp_path):
    out = tmp_path / "t.csv"
    results.note_provenance(out, "", {"plugins": "delta_one.py 0123"})
    out.touch()
    words = ["sweep", "figure2", "--preset", "identity", "--plugin", mine, *CELL]
    result = invoke(*words, "--out", out, "--dry-run")
    assert result.exit_code == 2 and "runs of the delta_one.py that was delta_one.py 0123" in (
        result.stderr
    )


def test_a_wrong_plugin_is_refused_in_one_line(tmp_path):
    (tmp_path / "no_mixer_here.py").write_text("x = 1\n")
    words = ["sweep", "figure2", "--preset", "identity", "--out", tmp_path / "t.csv"]
    result = invoke(*words, "--plugin", tmp_path / "no_mixer_here.py")
    assert result.exit_code == 2 and result.stderr.count("\n") == 1
    assert result.stderr.startswith("zoology-teach: plugin = ")
