"""The clone of the repository that the library lies in, where there is one: its book, its pins.

Installed from a wheel, the library works without it; only what writes the book needs one.
"""

import re
from pathlib import Path


def root() -> Path | None:
    """The folder of the repository, or None where the library was installed without it."""
    folder = Path(__file__).resolve().parents[1]
    return folder if (folder / "constraints.txt").exists() else None


def book() -> Path:
    """The folder book/ of the clone, or else of the current folder.

    Raises ValueError where there is none.
    """
    here = Path.cwd()
    for folder in (root(), here):
        if folder is not None and (folder / "book").is_dir():
            return folder / "book"
    raise ValueError(f"{here}: there is no book here; run it in a clone of the repository")


def pins() -> dict[str, str]:
    """The exact versions the outputs of the book were made with; empty outside a clone.

    Names are as pip compares them: in small letters, with hyphens.
    """
    folder = root()
    lines = (folder / "constraints.txt").read_text().splitlines() if folder else []
    pinned = dict(line.split("==") for line in lines if "==" in line and line[0] != "#")
    return {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in pinned.items()}
