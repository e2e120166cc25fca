"""A file that holds the state of a training: written whole or not at all, checked when read."""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from zoology_teach.files import replacing


def save(path: Path, state: Mapping[str, Any]) -> None:
    """Replace `path` by `state` in one step; whatever happens, the old or the new one is there.

    Raises OSError naming `path` where there is no room for it.
    """
    with replacing(path) as new:
        try:
            torch.save(dict(state), new)
        except RuntimeError as error:  # torch's own, of a full disk
            raise OSError(f"{path}: {' '.join(str(error).split())[:200]}") from None


def load(path: Path) -> dict[str, Any]:
    """The state, on the CPU. It can hold tensors and plain values only, no code.

    Raises ValueError naming `path` where the file is torn, altered or something else.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            broken = archive.testzip()  # torch itself does not compare the check sums
        if broken is not None:
            raise ValueError(f"{broken} is altered")
        state = torch.load(path, map_location="cpu", weights_only=True)
        if not isinstance(state, dict):
            raise ValueError(f"it holds a {type(state).__name__}")
    except FileNotFoundError:
        raise
    except Exception as error:  # zipfile, pickle and torch have each their own
        reason = " ".join(str(error).split())[:200]
        raise ValueError(
            f"checkpoint = {str(path)!r}: must be one that is whole ({reason}); "
            "without the file the training starts anew"
        ) from None
    return state
