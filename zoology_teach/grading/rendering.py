"""The pages and tables of templates/, in which every value is escaped."""

import base64
import hashlib
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from zoology_teach.grading.records import visible

FOLDER = Path(__file__).with_name("templates")


def render(name: str, **values: object) -> str:
    """The template `name` with these values. Text in them stays text, whatever it holds."""
    return _environment().get_template(name).render(values)


def style(name: str) -> str:
    """The text of a style sheet, its line ends as in the repository on any system."""
    return (FOLDER / name).read_text(encoding="utf-8")


def policy(css: str, script: str = "") -> str:
    """A Content-Security-Policy: this style and this script, and nothing else that acts.

    A page with a script may ask the server that it came from.
    """
    parts = ["default-src 'none'", f"style-src {_digest(css)}"]
    if script:
        parts += [f"script-src {_digest(script)}", "connect-src 'self'"]
    return "; ".join([*parts, "base-uri 'none'", "form-action 'none'"])


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["visible"] = visible
    return environment
