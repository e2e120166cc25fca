"""One passage, token by token, with the losses of several models side by side (chapter 10)."""

from pathlib import Path

import numpy as np
import pandas as pd

from zoology_teach.experiments.text_presets import Preset
from zoology_teach.experiments.text_runs import losses_of_preset, measured, runs_folder


def passage(out: str | Path, preset: Preset, seed: int = 0) -> pd.DataFrame:
    """Two held-out blocks: that with the most AR hits, and the one in the middle.

    A row a predicted token: block, document, token (its text), ar and opportunity (0 or 1, as in
    the table `out`), and a column of losses in nats for each mixer of the preset, of its run with
    `seed`. Raises ValueError where the losses of one are not there: they are not committed, so
    after runs on several machines some may be missing.
    """
    losses = losses_of_preset(out, preset, seed)
    blocks, slices = measured(preset.text, preset.thresholds, runs_folder(out))
    decode = preset.text.load(runs_folder(out)).tokenizer.decode
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
