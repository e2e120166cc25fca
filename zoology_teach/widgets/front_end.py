"""The script of a widget, as small as it goes: every notebook holds a copy."""

import re
from pathlib import Path


def front_end(name: str) -> str:
    """A module of this folder, without indentation and lines that are comments."""
    script = (Path(__file__).parent / name).read_text(encoding="utf-8")
    return re.sub(r"^ *(//.*\n)?", "", script, flags=re.MULTILINE)
