"""Runs on text -> table (chapter 10): train, measure by slice, keep a row; resumable.

The losses of all held-out tokens stay beside the table (`losses_of`), so another slice needs no
other run; so does the last checkpoint of each run, `<table>_runs/<run>.pt`.
"""

import json
import math
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor
from tqdm.auto import tqdm

from zoology_teach.checks import require
from zoology_teach.configuration import as_json, fingerprint
from zoology_teach.experiments.results import (
    append,
    environment,
    load,
    note_provenance,
)
from zoology_teach.experiments.text_presets import Preset, TextRun
from zoology_teach.files import mend, replacing, sole_writer
from zoology_teach.mixers.sparse_attention import SparseAttention
from zoology_teach.model import LanguageModel
from zoology_teach.recall import ar_hits, bigram_counts, opportunities
from zoology_teach.tasks.ngram import NgramCounts
from zoology_teach.tasks.source import Text
from zoology_teach.tasks.text import Blocks
from zoology_teach.training.loop import Diverged
from zoology_teach.training.text_loop import process_group, token_losses, train_text

COLUMNS = (
    "run mixer init source seed d_model layers mlp parameters state_size vocab_size seq_len steps "
    "batch_size lr tokens seconds cpu_seconds device train_loss held_out_tokens ppl threshold "
    "ar_share ar_ppl other_ppl opportunity_share opportunity_ppl wide_threshold wide_ar_share "
    "wide_ar_ppl repeated_share repeated_ppl asking_share asking_ar_share curve config"
).split()
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
    means = {"ppl": losses.mean()}
    means |= {f"{name}_ppl": losses[mask].mean() for name, mask in slices.items() if mask.any()}
    return {name: round(math.exp(mean), 4) for name, mean in means.items()}


@contextmanager
def rows_that_ask(model: LanguageModel) -> Iterator[list[Tensor]]:
    """Bools (b, N) of each forward pass inside, of the first mixer that selects rows.

    Row i is the one that predicts token i + 1.
    """
    asking: list[Tensor] = []

    def note(mixer: SparseAttention, inputs: tuple, options: dict) -> None:
        asking.append((mixer.select(inputs[0], options.get("tokens")) != 0).cpu())

    selecting = [m for m in model.mixers if isinstance(m, SparseAttention)]
    hooks = [m.register_forward_pre_hook(note, with_kwargs=True) for m in selecting[:1]]
    try:
        yield asking
    finally:
        for hook in hooks:
            hook.remove()


def asking_shares(asking: list[Tensor], hits: NDArray) -> dict[str, float]:
    """Which share of all rows asks, and of those that an AR hit (B, N) follows; or nothing."""
    if not asking:
        return {}
    asks = torch.cat(asking).numpy()
    shares = {"asking_share": asks.mean(), "asking_ar_share": asks[hits].mean()}
    return {name: round(float(share), 4) for name, share in shares.items()}


