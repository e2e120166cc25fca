"""Where runs are done: own processes, a real dask scheduler, and workers, some of which die."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from tests.experiments.runs import MY_MIXER, AtOnce, ids, tiny
from zoology_teach import cli, version
from zoology_teach.experiments import executors, results, sweep, synthetic_presets
from zoology_teach.mixers import plugin

GATED = (6, 7)  # seeds of runs that wait for the test
POISON = 5  # steps of a run that kills its worker

# Every worker loads this. The runs are slowed down, so that there is a middle to be killed in,
# and write down when they start and end.
WORKER = f"""
import os
import pathlib
import time
from zoology_teach.experiments.synthetic_runs import SyntheticRun

here = pathlib.Path(os.environ["HERE"])

def note(*words):
    with open(here / "log", "a") as file:
        file.write(" ".join(map(str, words)) + "\\n")

def noting(execute):
    def noted(run, *where, **how):
        note("start", os.getpid(), run.id)
        if run.train.steps == {POISON}:
            os._exit(1)
        while run.train.seed in {GATED} and not (here / "open").exists():
            time.sleep(0.02)
        time.sleep(0.2)
        row = execute(run, *where, **how)
        note("end", os.getpid(), run.id)
        return row
    return noted

if SyntheticRun.execute.__name__ == "execute":  # dask may load this file twice
    SyntheticRun.execute = noting(SyntheticRun.execute)
"""


def kill(process):
    """A process that was started with a group of its own, and that group."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@contextlib.contextmanager
def cluster(here, workers, *options):
    from distributed import Client

    (here / "worker.py").write_text(WORKER)
    (here / "log").touch()
    environment = {
        **os.environ,
        "HERE": str(here),
        "PYTHONPATH": os.getcwd(),
        "DASK_TEMPORARY_DIRECTORY": str(here),
        "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "1",
    }

    def start(*words):
        command = [sys.executable, "-m", "dask", *words, "--no-dashboard"]
        with open(here / f"{words[0]}.out", "a") as log:
            return subprocess.Popen(
                command, env=environment, cwd=here, start_new_session=True, stdout=log, stderr=log
            )

    address = here / "scheduler.json"
    places = "--scheduler-file", str(address)
    processes = [start("scheduler", "--host", "127.0.0.1", "--port", "0", *places)]
    ordinary = ["--nthreads", "1", "--preload", "worker.py", *places, *options]
    with contextlib.ExitStack() as stack:
        for _ in range(workers):
            processes.append(start("worker", *ordinary))
        stack.callback(lambda: [kill(process) for process in processes])
        wait_until(lambda: address.exists() and address.read_text().endswith("}"))
        address = json.loads(address.read_text())["address"]
        client = stack.enter_context(Client(address, timeout=60, set_as_default=False))
        client.wait_for_workers(workers, timeout=120)
        yield SimpleNamespace(
            executor=address.replace("tcp", "dask"),
            client=client,
            scheduler=processes[0],
            workers=processes[1:],
            notes=lambda: [line.split() for line in (here / "log").read_text().splitlines()],
            open_gate=(here / "open").touch,
            another=lambda: processes.append(start("worker", *ordinary)),
        )


@pytest.fixture(scope="module")
def dask(tmp_path_factory):
    with cluster(tmp_path_factory.mktemp("dask"), workers=2) as running:
        yield running


def wait_until(true, seconds=120):
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "nothing came of it"
        time.sleep(0.02)


def test_a_worker_that_is_killed_loses_no_finished_run_and_none_is_done_twice(tmp_path, dask):
    out, grid = tmp_path / "t.csv", [tiny(seed) for seed in range(12)]
    gated, also_gated = (tiny(seed).id for seed in GATED)

    def started(run):
        return [int(pid) for what, pid, name in dask.notes() if (what, name) == ("start", run)]

    with ThreadPoolExecutor(1) as thread:
        try:
            sweeping = thread.submit(sweep.run, grid, out=out, executor=dask.executor)
            wait_until(lambda: (started(gated) and started(also_gated)) or sweeping.done())
            (victim,) = started(gated)
            # Both workers are in the middle of a run. All that was done before is in the table,
            # and the cluster keeps nothing that it would have to do again.
            before = {name: int(pid) for what, pid, name in dask.notes() if what == "end"}
            wait_until(lambda: set(before) <= set(ids(out)))
            wait_until(lambda: not any(dask.client.has_what().values()), seconds=20)
            os.kill(victim, signal.SIGKILL)
        finally:
            dask.open_gate()
        table = sweeping.result(timeout=120)

    assert victim in before.values(), "the victim had finished nothing"
    every = {run.id for run in grid}
    assert set(table["run"]) == every and sorted(ids(out)) == sorted(every)
    notes = [note for note in dask.notes() if note[2] in every]
    ended = Counter(name for what, _, name in notes if what == "end")
    assert ended == dict.fromkeys(every, 1)  # none was done twice
    begun = Counter(name for what, _, name in notes if what == "start")
    assert begun == {**dict.fromkeys(every, 1), gated: 2}  # only what was broken off began again
    assert started(gated)[1] != victim


