"""Slices of held-out text, their perplexities, and which rows ask (chapter 10)."""

import math
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from zoology_teach.checks import require
from zoology_teach.mixers.sparse_attention import SparseAttention
from zoology_teach.model import LanguageModel
from zoology_teach.recall import ar_hits, bigram_counts, opportunities
from zoology_teach.tasks.ngram import NgramCounts
from zoology_teach.tasks.source import Text
from zoology_teach.tasks.text import Blocks

MOST_BLOCKS = 20_000


def masks(tokens: ArrayLike, counts: NgramCounts, threshold: float, wide: float) -> dict:
    """The slices of blocks (B, N+1) as masks (B, N) of the predicted tokens.

    "ar": hits at `threshold`. "other": all but these. "opportunity": at `threshold`. "wide_ar":
    hits at the threshold `wide`. "repeated": every bigram seen earlier, common ones included.
    """
    hits = ar_hits(tokens, counts, threshold)
    slices = {
        "ar": hits,
        "other": ~hits,
        "opportunity": opportunities(tokens, counts, threshold),
        "wide_ar": ar_hits(tokens, counts, wide),
        "repeated": ar_hits(tokens, counts, math.inf),
    }
    return {name: mask[:, 1:] for name, mask in slices.items()}


def perplexities(losses: NDArray, slices: Mapping[str, NDArray]) -> dict[str, float]:
    """exp of the mean loss over all tokens ("ppl") and over each slice ("ar_ppl", ...)."""
    losses = losses.astype(np.float64)
    if not np.isfinite(losses).all():  # of a run that diverged
        return {}
    means = {"ppl": losses.mean()} | {
        f"{name}_ppl": losses[mask].mean() for name, mask in slices.items() if mask.any()
    }
    return {name: round(math.exp(mean), 4) for name, mean in means.items()}


def of_documents(blocks: Blocks, names: Collection[str]) -> NDArray[np.bool_]:
    """(B, N) whether a predicted token belongs to one of these documents.

    Raises ValueError for a name that is none of the blocks'.
    """
    for name in names:
        require(name in blocks.names, "document", name, f"one of {blocks.names}")
    wanted = [number for number, name in enumerate(blocks.names) if name in names]
    return np.isin(blocks.documents, wanted)


@contextmanager
def rows_that_ask(model: LanguageModel) -> Iterator[list[Tensor]]:
    """Bools (b, N) of each forward pass inside, of the first mixer that selects rows.

    Row i is the one that predicts token i + 1.
    """
    asking: list[Tensor] = []

    def note(mixer: SparseAttention, *_: object) -> None:
        asking.append((mixer.last_selection != 0).cpu())

    selecting = [m for m in model.mixers if isinstance(m, SparseAttention)]
    hooks = [m.register_forward_hook(note) for m in selecting[:1]]
    try:
        yield asking
    finally:
        for hook in hooks:
            hook.remove()


def asking_shares(
    asking: list[Tensor], reported: NDArray[np.bool_], hits: NDArray[np.bool_]
) -> dict[str, float]:
    """Which share asks of all T rows `reported` (B, N), and of those before an AR hit (T,)."""
    if not asking:
        return {}
    asks = torch.cat(asking).numpy()[reported]
    shares = {"asking_share": asks.mean(), "asking_ar_share": asks[hits].mean()}
    return {name: round(float(share), 4) for name, share in shares.items()}


@lru_cache(maxsize=1)
def measured(
    of: Text, thresholds: tuple[float, float], folder: Path
) -> tuple[Blocks, dict[str, NDArray]]:
    """The held-out blocks whose losses a table is made of, the first 20,000, and their `masks`.

    Counting the bigrams of ten billion tokens takes an hour, so it is not done for each run.
    """
    corpus = of.load(folder)
    end = MOST_BLOCKS * of.seq_len + 1
    held_out = corpus.held_out
    blocks = replace(held_out, stream=held_out.stream[:end], document=held_out.document[:end])
    return blocks, masks(blocks.tokens, bigram_counts(corpus.train.stream), *thresholds)
