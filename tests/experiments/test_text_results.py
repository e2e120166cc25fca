"""The committed table of models on text: of one size; what a lesson does to AR hits."""

import json
from pathlib import Path

import pandas as pd
import pytest

from zoology_teach.experiments.results import load, provenance
from zoology_teach.experiments.text_presets import PRESETS, SEEDS
from zoology_teach.experiments.text_runs import COLUMNS

OUT = Path(__file__).parents[2] / "book" / "results" / "text.csv"
RECALL = ["hybrid_short_conv", "attention_short_conv"]
WITHOUT = ["base_conv", "hyena", "linear_attention", "rwkv", "attention"]
HYBRIDS = [f"hybrid_{rows}_short_conv" for rows in ("programmatic", "learned", "random")]


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return load(OUT, COLUMNS)


def test_every_row_is_a_run_of_the_preset_as_it_is_now(table):
    runs = {run.id: run for run in PRESETS["laptop"].runs()}
    assert table["run"].is_unique and set(table["run"]) <= set(runs)
    for row in table.itertuples():
        run = runs[row.run]
        assert (row.mixer, row.seed) == (run.mixer, run.train.seed)
        assert row.warm_up == sum(stage.steps for stage in run.train.before)
    assert provenance(OUT)["commands"]


def test_the_compared_models_are_measured_alone_and_taught_in_three_seeds(table):
    for mixer in [*RECALL, *HYBRIDS, *WITHOUT]:
        rows = table[table["mixer"] == mixer]
        found = sorted(zip(rows["warm_up"], rows["seed"], strict=True))
        assert found == [(updates, seed) for updates in (0, 200) for seed in SEEDS], mixer


def test_models_are_matched_in_size(table):
    assert table["parameters"].max() <= 1.01 * table["parameters"].min()


def test_attention_keeps_the_recall_that_it_was_taught(table):
    hits = table.set_index(["mixer", "warm_up"])["ar_ppl"].sort_index()
    for mixer in RECALL:
        assert (hits[mixer, 200] < 15).all() and (hits[mixer, 0] > 150).all(), mixer
    for mixer in WITHOUT:
        assert (hits[mixer] > 150).all(), mixer


@pytest.mark.parametrize("mixer", RECALL)
def test_recall_is_there_from_the_first_updates_of_text_on(table, mixer):
    curves = table[(table["mixer"] == mixer) & (table["warm_up"] > 0)]["curve"]
    for curve in curves:
        hits = [measured["ar_ppl"] for measured in json.loads(curve)]
        assert max(hits) < 40 and hits[-1] < hits[0]


def test_the_plays_that_may_choose_a_rate_are_not_reported(table):
    assert table["choosing_ppl"].notna().all()
    plays = pd.read_csv(OUT.with_name("text_documents.csv"))
    one = plays[(plays["mixer"] == "base_conv") & (plays["warm_up"] == 0)]
    reported = one[~one["document"].isin(PRESETS["laptop"].choosing)]
    assert set(table["held_out_tokens"]) == {reported["tokens"].sum()}
    assert len(one) == 6 and len(reported) == 4
