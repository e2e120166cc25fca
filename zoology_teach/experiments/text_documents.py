"""Perplexities of each held-out document: how much a result depends on the text (chapter 10)."""

from pathlib import Path

import numpy as np
import pandas as pd

from zoology_teach.experiments.text_presets import Preset
from zoology_teach.experiments.text_runs import losses_of_preset, measured, runs_folder


def by_document(out: str | Path, preset: Preset, seed: int = 0) -> pd.DataFrame:
    """A row for each mixer of the preset and held-out document, of its run with `seed`.

    Columns: mixer, document, tokens, ppl, ar_tokens, ar_ppl (nan where there is no hit); slices
    are those of the table `out`. Raises ValueError where the losses of one run are not there:
    they are not committed, so after runs on several machines some may be missing.
    """
    losses = losses_of_preset(out, preset, seed)
    blocks, slices = measured(preset.text, preset.thresholds, runs_folder(out))
    of, hits = blocks.documents.ravel(), slices["ar"].ravel()

    def sums(weights: np.ndarray) -> np.ndarray:
        return np.bincount(of, weights, minlength=len(blocks.names))

    tokens, ar_tokens = sums(np.ones(of.size)), sums(hits)
    tables = []
    for mixer, loss in losses.items():
        loss = loss.ravel().astype(np.float64)
        with np.errstate(invalid="ignore"):
            ppl, ar_ppl = np.exp(sums(loss) / tokens), np.exp(sums(loss * hits) / ar_tokens)
        columns = {"mixer": mixer, "document": blocks.names, "tokens": tokens.astype(int)}
        columns |= {"ppl": ppl.round(4), "ar_tokens": ar_tokens.astype(int)}
        tables.append(pd.DataFrame(columns | {"ar_ppl": ar_ppl.round(4)}))
    table = pd.concat(tables, ignore_index=True)
    return table[table["tokens"] > 0]
