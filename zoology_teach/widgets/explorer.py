"""An explorer: sliders that turn over pictures drawn beforehand.

Every combination of the controls is drawn once, when the explorer is made. Sliders and
pictures are linked in the browser, so it answers at once, and goes on answering in a static
HTML page without a kernel.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import anywidget
import ipywidgets
import traitlets

from zoology_teach.checks import require
from zoology_teach.plots import Picture
from zoology_teach.widgets.still import WithStill

MAX_FRAMES = 80


class Explorer(WithStill, ipywidgets.VBox):
    """Sliders over the pictures `draw(**choice)`, one for each combination of `controls`.

    draw      returns a `Picture`; its alt text is shown below it too.
    controls  name -> the values it can take; up to three. Values of a numeric control make
              a slider, of a text control a drop-down list. Underscores read as spaces.

    Raises ValueError for no control, more than three, or more than 80 pictures.
    """

    def __init__(self, draw: Callable[..., Picture], **controls: Sequence[Any]):
        require(1 <= len(controls) <= 3, "controls", list(controls), "one to three")
        sizes = [len(values) for values in controls.values()]
        pictures = [
            draw(**dict(zip(controls, choice, strict=True)))
            for choice in itertools.product(*controls.values())
        ]
        require(0 < len(pictures) <= MAX_FRAMES, "controls", sizes, f"1 to {MAX_FRAMES} pictures")
        self.controls = {name: _control(name, list(values)) for name, values in controls.items()}
        strides = [math.prod(sizes[i + 1 :]) for i in range(len(sizes))]
        self.view = _Frames(
            frames=[picture.base64() for picture in pictures],
            alts=[picture.alt for picture in pictures],
            strides=strides,
        )
        for i, control in enumerate(self.controls.values()):
            ipywidgets.jslink((control, "index"), (self.view, ("first", "second", "third")[i]))
        super().__init__([*self.controls.values(), self.view])
        self._still = pictures[0]

    @property
    def choice(self) -> dict[str, Any]:
        """The current value of every control."""
        return {name: control.value for name, control in self.controls.items()}


class _Frames(anywidget.AnyWidget):
    _esm = Path(__file__).with_name("explorer.js")
    frames = traitlets.List(traitlets.Unicode()).tag(sync=True)
    alts = traitlets.List(traitlets.Unicode()).tag(sync=True)
    strides = traitlets.List(traitlets.Int()).tag(sync=True)
    first = traitlets.Int(0).tag(sync=True)
    second = traitlets.Int(0).tag(sync=True)
    third = traitlets.Int(0).tag(sync=True)


def _control(name: str, values: list[Any]) -> ipywidgets.Widget:
    numeric = all(isinstance(v, int | float) for v in values)
    kind = ipywidgets.SelectionSlider if numeric else ipywidgets.Dropdown
    return kind(
        options=[(str(v), v) for v in values],
        value=values[0],
        description=name.replace("_", " "),
        style={"description_width": "9em"},
        layout={"width": "32em"},
    )
