"""What a cell has shown -> what a page shows: pictures as files, widgets as their front ends.

A widget without a kernel is its still (for print, and for readers without JavaScript) and, in a
<script>, its front end and state, which static/widgets.js brings to life.
"""

import base64
import hashlib
import json
import re
import struct
from typing import Any

import nbformat
from nbformat import NotebookNode

PNG, HTML = "image/png", "text/html"
VIEW = "application/vnd.jupyter.widget-view+json"
PANDAS_STYLE = re.compile(r"<style scoped>.*?</style>", re.DOTALL)
UNREAD = {"layout", "tabbable", "tooltip"}  # what every widget has and no front end reads
BY_KERNEL = ("LiveTraining", "Menu")  # their front ends show only what Python answers
NEEDS_KERNEL = (
    '<p class="needs-kernel">This part needs a running kernel: <code>make lab</code> opens the '
    "chapter with one.</p>"
)


def is_picture(output: NotebookNode) -> bool:
    """Whether Sphinx will make a file of it."""
    return PNG in output.get("data", {})


def image_options(shown: list[NotebookNode]) -> dict[str, str]:
    """The words and the size of the picture among a cell's outputs."""
    for output in filter(is_picture, shown):
        about = output.metadata[PNG]
        width, height = size(output.data[PNG])
        wide = about.get("width", width)
        options = {"width": f"{wide}px", "height": f"{round(height * wide / width)}px"}
        return options | ({"alt": about["alt"]} if "alt" in about else {})
    return {}


def size(png: str) -> tuple[int, int]:
    """Width and height in pixels, from the head of the file."""
    return struct.unpack(">II", base64.b64decode(png[:32])[16:24])


class Shown:
    """The outputs of one page; a front end that several widgets share is written once."""

    def __init__(self, models: dict[str, Any], *, live: bool):
        self.models, self.live = models, live
        self.written: set[str] = set()

    def of(self, output: NotebookNode) -> list[NotebookNode]:
        """An output as a page shows it: a picture alone, then what moves; or as it is."""
        data = output.get("data", {})
        if PNG in data:
            about = {PNG: output.metadata.get(PNG, {})}
            still = [nbformat.v4.new_output("display_data", {PNG: data[PNG]}, metadata=about)]
            words = ""
        else:
            still, words = [], data.get(HTML, "")
        if VIEW not in data:
            return still or [tidy(output)]
        if not self.live:
            return still or [displayed(words or NEEDS_KERNEL)]
        return [*still, displayed(self.widget(data[VIEW]["model_id"], words))]

    def widget(self, model_id: str, words: str) -> str:
        """The markup of a widget: its front end, or a sentence where it is nothing by itself."""
        model = self.models[model_id]
        kind = model["state"].get("_anywidget_id", "").rpartition(".")[2]
        if model["model_name"] != "AnyModel" or kind in BY_KERNEL:
            return NEEDS_KERNEL
        return self.front_end(model, words)

    def front_end(self, model: dict[str, Any], words: str) -> str:
        """A script with the module of an anywidget (once a page), one with its state."""
        state = model["state"]
        module = state["_esm"]
        name = hashlib.sha256(module.encode()).hexdigest()[:12]
        shared = script({"module": module}, f"module-{name}") if name not in self.written else ""
        self.written.add(name)
        values = {k: v for k, v in state.items() if not k.startswith("_") and k not in UNREAD}
        buffers = [[b["path"], b["data"]] for b in model.get("buffers", [])]
        held = {"module": name, "css": state.get("_css", ""), "state": values, "buffers": buffers}
        still = f'<div class="still">{words}</div>' if words else ""
        return f'{shared}<div class="widget">{still}{script(held)}</div>'


def tidy(output: NotebookNode) -> NotebookNode:
    """A table without what pandas adds: a style that is no XHTML, and an empty corner for a
    heading, which a screen reader would announce with every row.
    """
    if HTML in output.get("data", {}):
        markup = PANDAS_STYLE.sub("", output.data[HTML])
        output.data[HTML] = markup.replace("<th></th>", "<td></td>")
    return output


def script(content: dict[str, Any], identity: str = "") -> str:
    """JSON that a page holds and does not run; no text in it can end the element."""
    text = json.dumps(content, separators=(",", ":")).replace("<", "\\u003c")
    named = f' id="{identity}"' if identity else ""
    return f'<script type="application/json"{named}>{text}</script>'


def displayed(markup: str) -> NotebookNode:
    """An output that is this HTML alone."""
    return nbformat.v4.new_output("display_data", {HTML: markup})
