"""K and N apart, from the identity-like start: what moves accuracy, and how far (chapter 06)."""

from pathlib import Path

import pytest

from zoology_teach.experiments import sweep
from zoology_teach.experiments.cells import spread
from zoology_teach.experiments.synthetic_presets import IDENTITY_RECIPE, PRESETS

TABLE = Path(__file__).parents[2] / "book" / "results" / "pairs_and_length.csv"
WIDTHS, PAIRS, LENGTHS = (16, 32, 64, 128), (2, 4, 8, 16), (64, 128, 256)


@pytest.fixture(scope="module")
def mean(table):
    return spread(table).set_index(["mixer", "d_model", "num_pairs", "seq_len"])["mean"]


def test_the_table_holds_the_whole_grid_from_the_start_that_its_name_says(table):
    grid = PRESETS["pairs_and_length"]["laptop"]()
    assert set(table["run"]) == sweep.finished(TABLE, grid) == {run.id for run in grid}
    assert len(table) == 540 and set(table["recipe"]) == {IDENTITY_RECIPE}
    assert (spread(table)["count"] == 3).all()


def moved(mean, mixer, fixed: str):
    """Accuracy lost from the least to the most N at fixed d / K, or K at fixed d / N."""
    of = mean[mixer]
    if fixed == "d / K":
        return [of[d, k, LENGTHS[0]] - of[d, k, LENGTHS[-1]] for d in WIDTHS for k in PAIRS]
    return [of[d, PAIRS[0], n] - of[d, PAIRS[-1], n] for d in WIDTHS for n in LENGTHS]


def test_at_fixed_width_per_pair_four_times_the_length_moves_base_conv_little(mean):
    lost = moved(mean, "base_conv", "d / K")
    assert sum(lost) / len(lost) == pytest.approx(0.09, abs=0.01)
    assert 0 < min(lost) and max(lost) < 0.31


def test_at_fixed_width_per_token_eight_times_the_pairs_moves_it_much(mean):
    lost = moved(mean, "base_conv", "d / N")
    assert sum(lost) / len(lost) == pytest.approx(0.61, abs=0.02)
    assert min(lost) > 0.38


@pytest.mark.parametrize("fixed", ["d / K", "d / N"])
def test_neither_moves_attention(mean, fixed):
    assert max(map(abs, moved(mean, "attention", fixed))) < 0.09


def within(mean, mixer, per: str) -> float:
    """Root mean square distance of the cells from the mean of those with the same ratio."""
    cells = mean[mixer].reset_index()
    groups = cells.groupby(cells["d_model"] / cells[per])["mean"]
    return float(((cells["mean"] - groups.transform("mean")) ** 2).mean() ** 0.5)


def test_base_conv_collapses_onto_width_per_pair_and_not_onto_width_per_token(mean):
    assert within(mean, "base_conv", "num_pairs") == pytest.approx(0.06, abs=0.01)
    assert within(mean, "base_conv", "seq_len") == pytest.approx(0.25, abs=0.01)


def test_two_pairs_pass_the_papers_bar_with_a_width_far_below_the_length(mean):
    """So d >= N is no law of its own: K grows with N in the paper's grid."""
    assert mean["base_conv", 64, 2, 128] > 0.9
    assert mean["base_conv", 128, 16, 128] < 0.5, "and d = N is not enough with many pairs"


def test_wide_hyena_does_not_train_steadily_at_the_longest(mean, table):
    """At its one learning rate width 128 falls behind width 64 there, and not at 64 tokens."""
    for k in (2, 4, 8):
        assert mean["hyena", 128, k, 256] < mean["hyena", 64, k, 256] - 0.15
        assert mean["hyena", 128, k, 64] > mean["hyena", 64, k, 64]
    assert set(table.query("mixer == 'hyena'")["lr"]) == {0.02}
