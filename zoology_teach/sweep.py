"""Grid -> table (chapter 06): many runs, each kept the moment it is finished.

A run is known by a hash of its whole configuration, so a sweep that is started again does
only what is missing.
"""

import hashlib
import json
import math
import multiprocessing
import os
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import BrokenExecutor, Executor, ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from tqdm.auto import tqdm

from zoology_teach.checks import require_int
from zoology_teach.model import LanguageModel, ModelConfig
from zoology_teach.results import append, load, mend, note_provenance
from zoology_teach.tasks.mqar import MQAR
from zoology_teach.train import Diverged, Record, TrainConfig, train


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
        """Twelve hex digits of the configuration.

        Fields at their default do not enter, so a field added later leaves old ids alone.
        """
        changed = _json(_plain(self, defaults=False))
        return hashlib.sha256(changed.encode()).hexdigest()[:12]


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
        "config": _json(_plain(run)),
    }


def run(
    grid: Iterable[Run],
    *,
    out: str | Path,
    executor: Executor | None = None,
    workers: int | None = None,
    command: str = "",
) -> pd.DataFrame:
    """Do what is missing of `grid`, append each finished run to `out`, return the table.

    executor  any concurrent.futures.Executor; by default one process per core (`workers`),
              one thread each. An interrupt loses at most the runs in progress.

    Raises ValueError when `out` was written by another version of the table.
    """
    out = Path(out)
    grid = list(grid)
    done = finished(out, grid)
    missing = list({r.id: r for r in grid if r.id not in done}.values())
    if missing:
        out.parent.mkdir(parents=True, exist_ok=True)
        mend(out)
        note_provenance(out, command)
        progress = tqdm(total=len(grid), initial=len(grid) - len(missing), unit="run")
        with progress, _pool(executor, workers) as pool:
            futures = [pool.submit(execute, r) for r in missing]
            try:
                for future in as_completed(futures):
                    append(out, future.result())
                    progress.update()
            except BrokenExecutor:
                raise OSError(
                    "a worker process died (too little memory?); what was finished is kept: "
                    "run the same sweep again, perhaps with fewer workers"
                ) from None
            finally:
                for future in futures:
                    future.cancel()
    return load(out)


def finished(out: str | Path, grid: Iterable[Run]) -> set[str]:
    """Ids of the runs of `grid` that the table already holds."""
    return set(load(out)["run"]) & {r.id for r in grid} if Path(out).exists() else set()


@contextmanager
def _pool(executor: Executor | None, workers: int | None) -> Iterator[Executor]:
    """The given executor, or processes of our own, which an interrupt ends at once."""
    if executor is not None:
        yield executor
        return
    workers = os.cpu_count() if workers is None else workers
    require_int("workers", workers, 1)
    context = multiprocessing.get_context("spawn")
    others = multiprocessing.active_children()
    with ProcessPoolExecutor(workers, context, initializer=_leave_with_parent) as pool:
        try:
            yield pool
        except BaseException:
            for process in set(multiprocessing.active_children()) - set(others):
                process.terminate()
            raise


def _leave_with_parent() -> None:
    """End this worker when the process that started it is gone, even by kill -9."""

    def watch() -> None:
        multiprocessing.parent_process().join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def _plain(value: Any, *, defaults: bool = True) -> Any:
    """Dataclasses as dicts, with or without the fields at their default; tuples as lists."""
    if is_dataclass(value):
        kept = {f.name: getattr(value, f.name) for f in fields(value)}
        if not defaults:
            kept = {f.name: kept[f.name] for f in fields(value) if kept[f.name] != f.default}
        value = kept
    if isinstance(value, Mapping):
        return {str(k): _plain(v, defaults=defaults) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v, defaults=defaults) for v in value]
    return value
