"""Small runs that the tests of experiments share, and executors that do as they are told."""

from concurrent.futures import Executor, Future
from dataclasses import replace
from pathlib import Path

from zoology_teach.experiments import results
from zoology_teach.experiments.synthetic_presets import laptop_run
from zoology_teach.experiments.synthetic_runs import SyntheticRun
from zoology_teach.training import TrainConfig

MY_MIXER = Path(__file__).with_name("my_mixer.py")


def tiny(seed: int = 0, mixer: str = "base_conv", **train) -> SyntheticRun:
    run = laptop_run(mixer, 16, 32, seed, steps=3)
    return replace(
        run, train=TrainConfig(**{"steps": 3, "eval_examples": 20, "seed": seed, **train})
    )


def made_up(run, *where, **how) -> dict:
    """A row without a training."""
    row = {**dict.fromkeys(results.COLUMNS, 1), "run": run.id, "seed": run.train.seed}
    return {**row, "recipe": 'ö, "quoted"', "config": "{}"}


class AtOnce(Executor):
    """Does what it is given when it is given it."""

    def submit(self, function, *args):
        future = Future()
        future.set_result(function(*args))
        return future


def ids(out: Path) -> list[str]:
    """Of every row of the file, as it is there."""
    lines = out.read_text().splitlines() if out.exists() else []
    return [line.split(",", 1)[0] for line in lines[1:]]
