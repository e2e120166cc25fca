"""AR hits against a brute force, shares of a gap that was planted, and the model that counts."""

import math
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from zoology_teach import recall
from zoology_teach.tasks import ngram, text, trigram


def brute_force(rows, stream, threshold):
    """Hits and opportunities by the definition, one position after another."""
    counts = Counter(pairwise(stream))
    hits, chances = np.zeros((2, len(rows), len(rows[0])), bool)
    for r, row in enumerate(rows):
        earlier = []
        for i in range(1, len(row)):
            rare = [b for b in earlier if b[0] == row[i - 1] and counts[b] <= threshold]
            hits[r, i] = (row[i - 1], row[i]) in rare
            chances[r, i] = bool(rare)
            earlier.append((row[i - 1], row[i]))
    return hits, chances


@pytest.fixture(scope="module")
def corpus():
    return text.load()


@settings(max_examples=200, deadline=None)
@given(
    st.integers(1, 5),
    st.integers(1, 30),
    st.sampled_from([1, 2, 5, 40, 50_000, 2**24]),
    st.sampled_from([0, 0.2, 1, 3, 1e9]),
    st.integers(0, 10**6),
)
def test_hits_and_opportunities_on_random_blocks(size, n, vocab_size, threshold, seed):
    rng = np.random.default_rng(seed)
    alphabet = rng.integers(0, vocab_size, 7)
    stream, rows = rng.choice(alphabet, 60), rng.choice(alphabet, (size, n))
    counts = recall.bigram_counts(stream)
    hits, chances = brute_force(rows.tolist(), stream.tolist(), threshold)
    found = recall.ar_hits(torch.from_numpy(rows), counts, threshold)
    assert found.dtype == bool and (found == hits).all()
    assert (recall.opportunities(rows, counts, threshold) == chances).all()
    assert not (hits & ~chances).any()


@pytest.mark.parametrize("threshold", [0, 20, 100])
def test_hits_and_opportunities_on_real_blocks(corpus, threshold):
    stream = corpus.train.stream[:400_000]
    rows = corpus.held_out.tokens[500:530]
    counts = recall.bigram_counts(stream)
    hits, chances = brute_force(rows.tolist(), stream.tolist(), threshold)
    assert hits.sum() > 50
    assert (recall.ar_hits(rows, counts, threshold) == hits).all()
    assert (recall.opportunities(rows, counts, threshold) == chances).all()


def test_what_stands_in_the_block_before_does_not_count():
    counts = recall.bigram_counts(np.array([9]))
    one_row = np.array([[1, 2, 3, 1, 2, 3]])
    assert recall.ar_hits(one_row, counts, 0).tolist() == [[False] * 4 + [True] * 2]
    assert not recall.ar_hits(one_row.reshape(2, 3), counts, 0).any()
    assert not recall.opportunities(one_row.reshape(2, 3), counts, 0).any()


def test_many_rows_and_long_rows(monkeypatch):
    rng = np.random.default_rng(0)
    rows = rng.zipf(1.3, (700, 400)) % 1000
    counts = recall.bigram_counts(rows.ravel())
    got = recall.ar_hits(rows, counts, 5), recall.opportunities(rows, counts, 5)
    chosen = [0, 326, 327, 328, 699]
    hits, chances = brute_force(rows[chosen].tolist(), rows.ravel().tolist(), 5)
    assert (got[0][chosen] == hits).all() and (got[1][chosen] == chances).all()


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 3), st.lists(st.integers(0, 50), max_size=8), st.integers(0, 10**6))
def test_a_stream_in_pieces_is_counted_as_one(order, lengths, seed):
    rng = np.random.default_rng(seed)
    stream = rng.integers(0, 6, sum(lengths))
    pieces = np.split(stream, np.cumsum(lengths)[:-1]) if lengths else []
    chunk, ngram.CHUNK = ngram.CHUNK, 7
    try:
        counts = ngram.count_ngrams(iter(pieces), order)
    finally:
        ngram.CHUNK = chunk
    truth = Counter(zip(*(stream[k:].tolist() for k in range(order)), strict=False))
    assert counts.num_tokens == len(stream)
    assert counts.counts.sum() == max(0, len(stream) - order + 1)
    every = np.indices((7,) * order).reshape(order, -1)
    assert counts.of(*every).tolist() == [truth[gram] for gram in zip(*every.tolist(), strict=True)]


