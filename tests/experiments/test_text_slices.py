"""Slices of held-out text, their perplexities, and which rows ask."""

import math

import numpy as np
import pytest
import torch

from zoology_teach.experiments import sweep, text_slices
from zoology_teach.experiments.text_slices import masks, perplexities
from zoology_teach.mixers.sparse_attention import seen_before
from zoology_teach.recall import bigram_counts
from zoology_teach.tasks.source import Text


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


def test_only_the_first_blocks_are_measured_and_where_they_stand(monkeypatch, tmp_path):
    monkeypatch.setattr(text_slices, "MOST_BLOCKS", 3)
    for number in range(4):
        (tmp_path / f"{number}.txt").write_text(f"Exit Caliban {number}, a bear. " * 9)
    text = Text(str(tmp_path), 16, held_out=0.5)
    corpus = text.load()
    assert len(corpus.held_out) > 4
    blocks, slices = text_slices.measured(text, (1, 3), tmp_path)
    assert np.array_equal(blocks.tokens, corpus.held_out.tokens[:3])
    assert np.array_equal(blocks.documents, corpus.held_out.documents[:3])
    counts = bigram_counts(corpus.train.stream)
    for name, mask in masks(blocks.tokens, counts, 1, 3).items():
        assert np.array_equal(slices[name], mask) and mask.shape == (3, 16)
    first = blocks.names[0]
    of_first = blocks.documents == 0
    assert np.array_equal(text_slices.of_documents(blocks, [first]), of_first) and of_first.any()
    assert text_slices.of_documents(blocks, blocks.names).all()
    assert not text_slices.of_documents(blocks, []).any()
    with pytest.raises(ValueError, match="document = 'none': must be one of"):
        text_slices.of_documents(blocks, [first, "none"])


def test_the_shares_that_ask_are_of_what_is_reported():
    asking = [torch.tensor([[True, False, True]]), torch.tensor([[False, False, True]])]
    reported = np.array([[True, True, True], [False, True, True]])
    hits = np.array([True, False, False, False, True])
    shares = text_slices.asking_shares(asking, reported, hits)
    assert shares == {"asking_share": 0.6, "asking_ar_share": 1.0}
    assert text_slices.asking_shares([], reported, hits) == {}


def test_losses_that_are_lost_have_no_perplexity():
    assert perplexities(np.array([1.0, np.nan]), {}) == {}
    assert perplexities(np.array([np.inf, 1.0]), {"ar": np.array([False, True])}) == {}
