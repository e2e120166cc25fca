"""AR hits, opportunities, and how much of a perplexity gap they hold (paper Section 3; chapter 01).

An *AR hit* is a token that ends a bigram which ended earlier in the same row already and is rare
in the training data: whoever recalls the row can predict it, whoever knows the language alone
cannot. A hit is selected by its answer, which favours a model that copies: whatever it copies
wrongly counts as "other", and shares above 100 % appear. An *opportunity* is selected before
the answer is known; every hit is one.

Masks are marked at the predicted token, so row[:, 1:] of a mask of (B, N+1) blocks fits the
losses (B, N) of their labels.
"""

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from zoology_teach.checks import require, require_int
from zoology_teach.tasks.ngram import (
    NgramCounts,
    as_tokens,
    count_ngrams,
    distance_back,
    group_starts,
    sort_rows,
)

PAPER_THRESHOLD, PAPER_TOKENS = 1250, 10 * 10**9
OVERALL = "all"


def bigram_counts(tokens: ArrayLike | Iterable[ArrayLike]) -> NgramCounts:
    """How often each bigram occurs in a stream of tokens (M,), or in its pieces in turn."""
    return count_ngrams(tokens, 2)


def scaled_threshold(num_tokens: int) -> float:
    """The paper's threshold, 1250 in 10 billion training tokens, for a corpus of `num_tokens`.

    Below 1 it leaves only bigrams that never occur in training.
    """
    require_int("num_tokens", num_tokens, 1)
    return PAPER_THRESHOLD * num_tokens / PAPER_TOKENS


def ar_hits(tokens: ArrayLike, counts: NgramCounts, threshold: float) -> NDArray[np.bool_]:
    """Where the bigram that ends here ended earlier in its row and is rare: (B, N) -> (B, N).

    counts is the training data's `bigram_counts`; rare means a count <= `threshold`.
    """
    tokens = _rows(tokens, counts, threshold)
    hits = distance_back(tokens) > 0
    row, column = np.nonzero(hits)
    hits[row, column] = counts.of(tokens[row, column - 1], tokens[row, column]) <= threshold
    return hits


def opportunities(tokens: ArrayLike, counts: NgramCounts, threshold: float) -> NDArray[np.bool_]:
    """Where some earlier follower of the token before would end a rare bigram: (B, N) -> (B, N).

    Known before the token at the position itself is; contains `ar_hits` of the same arguments.
    """
    tokens = _rows(tokens, counts, threshold)
    found = np.zeros(tokens.shape, bool)
    if tokens.shape[1] < 2:
        return found
    rare = counts.of(tokens[:, :-1], tokens[:, 1:]) <= threshold
    token, position = sort_rows([tokens[:, :-1]])
    rare = np.take_along_axis(rare, position, axis=1)
    rare_before = rare.cumsum(axis=1) - rare
    rare_before -= np.take_along_axis(rare_before, group_starts(token), axis=1)
    np.put_along_axis(found[:, 1:], position, rare_before > 0, axis=1)
    return found


def share_of_gap(slice_gap: ArrayLike, gap: ArrayLike, share_of_tokens: ArrayLike) -> NDArray:
    """The share of a perplexity gap that a slice of the tokens holds, not capped.

    (Δlog ppl_AR · |T_AR|) / (Δlog ppl · |T|): `slice_gap` and `gap` are the differences of log
    perplexity, model - baseline, on the slice and on all tokens. nan where there is no gap.
    The paper caps it at 1.
    """
    arrays = (np.asarray(x, float) for x in (slice_gap, gap, share_of_tokens))
    slice_gap, gap, share = np.broadcast_arrays(*arrays)
    return np.divide(slice_gap * share, gap, out=np.full(gap.shape, np.nan), where=gap > 0)


