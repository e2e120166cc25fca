"""The width slider (chapter 06): the committed table at a drag, one live run at a click."""

import ipywidgets
import pandas as pd

from zoology_teach.experiments.synthetic_presets import laptop_run
from zoology_teach.experiments.synthetic_runs import SyntheticRun
from zoology_teach.plots import Picture, best, in_order, name, spread, width_and_state
from zoology_teach.widgets.explorer import Explorer
from zoology_teach.widgets.live_training import LiveTraining
from zoology_teach.widgets.still import WithStill


class WidthSlider(WithStill, ipywidgets.VBox):
    """Drag the width and the sequence length over `table` (a `results.load` result).

    Below it a button trains the chosen cell afresh, with the recipe that was best in the
    table, in 200 steps where 500 would be too long to watch.
    """

    def __init__(self, table: pd.DataFrame):
        cells = spread(table)

        def draw(model_width: int, sequence_length: int) -> Picture:
            picture = width_and_state(table, model_width, sequence_length)
            return Picture(picture.figure, sentence(cells, model_width, sequence_length), dpi=80)

        self.view = Explorer(
            draw,
            model_width=sorted(cells["d_model"].unique().tolist()),
            sequence_length=sorted(cells["seq_len"].unique().tolist()),
        )
        rates = best(table).groupby(["mixer", "d_model", "seq_len"])["lr"].first()

        def make_run(model_width: int, sequence_length: int, mixer: str, seed: int) -> SyntheticRun:
            steps = 500 if model_width * sequence_length < 8192 else 200
            lr = rates[mixer, model_width, sequence_length]
            return laptop_run(mixer, model_width, sequence_length, seed, lr=lr, steps=steps)

        mixers = {name(m): m for m in reversed(in_order(cells["mixer"]))}
        self.live = LiveTraining(
            make_run,
            {"mixer": mixers, "seed": range(10_000)},
            first={"seed": 3},
            choice=lambda: self.view.choice,
        )
        super().__init__([self.view, self.live])
        self._still = self.view._still


def sentence(cells: pd.DataFrame, width: int, length: int) -> str:
    """What the table says about one width and length, in words."""
    here = cells[(cells["d_model"] == width) & (cells["seq_len"] == length)]
    by_mixer = here.set_index("mixer").loc[in_order(here["mixer"])]
    results = " · ".join(
        f"{name(mixer)} {r['mean']:.2f} ({r['min']:.2f} to {r['max']:.2f}, {r['count']:.0f} seeds)"
        for mixer, r in by_mixer.iterrows()
    )
    pairs = here["num_pairs"].iloc[0]
    return f"Width {width}, {length} tokens, {pairs} pairs: accuracy of {results}."
