"""Train one model while you watch: a progress bar, a stop button, the curve as it grows."""

import math
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import ipywidgets
import traitlets

from zoology_teach.experiments.synthetic_runs import SyntheticRun
from zoology_teach.model import LanguageModel
from zoology_teach.plots import Picture, axes, name, style
from zoology_teach.training import Record, accuracy, training

REDRAW_SECONDS = 0.5


class LiveTraining(ipywidgets.VBox):
    """A button that trains ``make_run(**choice)`` in the background, for `seconds` at most.

    controls  name -> widget; their values at the click are the choice. Those that stand
              elsewhere already (an explorer's sliders) are read but not shown again:
              see `shown`.
    The seed is part of the choice, and the status line says what was trained, how far, and
    how well it answers unseen sequences. `result` is that of the last training: run, steps
    and accuracy.
    """

    result = traitlets.Dict()

    def __init__(
        self,
        make_run: Callable[..., SyntheticRun],
        controls: Mapping[str, ipywidgets.Widget],
        *,
        shown: tuple[str, ...] | None = None,
        seconds: float = 20.0,
    ):
        self._make_run, self._controls, self._seconds = make_run, dict(controls), seconds
        self._stop_asked = threading.Event()
        self._thread: threading.Thread | None = None
        self.train_button = ipywidgets.Button(
            description="Train this one live", icon="play", layout={"width": "auto"}
        )
        self.stop_button = ipywidgets.Button(description="Stop", icon="stop", disabled=True)
        self.progress = ipywidgets.IntProgress(description="steps", layout={"width": "32em"})
        self.status = ipywidgets.HTML("Nothing trained yet. Training needs a running kernel.")
        self.curve = ipywidgets.Image(format="png", layout={"display": "none", "width": "32em"})
        self.train_button.on_click(lambda _: self.start())
        self.stop_button.on_click(lambda _: self._stop_asked.set())
        visible = [self._controls[name] for name in (self._controls if shown is None else shown)]
        buttons = ipywidgets.HBox([self.train_button, self.stop_button])
        super().__init__([*visible, buttons, self.progress, self.status, self.curve])

    def start(self) -> None:
        """Begin training the current choice; the page stays usable meanwhile."""
        self.train_button.disabled, self.stop_button.disabled = True, False
        self._stop_asked.clear()
        choice = {name: control.value for name, control in self._controls.items()}
        self._thread = threading.Thread(target=self._train, args=(choice,), daemon=True)
        self._thread.start()

    def wait(self) -> None:
        """Block until the current training is over."""
        if self._thread is not None:
            self._thread.join()

    def _train(self, choice: dict[str, Any]) -> None:
        try:
            self._watch(self._make_run(**choice))
        except ValueError as error:
            self.status.value = f"This could not be trained: {error}"
        finally:
            self.train_button.disabled, self.stop_button.disabled = False, True

    def _watch(self, run: SyntheticRun) -> None:
        title = f"{name(run.mixer)}, d = {run.model.d_model}, N = {run.task.seq_len}"
        self.progress.value, self.progress.max = 0, run.train.steps
        model, records = LanguageModel(run.model), []
        started = drawn = time.monotonic()
        for record in training(model, run.task, run.train):
            records.append(record)
            now = time.monotonic()
            if now - drawn > REDRAW_SECONDS:
                drawn = now
                self._show(title, run, records)
            if self._stop_asked.is_set() or now - started > self._seconds:
                break
        measured = accuracy(model, run.task.sample(500, seed=2 * run.train.seed + 1))
        self._show(title, run, records)
        took = time.monotonic() - started
        self.status.value = (
            f"<b>{title}, seed {run.train.seed}: accuracy {measured:.3f}</b> after "
            f"{len(records)} of {run.train.steps} steps ({took:.0f} s)."
        )
        self.result = {"run": run, "steps": len(records), "accuracy": measured}

    def _show(self, title: str, run: SyntheticRun, records: list[Record]) -> None:
        self.progress.value = len(records)
        self.status.value = f"{title}: loss {records[-1].loss:.2f} nats an answer"
        figure, (panel,) = axes(width=4.5, height=2.2)
        panel.plot(
            [r.step for r in records], [r.loss for r in records], color=style(run.mixer)["color"]
        )
        task = run.task
        guesses = {"ln V: any token": task.vocab_size, "ln K: a value of the text": task.num_pairs}
        for words, alike in guesses.items():
            panel.axhline(math.log(alike), color="gray", linestyle=":")
            panel.text(run.train.steps, math.log(alike), words, ha="right", va="bottom", fontsize=8)
        panel.set_xlim(0, run.train.steps)
        panel.set_yscale("log")
        panel.set_xlabel("step")
        panel.set_ylabel("loss (nats)")
        self.curve.value = Picture(figure, f"Training loss of {title}").png()
        self.curve.layout.display = "block"
