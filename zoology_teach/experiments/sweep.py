"""Grid -> table (chapter 06): many runs, each kept the moment it is finished.

A run is known by a hash of its whole configuration, so a sweep that is started again does
only what is missing.
"""

import math
import time
from collections.abc import Callable, Iterable
from concurrent.futures import BrokenExecutor, Executor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from tqdm.auto import tqdm

from zoology_teach.configuration import as_json, fingerprint
from zoology_teach.experiments.executors import open_executor
from zoology_teach.experiments.results import (
    append,
    environment,
    load,
    note_provenance,
)
from zoology_teach.files import mend, sole_writer
from zoology_teach.model import LanguageModel, ModelConfig
from zoology_teach.tasks.mqar import MQAR
from zoology_teach.training.loop import Diverged, Record, TrainConfig, train


@dataclass(frozen=True)
class Run:
    """One training: `mixer` is the name of its curve, `recipe` how it was started."""

    mixer: str
    recipe: str
    task: MQAR
    model: ModelConfig
    train: TrainConfig

    @property
    def id(self) -> str:
        """`fingerprint` of the configuration."""
        return fingerprint(self)


def execute(run: Run) -> dict[str, Any]:
    """Train one run on one thread; its row of the table.

    A run that diverged has a row too: its accuracy and loss are empty.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    started = time.perf_counter()
    try:
        model = LanguageModel(run.model)
        history = train(model, run.task, run.train)
    except Diverged as error:
        history = error.history
        history.records.append(Record(len(history.records) + 1, math.nan))
    finally:
        torch.set_num_threads(threads)
    if history.interrupted:
        raise KeyboardInterrupt
    return {
        "run": run.id,
        "mixer": run.mixer,
        "recipe": run.recipe,
        "d_model": run.model.d_model,
        "seq_len": run.task.seq_len,
        "num_pairs": run.task.num_pairs,
        "vocab_size": run.task.vocab_size,
        "lr": run.train.lr,
        "steps": len(history.records),
        "batch_size": run.train.batch_size,
        "seed": run.train.seed,
        "accuracy": round(history.accuracy, 6),
        "loss": round(history.loss, 6),
        "parameters": model.num_parameters(),
        "state_size": model.state_size(run.task.seq_len),
        "cpu_seconds": round(history.cpu_seconds, 2),
        "seconds": round(time.perf_counter() - started, 2),
        "config": as_json(run),
    }


def run(
    grid: Iterable[Run],
    *,
    out: str | Path,
    executor: Executor | str | None = None,
    workers: int | None = None,
    command: str = "",
) -> pd.DataFrame:
    """Do what is missing of `grid`, append each finished run to `out`, return the table.

    executor  any concurrent.futures.Executor, or the "dask://HOST:PORT" of a dask scheduler;
              by default one process per core (`workers`), one thread each.

    A run is finished when its row is in the table. Whatever dies then (this process, a worker,
    the cluster), the row stays and the run is not done again. An interrupt or a crash loses at
    most the runs in progress. A dask worker that dies takes with it the run that it was doing
    and a result on its way here: dask does these again on another worker, for one row each.

    Raises ValueError when another version of the table wrote `out` or there is no such
    executor, OSError when the workers died or another sweep is writing `out`.
    """
    out = Path(out)
    grid = list({r.id: r for r in grid}.values())
    if len(finished(out, grid)) == len(grid):
        return load(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    with sole_writer(out), open_executor(executor, workers) as pool:
        done = finished(out, grid)  # again: another sweep may have written until now
        mend(out)
        noted = [environment()]
        note_provenance(out, command, noted[0])
        with tqdm(total=len(grid), initial=len(done), unit="run") as progress:

            def keep(row: dict[str, Any], made_by: dict[str, str]) -> None:
                if made_by not in noted:
                    noted.append(made_by)
                    note_provenance(out, command, made_by)
                append(out, row)
                progress.update()

            _do([r for r in grid if r.id not in done], pool, keep)
    return load(out)


def finished(out: str | Path, grid: Iterable[Run]) -> set[str]:
    """Ids of the runs of `grid` that the table already holds."""
    return set(load(out)["run"]) & {r.id for r in grid} if Path(out).exists() else set()


def _do(runs: Iterable[Run], pool: Executor, keep: Callable[..., None]) -> None:
    """`keep` what `_work` gives for each run, as it is finished. Stops at the first error."""
    futures = {pool.submit(_work, r) for r in runs}
    try:
        for future in as_completed(futures):
            futures.discard(future)
            keep(*future.result())
            # While a future is referred to, its result stays on the dask worker that made it;
            # were that worker to die, dask would do the run again.
            del future
    except BaseException as error:
        for future in futures:  # others may be finished by now
            if not future.cancel() and future.done() and not future.exception():
                keep(*future.result())
        if isinstance(error, BrokenExecutor):
            raise OSError(
                "a worker process died (too little memory?); what was finished is kept: "
                "run the same sweep again, perhaps with fewer workers"
            ) from None
        raise


def _work(run: Run) -> tuple[dict[str, Any], dict[str, str]]:
    """What a worker sends back: the row, and what made it."""
    return execute(run), environment()
