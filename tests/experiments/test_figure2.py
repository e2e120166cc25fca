"""Figure 2 from the usual start: complete, and what the book says of it."""

import itertools
import json
from pathlib import Path

import pytest

from zoology_teach import plots
from zoology_teach.experiments import results
from zoology_teach.experiments.synthetic_presets import PRESETS
from zoology_teach.experiments.usual_start import (
    CURRICULUM,
    LENGTHS,
    NARROW,
    RECIPES,
    SEEDS,
    WIDTHS,
)

TABLE = Path(__file__).parents[2] / "book" / "results" / "figure2.csv"


@pytest.fixture(scope="module")
def table():
    return results.load(TABLE)


@pytest.fixture(scope="module")
def mean(table):
    return plots.spread(table).set_index(["mixer", "seq_len", "d_model"])["mean"]


def test_every_mixer_width_and_length_has_three_seeds(table):
    grid = {run.id for run in PRESETS["figure2"]["laptop"]()}
    assert set(table["run"]) <= grid and table["run"].is_unique
    assert set(table["recipe"]) == {CURRICULUM}
    cells = plots.spread(table).set_index(["mixer", "seq_len", "d_model"])["count"]
    expected = {
        (mixer, n, d)
        for mixer, recipe in RECIPES.items()
        for n in LENGTHS
        for d in ((*NARROW, *WIDTHS) if recipe.narrow else WIDTHS)
    }
    assert set(cells.index) == expected and (cells == len(SEEDS)).all()
    assert results.provenance(TABLE)["commands"]


def test_nothing_is_set_by_hand(table):
    for config in map(json.loads, table["config"]):
        options = [layer["options"] for layer in config["model"]["layers"]]
        assert config["model"]["norm"] and config["model"]["embedding_std"] == 0.02
        assert all(option.get("init", "usual") == "usual" for option in options)


def test_base_conv_rises_with_width_and_falls_with_length(mean):
    for n in LENGTHS:
        assert all(mean["base_conv", n, b] > mean["base_conv", n, a] for a, b in pairs(WIDTHS))
    for d in WIDTHS:
        assert all(mean["base_conv", a, d] > mean["base_conv", b, d] for a, b in pairs(LENGTHS))


def pairs(values):
    return itertools.pairwise(values)


@pytest.mark.parametrize("n", LENGTHS)
def test_attention_answers_at_width_64_and_not_at_width_4(mean, n):
    assert mean["attention_short_conv", n, 64] >= 0.99
    assert mean["attention", n, 64] >= 0.95
    assert mean["attention_short_conv", n, 4] < 0.2 and mean["attention", n, 4] < 0.2


@pytest.mark.parametrize("n", LENGTHS)
def test_no_gated_convolution_of_the_paper_is_ahead_of_attention(mean, n):
    for d, mixer in itertools.product(WIDTHS, ("base_conv", "h3", "hyena", "rwkv")):
        assert mean[mixer, n, d] < mean["attention_short_conv", n, d] + 0.01
