"""The pages and tables of templates/, in which every value is escaped."""

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
