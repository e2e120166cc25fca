"""Grid -> table (chapter 06): many runs, each kept the moment it is finished.

A run is known by a hash of its whole configuration, so a sweep that is started again does
only what is missing. Recall runs and runs on text are the same to it.
"""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import BrokenExecutor, Executor, as_completed
from contextlib import nullcontext
from pathlib import Path
from typing import Any, ClassVar, Protocol

import pandas as pd
import torch
from tqdm.auto import tqdm

from zoology_teach.checks import require
from zoology_teach.experiments.executors import HERE, open_executor
from zoology_teach.experiments.results import (
    append,
    device_name,
    environment,
    load,
    note_provenance,
    require_same_plugins,
    require_table,
    require_writable,
    whole_rows,
)
from zoology_teach.files import mend, sole_writer
from zoology_teach.mixers.plugin import content
from zoology_teach.training.processes import from_the_first, process_group

Row = dict[str, Any]


class Run(Protocol):
    """What a sweep asks of a run, a frozen configuration.

    columns  of its row.
    id       `configuration.fingerprint` of itself.
    label    a few words for a progress bar.
    """

    columns: ClassVar[tuple[str, ...]]

    @property
    def id(self) -> str:
        """Twelve hex digits."""

    @property
    def label(self) -> str:
        """Its mixer, and what else tells it from its neighbours."""

    def execute(self, folder: Path, device: str = "cpu", *, progress: bool | str = False) -> Row:
        """Do it; its row. `folder` is for its checkpoint and what else it leaves.

        Under torchrun every process calls this; the row of the first one counts. A run that
        diverged has a row too. Raises KeyboardInterrupt when it was interrupted.
        """


def run(
    grid: Iterable[Run],
    *,
    out: str | Path,
    executor: Executor | str | None = None,
    workers: int | None = None,
    device: str = "cpu",
    command: str = "",
    plugins: Sequence[Path] = (),
) -> pd.DataFrame:
    """Do what is missing of `grid`, append each finished run to `out`, return the table.

    executor  any concurrent.futures.Executor, or the "dask://HOST:PORT" of a dask scheduler, or
              "here" for one run after another in this process, as under torchrun; by default
              one process per core (`workers`), one thread each.
    device    where each run computes.
    plugins   files of mixers that the runs name (`mixers.plugin`), for a cluster's workers.

    A run is finished when its row is in the table. Whatever dies then (this process, a worker,
    the cluster), the row stays and the run is not done again. An interrupt or a crash loses at
    most what the runs in progress did since their last checkpoint. A dask worker that dies takes
    with it the run that it was doing and a result on its way here: dask does these again on
    another worker, for one row each.

    Raises ValueError for an empty grid, an `out` that cannot be written, that another version of
    the table wrote or that has rows of a plugin with another content, or when there is no such
    executor; OSError when the workers died or left, or another sweep is writing `out`.
    """
    out = require_table(out)
    grid = list({r.id: r for r in grid}.values())
    require(bool(grid), "grid", grid, "at least one run")
    columns = grid[0].columns
    contents = sorted(map(content, plugins))
    require_same_plugins(out, contents)
    if len(finished(out, grid)) == len(grid):
        return load(out, columns)
    about = {"device": device_name(device)}
    if plugins:
        about["plugins"] = ", ".join(contents)
    folder = runs_folder(out)
    require_writable(out, folder)
    with process_group(torch.device(device)) as (rank, size):
        if size > 1:
            for name, value in {"executor": executor, "workers": workers}.items():
                require(value in (None, HERE), name, value, "left out under torchrun")
            executor = HERE
        with nullcontext() if rank else sole_writer(out):
            # Again: another sweep may have written until now; the first process counts for all.
            done = from_the_first(finished(out, grid))
            missing = [r for r in grid if r.id not in done]
            if rank > 0:
                for one in missing:
                    one.execute(folder, device)
                return pd.DataFrame(columns=list(columns))
            mend(out, whole_rows)
            keep = _keeper(out, columns, command, about)
            with open_executor(executor, workers, plugins) as pool:
                if pool is None:
                    _here(missing, folder, device, keep)
                else:
                    _do(missing, len(done), pool, (folder, device), keep)
    return load(out, columns)


def finished(out: str | Path, grid: Sequence[Run]) -> set[str]:
    """Ids of the runs of `grid` that the table already holds."""
    if not grid or not Path(out).exists():
        return set()
    return set(load(out, grid[0].columns)["run"]) & {r.id for r in grid}


def runs_folder(out: str | Path) -> Path:
    """Where the checkpoints of a table's runs lie, and what else they leave."""
    return Path(out).with_name(Path(out).stem + "_runs")


def _keeper(
    out: Path, columns: Sequence[str], command: str, about: dict[str, str]
) -> Callable[[Row, dict[str, str]], None]:
    """What appends a row, once its makers stand in the table's provenance."""
    noted = [environment() | about]
    note_provenance(out, command, noted[0])

    def keep(row: Row, made_by: dict[str, str]) -> None:
        made_by = made_by | about
        if made_by not in noted:
            noted.append(made_by)
            note_provenance(out, command, made_by)
        append(out, row, columns)

    return keep


def _here(runs: Sequence[Run], folder: Path, device: str, keep: Callable[..., None]) -> None:
    for number, one in enumerate(runs, 1):
        label = f"{one.label} ({number} of {len(runs)})"
        keep(one.execute(folder, device, progress=label), environment())


def _do(
    runs: Iterable[Run], done: int, pool: Executor, where: tuple, keep: Callable[..., None]
) -> None:
    """`keep` what `_work` gives for each run, as it is finished. Stops at the first error."""
    futures = {pool.submit(_work, r, *where) for r in runs}
    try:
        with tqdm(total=done + len(futures), initial=done, unit="run") as progress:
            for future in as_completed(futures):
                futures.discard(future)
                keep(*future.result())
                progress.update()
                # While a future is referred to, its result stays on the dask worker that made
                # it; were that worker to die, dask would do the run again.
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


def _work(run: Run, folder: Path, device: str) -> tuple[Row, dict[str, str]]:
    """What a worker sends back: the row, and what made it. A worker has one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return run.execute(folder, device), environment()
    finally:
        torch.set_num_threads(threads)
