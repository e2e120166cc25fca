"""The held-out text itself: a passage token by token, perplexities by document."""

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from zoology_teach.cli import app
from zoology_teach.experiments import sweep
from zoology_teach.experiments.text_held_out import by_document, passage, telling_blocks
from zoology_teach.experiments.text_presets import PRESETS
from zoology_teach.experiments.text_runs import losses_of


def test_a_passage_shows_the_models_side_by_side(preset, tmp_path, monkeypatch):
    monkeypatch.setitem(PRESETS, "laptop", preset.only(["base_conv", "attention"]))
    out = tmp_path / "text.csv"
    done = CliRunner().invoke(app, ["text", "--preset", "laptop", "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert len(pd.read_csv(out)) == 6
    shown = pd.read_csv(tmp_path / "text_passage.csv", keep_default_na=False)
    assert list(shown) == "block document token ar opportunity base_conv attention".split()
    assert len(shown) == 2 * 32 and shown["block"].nunique() == 2
    assert (shown["ar"] <= shown["opportunity"]).all()
    first = pd.read_csv(out).query("mixer == 'attention' and seed == 0")["run"].item()
    saved = losses_of(out, first)[shown["block"].unique()].ravel()
    assert shown["attention"].to_numpy() == pytest.approx(saved, abs=1e-3)
    assert "Caliban" in "".join(shown["token"])
    documents = pd.read_csv(tmp_path / "text_documents.csv")
    assert len(documents) == 2 * documents["document"].nunique()
    assert by_document(out, PRESETS["laptop"]).index.is_unique
    of_one = documents.query("mixer == 'attention'")
    row = pd.read_csv(out).set_index("run").loc[first]
    assert of_one["tokens"].sum() == row["held_out_tokens"]
    together = (of_one["tokens"] * np.log(of_one["ppl"])).sum() / of_one["tokens"].sum()
    assert np.exp(together) == pytest.approx(row["ppl"], rel=1e-4)
    with_hits = of_one[of_one["ar_tokens"] > 0]
    together = (with_hits["ar_tokens"] * np.log(with_hits["ar_ppl"])).sum()
    assert np.exp(together / with_hits["ar_tokens"].sum()) == pytest.approx(row["ar_ppl"], rel=1e-4)
    hits = of_one["ar_tokens"].sum() / of_one["tokens"].sum()
    assert hits == pytest.approx(row["ar_share"], abs=1e-6)
    with pytest.raises(ValueError, match="must be one whose losses are kept"):
        passage(out, PRESETS["laptop"], seed=7)


def test_the_blocks_that_tell_most():
    hits = np.zeros((5, 6), int)
    for block, number in enumerate((3, 0, 6, 2, 1)):
        hits[block, :number] = 1
    assert telling_blocks({"ar": hits}).tolist() == [2, 3], "the most hits, and the median"


@pytest.mark.parametrize(
    ("options", "is_shown"),
    [([], True), (["--dry-run"], False), (["--seed", "0"], False), (["--steps", "2"], False),
     (["--mixer", "base_conv"], False)],
)  # fmt: skip
def test_the_held_out_text_is_shown_beside_the_presets_own_runs_only(
    preset, tmp_path, monkeypatch, options, is_shown
):
    monkeypatch.setitem(PRESETS, "laptop", preset.only(["base_conv", "attention"]))
    monkeypatch.setattr(sweep, "run", lambda *args, **named: None)
    out = tmp_path / "text.csv"
    done = CliRunner().invoke(app, ["text", "--preset", "laptop", "--out", str(out), *options])
    assert done.exit_code == 0, done.output
    assert ("text_passage.csv" in done.output) == is_shown


def test_a_passage_is_kept_where_losses_of_another_machine_are_missing(
    preset, tmp_path, monkeypatch
):
    monkeypatch.setitem(PRESETS, "laptop", preset.only(["base_conv", "attention"]))
    command = ["text", "--preset", "laptop", "--out", str(tmp_path / "text.csv")]
    assert CliRunner().invoke(app, command).exit_code == 0
    made = (tmp_path / "text_passage.csv").read_bytes()
    for losses in (tmp_path / "text_runs").glob("*.npy"):
        losses.unlink()
    again = CliRunner().invoke(app, command)
    assert again.exit_code == 0 and "text_passage.csv stays as it is" in again.output
    assert (tmp_path / "text_passage.csv").read_bytes() == made


def test_another_table_in_a_passages_place_is_left_as_it_is(preset, tmp_path, monkeypatch):
    monkeypatch.setitem(PRESETS, "laptop", preset.only(["base_conv", "attention"]))
    beside = tmp_path / "text_passage.csv"
    beside.write_text("name,points\nalice,3\n")
    done = CliRunner().invoke(
        app, ["text", "--preset", "laptop", "--out", str(tmp_path / "text.csv")]
    )
    assert done.exit_code == 0, done.output
    assert "text_passage.csv stays as it is: it is another table" in done.output
    assert beside.read_text() == "name,points\nalice,3\n"
    assert (tmp_path / "text_documents.csv").exists()
