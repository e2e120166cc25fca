"""An explorer: sliders that turn over pictures.

The first picture is drawn at once, another when it is first asked for, and all of them before a
chapter's notebook is stored: so it goes on answering in a page without a kernel.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any
from weakref import WeakSet

import anywidget
import traitlets

from zoology_teach.checks import require
from zoology_teach.plots import Picture
from zoology_teach.widgets.front_end import front_end
from zoology_teach.widgets.pictures import pack
from zoology_teach.widgets.still import WithStill

MAX_FRAMES = 80


class Explorer(WithStill, anywidget.AnyWidget):
    """Sliders over the pictures `draw(**choice)`, one for each combination of `controls`.

    draw      returns a `Picture`; its alt text is shown below it too. It may be called long
              after this cell: what it reads must not change in between.
    controls  name -> the values it can take; up to three. Values of a numeric control make
              a slider, of a text control a drop-down list. Underscores read as spaces.

    Raises ValueError for no control, more than three, or more than 80 pictures, and what `draw`
    raises for the first one; what it raises for a later one is shown in its place.
    """

    _esm = front_end("explorer.js")
    controls = traitlets.List(traitlets.Dict()).tag(sync=True)
    chosen = traitlets.List(traitlets.Int()).tag(sync=True)
    words = traitlets.List(traitlets.Unicode()).tag(sync=True)
    packs = traitlets.List(traitlets.Dict()).tag(sync=True)

    def __init__(self, draw: Callable[..., Picture], **controls: Sequence[Any]):
        require(1 <= len(controls) <= 3, "controls", list(controls), "one to three")
        self._draw = draw
        self._values = {name: list(values) for name, values in controls.items()}
        sizes = [len(values) for values in self._values.values()]
        frames = math.prod(sizes)
        require(0 < frames <= MAX_FRAMES, "controls", sizes, f"1 to {MAX_FRAMES} pictures")
        self._choices = list(itertools.product(*self._values.values()))
        still = self._picture(0)
        self._still = still
        super().__init__(
            controls=[_control(name, values) for name, values in self._values.items()],
            chosen=[0] * len(controls),
            words=[still.alt, *[""] * (frames - 1)],
            packs=[pack([0], [still.pixels()])],
        )
        self.observe(self._answer, "chosen")
        _made.add(self)

    @property
    def choice(self) -> dict[str, Any]:
        """The current value of every control."""
        return {
            name: values[i]
            for i, (name, values) in zip(self.chosen, self._values.items(), strict=True)
        }

    def draw_all(self) -> None:
        """Draw every picture, for a page that has no kernel to ask."""
        pictures = [self._picture(number) for number in range(len(self._choices))]
        self.words = [picture.alt for picture in pictures]
        self.packs = [pack(range(len(pictures)), [picture.pixels() for picture in pictures])]

    def _picture(self, number: int) -> Picture:
        return self._draw(**dict(zip(self._values, self._choices[number], strict=True)))

    def _answer(self, change: dict[str, Any]) -> None:
        """Draw the picture that is chosen, where it has not been drawn before."""
        number = self._choices.index(tuple(self.choice.values()))
        if any(number in drawn["numbers"] for drawn in self.packs):
            return
        packs, words = self.packs, list(self.words)
        try:
            picture = self._picture(number)
            packs = [*packs, pack([number], [picture.pixels()])]
            words[number] = picture.alt
        except Exception as error:  # the reader's own code
            words[number] = f"This could not be drawn. {type(error).__name__}: {error}"
        with self.hold_sync():
            self.packs, self.words = packs, words


_made: WeakSet[Explorer] = WeakSet()


def draw_all() -> None:
    """Draw every picture of every explorer: before a notebook is stored."""
    for explorer in list(_made):
        explorer.draw_all()


def _control(name: str, values: list[Any]) -> dict[str, Any]:
    return {
        "label": name.replace("_", " "),
        "values": [str(value) for value in values],
        "slider": all(isinstance(value, int | float) for value in values),
    }
