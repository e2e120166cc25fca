"""The width slider (chapter 06): the committed table at a drag, one live run at a click."""

import ipywidgets
import pandas as pd

from zoology_teach.plots import LABELS, Picture, accuracy_by_width, best, spread
from zoology_teach.presets import laptop_run
from zoology_teach.sweep import Run
from zoology_teach.widgets.explorer import Explorer
from zoology_teach.widgets.live_training import LiveTraining


class WidthSlider(ipywidgets.VBox):
    """Drag the width and the sequence length over `table` (a `sweep.load` result).

    Below it a button trains the chosen cell afresh with the table's own recipe.
    """

    def __init__(self, table: pd.DataFrame):
        cells = spread(table)
        rates = best(table).groupby(["mixer", "d_model", "seq_len"])["lr"].first()

        def live_run(model_width: int, sequence_length: int, mixer: str, seed: int) -> Run:
            """The table's recipe, in fewer steps where 500 would be too long to watch."""
            steps = 500 if model_width * sequence_length < 8192 else 200
            lr = rates[mixer, model_width, sequence_length]
            return laptop_run(mixer, model_width, sequence_length, seed, lr=lr, steps=steps)

        def draw(model_width: int, sequence_length: int) -> Picture:
            picture = accuracy_by_width(table, chosen=(model_width, sequence_length))
            return Picture(picture.figure, sentence(cells, model_width, sequence_length), dpi=80)

        self.explorer = Explorer(
            draw,
            model_width=sorted(cells["d_model"].unique().tolist()),
            sequence_length=sorted(cells["seq_len"].unique().tolist()),
        )
        self.live = LiveTraining(
            live_run,
            {
                **self.explorer.controls,
                "mixer": ipywidgets.Dropdown(
                    options=[(LABELS[m], m) for m in sorted(cells["mixer"].unique(), reverse=True)],
                    value="base_conv",
                    description="mixer",
                    style={"description_width": "9em"},
                ),
                "seed": ipywidgets.BoundedIntText(
                    value=3, min=0, max=9999, description="seed", style={"description_width": "9em"}
                ),
            },
            shown=("mixer", "seed"),
        )
        super().__init__([self.explorer, self.live])


def sentence(cells: pd.DataFrame, width: int, length: int) -> str:
    """What the table says about one width and length, in words."""
    here = cells[(cells["d_model"] == width) & (cells["seq_len"] == length)]
    results = " · ".join(
        f"{LABELS[r['mixer']]} {r['mean']:.2f} ({r['min']:.2f} to {r['max']:.2f}, "
        f"{r['count']} seeds)"
        for _, r in here.iterrows()
    )
    pairs = here["num_pairs"].iloc[0]
    return f"Width {width}, {length} tokens, {pairs} pairs: accuracy of {results}."
