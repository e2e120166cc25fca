"""A figure with words, as notebooks show and keep it."""

import base64
import html
import io
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

# Colours are made for white: on a dark page a picture is a light card.
PADDING = 8  # pixels
CARD = f"background: white; border-radius: 8px; padding: {PADDING}px; box-sizing: border-box"


@dataclass(frozen=True)
class Picture:
    """A figure and the sentence that says what it shows, for those who cannot see it."""

    figure: Figure
    alt: str
    dpi: int = 100

    def pixels(self) -> NDArray[np.uint8]:
        """The figure as (height, width, 3) numbers."""
        canvas = FigureCanvasAgg(self.figure)
        self.figure.set_dpi(self.dpi)
        canvas.draw()  # once; `savefig` draws twice
        return np.asarray(canvas.buffer_rgba())[..., :3].copy()

    def _few_colours(self) -> Image.Image:
        """The figure in 64 colours: small enough to keep many in a notebook."""
        # A palette that covers all colours: a small marker keeps its own beside many greys.
        method, dither = Image.Quantize.MAXCOVERAGE, Image.Dither.NONE
        return Image.fromarray(self.pixels()).quantize(64, method=method, dither=dither)

    def png(self) -> bytes:
        """The figure as a PNG of 64 colours."""
        small = io.BytesIO()
        self._few_colours().save(small, format="png", optimize=True)
        return small.getvalue()

    def base64(self) -> str:
        """`png` as base64 text."""
        return base64.b64encode(self.png()).decode()

    def webp(self) -> str:
        """The same pixels a fifth smaller, for a page, as base64 text."""
        small = io.BytesIO()
        self._few_colours().convert("RGB").save(small, format="webp", lossless=True, method=6)
        return base64.b64encode(small.getvalue()).decode()

    def _repr_mimebundle_(
        self, include: object = None, exclude: object = None
    ) -> tuple[dict[str, str], dict[str, Any]]:
        # JupyterLab gives an image/png no alt attribute, so the page gets an <img> of its own.
        width, png, webp = round(self.figure.get_figwidth() * self.dpi), self.base64(), self.webp()
        alt = html.escape(self.alt, quote=True)
        look = f'width="{width + 2 * PADDING}" style="{CARD}; max-width: 100%"'
        tag = f'<img alt="{alt}" {look} src="data:image/webp;base64,{webp}">'
        data = {"text/html": tag, "image/png": png, "text/plain": self.alt}
        return data, {"image/png": {"alt": self.alt, "width": width}}
