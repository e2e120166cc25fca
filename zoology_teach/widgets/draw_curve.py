"""A curve to be drawn before it is shown, and both curves where the page answers (chapter 06)."""

import re
from collections.abc import Mapping, Sequence

import anywidget
import traitlets

from zoology_teach.checks import require
from zoology_teach.widgets.front_end import front_end
from zoology_teach.widgets.still import WithStill, Words


class DrawCurve(WithStill, anywidget.AnyWidget):
    """The reader draws an accuracy at each of a few places; the browser keeps the curve.

    key       the chapter and the number of its question, as in "06.2"
    question  what is to be drawn
    at        the places, from left to right, and `axis`, what they are
    given     a curve that is known already, by its name

    Drawn with a pointer, or point by point with the arrow keys; no kernel is needed. Raises
    ValueError for another key, fewer than two places, or curves that are no accuracies there.
    """

    _esm = front_end("guess.js", "draw_curve.js")
    key = traitlets.Unicode().tag(sync=True)
    question = traitlets.Unicode().tag(sync=True)
    label = traitlets.Unicode().tag(sync=True)
    axis = traitlets.Unicode().tag(sync=True)
    at = traitlets.List(traitlets.Int()).tag(sync=True)
    given_name = traitlets.Unicode().tag(sync=True)
    given = traitlets.List(traitlets.Float()).tag(sync=True)
    measured = traitlets.List(traitlets.Float()).tag(sync=True)

    def __init__(
        self,
        key: str,
        question: str,
        at: Sequence[int],
        *,
        axis: str,
        given: Mapping[str, Sequence[float]],
    ):
        require(bool(re.fullmatch(r"\d\d\.\d+", key)), "key", key, "as in '06.2'")
        require(len(at) >= 2, "at", list(at), "two places or more")
        require(len(given) == 1, "given", list(given), "one curve, by its name")
        [(name, values)] = given.items()
        super().__init__(
            key=key, question=question, label="accuracy", axis=axis, at=list(at),
            given_name=name, given=_percent(name, values, at), measured=[],
        )  # fmt: skip
        self._still = Words(f"Draw first. {question} For comparison, {_told(name, self.given)}.")

    def reveal(self, measured: Sequence[float]) -> "DrawCurve":
        """The same places with the curve as measured, beside the one that was drawn."""
        shown = DrawCurve(
            self.key,
            self.question,
            self.at,
            axis=self.axis,
            given={self.given_name: [a / 100 for a in self.given]},
        )
        shown.measured = _percent("measured", measured, self.at)
        shown._still = Words(f"{self.question} The result: {_told('measured', shown.measured)}.")
        return shown


def _percent(name: str, values: Sequence[float], at: Sequence[int]) -> list[float]:
    accuracies = [float(value) for value in values]
    require(len(accuracies) == len(at), name, f"{len(accuracies)} values", f"{len(at)}, as `at`")
    for value in accuracies:
        require(0 <= value <= 1, name, value, "an accuracy from 0 to 1")
    return [100 * value for value in accuracies]


def _told(name: str, percents: Sequence[float]) -> str:
    return f"{name} " + ", ".join(f"{percent / 100:.2f}" for percent in percents)
