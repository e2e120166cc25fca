"""What a table of models on text shows of the held-out text itself: a passage, each document."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from zoology_teach.experiments.sweep import runs_folder
from zoology_teach.experiments.text_presets import Preset
from zoology_teach.experiments.text_runs import TextRun, losses_of
from zoology_teach.experiments.text_slices import measured


def losses_of_preset(
    out: str | Path, preset: Preset, seed: int
) -> list[tuple[TextRun, NDArray[np.float32]]]:
    """The runs of the preset with `seed`, each with its `losses_of`."""
    return [(run, losses_of(out, run.id)) for run in preset.runs([seed])]


def telling_blocks(slices: Mapping[str, NDArray]) -> NDArray[np.int64]:
    """(2,) numbers of blocks: that with the most AR hits, and the one in the middle by hits."""
    by_hits = slices["ar"].sum(axis=1).argsort(kind="stable")
    return by_hits[[-1, len(by_hits) // 2]]


def passage(out: str | Path, preset: Preset, seed: int = 0) -> pd.DataFrame:
    """Two held-out blocks: that with the most AR hits, and the one in the middle.

    A row a predicted token: block, document, token (its text), ar and opportunity (0 or 1, as in
    the table `out`), and a column of losses in nats for each run of the preset with `seed`, by its
    name. Raises ValueError where the losses of one are not there: they are not committed, so
    after runs on several machines some may be missing.
    """
    measured_runs = losses_of_preset(out, preset, seed)
    text = measured_runs[0][0].text
    blocks, slices = measured(text, preset.thresholds, runs_folder(out))
    decode = text.load(runs_folder(out)).tokenizer.decode
    chosen = telling_blocks(slices)
    tokens = blocks.tokens[chosen, 1:].ravel().tolist()
    columns = {
        "block": np.repeat(chosen, blocks.seq_len),
        "document": [blocks.names[d] for d in blocks.documents[chosen].ravel()],
        "token": [decode([t], skip_special_tokens=False) for t in tokens],
        "ar": slices["ar"][chosen].ravel().astype(int),
        "opportunity": slices["opportunity"][chosen].ravel().astype(int),
    }
    each = {run.name: loss[chosen].ravel().round(3) for run, loss in measured_runs}
    return pd.DataFrame(columns | each)


def by_document(out: str | Path, preset: Preset, seed: int = 0) -> pd.DataFrame:
    """A row for each run of the preset with `seed` and each held-out document.

    Columns: mixer, warm_up (updates of lessons, at most), document, tokens, ppl, ar_tokens, ar_ppl
    (nan where there is no hit); slices are those of the table `out`. Raises ValueError where the
    losses of one run are not there: they are not committed, so after runs on several machines
    some may be missing.
    """
    measured_runs = losses_of_preset(out, preset, seed)
    text = measured_runs[0][0].text
    blocks, slices = measured(text, preset.thresholds, runs_folder(out))
    of, hits = blocks.documents.ravel(), slices["ar"].ravel()

    def sums(weights: np.ndarray) -> np.ndarray:
        return np.bincount(of, weights, minlength=len(blocks.names))

    tokens, ar_tokens = sums(np.ones(of.size)), sums(hits)
    tables = []
    for run, loss in measured_runs:
        warm_up = sum(stage.steps for stage in run.train.before)
        loss = loss.ravel().astype(np.float64)
        with np.errstate(invalid="ignore"):
            ppl, ar_ppl = np.exp(sums(loss) / tokens), np.exp(sums(loss * hits) / ar_tokens)
        columns = {"mixer": run.mixer, "warm_up": warm_up, "document": blocks.names}
        columns |= {"tokens": tokens.astype(int)}
        columns |= {"ppl": ppl.round(4), "ar_tokens": ar_tokens.astype(int)}
        tables.append(pd.DataFrame(columns | {"ar_ppl": ar_ppl.round(4)}))
    table = pd.concat(tables, ignore_index=True)
    return table[table["tokens"] > 0]
