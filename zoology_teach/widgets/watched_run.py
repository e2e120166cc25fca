"""One training in a thread that says how it goes."""

import math
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from zoology_teach.experiments.published_starts import start_as_published
from zoology_teach.experiments.synthetic_runs import SyntheticRun
from zoology_teach.model import LanguageModel
from zoology_teach.plots import name, style
from zoology_teach.tasks.mqar import MQAR
from zoology_teach.training import Record, Task, accuracy
from zoology_teach.training.loop import Training

SHOW_SECONDS = 0.5
POINTS = 150  # of a curve; of a longer one, each is the mean of several updates
UNSEEN = 500  # sequences that the accuracy is measured on


class WatchedRun(threading.Thread):
    """Trains `run` for `seconds` at most, and calls ``tell(self, state)`` twice a second.

    `state` has traits of `LiveTraining`, by name. The last one has why the training ended, or
    the exception that ended it, in words.
    """

    def __init__(
        self,
        run: SyntheticRun,
        seconds: float,
        tell: Callable[["WatchedRun", Mapping[str, Any]], None],
    ):
        super().__init__(daemon=True)
        self.trained, self.seconds, self.tell = run, seconds, tell
        self.stop_asked = threading.Event()
        self.title = f"{name(run.mixer)}, d = {run.model.d_model}, N = {run.task.seq_len}"

    def run(self) -> None:
        """Train, and say in the end that it is over."""
        try:
            self._train()
        except Exception as error:  # of whatever kind: nobody else hears of it
            self.tell(self, {"status": f"{self.title}: {failed(error)}"})
        finally:
            self.tell(self, {"is_running": False})

    def _train(self) -> None:
        run = self.trained
        model = LanguageModel(run.model)
        if run.start == "published":
            start_as_published(model)
        training = Training(model, run.trained_on or run.task, run.train)
        self.tell(self, {"steps": _steps(training), "status": f"{self.title}: training."})
        started = shown = time.monotonic()
        ended = "to the end"
        for record in training.updates():
            now = time.monotonic()
            if self.stop_asked.is_set():
                ended = "stopped by you"
                break
            if now - started > self.seconds:
                ended = f"stopped by the time limit, {self.seconds:g} s"
                break
            if now - shown > SHOW_SECONDS:
                shown = now
                loss = f"loss {record.loss:.2f} nats an answer"
                status = f"{self.title}: {_lesson(training, record)}{loss}."
                self.tell(self, {**self._state(training), "status": status})
        took = time.monotonic() - started
        found = accuracy(model, run.task.sample(UNSEEN, seed=2 * run.train.seed + 1))
        steps, of = len(training.history.records), _steps(training)
        self.tell(self, {
            **self._state(training),
            "status": (
                f"{self.title}, seed {run.train.seed}: accuracy {found:.3f} after {steps} of {of} "
                f"steps, {ended} ({took:.0f} s).{_lessons(training)}"
            ),
            "result": {"run": run, "steps": steps, "accuracy": found},
        })  # fmt: skip

    def _state(self, training: Training) -> dict[str, Any]:
        """How far it is, and the curve so far."""
        records, of = training.history.records, _steps(training)
        task = self.trained.task
        stages = {r.stage: r.step for r in reversed(records)}
        last = training.stages[-1].task
        curve = {
            "points": _thinned(records),
            "steps": of,
            "colour": style(self.trained.mixer)["color"].replace("#000000", "currentColor"),
            "levels": [
                [math.log(task.vocab_size), "any token, ln V"],
                [math.log(task.num_pairs), "a value of the list, ln K"],
            ],
            "stages": [
                [stages[i], _named(stage.task) if stage.task != last else "the task"]
                for i, stage in enumerate(training.stages)
                if i in stages and len(training.stages) > 1
            ],
            "words": (
                f"Training loss of {self.title} against updates: {records[0].loss:.2f} nats an "
                f"answer at the first, {records[-1].loss:.2f} at update {len(records)} of {of}."
            ),
        }
        return {"done": len(records), "steps": of, "curve": curve}


def failed(error: Exception) -> str:
    """An exception as a sentence; of our own ValueErrors the message says enough."""
    kind = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
    return f"This could not be trained: {kind}{error}"


def _steps(training: Training) -> int:
    """Updates of the whole training, at most: a mastered lesson was shorter than it might."""
    ended = training.history.ended
    return sum(e.steps for e in ended) + sum(s.steps for s in training.stages[len(ended) :])


def _named(task: Task) -> str:
    return f"N = {task.seq_len}, K = {task.num_pairs}" if isinstance(task, MQAR) else str(task)


def _lesson(training: Training, record: Record) -> str:
    """Which stage of how many an update belongs to; nothing where there is one."""
    stages = training.stages
    if len(stages) == 1:
        return ""
    return f"lesson {record.stage + 1} of {len(stages)} ({_named(stages[record.stage].task)}), "


def _lessons(training: Training) -> str:
    """How the lessons before the task itself ended."""
    before = zip(training.stages[:-1], training.history.ended, strict=False)
    parts = []
    for stage, ended in before:
        mastered = "mastered " if ended.mastered else "not mastered " if stage.until else ""
        parts.append(f"{_named(stage.task)} {mastered}in {ended.steps} steps")
    return f" Lessons: {'; '.join(parts)}." if parts else ""


def _thinned(records: list[Record]) -> list[list[float]]:
    """[step, loss] of at most `POINTS` means of successive updates."""
    size = math.ceil(len(records) / POINTS)
    groups = (records[i : i + size] for i in range(0, len(records), size))
    return [[g[-1].step, round(sum(r.loss for r in g) / len(g), 4)] for g in groups]
