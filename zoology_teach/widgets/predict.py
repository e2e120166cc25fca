"""A guess before the answer, and both side by side after it (every chapter)."""

import re
from collections.abc import Sequence

import anywidget
import traitlets

from zoology_teach.checks import require
from zoology_teach.widgets.front_end import front_end
from zoology_teach.widgets.still import WithStill, Words


class _Guess(WithStill, anywidget.AnyWidget):
    """What both share: a question, and the key under which the browser keeps its guess."""

    key = traitlets.Unicode().tag(sync=True)
    question = traitlets.Unicode().tag(sync=True)
    unit = traitlets.Unicode().tag(sync=True)


class Predict(_Guess):
    """A question that the reader answers before the page does; the browser keeps the guess.

    key        the chapter and the number of its question, as in "03.2"
    choices    what can be chosen; without them the guess is a number
    unit       what stands behind the number, as in " %" or " steps"
    low, high  the least and the largest number

    Needs no kernel. Raises ValueError for another key, a single choice or one that stands
    twice, and for `low` not below `high`.
    """

    _esm = front_end("guess.js", "boxed.js", "predict.js")
    choices = traitlets.List(traitlets.Unicode()).tag(sync=True)
    low = traitlets.Float(None, allow_none=True).tag(sync=True)
    high = traitlets.Float(None, allow_none=True).tag(sync=True)

    def __init__(
        self,
        key: str,
        question: str,
        choices: Sequence[str] = (),
        *,
        unit: str = "",
        low: float | None = None,
        high: float | None = None,
    ):
        require(bool(re.fullmatch(r"\d\d\.\d+", key)), "key", key, "as in '03.2'")
        distinct = len(set(choices)) == len(choices) != 1
        require(distinct, "choices", list(choices), "none, or two and more that differ")
        in_order = low is None or high is None or low < high
        require(in_order, "low", low, f"below high, {high}")
        super().__init__(
            key=key, question=question, choices=list(choices), unit=unit,
            low=low, high=high,
        )  # fmt: skip
        among = f" One of: {'; '.join(choices)}." if choices else ""
        self._still = Words(f"Guess first. {question}{among}")


class Reveal(_Guess):
    """The guess and the result side by side, where the page answers.

    asked     the `Predict` of this question
    answer    one of its choices, or a number, shown with `digits` after the point
    because   where the result comes from, in a sentence
    tempting  an answer that suggests itself, and why it fails, where one is known

    Raises ValueError for an answer that could not have been guessed.
    """

    _esm = front_end("guess.js", "boxed.js", "reveal.js")
    answer = traitlets.Unicode().tag(sync=True)
    value = traitlets.Float(None, allow_none=True).tag(sync=True)
    because = traitlets.Unicode().tag(sync=True)
    tempting = traitlets.Unicode().tag(sync=True)

    def __init__(
        self,
        asked: Predict,
        answer: str | float,
        because: str = "",
        *,
        tempting: str = "",
        digits: int = 2,
    ):
        value = None if asked.choices else _number(answer, asked)
        if asked.choices:
            require(answer in asked.choices, "answer", answer, f"one of {asked.choices}")
        shown = str(answer) if value is None else f"{value:,.{digits}f}"
        super().__init__(
            key=asked.key, question=asked.question, unit=asked.unit,
            answer=shown, value=value, because=because, tempting=tempting,
        )  # fmt: skip
        aside = f" Tempting: {tempting}" if tempting else ""
        self._still = Words(
            f"{asked.question} The result: {shown}{asked.unit}. {because}{aside}".strip()
        )


def _number(answer: str | float, asked: Predict) -> float:
    is_number = isinstance(answer, int | float) and not isinstance(answer, bool)
    require(is_number, "answer", answer, "a number, for the question has no choices")
    value = float(answer)
    low = float("-inf") if asked.low is None else asked.low
    high = float("inf") if asked.high is None else asked.high
    require(low <= value <= high, "answer", answer, f"a number from {low} to {high}")
    return value
