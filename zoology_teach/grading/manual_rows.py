"""The rows of manual.csv, as a spreadsheet may have saved it, with all that stands in them."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from zoology_teach.grading.safe_csv import ENCODING, text

COLUMNS = ("key", "student", "file", "question", "rubric", "points", "comment")
NEEDED = COLUMNS[:-1]  # there is no comment before the teacher writes one


@dataclass
class Row:
    """A row: the cells of `COLUMNS`, and by place those of the columns that the teacher added."""

    cells: dict[str, str]
    own: list[str]

    def __getitem__(self, column: str) -> str:
        return self.cells.get(column, "")

    @property
    def is_used(self) -> bool:
        """Whether the teacher has written anything into it."""
        return bool(self["points"] or self["comment"] or any(self.own))


def read(path: Path) -> tuple[list[str], list[Row]]:
    """The headings of the teacher's own columns, any number of them alike, and the rows.

    Raises ValueError naming the path where a column is missing or a row has more cells than
    the heading: in such a row nobody knows which cell is which.
    """
    if not path.exists():
        return [], []
    content = _decoded(path.read_bytes())
    heading = content.split("\n", 1)[0]
    delimiter = max(",;\t", key=heading.count)
    try:
        lines = list(csv.reader(io.StringIO(content, newline=""), delimiter=delimiter, strict=True))
    except csv.Error as error:
        raise ValueError(f"{path}: must be a CSV file ({error})") from None
    columns = lines[0] if lines else []
    for column in COLUMNS:
        if columns.count(column) > 1 or (column in NEEDED and column not in columns):
            raise ValueError(f'{path}, row 1: must have one column "{column}"')
    for number, line in enumerate(lines[1:], 2):
        if any(line[len(columns) :]):
            much = f"has {len(line)} cells, and the heading {len(columns)}"
            raise ValueError(f"{path}, row {number}: {much}; quote a cell with {delimiter!r} in it")
    padded = [line + [""] * (len(columns) - len(line)) for line in lines[1:]]
    places = {column: columns.index(column) for column in COLUMNS if column in columns}
    own = [
        place
        for place, column in enumerate(columns)
        if column not in COLUMNS and (column or any(line[place] for line in padded))
    ]
    return [columns[place] for place in own], [_row(line, places, own) for line in padded]


def table(headings: Sequence[str], rows: Sequence[Row]) -> list[list[object]]:
    """What `read` has read, as lines to be written."""
    columns = COLUMNS if any("comment" in row.cells for row in rows) else NEEDED
    lines: list[list[object]] = [[*(row[column] for column in columns), *row.own] for row in rows]
    return [[*columns, *headings], *lines]


def _row(line: list[str], places: dict[str, int], own: list[int]) -> Row:
    cells = {column: line[place] for column, place in places.items()}
    for column in ("key", "question", "points"):
        cells[column] = cells[column].strip()
    if "comment" in cells:
        cells["comment"] = " ".join(text(cells["comment"]).split())
    return Row(cells, [line[place] for place in own])


def _decoded(data: bytes) -> str:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", "replace")
    try:
        return data.decode(ENCODING)
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")  # an older Excel; keys and points are ASCII
