"""What trained models write: one held-out passage goes on, token by token (chapter 10)."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from zoology_teach.checks import require, require_positive
from zoology_teach.experiments.sweep import runs_folder
from zoology_teach.experiments.text_held_out import telling_blocks
from zoology_teach.experiments.text_presets import Preset
from zoology_teach.experiments.text_runs import TextRun
from zoology_teach.experiments.text_slices import measured
from zoology_teach.model import LanguageModel
from zoology_teach.recall import ar_hits, bigram_counts
from zoology_teach.training import checkpoint

GIVEN, WRITTEN, TEMPERATURE = 128, 72, 0.7


def trained(out: str | Path, run: TextRun) -> LanguageModel:
    """The model of a finished run of the table `out`. Raises ValueError where it is not kept."""
    path = runs_folder(out) / f"{run.id}.pt"
    require(path.exists(), "run", run.id, f"one whose checkpoint is kept in {path.parent}")
    model = LanguageModel(run.model)
    model.load_state_dict(checkpoint.load(path)["model"])
    return model.eval()


@torch.no_grad()
def write_on(
    model: LanguageModel, given: Tensor, number: int, temperature: float, seed: int = 0
) -> Tensor:
    """tokens (n,) -> (n + number,): each new one is drawn from softmax(logits / temperature).

    All tokens are read again for each new one, since attention has no `step`. Raises ValueError
    for a temperature that is not positive.
    """
    require_positive("temperature", temperature)
    generator, tokens = torch.Generator().manual_seed(seed), given
    for _ in range(number):
        likely = (model(tokens[None])[0, -1] / temperature).softmax(-1)
        tokens = torch.cat([tokens, torch.multinomial(likely, 1, generator=generator)])
    return tokens


def continued(out: str | Path, preset: Preset, seed: int = 0) -> pd.DataFrame:
    """The held-out block with the most AR hits: its first 128 tokens, and 72 by each model.

    A row a token: by ("given", or the name of a run of the preset with `seed`), token (its text),
    recalled (0 or 1: an AR hit of all that stands before it). Raises ValueError where a model is
    not there: checkpoints are not committed.
    """
    runs = preset.runs([seed])
    folder, text = runs_folder(out), runs[0].text
    blocks, slices = measured(text, preset.thresholds, folder)
    corpus = text.load(folder)
    counts = bigram_counts(corpus.train.stream)
    given = torch.from_numpy(blocks.tokens[telling_blocks(slices)[0], :GIVEN].astype(np.int64))

    def told(by: str, tokens: Tensor, start: int) -> pd.DataFrame:
        recalled = ar_hits(tokens[None].numpy(), counts, preset.thresholds[0])[0, start:]
        decode = corpus.tokenizer.decode
        words = [decode([t], skip_special_tokens=False) for t in tokens[start:].tolist()]
        return pd.DataFrame({"by": by, "token": words, "recalled": recalled.astype(int)})

    tables = [told("given", given, 0)]
    for run in runs:
        written = write_on(trained(out, run), given, WRITTEN, TEMPERATURE)
        tables.append(told(run.name, written, GIVEN))
    return pd.concat(tables, ignore_index=True)