def test_the_command_line_runs_the_grid_on_the_cluster(tmp_path, dask, monkeypatch):
    grid = [tiny(seed) for seed in range(20, 23)]
    monkeypatch.setitem(synthetic_presets.PRESETS, "figure2", {"laptop": lambda: grid})
    out = tmp_path / "t.csv"
    command = ["sweep", "figure2", "--preset", "laptop", "--out", str(out)]
    done = CliRunner().invoke(cli.app, [*command, "--executor", dask.executor])
    assert done.exit_code == 0, done.output
    with ThreadPoolExecutor(1) as pool:
        here = sweep.run(grid, out=tmp_path / "here.csv", executor=pool)
    there = results.load(out).set_index("run").loc[here["run"]]
    same = ["mixer", "accuracy", "loss", "parameters", "config"]
    assert there[same].values.tolist() == here[same].values.tolist()
    (entry,) = results.provenance(out)["commands"]  # the workers' environment is this one
    assert entry["torch"] == results.environment()["torch"]


def test_a_run_that_kills_every_worker_ends_in_one_error_and_the_rest_is_kept(tmp_path, dask):
    out = tmp_path / "t.csv"
    first, poison = tiny(30), tiny(31, steps=POISON)
    sweep.run([first], out=out, executor=dask.executor)
    with pytest.raises(OSError, match="every worker that tried one of the runs died, 2 in all"):
        sweep.run([first, tiny(32), poison], out=out, executor=dask.executor)
    table = sweep.run([first, tiny(32), tiny(33)], out=out, executor=dask.executor)
    assert set(table["run"]) == {first.id, tiny(32).id, tiny(33).id}
    assert len(ids(out)) == 3


def test_a_scheduler_that_dies_ends_in_one_error_and_the_rest_is_kept(tmp_path):
    out = tmp_path / "t.csv"
    grid = [tiny(0), tiny(1), tiny(GATED[0])]
    with cluster(tmp_path, workers=1) as dask, ThreadPoolExecutor(1) as thread:
        sweeping = thread.submit(sweep.run, grid, out=out, executor=dask.executor)
        wait_until(lambda: len(ids(out)) == 2 or sweeping.done())
        kill(dask.scheduler)
        with pytest.raises(OSError, match=r"the dask scheduler at 127\.0\.0\.1:\d+ is gone"):
            sweeping.result(timeout=120)
        dask.client.close(timeout=1)
    assert set(results.load(out)["run"]) == {tiny(0).id, tiny(1).id}


def test_workers_that_all_leave_end_in_one_error_and_the_rest_is_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(executors, "WORKER_SECONDS", 2)
    monkeypatch.setattr(executors, "LOOK_SECONDS", 0.5)
    out = tmp_path / "t.csv"
    grid = [tiny(0), tiny(1), tiny(GATED[0])]
    with cluster(tmp_path, 1, "--no-nanny") as dask, ThreadPoolExecutor(1) as thread:
        sweeping = thread.submit(sweep.run, grid, out=out, executor=dask.executor)
        wait_until(lambda: len(ids(out)) == 2 or sweeping.done())
        kill(dask.workers[0])
        gone = r"all workers of dask://127\.0\.0\.1:\d+ have left, for 2 s none came back"
        with pytest.raises(OSError, match=gone):
            sweeping.result(timeout=60)
    assert set(results.load(out)["run"]) == {tiny(0).id, tiny(1).id}


