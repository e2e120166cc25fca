"""The width figure (chapter 06): the committed table at a drag, a live run as a star on it."""

import math
from typing import Any

import anywidget
import pandas as pd
import traitlets

from zoology_teach import plots
from zoology_teach.checks import require
from zoology_teach.constructions import predicted_accuracy
from zoology_teach.experiments.cells import best, require_one_set_up, spread
from zoology_teach.experiments.synthetic_presets import laptop_run
from zoology_teach.experiments.synthetic_runs import SyntheticRun
from zoology_teach.model import LanguageModel
from zoology_teach.widgets.front_end import front_end
from zoology_teach.widgets.live_training import LiveTraining
from zoology_teach.widgets.still import WithStill

POINT = ["num_pairs", "seq_len", "d_model"]


class WidthSlider(WithStill, anywidget.AnyWidget):
    """Accuracy against width and against state, for the pairs K and the length N chosen.

    table  as `results.load` gives it; joined tables may share runs. Of several learning rates
           the best is shown.
    start  pairs, length and width at first; by default those in the middle of the table.

    Drawn in the browser from the table's numbers: it answers without a kernel. The theory is
    `constructions.predicted_accuracy` of a memory of as many random signs as there are channels.
    Raises ValueError for an empty table, two set-ups of one point, or a start not measured.
    """

    _esm = front_end("width_slider.js")
    mixers = traitlets.List(traitlets.Dict()).tag(sync=True)
    curves = traitlets.Unicode().tag(sync=True)
    theory = traitlets.Unicode().tag(sync=True)
    stars = traitlets.List(traitlets.Dict()).tag(sync=True)
    hidden = traitlets.List(traitlets.Int()).tag(sync=True)
    with_theory = traitlets.Bool(False).tag(sync=True)
    pairs = traitlets.Int().tag(sync=True)
    length = traitlets.Int().tag(sync=True)
    width = traitlets.Int().tag(sync=True)

    def __init__(self, table: pd.DataFrame, *, start: tuple[int, int, int] | None = None):
        require(len(table) > 0, "table", "empty", "a table with at least one finished run")
        cells = spread(table)
        for _, one in cells.groupby("num_pairs"):
            require_one_set_up(one)
        measured = cells[POINT].drop_duplicates().sort_values(POINT)
        points = list(measured.itertuples(index=False, name=None))
        start = points[len(points) // 2] if start is None else start
        require(start in points, "start", start, "pairs, length and width that were measured")
        self._names = plots.in_order(cells["mixer"])
        self._rates = best(table).groupby(["mixer", *POINT])["lr"].first()
        super().__init__(
            mixers=[_look(mixer, self._names) for mixer in self._names],
            curves=_curves(cells, self._names),
            theory=_theory(cells, int(table["vocab_size"].iloc[0])),
            **dict(zip(("pairs", "length", "width"), start, strict=True)),
        )
        pairs, length, width = start
        shown = table[(table["num_pairs"] == pairs) & (table["seq_len"] == length)]
        self._still = plots.width_and_state(shown, width, length)

    def live_training(self) -> LiveTraining:
        """Trains the sliders' point afresh; the result is a star on the figure.

        At the learning rate that was best in the table, in 200 steps where 500 would be too
        long to watch.
        """
        live = LiveTraining(
            self._run,
            {"mixer": {plots.name(m): m for m in reversed(self._names)}, "seed": range(10_000)},
            first={"seed": 3},
        )
        live.observe(lambda change: self._add(**change["new"]), "result")
        return live

    def _run(self, mixer: str, seed: int) -> SyntheticRun:
        rates = self._rates[mixer]
        lr = rates.get((self.pairs, self.length, self.width), rates.mode()[0])
        steps = 500 if self.width * self.length < 8192 else 200
        return laptop_run(
            mixer, self.width, self.length, seed, num_pairs=self.pairs, lr=float(lr), steps=steps
        )

    def _add(self, run: SyntheticRun, steps: int, accuracy: float) -> None:
        star = {
            "mixer": self._names.index(run.mixer),
            "pairs": run.task.num_pairs,
            "length": run.task.seq_len,
            "width": run.model.d_model,
            "state": LanguageModel(run.model).state_size(run.task.seq_len),
            "mean": 100 * accuracy,
            "seed": run.train.seed,
            "steps": steps,
        }
        self.stars = [*self.stars, star]


def _look(mixer: str, among: list[str]) -> dict[str, str]:
    """Name, colour and marker of a curve; black is the colour of the page's own text."""
    style = plots.style(mixer, among)
    colour = style["color"].replace("#000000", "currentColor")
    return {"name": plots.name(mixer), "colour": colour, "marker": style["marker"]}


def _curves(cells: pd.DataFrame, names: list[str]) -> str:
    """A line a curve: "mixer K N seeds,d state mean lowest highest,...", accuracies in percent."""
    lines = []
    for (mixer, length, pairs), rows in cells.groupby(["mixer", "seq_len", "num_pairs"]):
        head = f"{names.index(mixer)} {pairs} {length} {rows['count'].min()}"
        lines.append(",".join([head, *map(_point, rows.to_dict("records"))]))
    return "\n".join(lines)


def _point(cell: dict[str, Any]) -> str:
    accuracies = [f"{100 * cell[what]:.0f}" for what in ("mean", "min", "max")]
    shown = accuracies[:1] if len(set(accuracies)) == 1 else accuracies
    return " ".join([str(cell["d_model"]), str(cell["state_size"]), *shown])


def _theory(cells: pd.DataFrame, vocab_size: int) -> str:
    """The same for a memory of d random signs, at two widths in each doubling."""
    narrow, wide = int(cells["d_model"].min()), int(cells["d_model"].max())
    steps = round(2 * math.log2(wide / narrow))
    lines = []
    for pairs in sorted(cells["num_pairs"].unique().tolist()):
        line = [f"-1 {pairs} 0 0"]
        for d in (round(narrow * 2 ** (i / 2)) for i in range(steps + 1)):
            line.append(f"{d} {d} {100 * predicted_accuracy(d, pairs, vocab_size):.0f}")
        lines.append(",".join(line))
    return "\n".join(lines)
