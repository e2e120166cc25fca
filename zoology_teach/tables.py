"""Numbers -> a table on the page: aligned, with a caption, and the same in plain text."""

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from zoology_teach.checks import require

NOTHING = "–"  # a number that is not there
CAPTION = "caption-side: top; text-align: left; font-weight: 600; padding: 0.3em 0"


@dataclass(frozen=True)
class Table:
    """A table that shows itself: HTML for a browser, aligned text for everybody else."""

    caption: str
    heads: list[str]
    rows: list[list[str]]
    is_number: list[bool]

    def __str__(self) -> str:
        lines = [self.heads, *self.rows]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        aligned = [
            "  ".join(
                cell.rjust(width) if right else cell.ljust(width)
                for cell, width, right in zip(line, widths, self.is_number, strict=True)
            ).rstrip()
            for line in lines
        ]
        return "\n".join([self.caption, *aligned])

    def _repr_mimebundle_(self, **options: Any) -> dict[str, str]:
        return {"text/plain": str(self), "text/html": self.html()}

    def html(self) -> str:
        """A table element that a spreadsheet takes when it is copied."""
        head = self._line(self.heads, "th", ' scope="col"')
        body = "\n".join(self._line(row, "td") for row in self.rows)
        return (
            f'<table class="zoology-table" style="text-align: right">\n<caption style="{CAPTION}">'
            f"{html.escape(self.caption)}</caption>\n"
            f"<thead>\n{head}\n</thead>\n<tbody>\n{body}\n</tbody>\n</table>"
        )

    def _line(self, cells: list[str], tag: str, attribute: str = "") -> str:
        # A number's cell takes its side from the table: there are thousands of them in the book.
        side = {True: "" if tag == "td" else ' style="text-align: right"'}
        side[False] = ' style="text-align: left"'
        inner = "".join(
            f"<{tag}{attribute}{side[right]}>{html.escape(cell)}</{tag}>"
            for cell, right in zip(cells, self.is_number, strict=True)
        )
        return f"<tr>{inner}</tr>"


def show(
    table: pd.DataFrame | Mapping[str, Sequence[Any]] | Sequence[Mapping[str, Any]],
    caption: str,
    digits: int | Mapping[str, int] = 2,
) -> Table:
    """A table under its caption; the last line of a cell shows it.

    table    a data frame, columns by name, or a list of rows. A named index becomes a column.
             The heads are the columns' names: a unit stands in them, as in "loss (nats)".
    digits   after the point, for all columns or by name. Whole numbers have none.

    Raises ValueError without rows, without a caption, and for `digits` of an unknown column.
    """
    frame = pd.DataFrame(table)
    require(len(frame) > 0, "table", "empty", "a table with at least one row")
    require(bool(caption.strip()), "caption", caption, "what the table shows, in words")
    if any(name is not None for name in frame.index.names):
        frame = frame.reset_index()
    by_column = digits if isinstance(digits, Mapping) else dict.fromkeys(frame, digits)
    for name in by_column:
        require(name in frame, "digits", name, f"a column, one of {list(frame)}")
    columns = [frame[name].infer_objects() for name in frame]
    cells = [_cells(c, by_column.get(c.name, 2)) for c in columns]
    is_number = [
        pd.api.types.is_numeric_dtype(c) and not pd.api.types.is_bool_dtype(c) for c in columns
    ]
    heads = [str(name) for name in frame]
    return Table(caption, heads, [list(row) for row in zip(*cells, strict=True)], is_number)


def _cells(column: pd.Series, digits: int) -> list[str]:
    if pd.api.types.is_bool_dtype(column):
        return ["yes" if value else "no" for value in column]
    return [_cell(value, digits) for value in column]


def _cell(value: Any, digits: int) -> str:
    if not isinstance(value, str) and pd.isna(value):
        return NOTHING
    comma = "," if pd.api.types.is_number(value) and abs(value) >= 10_000 else ""
    if pd.api.types.is_float(value):
        return f"{value:{comma}.{digits}f}"
    return f"{value:{comma}}"
