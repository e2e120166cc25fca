"""A widget, and a picture or the words of it for viewers that show no widgets."""

import html
from dataclasses import dataclass
from typing import Any

import ipywidgets

from zoology_teach.plots import Picture

Bundle = tuple[dict[str, Any], dict[str, Any]]  # what is shown, by MIME type, and about it


@dataclass(frozen=True)
class Words:
    """What a widget says, as a paragraph."""

    text: str

    def _repr_mimebundle_(self, **options: Any) -> Bundle:
        return {"text/plain": self.text, "text/html": f"<p>{html.escape(self.text)}</p>"}, {}


class WithStill(ipywidgets.Widget):
    """Shows itself, and its `_still` to a viewer without widgets: a reader on the web.

    The same with ipywidgets 7, which Colab has, and 8.
    """

    _still: Picture | Words
    _ipython_display_ = None  # by this ipywidgets 7 would show the widget alone

    def _repr_mimebundle_(self, **options: Any) -> Bundle:
        data, metadata = self._still._repr_mimebundle_()
        view = {"version_major": 2, "version_minor": 0, "model_id": self.model_id}
        return {**data, "application/vnd.jupyter.widget-view+json": view}, metadata
