"""One cell of Figure 2 (N = 32, d = 64), one thing changed: what the book says of the tables."""

from pathlib import Path

import pandas as pd
import pytest

from zoology_teach.experiments import results
from zoology_teach.experiments.cells import best, spread
from zoology_teach.experiments.usual_start import CURRICULUM, RECIPES, SEEDS, USUAL

RESULTS = Path(__file__).parents[2] / "book" / "results"


@pytest.fixture(scope="module")
def lessons():
    return results.load(RESULTS / "curriculum.csv")


@pytest.fixture(scope="module")
def changed():
    tables = [results.load(RESULTS / f"{name}.csv") for name in ("confounders", "vocabulary")]
    return best(pd.concat(tables))


def means(runs: pd.DataFrame) -> pd.DataFrame:
    """The mean accuracy by mixer and recipe, at the rate that was better."""
    return best(runs).groupby(["mixer", "recipe"])["accuracy"].mean().unstack()


def test_every_mixer_was_trained_in_both_ways_with_three_seeds(lessons):
    cells = spread(lessons).set_index(["mixer", "recipe"])["count"]
    assert set(cells.index) == {(m, way) for m in RECIPES for way in (CURRICULUM, USUAL)}
    assert (cells == len(SEEDS)).all()


def test_the_task_alone_had_as_many_updates_and_no_lesson(lessons):
    runs = lessons.set_index("recipe")
    assert (runs.loc[USUAL, "steps"] == 3700).all()
    assert (runs.loc[CURRICULUM, "steps"] <= 3700).all()
    assert runs.loc[USUAL, "stages"].isna().all() and runs.loc[CURRICULUM, "stages"].notna().all()


def test_figure2_and_the_ablation_share_their_runs(lessons):
    of_figure = results.load(RESULTS / "figure2.csv").set_index("run")["accuracy"]
    shared = lessons[lessons["run"].isin(of_figure.index)].set_index("run")["accuracy"]
    assert len(shared) >= len(RECIPES) * len(SEEDS)
    assert (shared == of_figure[shared.index]).all()


@pytest.mark.parametrize("mixer", RECIPES)
def test_a_lesson_takes_no_mixer_less_far(lessons, mixer):
    mean = means(lessons)
    assert mean.loc[mixer, CURRICULUM] > mean.loc[mixer, USUAL] - 0.01


def test_gated_convolutions_do_not_leave_the_plateau_by_themselves(lessons):
    assert (means(lessons)[USUAL][["base_conv", "h3", "hyena"]] < 0.3).all()
    assert (means(lessons)[CURRICULUM][["base_conv", "h3", "hyena"]] > 0.5).all()


@pytest.mark.parametrize("mixer", RECIPES)
def test_with_its_authors_start_a_mixer_that_mastered_the_lesson_answers_as_before(changed, mixer):
    runs = changed[changed["mixer"] == mixer]
    published = runs[runs["recipe"] == f"{CURRICULUM}, published start"]
    assert len(published) == len(SEEDS)
    mastered = published[published["stages"].str.contains("true")]
    shared = runs["accuracy"][(runs["recipe"] == CURRICULUM) & (runs["vocab_size"] == 256)].mean()
    assert len(mastered) >= 2 and (abs(mastered["accuracy"] - shared) < 0.17).all()


def test_a_loss_on_every_token_leaves_base_conv_at_the_guess(changed):
    of = changed[changed["mixer"] == "base_conv"].groupby("recipe")["accuracy"].mean()
    assert of[f"{CURRICULUM}, loss on all tokens"] == pytest.approx(1 / 4, abs=0.03)


def test_a_larger_vocabulary_costs_base_conv_more_than_attention(changed):
    runs = changed[changed["recipe"] == CURRICULUM]
    of = runs.groupby(["mixer", "vocab_size"])["accuracy"].mean()
    conv = of["base_conv"]
    assert conv[64] > conv[256] > conv[1024] and conv[8192] < 0.3
    assert (of["attention_short_conv"][[64, 256, 1024, 8192]] > 0.99).all()


def test_attention_behind_a_short_convolution_notices_no_change(changed):
    attention = changed[changed["mixer"] == "attention_short_conv"].groupby("recipe")["accuracy"]
    assert len(attention) == 6 and (attention.count() >= len(SEEDS)).all()
    assert (attention.min() > 0.99).all()


def test_based_loses_four_questions_in_a_hundred_at_most(changed):
    based = changed[changed["mixer"] == "linear_attention"].groupby("recipe")["accuracy"]
    assert (based.count() == len(SEEDS)).all() and len(based) == 6 and based.min().min() > 0.96


def test_two_attention_layers_find_recall_only_where_questions_are_asked(changed):
    attention = changed[changed["mixer"] == "attention"].groupby("recipe")["accuracy"]
    otherwise = [f"{CURRICULUM}, loss on {what}" for what in ("all tokens", "the last question")]
    assert (attention.count() == len(SEEDS)).all() and len(attention) == 6
    assert (attention.max()[otherwise] < 1 / 4 + 0.01).all()
    assert (attention.min().drop(otherwise) > 0.95).all()