def gap_slices(
    model: ArrayLike,
    baseline: ArrayLike,
    slices: Mapping[str, ArrayLike],
    documents: ArrayLike,
    *,
    resamples: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> pd.DataFrame:
    """A row for each slice, and one for all: perplexities, share of tokens, share of the gap.

    model, baseline  losses in nats, both (B, N).
    slices           masks (B, N) by name; they may overlap.
    documents        (B, N) integers: the document of each token. Intervals at `level` are of a
                     bootstrap that draws documents with replacement; with few documents they
                     are too narrow.

    Columns: tokens, token_share (_low, _high), model_ppl, baseline_ppl, gap_share (_low, _high)
    as in `share_of_gap`, and gap_share_capped. Raises ValueError where shapes differ or a loss
    is not finite.
    """
    require(OVERALL not in slices, "slices", OVERALL, "another name for a slice")
    require(0 < level < 1, "level", level, "between 0 and 1")
    require_int("resamples", resamples, 1)
    documents = as_tokens("documents", documents)
    require(documents.size > 0, "documents", documents.shape, "of at least one token")
    losses = {"model": np.asarray(model, float), "baseline": np.asarray(baseline, float)}
    masks = {OVERALL: np.ones(documents.shape, bool)}
    masks |= {name: np.asarray(mask, bool) for name, mask in slices.items()}
    for name, array in (losses | masks).items():
        require(array.shape == documents.shape, name, array.shape, f"of shape {documents.shape}")
    for name, loss in losses.items():
        require(bool(np.isfinite(loss).all()), name, "nan or infinite", "finite")

    _, document = np.unique(documents.ravel(), return_inverse=True)
    number = int(document.max()) + 1
    draws = np.random.default_rng(seed).multinomial(number, np.full(number, 1 / number), resamples)
    whole = _sums(document, masks[OVERALL], *losses.values())
    rows = [
        {"slice": name} | _slice(_sums(document, mask, *losses.values()), whole, draws, level)
        for name, mask in masks.items()
    ]
    return pd.DataFrame(rows).set_index("slice")


def _sums(document: NDArray, mask: NDArray, model: NDArray, baseline: NDArray) -> NDArray:
    """(documents, 3): in each document the slice's tokens and its two losses."""
    weights = (mask.ravel(), (model * mask).ravel(), (baseline * mask).ravel())
    return np.stack([np.bincount(document, w) for w in weights], axis=1)


def _shares(part: NDArray, whole: NDArray) -> tuple[NDArray, NDArray]:
    """Share of the tokens and share of the gap, from sums (..., 3)."""
    tokens = part[..., 0] / whole[..., 0]
    gaps = [(x[..., 1] - x[..., 2]) / np.maximum(x[..., 0], 1) for x in (part, whole)]
    return tokens, share_of_gap(*gaps, tokens)


def _slice(part: NDArray, whole: NDArray, draws: NDArray, level: float) -> dict[str, float]:
    """A row of `gap_slices`; `draws` (resamples, documents) says how often each was drawn."""
    tokens, *losses = part.sum(axis=0)
    model_ppl, baseline_ppl = (np.exp(loss / tokens) if tokens else np.nan for loss in losses)
    token_share, gap_share = _shares(part.sum(axis=0), whole.sum(axis=0))
    ends = [(1 - level) / 2, (1 + level) / 2]
    # An interval is nan where some draw of documents has no gap at all.
    token_ends, gap_ends = (np.quantile(x, ends) for x in _shares(draws @ part, draws @ whole))
    return {
        "tokens": int(tokens),
        "token_share": float(token_share),
        "token_share_low": token_ends[0],
        "token_share_high": token_ends[1],
        "model_ppl": model_ppl,
        "baseline_ppl": baseline_ppl,
        "gap_share": float(gap_share),
        "gap_share_low": gap_ends[0],
        "gap_share_high": gap_ends[1],
        "gap_share_capped": float(np.minimum(gap_share, 1)),
    }


def _rows(tokens: ArrayLike, counts: NgramCounts, threshold: float) -> NDArray:
    require(counts.order == 2, "counts", f"of {counts.order}-grams", "of bigrams")
    require(bool(threshold >= 0), "threshold", threshold, "at least 0")
    return as_tokens("tokens", tokens, ndim=2)
