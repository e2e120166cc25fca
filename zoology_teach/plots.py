"""Table -> picture. Every picture carries its text alternative; colours are Okabe and Ito's."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from zoology_teach.checks import require
from zoology_teach.experiments.cells import best as best  # plots.best is where readers look
from zoology_teach.experiments.cells import require_one_set_up, spread
from zoology_teach.picture import Picture as Picture  # plots.Picture too

LABELS = {
    "attention": "attention",
    "attention_short_conv": "BaseConv, attention",
    "linear_attention": "Based",
    "mamba": "Mamba",
    "rwkv": "RWKV",
    "hyena": "Hyena",
    "h3": "H3",
    "base_conv": "BaseConv",
}
COLOURS = dict(
    zip(
        LABELS,
        ("#0072B2", "#0072B2", "#56B4E9", "#000000", "#E69F00", "#CC79A7", "#009E73", "#D55E00"),
        strict=True,
    )
)
MARKERS = dict(zip(LABELS, "ooDPvX^s", strict=True))
HOLLOW = {"attention_short_conv": {"linestyle": "-.", "markerfacecolor": "white"}}  # same colour
OTHER_MARKERS, OTHER_LINES = "*p<>hd8", ("-", ":", "-.")


def name(mixer: str) -> str:
    """What a figure calls the mixer."""
    return LABELS.get(mixer, mixer)


def style(mixer: str, among: Iterable[str] = ()) -> dict[str, Any]:
    """Colour and marker of a mixer's curve.

    Those that `LABELS` lacks are grey; each `among` them has a marker and a line of its own.
    """
    if mixer in LABELS:
        return {"color": COLOURS[mixer], "marker": MARKERS[mixer]} | HOLLOW.get(mixer, {})
    others = [m for m in in_order([*among, mixer]) if m not in LABELS]
    turn, number = divmod(others.index(mixer), len(OTHER_MARKERS))
    line = OTHER_LINES[turn % len(OTHER_LINES)]
    return {"color": "#666666", "marker": OTHER_MARKERS[number], "linestyle": line}


def in_order(mixers: Iterable[str]) -> list[str]:
    """Each mixer once, those of `LABELS` first and in its order."""
    names = dict.fromkeys(mixers)
    return [m for m in LABELS if m in names] + [m for m in names if m not in LABELS]


# What is no mixer: lengths, pairs, parts of a drawing.
OTHER_COLOURS = ("#009E73", "#CC79A7", "#56B4E9", "#E69F00")
LENGTH_MARKERS = "osD^vPX" + OTHER_MARKERS


def axes(
    *, columns: int = 1, width: float = 3.2, height: float = 3.0, sharey: bool = True
) -> tuple[Figure, list[Axes]]:
    """A quiet figure of `columns` panels: (Figure, [Axes, ...]), sizes in inches a panel."""
    figure = Figure(figsize=(columns * width + 0.8, height), layout="constrained")
    panels = figure.subplots(1, columns, sharey=sharey, squeeze=False)[0]
    for panel in panels:
        panel.spines[["top", "right"]].set_visible(False)
        panel.grid(alpha=0.25)
    return figure, list(panels)


def untrained(cells: pd.DataFrame) -> set[str]:
    """Mixers that no cell of `spread` lifts above twice the guess, 1/K: they support no claim."""
    above = cells["mean"] > 2 / cells["num_pairs"]
    return set(cells["mixer"]) - set(cells["mixer"][above])


def curves(
    panel: Axes, cells: pd.DataFrame, x: str, lost: set[str], among: Iterable[str] = ()
) -> None:
    """Accuracy against the column `x`, one curve a mixer with bars from worst to best seed.

    lost   mixers that did not train: dashed, and named so.
    among  the mixers of all panels, so that each looks the same in all (`style`).
    """
    require_one_set_up(cells)
    everywhere = in_order([*among, *cells["mixer"]])
    for mixer in in_order(cells["mixer"]):
        look = style(mixer, everywhere) | {"label": name(mixer)}
        if mixer in lost:
            look |= {"linestyle": "--", "label": f"{name(mixer)} (did not train here)"}
        rows = cells[cells["mixer"] == mixer].sort_values(x)
        with_bars(panel, rows[x], rows, **look)
    panel.set_ylim(-0.03, 1.05)


def with_bars(panel: Axes, x: ArrayLike, cells: pd.DataFrame, **look: Any) -> None:
    """The column `mean` of the cells against x, with bars from their `min` to their `max`."""
    bars = np.stack([cells["mean"] - cells["min"], cells["max"] - cells["mean"]]).clip(min=0)
    panel.errorbar(x, cells["mean"], bars, capsize=3, **look)


def width_axis(panel: Axes, widths: list[int]) -> None:
    """Widths as powers of two, written out."""
    panel.set_xscale("log", base=2)
    panel.set_xticks(widths, [str(w) for w in widths])
    panel.set_xlabel("model width d")


def accuracy_by_width(table: pd.DataFrame) -> Picture:
    """Small multiples of accuracy against width, one panel a sequence length (Figure 2)."""
    require(len(table) > 0, "table", "empty", "a table with at least one finished run")
    cells = spread(table)
    lengths, widths = sorted(cells["seq_len"].unique()), sorted(cells["d_model"].unique())
    figure, panels = axes(columns=len(lengths), height=3.4)
    for panel, length in zip(panels, lengths, strict=True):
        here = cells[cells["seq_len"] == length]
        curves(panel, here, "d_model", untrained(cells), cells["mixer"])
        width_axis(panel, widths)
        panel.set_title(f"N = {length}, {here['num_pairs'].iloc[0]} pairs")
    panels[0].set_ylabel("accuracy")
    legend(figure, *panels)
    return Picture(figure, f"Accuracy on MQAR against model width. {describe(cells)}", dpi=80)


def width_and_state(table: pd.DataFrame, width: int, length: int) -> Picture:
    """Accuracy at one sequence length, against the width and against the size of the state.

    A line marks `width` on the left, rings its points on the right.
    """
    cells = spread(table)
    here = cells[cells["seq_len"] == length]
    require(width in set(here["d_model"]), "width", width, "a width of the table at this length")
    figure, (by_width, by_state) = axes(columns=2, height=3.4)
    curves(by_width, here, "d_model", untrained(cells))
    width_axis(by_width, sorted(here["d_model"].unique()))
    by_width.axvline(width, color="black", linestyle=":", linewidth=2)
    curves(by_state, here, "state_size", untrained(cells))
    chosen = here[here["d_model"] == width]
    by_state.scatter(
        chosen["state_size"], chosen["mean"], s=160, facecolors="none", edgecolors="black", zorder=3
    )
    by_state.set_xscale("log", base=2)
    by_state.set_xlabel("state: numbers kept per sequence")
    by_width.set_ylabel("accuracy")
    legend(figure, by_width, by_state)
    alt = (
        f"Accuracy on MQAR against model width, and against the size of the state. {describe(here)}"
    )
    return Picture(figure, alt)


def legend(figure: Figure, *panels: Axes) -> None:
    """The names of the panels' curves, each once, beside them."""
    named: dict[str, Artist] = {}
    for panel in panels:
        for handle, label in zip(*panel.get_legend_handles_labels(), strict=True):
            named.setdefault(label, handle)
    figure.legend(list(named.values()), list(named), loc="outside right center", frameon=False)


