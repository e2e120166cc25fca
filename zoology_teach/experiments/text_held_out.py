"""What a table of models on text shows of the held-out text itself: a passage, each document."""

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from zoology_teach.experiments.sweep import runs_folder
from zoology_teach.experiments.text_presets import Preset
from zoology_teach.experiments.text_runs import losses_of
from zoology_teach.experiments.text_slices import measured


def losses_of_preset(out: str | Path, preset: Preset, seed: int) -> dict[str, NDArray]:
    """Mixer -> `losses_of` its run with `seed`, for all mixers of the preset."""
    return {m: losses_of(out, preset.run(m, seed).id) for m in preset.mixers}


def passage(out: str | Path, preset: Preset, seed: int = 0) -> pd.DataFrame:
    """Two held-out blocks: that with the most AR hits, and the one in the middle.

    A row a predicted token: block, document, token (its text), ar and opportunity (0 or 1, as in
    the table `out`), and a column of losses in nats for each mixer of the preset, of its run with
    `seed`. Raises ValueError where the losses of one are not there: they are not committed, so
    after runs on several machines some may be missing.
    """
    losses = losses_of_preset(out, preset, seed)
    text = preset.run(preset.mixers[0], seed).text
    blocks, slices = measured(text, preset.thresholds, runs_folder(out))
    decode = text.load(runs_folder(out)).tokenizer.decode
    by_hits = slices["ar"].sum(axis=1).argsort(kind="stable")
    chosen = by_hits[[-1, len(by_hits) // 2]]
    tokens = blocks.tokens[chosen, 1:].ravel().tolist()
    columns = {
        "block": np.repeat(chosen, blocks.seq_len),
        "document": [blocks.names[d] for d in blocks.documents[chosen].ravel()],
        "token": [decode([t], skip_special_tokens=False) for t in tokens],
        "ar": slices["ar"][chosen].ravel().astype(int),
        "opportunity": slices["opportunity"][chosen].ravel().astype(int),
    }
    each = {mixer: loss[chosen].ravel().round(3) for mixer, loss in losses.items()}
    return pd.DataFrame(columns | each)


def by_document(out: str | Path, preset: Preset, seed: int = 0) -> pd.DataFrame:
    """A row for each mixer of the preset and held-out document, of its run with `seed`.

    Columns: mixer, document, tokens, ppl, ar_tokens, ar_ppl (nan where there is no hit); slices
    are those of the table `out`. Raises ValueError where the losses of one run are not there:
    they are not committed, so after runs on several machines some may be missing.
    """
    losses = losses_of_preset(out, preset, seed)
    text = preset.run(preset.mixers[0], seed).text
    blocks, slices = measured(text, preset.thresholds, runs_folder(out))
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
