"""A menu, and below it what is known of its choice (the teacher's notebook)."""

from collections.abc import Callable, Mapping
from typing import Any

import anywidget
import traitlets

from zoology_teach.checks import require
from zoology_teach.widgets.front_end import front_end
from zoology_teach.widgets.still import WithStill, Words


class Menu(WithStill, anywidget.AnyWidget):
    """A drop-down list of `options`, text -> value, above the HTML that `show(value)` returns.

    Raises ValueError without options.
    """

    _esm = front_end("menu.js")
    label = traitlets.Unicode().tag(sync=True)
    options = traitlets.List(traitlets.Unicode()).tag(sync=True)
    chosen = traitlets.Int(0).tag(sync=True)
    html = traitlets.Unicode().tag(sync=True)

    def __init__(self, label: str, options: Mapping[str, Any], show: Callable[[Any], str]):
        require(len(options) > 0, "options", dict(options), "at least one")
        values = list(options.values())
        super().__init__(label=label, options=list(options), html=show(values[0]))
        self._still = Words(f"A menu, {label}: one of {len(options)} can be chosen.")
        self.observe(lambda change: setattr(self, "html", show(values[change["new"]])), "chosen")
