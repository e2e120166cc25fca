"""The committed table of models on text: of one size, and what recall does to AR hits."""

import json
from pathlib import Path

import pandas as pd
import pytest

from zoology_teach.configuration import fingerprint
from zoology_teach.experiments.results import load, provenance
from zoology_teach.experiments.text_presets import PRESETS, SEEDS
from zoology_teach.experiments.text_runs import COLUMNS

OUT = Path(__file__).parents[2] / "book" / "results" / "text.csv"


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return load(OUT, COLUMNS)


def test_every_row_is_a_run_of_the_preset_as_it_is_now(table):
    preset = PRESETS["laptop"]
    runs = {fingerprint(preset.run(m, seed)): m for m in preset.mixers for seed in SEEDS}
    assert {row.run: row.mixer for row in table.itertuples()} == runs
    assert len(preset.mixers) >= 6 and table["run"].is_unique
    commands = {note["command"] for note in provenance(OUT)["commands"]}
    assert "zoology-teach text --preset laptop" in commands


def test_models_are_matched_in_size(table):
    assert table["parameters"].max() <= 1.01 * table["parameters"].min()


@pytest.mark.parametrize(
    "hybrid",
    ["hybrid_induction", "hybrid_programmatic_induction", "hybrid_learned_wide_induction"],
)
def test_the_hybrids_advantage_on_hits_is_outside_the_spread_of_seeds(table, hybrid):
    hits = table.groupby("mixer")["ar_ppl"]
    assert 3 * hits.max()[hybrid] < hits.min()["base_conv"]


def test_recall_is_learned_during_training(table):
    for curve in table[table["mixer"] == "hybrid_induction"]["curve"]:
        hits = [measured["ar_ppl"] for measured in json.loads(curve)]
        assert 3 * hits[-1] < hits[0]
