"""Train one model while you watch: a progress bar, a stop button, the curve as it grows."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import anywidget
import traitlets

from zoology_teach.checks import require
from zoology_teach.experiments.synthetic_runs import SyntheticRun
from zoology_teach.widgets.front_end import front_end
from zoology_teach.widgets.still import WithStill, Words
from zoology_teach.widgets.watched_run import WatchedRun, failed

ABOUT = "Trains the chosen model and draws its loss. This needs a running kernel: run the cell."

Values = Sequence[Any] | Mapping[str, Any]


class LiveTraining(WithStill, anywidget.AnyWidget):
    """A button that trains ``make_run(**choice)`` in the background, for `seconds` at most.

    controls  name -> the values it can take: a slider for numbers, a menu for text or for a
              mapping of text to values, a number field for a `range`. Underscores read as spaces.
    first     name -> the value at the beginning, where it is not the first one.
    choice    what is chosen elsewhere, asked at the click: ``lambda: explorer.choice``.

    The seed is part of the choice, and the status line says what was trained, how far, why it
    ended, and how well it answers unseen sequences; or what went wrong. A run that begins while
    another goes on ends that one. `result` is the last that ended: its run, steps, accuracy.
    Raises ValueError for a control without values, and for a first value that is none of them.
    """

    _esm = front_end("live_training.js")
    controls = traitlets.List(traitlets.Dict()).tag(sync=True)
    chosen = traitlets.List(traitlets.Int()).tag(sync=True)
    is_running = traitlets.Bool(False).tag(sync=True)
    done = traitlets.Int(0).tag(sync=True)
    steps = traitlets.Int(1).tag(sync=True)
    status = traitlets.Unicode(ABOUT).tag(sync=True)
    curve = traitlets.Dict().tag(sync=True)
    result = traitlets.Dict()

    def __init__(
        self,
        make_run: Callable[..., SyntheticRun],
        controls: Mapping[str, Values],
        *,
        first: Mapping[str, Any] | None = None,
        choice: Callable[[], Mapping[str, Any]] = dict,
        seconds: float = 20.0,
    ):
        self._make_run, self._elsewhere, self._seconds = make_run, choice, seconds
        self._run: WatchedRun | None = None
        self._values = {title: _values(given) for title, given in controls.items()}
        for title, values in self._values.items():
            require(len(values) > 0, f"controls[{title!r}]", values, "at least one value")
        begin = dict(first or {})
        for title, value in begin.items():
            allowed = self._values.get(title, [])
            require(value in allowed, f"first[{title!r}]", value, "a value of a control")
        super().__init__(
            controls=[_control(title, given) for title, given in controls.items()],
            chosen=[
                values.index(begin.get(title, values[0])) for title, values in self._values.items()
            ],
        )
        self._still = Words(ABOUT)
        self.on_msg(lambda _, asked, __: self.stop() if asked == "stop" else self.start())

    @property
    def choice(self) -> dict[str, Any]:
        """What the next run is made of."""
        own = zip(self._values.items(), self.chosen, strict=True)
        return {**self._elsewhere(), **{title: values[i] for (title, values), i in own}}

    def start(self) -> None:
        """Begin training the current choice; the page stays usable meanwhile."""
        self.stop()
        self._run = None
        try:
            run = self._make_run(**self.choice)
        except Exception as error:  # the reader's own code
            self.status, self.is_running = failed(error), False
            return
        self.done, self.curve, self.is_running = 0, {}, True
        self._run = WatchedRun(run, self._seconds, self._tell)
        self._run.start()

    def stop(self) -> None:
        """Ask the current training to end after this update."""
        if self._run is not None:
            self._run.stop_asked.set()

    def wait(self) -> None:
        """Block until the current training is over."""
        if self._run is not None:
            self._run.join()

    def _tell(self, run: WatchedRun, state: Mapping[str, Any]) -> None:
        """Show what the current run says; one that was replaced is no longer heard."""
        if run is self._run:
            with self.hold_sync():
                for trait, value in state.items():
                    setattr(self, trait, value)


def _values(given: Values) -> Sequence[Any]:
    if isinstance(given, range):
        return given
    return list(given.values()) if isinstance(given, Mapping) else list(given)


def _control(title: str, given: Values) -> dict[str, Any]:
    label = title.replace("_", " ")
    if isinstance(given, range):
        return {"label": label, "kind": "number", "low": given[0], "high": given[-1]}
    numeric = all(isinstance(value, int | float) for value in given)
    texts = [str(value) for value in given]
    return {"label": label, "kind": "slider" if numeric else "menu", "values": texts}
