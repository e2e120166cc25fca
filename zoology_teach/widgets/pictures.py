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
from PIL import Image

COLOURS = 32


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
    flat = Image.fromarray(sheet.reshape(-1, width, 3))
    few = flat.quantize(COLOURS, dither=Image.Dither.NONE)
    indices = np.asarray(few).reshape(len(pictures), height, width).transpose(1, 0, 2)
    return {
        "numbers": list(numbers),
        "width": width,
        "height": height,
        "palette": bytes(few.getpalette() or []).hex(),
        "data": gzip.compress(indices.tobytes(), mtime=0),
    }
