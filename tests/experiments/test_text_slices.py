"""Slices of held-out text, their perplexities, and which rows ask."""

import math

import numpy as np
import pytest

from zoology_teach.experiments import sweep
from zoology_teach.experiments.text_slices import masks, perplexities
from zoology_teach.mixers.sparse_attention import seen_before
from zoology_teach.recall import bigram_counts


def test_slices_and_their_perplexities():
    tokens = np.array([[1, 2, 3, 1, 2, 4, 1, 4, 5]])
    counts = bigram_counts(np.array([1, 2, 1, 2, 1, 2, 7]))  # 1 2 is common there
    slices = masks(tokens, counts, threshold=1, wide=3)
    assert not slices["ar"].any() and slices["other"].all()
    assert np.flatnonzero(slices["wide_ar"]).tolist() == [3]
    assert np.flatnonzero(slices["repeated"]).tolist() == [3]
    assert np.flatnonzero(slices["opportunity"]).tolist() == [4, 7]
    losses = np.log(np.arange(1, 9, dtype=np.float32))[None]
    measured = perplexities(losses, slices)
    assert measured["wide_ar_ppl"] == pytest.approx(4) and "ar_ppl" not in measured
    assert measured["ppl"] == pytest.approx(math.factorial(8) ** (1 / 8), abs=1e-3)


def test_a_row_says_which_rows_ask(preset, tmp_path):
    mixers = ("hybrid_induction", "hybrid_programmatic_short_conv", "hybrid_random_short_conv")
    table = sweep.run([preset.run(m) for m in mixers], out=tmp_path / "t.csv", executor="here")
    table = table.set_index("mixer")
    none, programmatic, random = (table.loc[m, "asking_share"] for m in mixers)
    assert math.isnan(none) and random == pytest.approx(0.44, abs=0.1)
    corpus = preset.text.load()
    inputs = corpus.held_out.examples().inputs
    expected = seen_before(inputs, blank=None).double().mean().item()
    assert programmatic == pytest.approx(expected, abs=1e-4)
    # A hit's bigram was seen before, so the row that predicts it asks.
    assert table.loc["hybrid_programmatic_short_conv", "asking_ar_share"] == 1
    assert 0 < table.loc["hybrid_random_short_conv", "asking_ar_share"] < 1
