"""Many alike pictures -> few bytes.

The pictures of an explorer share axes, words and most points. Row y of all of them is stored
side by side, so that the compressor, whose memory is 32 kB, meets what it has just seen: half
the size of one PNG a picture.
"""

import gzip
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

MOST_COLOURS = 64
APART = 24  # in red, green or blue: closer ones are edges that were smoothed


def pack(numbers: Iterable[int], pictures: list[NDArray[np.uint8]]) -> dict[str, Any]:
    """Pictures, each (height, width, 3), as the front end of an explorer reads them.

    Smaller ones get white to the right and below. `data` is gzip of one byte a pixel, the
    number of its colour, in the order row, picture, column; `palette` six hexadecimal digits a
    colour.
    """
    height = max(picture.shape[0] for picture in pictures)
    width = max(picture.shape[1] for picture in pictures)
    sheet = np.full((len(pictures), height, width, 3), 255, dtype=np.uint8)
    for place, picture in zip(sheet, pictures, strict=True):
        place[: picture.shape[0], : picture.shape[1]] = picture
    palette, indices = _few_colours(sheet.transpose(1, 0, 2, 3))
    return {
        "numbers": list(numbers),
        "width": width,
        "height": height,
        "palette": palette.tobytes().hex(),
        "data": gzip.compress(indices.tobytes(), mtime=0),
    }


def _few_colours(pixels: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """A palette (colours, 3), and the number of each pixel's nearest colour.

    The most frequent colours that are apart: so a curve keeps the very colour that it has in
    other figures, however few its pixels are.
    """
    coded = (pixels.astype(np.int32) * [1 << 16, 1 << 8, 1]).sum(-1)
    codes, where, counts = np.unique(coded, return_inverse=True, return_counts=True)
    colours = np.stack([codes >> 16, codes >> 8 & 255, codes & 255], -1)
    chosen: list[NDArray[np.int64]] = []
    for colour in colours[np.argsort(-counts, kind="stable")]:
        if all(abs(colour - other).max() >= APART for other in chosen):
            chosen.append(colour)
        if len(chosen) == MOST_COLOURS:
            break
    palette = np.array(chosen)
    nearest = np.array([abs(palette - colour).sum(-1).argmin() for colour in colours])
    return palette.astype(np.uint8), nearest[where].reshape(coded.shape).astype(np.uint8)
