"""Figure 2 from the usual start: complete, and what the book says of it."""

import json
from itertools import pairwise, permutations, product
from pathlib import Path

import numpy as np
import pytest

from zoology_teach import plots
from zoology_teach.experiments import results
from zoology_teach.experiments.synthetic_presets import PRESETS
from zoology_teach.experiments.usual_start import CURRICULUM, LENGTHS, SEEDS, WIDTHS

TABLE = Path(__file__).parents[2] / "book" / "results" / "figure2.csv"


def test_every_mixer_width_and_length_has_three_seeds(table):
    grid = PRESETS["figure2"]["laptop"]()
    assert set(table["run"]) <= {run.id for run in grid} and table["run"].is_unique
    assert set(table["recipe"]) == {CURRICULUM}
    cells = plots.spread(table).set_index(["mixer", "seq_len", "d_model"])["count"]
    assert set(cells.index) == {(r.mixer, r.task.seq_len, r.model.d_model) for r in grid}
    assert (cells == len(SEEDS)).all()
    assert results.provenance(TABLE)["commands"]


def test_a_rate_that_won_a_seed_has_all_seeds(table):
    """To win is to be ahead by more than a hundredth."""
    cell = ["mixer", "seq_len", "d_model"]
    by_seed = table.fillna({"accuracy": 0.0}).pivot(
        index=[*cell, "lr"], columns="seed", values="accuracy"
    )
    for where, rates in by_seed.groupby(cell):
        for one, other in permutations(rates.to_numpy(), 2):
            assert not (np.isnan(one).any() and (one > other + 0.01).any()), where


def test_nothing_is_set_by_hand(table):
    for config in map(json.loads, table["config"]):
        options = [layer["options"] for layer in config["model"]["layers"]]
        assert config["model"]["norm"] and config["model"]["embedding_std"] == 0.02
        assert all(option.get("init", "usual") == "usual" for option in options)


def test_base_conv_rises_with_width_and_falls_with_length(mean):
    for n in LENGTHS:
        assert all(mean["base_conv", n, b] > mean["base_conv", n, a] for a, b in pairwise(WIDTHS))
    for d in WIDTHS:
        assert all(mean["base_conv", a, d] > mean["base_conv", b, d] for a, b in pairwise(LENGTHS))


@pytest.mark.parametrize("n", LENGTHS)
def test_attention_answers_at_width_64_and_not_at_width_4(mean, n):
    assert mean["attention_short_conv", n, 64] >= 0.99
    assert mean["attention", n, 64] >= 0.95
    assert mean["attention_short_conv", n, 4] < 0.2 and mean["attention", n, 4] < 0.2


@pytest.mark.parametrize("n", LENGTHS)
def test_no_gated_convolution_of_the_paper_is_ahead_of_attention(mean, n):
    for d, mixer in product(WIDTHS, ("base_conv", "h3", "hyena", "rwkv")):
        assert mean[mixer, n, d] < mean["attention_short_conv", n, d] + 0.01


@pytest.mark.training
@pytest.mark.parametrize("mixer", ["attention_short_conv", "base_conv"])
def test_a_fresh_run_gives_what_the_table_says(table, mixer, tmp_path):
    cell = table.query("mixer == @mixer and d_model == 16 and seq_len == 32 and seed == 0")
    row = cell.iloc[0]
    (run,) = [run for run in PRESETS["figure2"]["laptop"]() if run.id == row["run"]]
    assert run.execute(tmp_path)["accuracy"] == pytest.approx(row["accuracy"], abs=0.03)
