"""Where the runs of a sweep are done: processes of this machine, or a dask cluster."""

import asyncio
import multiprocessing
import os
import re
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError, Executor, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from zoology_teach.checks import require, require_int

HERE = "here"
SCHEDULER_SECONDS = 10  # that a scheduler may take to answer
WORKER_SECONDS = 60  # that a cluster may be without a worker, at the start or later
LOOK_SECONDS = 5  # between two looks whether there is one


@contextmanager
def open_executor(
    executor: Executor | str | None, workers: int | None, plugins: Sequence[Path] = ()
) -> Iterator[Executor | None]:
    """The executor given, or that of the cluster at an address, or processes of our own.

    None for "here": one run after another in this process. The workers of a cluster get the
    files `plugins`; processes started from here find them as this one does.
    Raises ValueError naming `executor` when there is no such cluster.
    """
    if executor is None:
        with _processes((os.cpu_count() or 1) if workers is None else workers) as pool:
            yield pool
        return
    require(workers is None, "workers", workers, "left out where there is an executor")
    if executor == HERE:
        yield None
    elif isinstance(executor, str):
        with _cluster(executor, plugins) as pool:
            yield pool
    else:
        yield executor


@contextmanager
def _processes(workers: int) -> Iterator[Executor]:
    """Processes which an interrupt ends at once."""
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
        parent = multiprocessing.parent_process()
        assert parent is not None  # a worker has one
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@contextmanager
def _cluster(address: str, plugins: Sequence[Path]) -> Iterator[Executor]:
    """The workers of the dask scheduler at dask://HOST:PORT."""
    place = re.fullmatch(r"dask://([^/\s]+:\d+)", address)
    if place is None:
        allowed = "dask://HOST:PORT, a dask scheduler's address"
        raise ValueError(f"executor = {address!r}: must be {allowed}")
    try:
        from distributed import Client, KilledWorker
    except ImportError as error:
        raise ValueError(
            f"executor = {address!r}: {error}; for a cluster, install what is missing: "
            'pip install -c constraints.txt -e ".[cluster]"'
        ) from None
    scheduler = f"tcp://{place[1]}"
    with ThreadPoolExecutor(1) as thread:  # in a notebook, this one has an event loop already
        kind = thread.submit(asyncio.run, _kind(scheduler)).result()
    there = "the address of a dask scheduler; what answers there is " + kind
    require(kind == "Scheduler", "executor", address, there)
    client = Client(scheduler, timeout=SCHEDULER_SECONDS, set_as_default=False)
    with client:
        try:
            client.wait_for_workers(1, timeout=WORKER_SECONDS)
        except OSError:
            raise ValueError(
                f"executor = {address!r}: this scheduler has no worker ({WORKER_SECONDS} s)"
            ) from None
        _require_same_code(client, address)
        for plugin in plugins:
            client.upload_file(str(plugin))
        try:
            with _ended_without_workers(client) as left:
                yield client.get_executor()
        except KilledWorker as error:
            raise OSError(
                f"every worker that tried one of the runs died, {error.allowed_failures + 1} in "
                "all (too little memory?); what was finished is kept"
            ) from None
        except CancelledError:
            gone = f"the dask scheduler at {place[1]} is gone"
            if left.is_set():
                gone = f"all workers of {address} have left, for {WORKER_SECONDS} s none came back"
            raise OSError(f"{gone}; what was finished is kept: run the same sweep again") from None


@contextmanager
def _ended_without_workers(client: Any) -> Iterator[threading.Event]:
    """Close the client, which cancels its runs, where no worker was there for `WORKER_SECONDS`.

    Dask would wait for ever. The event says afterwards whether that happened.
    """
    done, left = threading.Event(), threading.Event()

    def watch() -> None:
        missing = 0.0
        while not done.wait(LOOK_SECONDS):
            try:
                missing = 0.0 if client.nthreads() else missing + LOOK_SECONDS
            except Exception:  # the scheduler is gone, which the runs notice themselves
                return
            if missing >= WORKER_SECONDS:
                left.set()
                client.close()
                return

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield left
    finally:
        done.set()


def _require_same_code(client: Any, address: str) -> None:
    """A scheduler or a worker that could not load a run would drop it, or die."""

    def version() -> str:  # local, so that it travels as code
        from zoology_teach.version import code

        return code()

    try:
        there = {client.run_on_scheduler(version), *client.run(version).values()}
    except Exception as error:
        there = {str(error)}
    wanted = f"a cluster with zoology_teach {version()} everywhere, not: {', '.join(sorted(there))}"
    require(there == {version()}, "executor", address, wanted)


async def _kind(address: str) -> str:
    """What answers there: Scheduler, Worker, Nanny, or "nothing of dask".

    A dask Client does not ask: where the server is another one, it waits for ever.
    """
    from distributed.core import rpc

    server = rpc(address)
    try:
        return (await asyncio.wait_for(server.identity(), SCHEDULER_SECONDS))["type"]
    except Exception:  # whatever another server says is taken for the sizes of a message
        return "nothing of dask"
    finally:
        await server.close_rpc()
