"""What the tests of training run in other processes: python elsewhere.py KIND PATH ..."""

import json
import os
import signal
import sys
import time
import traceback
import zlib
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import torch

from tests.training.toys import CONFIG, CURRICULUM, TASK, small_model, toy_blocks, toy_model
from zoology_teach import cli
from zoology_teach.training import loop, processes, train

# Name -> a model, its task, its budget, and what else `train` is given.
TRAININGS = {
    "text": lambda: (toy_model("full"), toy_blocks(), CONFIG, {"micro_batch": 1}),
    "recall": lambda: (small_model(), TASK, replace(CONFIG, eval_examples=50), {}),
    "recall in bf16": lambda: (
        small_model(),
        TASK,
        replace(CONFIG, eval_examples=50, train_examples=12),
        {"micro_batch": 1, "bf16": True},
    ),
    "stages": lambda: (small_model(), TASK, CURRICULUM, {"micro_batch": 2}),
    "stop": lambda: (
        small_model(),
        TASK,
        replace(CONFIG, eval_every=5, stop_accuracy=0.001, eval_examples=50),
        {},
    ),
}


def trained(name: str) -> dict:
    """What is left of a training, in plain values."""
    model, task, config, options = TRAININGS[name]()
    loop.MASTERED_OVER = 3
    history = train(model, task, config, **options)
    return {
        "losses": history.losses,
        "ended": [[e.steps, e.mastered] for e in history.ended],
        "accuracy": history.accuracy,
        # A key's bias moves no softmax: its gradient is rounding, which AdamW makes large.
        "weights": [
            p.double().sum().item()
            for name, p in model.named_parameters()
            if not name.endswith("key.bias")
        ],
    }


def slowly(path: str) -> None:
    """Train with a checkpoint after every update, until somebody ends this process."""
    loop.MASTERED_OVER = 3

    def nap(*_):
        time.sleep(0.1)

    model = toy_model()
    model.register_forward_pre_hook(nap)
    train(model, TASK, CURRICULUM, checkpoint=Path(path), save_seconds=0)


def die(rank: int, how: str) -> None:
    """What the processes of a training do while one of them ends in the middle."""

    def measure(model):
        if how == "killed while measuring":
            os.kill(os.getpid(), signal.SIGKILL)
        if how == "failed while measuring":
            raise ArithmeticError("nothing to measure")
        return {}

    calls = []

    def end(*_):
        calls.append(1)
        if len(calls) == 5 and how == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if len(calls) == 5 and how == "failed":
            raise ArithmeticError("this process fails")

    model = toy_model("full")
    if processes.rank_and_size()[0] == rank:
        model.register_forward_pre_hook(end)
    if how == "killed while reading":
        if processes.rank_and_size()[0] == rank:
            os.kill(os.getpid(), signal.SIGKILL)
        processes.from_the_first(True)
    train(model, toy_blocks(), replace(CONFIG, steps=2000, eval_every=10), measure=measure)


def together(kind: str, *words: str) -> None:
    with processes.process_group(torch.device("cpu")) as (rank, size):
        if kind == "die":
            die(int(words[0]), words[1])
            return
        found = {name: trained(name) for name in TRAININGS} | {"size": size}
        Path(f"{words[0]}.{rank}").write_text(json.dumps(found))


def command(kind: str, *words: str) -> None:
    """As the command line does it: what is wrong is said in one line."""
    torch.set_num_threads(1)
    cli.app.command("together")(lambda: together(kind, *words))
    cli.app(["together"])


def side_by_side(names: str, folder: str) -> None:
    """For each name two processes that find each other by themselves; how they ended."""
    started = [
        (name, rank, fork(name, rank, folder)) for name in json.loads(names) for rank in (0, 1)
    ]
    found = {
        f"{name} {rank}": os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        for name, rank, pid in started
    }
    print(json.dumps(found))


def fork(name: str, rank: int, folder: str) -> int:
    """A child that is process `rank` of two; its output goes to a file."""
    port = 29_000 + zlib.crc32(f"{folder}{name}".encode()) % 1000
    if pid := os.fork():
        return pid
    log = os.open(f"{folder}/{name} {rank}", os.O_CREAT | os.O_WRONLY)
    os.dup2(log, 2)
    place = {"RANK": rank, "WORLD_SIZE": 2, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    os.environ.update({key: str(value) for key, value in place.items()})
    signal.alarm(60)
    if name.endswith("never comes"):
        if name.startswith(str(rank)):
            os._exit(0)
        processes.TO_JOIN = timedelta(seconds=2)
    who, how = name.split(" ", 1)
    try:
        command("die", who, how)
    except SystemExit as left:
        os._exit(left.code or 0)
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


if __name__ == "__main__":
    {"slowly": slowly, "command": command, "side_by_side": side_by_side}[sys.argv[1]](*sys.argv[2:])
