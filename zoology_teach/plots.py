"""Table -> picture. Every picture carries its text alternative; colours are Okabe and Ito's."""

import base64
import html
import io
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from zoology_teach.checks import require
from zoology_teach.experiments.cells import best as best  # plots.best is where readers look
from zoology_teach.experiments.cells import require_one_set_up, spread

LABELS = {
    "attention": "attention",
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
        ("#0072B2", "#56B4E9", "#000000", "#E69F00", "#CC79A7", "#009E73", "#D55E00"),
        strict=True,
    )
)
MARKERS = dict(zip(LABELS, "oDPvX^s", strict=True))
OTHER_MARKERS, OTHER_LINES = "*p<>hd8", ("-", ":", "-.")


def name(mixer: str) -> str:
    """What a figure calls the mixer."""
    return LABELS.get(mixer, mixer)


def style(mixer: str, among: Iterable[str] = ()) -> dict[str, Any]:
    """Colour and marker of a mixer's curve.

    Those that `LABELS` lacks are grey; each `among` them has a marker and a line of its own.
    """
    if mixer in LABELS:
        return {"color": COLOURS[mixer], "marker": MARKERS[mixer]}
    others = [m for m in in_order([*among, mixer]) if m not in LABELS]
    turn, number = divmod(others.index(mixer), len(OTHER_MARKERS))
    line = OTHER_LINES[turn % len(OTHER_LINES)]
    return {"color": "#666666", "marker": OTHER_MARKERS[number], "linestyle": line}


def in_order(mixers: Iterable[str]) -> list[str]:
    """Each mixer once, those of `LABELS` first and in its order."""
    names = dict.fromkeys(mixers)
    return [m for m in LABELS if m in names] + [m for m in names if m not in LABELS]


LENGTH_COLOURS = ("#009E73", "#CC79A7", "#56B4E9", "#E69F00")
LENGTH_MARKERS = "osD^vPX"  # seven beside four colours: 28 lengths look different


@dataclass(frozen=True)
class Picture:
    """A figure and the sentence that says what it shows, for those who cannot see it."""

    figure: Figure
    alt: str
    dpi: int = 100

    def png(self) -> bytes:
        """The figure as a PNG of 64 colours: small enough to keep many in a notebook."""
        FigureCanvasAgg(self.figure)
        drawn = io.BytesIO()
        # An empty Software field: the same figure gives the same bytes in any version.
        self.figure.savefig(drawn, format="png", dpi=self.dpi, metadata={"Software": None})
        # A palette that covers all colours: a small marker keeps its own beside many greys.
        method, dither = Image.Quantize.MAXCOVERAGE, Image.Dither.NONE
        palette = Image.open(drawn).convert("RGB").quantize(64, method=method, dither=dither)
        small = io.BytesIO()
        palette.save(small, format="png", optimize=True)
        return small.getvalue()

    def base64(self) -> str:
        """`png` as base64 text."""
        return base64.b64encode(self.png()).decode()

    def _repr_mimebundle_(
        self, include: object = None, exclude: object = None
    ) -> tuple[dict[str, str], dict[str, Any]]:
        # JupyterLab gives an image/png no alt attribute, so the page gets an <img> of its own.
        width, png = round(self.figure.get_figwidth() * self.dpi), self.base64()
        alt = html.escape(self.alt, quote=True)
        tag = f'<img alt="{alt}" width="{width}" src="data:image/png;base64,{png}">'
        data = {"text/html": tag, "image/png": png, "text/plain": self.alt}
        return data, {"image/png": {"alt": self.alt, "width": width}}


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
        bars = np.stack([rows["mean"] - rows["min"], rows["max"] - rows["mean"]]).clip(min=0)
        panel.errorbar(
            rows[x],
            rows["mean"],
            bars,
            capsize=3,
            **look,
        )
    panel.set_ylim(-0.03, 1.05)


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
    return Picture(figure, f"Accuracy on MQAR against model width. {describe(cells)}")


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
    for (length, mixer), rows in cells.groupby(["seq_len", "mixer"]):
        points = ", ".join(f"{r['mean']:.2f} at d = {r['d_model']}" for _, r in rows.iterrows())
        sentences.append(f"N = {length}, {name(mixer)}: {points}.")
    return " ".join(sentences)


def collapse(table: pd.DataFrame, mixer: str = "base_conv") -> Picture:
    """Accuracy against width per pair, d / K: the lengths fall onto one curve."""
    cells = spread(table)
    cells = cells[cells["mixer"] == mixer]
    require(len(cells) > 0, "mixer", mixer, "one that the table has")
    require_one_set_up(cells)
    figure, panels = axes(columns=2)
    for i, (length, rows) in enumerate(cells.groupby("seq_len")):
        look: dict[str, Any] = {
            "color": LENGTH_COLOURS[i % len(LENGTH_COLOURS)],
            "marker": LENGTH_MARKERS[i % len(LENGTH_MARKERS)],
            "label": f"N = {length}",
        }
        panels[0].plot(rows["d_model"], rows["mean"], **look)
        panels[1].plot(rows["d_model"] / rows["num_pairs"], rows["mean"], **look)
    width_axis(panels[0], sorted(cells["d_model"].unique()))
    panels[1].set_xscale("log", base=2)
    panels[1].set_xlabel("width per pair, d / K")
    panels[0].set_ylabel(f"accuracy of {name(mixer)}")
    panels[0].legend()
    alt = (
        f"Left: accuracy of {name(mixer)} against width, one curve a sequence length, apart. "
        "Right: the same points against width divided by the number of pairs, on one curve."
    )
    return Picture(figure, alt)
