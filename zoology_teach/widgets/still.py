"""A widget, and a picture of it for viewers that show no widgets."""

from typing import Any

import ipywidgets

from zoology_teach.plots import Picture


class WithStill(ipywidgets.Widget):
    """Shows itself, and its picture `_still` to a viewer without widgets: a reader on the web.

    The same with ipywidgets 7, which Colab has, and 8.
    """

    _still: Picture
    _ipython_display_ = None  # by this ipywidgets 7 would show the widget alone

    def _repr_mimebundle_(self, **options: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        data, metadata = self._still._repr_mimebundle_()
        view = {"version_major": 2, "version_minor": 0, "model_id": self.model_id}
        return {**data, "application/vnd.jupyter.widget-view+json": view}, metadata