@pytest.fixture
def complaint(monkeypatch, tmp_path):
    """What the command line says to an `--executor` that it cannot have."""
    monkeypatch.setattr(executors, "SCHEDULER_SECONDS", 1)
    monkeypatch.setattr(executors, "WORKER_SECONDS", 1)

    def ask(executor, *more):
        monkeypatch.setitem(synthetic_presets.PRESETS, "figure2", {"laptop": lambda: [tiny()]})
        command = ["sweep", "figure2", "--preset", "laptop", "--out", str(tmp_path / "t.csv")]
        done = CliRunner().invoke(cli.app, [*command, "--executor", executor, *more])
        assert done.exit_code == 2 and not ids(tmp_path / "t.csv")
        (line,) = done.stderr.splitlines()
        return line

    return ask


@pytest.mark.parametrize("wrong", ["there", "tcp://127.0.0.1:8786", "dask://host", "dask://h:1/x"])
def test_an_address_must_be_one(complaint, wrong):
    assert f"executor = '{wrong}': must be dask://HOST:PORT" in complaint(wrong)


@pytest.mark.parametrize("hello", [None, b"", b"SSH-2.0-OpenSSH_9.6 and so on\n"])
def test_where_no_scheduler_is_a_sweep_does_not_wait(complaint, hello):
    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor(1) as thread:
        address = f"dask://127.0.0.1:{server.getsockname()[1]}"
        if hello is None:
            server.close()
        else:  # something else listens there
            thread.submit(lambda: server.accept()[0].sendall(hello) or time.sleep(3))
        began = time.monotonic()
        assert f"executor = '{address}': must be the address of a dask" in complaint(address)
        assert time.monotonic() - began < 10


def test_a_worker_is_not_a_scheduler_and_workers_are_its_own(complaint, dask):
    worker = next(iter(dask.client.has_what())).replace("tcp", "dask")
    assert complaint(worker).endswith("what answers there is Worker")
    assert "workers = 2: must be left out" in complaint(dask.executor, "--workers", "2")


def test_a_cluster_has_the_same_code_everywhere(complaint, dask, monkeypatch):
    was = version.code()
    monkeypatch.setattr(version, "code", lambda: "9.9.9+edited")
    assert complaint(dask.executor).endswith(
        f"with zoology_teach 9.9.9+edited everywhere, not: {was}"
    )


def test_without_dask_the_complaint_says_what_to_install(complaint, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    assert 'pip install -c constraints.txt -e ".[cluster]"' in complaint("dask://127.0.0.1:1")


def test_only_a_sweep_on_a_cluster_imports_dask():
    code = (
        "import sys, zoology_teach.experiments.synthetic_presets; sys.exit('dask' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_workers_must_be_a_number_and_our_own(tmp_path):
    with pytest.raises(ValueError, match="workers = 0"):
        sweep.run([tiny()], out=tmp_path / "t.csv", workers=0)
    for executor in (AtOnce(), "here"):
        with pytest.raises(ValueError, match="workers = 2: must be left out"):
            sweep.run([tiny()], out=tmp_path / "t.csv", workers=2, executor=executor)


@pytest.mark.parametrize("options", [[], ["--no-nanny"]])
def test_a_mixer_from_outside_reaches_every_worker(tmp_path, options):
    """Also one that joins when the sweep has begun; the file lies in no worker's path."""
    mine = tmp_path / "my work" / f"far_delta_{len(options)}.py"
    mine.parent.mkdir()
    mine.write_bytes(MY_MIXER.read_bytes())
    (mixer,) = plugin.load(mine)
    grid = [tiny(seed, mixer=mixer) for seed in (0, 1, *GATED, 8)]
    out = tmp_path / "t.csv"
    with cluster(tmp_path, 1, *options) as dask, ThreadPoolExecutor(1) as thread:
        how = {"out": out, "executor": dask.executor, "plugins": [mine]}
        sweeping = thread.submit(sweep.run, grid, **how)
        wait_until(lambda: len(ids(out)) >= 2 or sweeping.done())
        dask.another()
        dask.client.wait_for_workers(2, timeout=120)
        wait_until(lambda: len({pid for _, pid, _ in dask.notes()}) == 2 or sweeping.done())
        dask.open_gate()
        table = sweeping.result(timeout=120)
        makers = {pid for what, pid, _ in dask.notes() if what == "end"}
    assert set(table["mixer"]) == {mixer} and len(table) == 5
    assert len(makers) == 2, "the one that came later did some of the runs"
