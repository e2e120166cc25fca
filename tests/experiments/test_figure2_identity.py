"""The identity-like table, behind the width slider: complete, its claims, and reproducible."""

import itertools
from pathlib import Path

import pytest

from zoology_teach import plots
from zoology_teach.experiments import results, sweep
from zoology_teach.experiments.synthetic_presets import LAPTOP_RECIPES, PRESETS, laptop_run

TABLE = Path(__file__).parents[2] / "book" / "results" / "figure2_identity.csv"
WIDTHS, LENGTHS = (16, 32, 64, 128), (32, 64, 128)


def test_the_table_holds_the_whole_grid(table):
    grid = PRESETS["figure2"]["identity"]()
    assert sweep.finished(TABLE, grid) == {run.id for run in grid}
    cells = plots.spread(table)
    assert len(cells) == 7 * len(WIDTHS) * len(LENGTHS) and (cells["count"] == 3).all()
    for mixer, recipe in LAPTOP_RECIPES.items():
        assert set(table.loc[table["mixer"] == mixer, "lr"]) == set(recipe.rates)
    assert results.provenance(TABLE)["commands"]


def test_attention_answers_at_every_width(mean):
    assert (mean["attention"] >= 0.99).all()


def test_every_mixer_trained_somewhere(table):
    assert plots.untrained(plots.spread(table)) == set()


@pytest.mark.parametrize("mixer", ["base_conv", "h3", "hyena", "rwkv"])
def test_fixed_filters_climb_with_width_and_fall_with_length(mean, mixer):
    for length in LENGTHS:
        steps = [mean[mixer, length, d] for d in WIDTHS]
        assert all(b > 1.2 * a or b > 0.8 for a, b in itertools.pairwise(steps))
    for d in (16, 32, 64):
        falls = [mean[mixer, n, d] for n in LENGTHS]
        assert falls[0] > 1.15 * falls[1] > 1.15**2 * falls[2]


@pytest.mark.parametrize("mixer", ["linear_attention", "mamba"])
def test_a_state_that_the_input_writes_needs_less_width(mean, mixer):
    for n, d in itertools.product(LENGTHS, WIDTHS):
        fixed = max(mean[m, n, d] for m in ("base_conv", "h3", "hyena"))
        assert mean[mixer, n, d] > fixed - 0.02


def test_base_conv_collapses_onto_width_per_pair(mean):
    for n in (32, 64):
        for d in (16, 32, 64):
            assert mean["base_conv", n, d] == pytest.approx(
                mean["base_conv", 2 * n, 2 * d], abs=0.08
            )


@pytest.mark.parametrize(
    "cell",
    [("base_conv", 16, 32), ("base_conv", 32, 64), *((m, 32, 32) for m in LAPTOP_RECIPES)],
)
def test_a_fresh_run_gives_what_the_table_says(table, cell, tmp_path):
    mixer, width, length = cell
    run = laptop_run(mixer, width, length, seed=0, lr=1e-2)
    row = table[table["run"] == run.id].iloc[0]
    assert run.execute(tmp_path)["accuracy"] == pytest.approx(row["accuracy"], abs=0.03)