def describe(cells: pd.DataFrame) -> str:
    """The rows of `spread` as sentences."""
    sentences = []
    for (length, pairs, mixer), rows in cells.groupby(["seq_len", "num_pairs", "mixer"]):
        points = ", ".join(f"{r['mean']:.2f} at d = {r['d_model']}" for _, r in rows.iterrows())
        sentences.append(f"N = {length}, K = {pairs}, {name(mixer)}: {points}.")
    return " ".join(sentences)


def collapse(table: pd.DataFrame, mixer: str = "base_conv") -> Picture:
    """Accuracy against width per token, d / N, and per pair, d / K: where do the curves collapse?

    One for each number of pairs (its colour) and length (its marker).
    """
    cells = spread(table)
    cells = cells[cells["mixer"] == mixer]
    require(len(cells) > 0, "mixer", mixer, "one that the table has")
    figure, panels = axes(columns=2, width=3.6, height=3.6)
    pairs, lengths = (sorted(cells[name].unique()) for name in ("num_pairs", "seq_len"))
    for (k, n), rows in cells.groupby(["num_pairs", "seq_len"]):
        require_one_set_up(rows)
        colour = OTHER_COLOURS[pairs.index(k) % len(OTHER_COLOURS)]
        marker = LENGTH_MARKERS[lengths.index(n) % len(LENGTH_MARKERS)]
        for panel, per in zip(panels, ("seq_len", "num_pairs"), strict=True):
            width = rows["d_model"] / rows[per]
            panel.plot(width, rows["mean"], color=colour, marker=marker, label=f"K = {k}, N = {n}")
    for panel, title in zip(panels, ("token, d / N", "pair, d / K"), strict=True):
        panel.set_xscale("log", base=2)
        panel.set_xlabel(f"width per {title}")
    panels[0].set_ylabel(f"accuracy of {name(mixer)}")
    legend(figure, *panels)
    alt = (
        f"Accuracy of {name(mixer)} against width divided by length, and against width divided "
        f"by pairs: a curve for each number of pairs and each length. {describe(cells)}"
    )
    return Picture(figure, alt, dpi=80)