def execute(
    run: TextRun, folder: Path, device: str = "cpu", *, progress: str | None = None
) -> dict[str, Any]:
    """Train and measure a run; its row.

    Goes on from the checkpoint in `folder`, and leaves there the losses of the held-out tokens.
    Every process of a `process_group` calls it; the first one gets the row.
    """
    corpus, name = run.text.load(folder), fingerprint(run)
    model = LanguageModel(run.model).to(device)
    how = {"micro_batch": run.micro_batch, "bf16": run.bf16, "checkpoint": folder / f"{name}.pt"}
    if torch.distributed.is_initialized() and torch.distributed.get_rank() > 0:
        with suppress(Diverged):
            train_text(model, corpus.train, run.train, **how)
        return {}
    held_out, slices = measured(run.text, run.thresholds, folder)
    at_a_time = run.micro_batch or 16
    # On the way only some of the blocks, spread over all documents.
    some = slice(None, None, max(1, len(held_out) // run.train.eval_examples))

    def measure(model: LanguageModel) -> dict[str, float]:
        chosen = {key: mask[some] for key, mask in slices.items()}
        return perplexities(token_losses(model, held_out, some, batch_size=at_a_time), chosen)

    try:
        with_bar = {"measure": measure, "progress": progress}
        history = train_text(model, corpus.train, run.train, **with_bar, **how)
    except Diverged as error:
        history = error.history
    with rows_that_ask(model) as asking:
        losses = token_losses(model, held_out, batch_size=at_a_time)
    _write_losses(folder / f"{name}.npy", losses)
    shares = {f"{key}_share": round(float(mask.mean()), 6) for key, mask in slices.items()}
    del shares["other_share"]
    return {
        "run": name,
        "mixer": run.mixer,
        "init": next((x.options["init"] for x in run.model.layers if "init" in x.options), "usual"),
        "source": run.text.source,
        "seed": run.train.seed,
        "d_model": run.model.d_model,
        "layers": " ".join(x.mixer for x in run.model.layers),
        "mlp": run.model.mlp,
        "parameters": model.num_parameters(),
        "state_size": model.state_size(run.text.seq_len),
        "vocab_size": run.model.vocab_size,
        "seq_len": run.text.seq_len,
        "steps": run.train.steps,
        "batch_size": run.train.batch_size,
        "lr": run.train.lr,
        "tokens": run.train.steps * run.train.batch_size * run.text.seq_len,
        "seconds": round(history.seconds, 1),
        "cpu_seconds": round(history.cpu_seconds, 1),
        "device": _name(device),
        "train_loss": round(float(np.mean(history.losses[-100:])), 5),
        "held_out_tokens": losses.size,
        "threshold": run.thresholds[0],
        "wide_threshold": run.thresholds[1],
        **perplexities(losses, slices),
        **shares,
        **asking_shares(asking, slices["ar"]),
        "curve": json.dumps(history.measured, separators=(",", ":")),
        "config": as_json(run),
    }


def run_all(
    runs: Iterable[TextRun],
    out: str | Path,
    device: str = "cpu",
    *,
    command: str = "",
    progress: bool = False,
) -> pd.DataFrame:
    """Do what is missing of `runs`, one after another, and append each finished one to `out`.

    A run in progress goes on from its last checkpoint, and one whose row was lost is measured
    again without training: after a change to a mixer's code delete `runs_folder(out)` too. A run
    that diverged has a row without perplexities. Under torchrun every process calls this; the
    first one writes. Raises OSError when another process is writing `out`.
    """
    out = Path(out)
    folder = runs_folder(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    made_by = environment() | {"device": _name(device)}
    writer = sole_writer(out)
    with process_group(torch.device(device)) as (rank, _), nullcontext() if rank else writer:
        done = finished(out)
        missing = [run for run in runs if fingerprint(run) not in done]
        if rank > 0:
            for run in missing:
                execute(run, folder, device)
            return pd.DataFrame(columns=list(COLUMNS))
        mend(out)
        if missing:
            read = missing[0].text.load(folder).reading
            note_provenance(out, command, made_by)
            if progress:
                tqdm.write(f"{missing[0].text.source}: {read}", file=sys.stderr)
        for i, run in enumerate(missing, 1):
            label = f"{run.mixer}, seed {run.train.seed} ({i} of {len(missing)})"
            row = execute(run, folder, device, progress=label if progress else None)
            append(out, row, COLUMNS)
    return load(out, COLUMNS) if out.exists() else pd.DataFrame(columns=list(COLUMNS))


def finished(out: str | Path) -> set[str]:
    """Ids of the runs that the table already holds."""
    return set(load(out, COLUMNS)["run"]) if Path(out).exists() else set()


def runs_folder(out: str | Path) -> Path:
    """Where the checkpoints and token losses of a table lie."""
    return Path(out).with_name(Path(out).stem + "_runs")


def losses_of(out: str | Path, run: str) -> NDArray[np.float32]:
    """(B, N) the losses in nats of the held-out tokens, of a finished run by its id."""
    path = runs_folder(out) / f"{run}.npy"
    require(path.exists(), "run", run, f"one whose losses are kept in {path.parent}")
    return np.load(path)


def losses_of_preset(out: str | Path, preset: Preset, seed: int) -> dict[str, NDArray]:
    """Mixer -> `losses_of` its run with `seed`, for all mixers of the preset."""
    return {m: losses_of(out, fingerprint(preset.run(m, seed))) for m in preset.mixers}


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


def _write_losses(path: Path, losses: NDArray) -> None:
    with replacing(path) as new, open(new, "wb") as file:
        np.save(file, losses)


def _name(device: str) -> str:
    if device == "cpu":
        return device
    has = torch.cuda.is_available()
    require(has, "device", device, "there; no GPU is found (the preset laptop needs none)")
    return torch.cuda.get_device_name()