def test_an_ngram_may_lie_across_pieces_shorter_than_itself():
    counts = ngram.count_ngrams([np.array([token]) for token in (1, 2, 3, 1, 2, 3)], 3)
    assert counts.num_tokens == 6 and counts.counts.sum() == 4
    assert counts.of([1, 2, 3, 1, 3], [2, 3, 1, 1, 2], [3, 1, 2, 1, 1]).tolist() == [2, 1, 1, 0, 0]


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 4), st.integers(1, 25), st.integers(0, 10**6))
def test_distance_and_times_of_earlier_ngrams(order, n, seed):
    rows = np.random.default_rng(seed).integers(0, 3, (3, n))
    distance, times = ngram.distance_back(rows, order), ngram.times_before(rows, order)
    for row, far, often in zip(rows.tolist(), distance.tolist(), times.tolist(), strict=True):
        for i in range(n):
            ends = [
                j
                for j in range(order - 1, i)
                if i >= order - 1 and row[j - order + 1 : j + 1] == row[i - order + 1 : i + 1]
            ]
            assert often[i] == len(ends)
            assert far[i] == (i - ends[-1] if ends else 0)


@pytest.mark.parametrize(("largest", "n"), [(2**14 - 1, 17), (2**15 - 1, 2), (2**30 - 1, 9)])
def test_ngrams_and_positions_are_sorted_as_one_number(largest, n):
    """Of 33 bits, of 31, of all 64."""
    rows = np.array([[largest, 1] * n])[:, :n]
    assert ngram.distance_back(rows, 2).tolist() == [[0, 0, 0, *[2] * n][:n]]
    assert ngram.times_before(rows, 2).tolist() == [[0, *(t // 2 for t in range(n))][:n]]


def test_what_does_not_fit_in_64_bits_is_refused():
    with pytest.raises(ValueError, match="order = 2: must be so small that n tokens and a"):
        ngram.distance_back(np.array([[2**30 - 1] * 17]), 2)
    for order, largest in ((1, 2**63 - 1), (2, 2**32 - 1), (3, 2**21 - 1), (5, 2**12 - 1)):
        tokens = np.array([largest] * 9, np.uint64)
        counts = ngram.count_ngrams(tokens, order)
        assert counts.of(*tokens[:order]) == 10 - order
        if order > 1:
            with pytest.raises(ValueError, match=f"tokens = {largest + 1}: must be below 2"):
                ngram.count_ngrams(tokens + np.uint64(1), order)


def test_the_papers_threshold_scales_with_the_corpus():
    assert recall.scaled_threshold(10 * 10**9) == 1250
    assert recall.scaled_threshold(8 * 10**6) == 1


def test_the_papers_percentages_follow_from_its_perplexities():
    attention = np.log([9.44, 1.98])
    printed = {"Long Conv": (13.13, 13.27, 0.405), "H3": (10.38, 4.81, 0.658)}
    for ppl, slice_ppl, share in printed.values():
        gap, slice_gap = np.log([ppl, slice_ppl]) - attention
        assert recall.share_of_gap(slice_gap, gap, 0.07) == pytest.approx(share, abs=0.005)
    gap, slice_gap = np.log([9.79, 3.82]) - attention
    assert recall.share_of_gap(slice_gap, gap, 0.07) > 1, "RWKV: printed as 100 %"
    assert np.isnan(recall.share_of_gap([0.1, 0.1], [0.0, -1.0], 0.5)).all()


def planted(rng, documents=12, n=500):
    """Losses whose gap is 2 nats on a tenth of the tokens and 0.05 elsewhere."""
    document = np.repeat(np.arange(documents), n).reshape(documents * 10, n // 10)
    mask = rng.random(document.shape) < 0.1
    baseline = rng.exponential(3, document.shape)
    return baseline + np.where(mask, 2.0, 0.05), baseline, mask, document


def test_a_planted_gap_is_found_in_its_slice():
    model, baseline, mask, document = planted(np.random.default_rng(0))
    table = recall.gap_slices(model, baseline, {"hits": mask, "other": ~mask}, document)
    assert table.index.tolist() == ["all", "hits", "other"]
    share = mask.mean()
    expected = 2 * share / (2 * share + 0.05 * (1 - share))
    assert table.gap_share["hits"] == pytest.approx(expected)
    assert table.gap_share["hits"] + table.gap_share["other"] == pytest.approx(1)
    assert table.token_share["hits"] == pytest.approx(share)
    assert table.tokens["hits"] == mask.sum()
    assert table.model_ppl["all"] == pytest.approx(math.exp(model.mean()))
    assert table.baseline_ppl["hits"] == pytest.approx(math.exp(baseline[mask].mean()))
    assert (table.loc["all", ["gap_share", "gap_share_low", "gap_share_high"]] == 1).all()


def test_intervals_are_of_documents_and_hold_what_they_promise():
    expected, covered = 0.2 / (0.2 + 0.045), 0
    for seed in range(60):
        model, baseline, mask, document = planted(np.random.default_rng(seed), 20, 200)
        row = recall.gap_slices(model, baseline, {"h": mask}, document, resamples=400).loc["h"]
        covered += row.gap_share_low <= expected <= row.gap_share_high
    assert 50 <= covered <= 60
    alike = np.tile([[1.0, 0.0, 1.0]], (5, 1))
    table = recall.gap_slices(alike + alike, alike, {"h": alike > 0}, np.indices((5, 3))[0])
    assert table.gap_share_low["h"] == table.gap_share_high["h"] == 1
    assert table.token_share_low["h"] == pytest.approx(2 / 3)


def test_an_interval_by_drawing_whole_documents_one_by_one():
    rng = np.random.default_rng(3)
    document = np.array([[0, 0, 0, 1, 1], [1, 2, 2, 2, 2]])
    mask = np.array([[1, 0, 0, 1, 0], [0, 1, 1, 0, 0]], bool)
    baseline = rng.exponential(3, (2, 5))
    model = baseline + rng.exponential(1, (2, 5))
    found = recall.gap_slices(
        model, baseline, {"h": mask}, document, resamples=40, level=0.8, seed=5
    ).loc["h"]
    token_shares, gap_shares = [], []
    for drawn in np.random.default_rng(5).multinomial(3, [1 / 3] * 3, 40):
        times = drawn[document]  # how often each token is drawn
        more = times * (model - baseline)
        token_shares.append((times * mask).sum() / times.sum())
        gap_shares.append((more * mask).sum() / more.sum())
    for name, shares in (("token_share", token_shares), ("gap_share", gap_shares)):
        low, high = np.quantile(shares, [0.1, 0.9])
        assert (found[f"{name}_low"], found[f"{name}_high"]) == pytest.approx((low, high))


def test_a_slice_of_one_token():
    baseline, model = np.ones((1, 4)), np.array([[1.5, 2.0, 1.0, 1.5]])
    table = recall.gap_slices(model, baseline, {"h": model == 2.0}, np.zeros((1, 4), int))
    assert table.gap_share["h"] == pytest.approx(0.5) and table.tokens["h"] == 1
    assert table.token_share["h"] == 0.25


def test_more_than_all_of_the_gap_and_none_of_it():
    baseline, document = np.ones((4, 6)), np.indices((4, 6))[0]
    mask = np.arange(24).reshape(4, 6) % 3 == 0
    model = baseline + np.where(mask, 1.0, -0.1)
    table = recall.gap_slices(model, baseline, {"h": mask, "none": mask & ~mask}, document)
    assert table.gap_share["h"] == pytest.approx(8 / (8 - 1.6))
    assert table.gap_share_capped["h"] == 1
    assert table.tokens["none"] == table.gap_share["none"] == 0
    assert math.isnan(table.model_ppl["none"])
    assert math.isnan(recall.gap_slices(baseline, model, {"h": mask}, document).gap_share["h"])


@pytest.mark.parametrize("copy", [False, True])
def test_the_counting_model_gives_probabilities(copy):
    rng = np.random.default_rng(1)
    v = 9
    model = trigram.fit(rng.zipf(1.5, 300) % v, rng.integers(0, v, (20, 8)), v, copy=copy)
    for start in rng.integers(0, v, (30, 6)):
        rows = np.column_stack([np.tile(start, (v, 1)), np.arange(v)])
        assert np.exp(-model.loss(rows)[:, -1]).sum() == pytest.approx(1)
    assert model.weights.sum(axis=1) == pytest.approx(1)
    assert (model.weights[:, -1].max() > 0) == copy


@pytest.mark.parametrize("copy", [False, True])
def test_a_part_that_can_say_nothing_has_no_weight(copy):
    """State 3 known + helps: known is 0 after a token that was never followed, 1 after two
    tokens never seen together, up to 8; helps is how many tokens back the row itself helps."""
    model = trigram.fit(np.arange(60) % 3, np.tile([0, 1, 2], (4, 9)), 9, copy=copy)
    known, helps = np.divmod(np.arange(27), 3)
    never = np.zeros(27, bool)
    silent = [never, never, known == 0, known <= 1, (helps == 0) | (not copy)]
    assert ((model.weights == 0) == np.stack(silent, axis=1)).all()


def test_copy_looks_at_two_tokens_and_else_at_one():
    rng = np.random.default_rng(0)
    unseen = np.tile([5, 6, 7], (300, 4))
    unseen = np.where(rng.random(unseen.shape) < 0.03, rng.integers(0, 5, unseen.shape), unseen)
    model = trigram.fit(np.arange(100) % 5, unseen, 8, copy=True)
    repeated = model.loss(np.array([[5, 6, 7, 1, 5, 6, 7]]))[0]
    assert repeated[-1] < 0.2 and repeated[-2] < 0.2 and repeated[1] > 1
    mixed = np.array([[5, 6, 7, 1, 6, 1, 5, 6, 7], [5, 6, 7, 1, 6, 1, 1, 6, 7]])
    after_both, after_one = model.loss(mixed)[:, -1]
    assert after_both < 0.2, "after (5, 6) only 7 followed, whatever else followed 6"
    assert after_one > 0.5, "(1, 6) was followed by 1"


def test_a_token_never_seen_is_unlikely_but_possible():
    model = trigram.fit(np.arange(60) % 3, np.tile([0, 1, 2], (400, 9)), 9, copy=True, steps=300)
    loss = model.loss(np.array([[0, 1, 2, 0, 8]]))
    assert np.isfinite(loss).all() and loss[0, -1] > 8


def test_each_round_of_em_explains_more(corpus):
    tokens, unseen = corpus.train.stream[:60_000], corpus.train.tokens[3000:3060]
    losses = [
        trigram.fit(tokens, unseen, 2048, copy=True, steps=s).loss(unseen).mean() for s in range(5)
    ]
    assert all(after < before for before, after in pairwise(losses))


def test_the_gap_sits_on_few_tokens(corpus):
    counted, unseen = corpus.train.apart(3)
    blocks = corpus.held_out
    models = [
        trigram.fit(counted.stream, unseen.tokens, blocks.vocab_size, copy=c) for c in (False, True)
    ]
    plain, copying = (model.loss(blocks.tokens) for model in models)
    counts = recall.bigram_counts(corpus.train.stream)
    hits = recall.ar_hits(blocks.tokens, counts, 20)[:, 1:]
    hit = recall.gap_slices(plain, copying, {"hit": hits}, blocks.documents).loc["hit"]
    assert hit.token_share < 0.03 and hit.gap_share_low > 0.6
    assert hit.baseline_ppl < 5 and hit.model_ppl > 100 * hit.baseline_ppl


ROWS, COUNTS = np.zeros((2, 3), int), recall.bigram_counts(np.arange(5))


@pytest.mark.parametrize(
    "call, named",
    [
        (lambda: recall.bigram_counts(ROWS), "tokens"),
        (lambda: recall.bigram_counts(np.array([0.5])), "tokens"),
        (lambda: recall.bigram_counts(np.array([2**32, 0])), "tokens"),
        (lambda: recall.bigram_counts(np.array([-100, 3])), "tokens"),
        (lambda: recall.ar_hits(ROWS[0], COUNTS, 1), "tokens"),
        (lambda: recall.ar_hits(ROWS, COUNTS, -1), "threshold"),
        (lambda: recall.ar_hits(ROWS, ngram.count_ngrams(ROWS[0], 3), 1), "counts"),
        (lambda: recall.opportunities(ROWS, COUNTS, float("nan")), "threshold"),
        (lambda: recall.scaled_threshold(0), "num_tokens"),
        (lambda: recall.gap_slices(ROWS, ROWS[:1], {}, ROWS), "baseline"),
        (lambda: recall.gap_slices(ROWS, ROWS / 0.5, {"h": ROWS[0]}, ROWS), "h = "),
        (lambda: recall.gap_slices(ROWS, ROWS + math.nan, {}, ROWS), "baseline"),
        (lambda: recall.gap_slices(ROWS, ROWS, {"all": ROWS}, ROWS), "slices"),
        (lambda: recall.gap_slices(*[ROWS[:0]] * 2, {}, ROWS[:0]), r"documents = \(0, 3\)"),
        (lambda: recall.gap_slices(ROWS, ROWS, {}, ROWS, level=1), "level"),
        (lambda: trigram.fit(np.arange(9), ROWS, 8, copy=True), "vocab_size"),
        (lambda: COUNTS.of([1]), "ngram"),
    ],
)
def test_bad_arguments(call, named):
    with pytest.raises(ValueError, match=named):
        call()
