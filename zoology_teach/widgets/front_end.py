"""The script of a widget, as small as it goes: every notebook holds a copy."""

import re
from pathlib import Path


def front_end(*names: str) -> str:
    """One module of scripts in this folder, without indentation and lines that are comments."""
    folder = Path(__file__).parent
    script = "".join((folder / name).read_text(encoding="utf-8") for name in names)
    return re.sub(r"^ *(//.*\n)?", "", script, flags=re.MULTILINE)
