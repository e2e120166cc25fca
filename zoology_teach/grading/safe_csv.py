"""Rows -> a CSV file in which no cell acts and each row stays one line."""

import csv
import io
import re
from collections.abc import Iterable, Sequence

from zoology_teach.grading.records import visible

ENCODING = "utf-8-sig"  # with the mark by which Excel knows UTF-8
FORMULA = re.compile(r"(^|;)(?=\s*[=+\-@＝＋－＠])")  # after ";" too: Excel may split there

MADE_SAFE = re.compile(r"(^|;)'(?=\s*[=+\-@＝＋－＠])")


def cell(value: object) -> str:
    """A CSV cell that no spreadsheet takes for a formula and that stays on its line."""
    if isinstance(value, int | float):
        return f"{value:.10g}"
    return FORMULA.sub(r"\1'", visible(str(value)))


def text(of_cell: str) -> str:
    """What `cell` was given, but for what cannot be seen."""
    return MADE_SAFE.sub(r"\1", of_cell)


def csv_bytes(rows: Iterable[Sequence[object]], encoding: str = ENCODING) -> bytes:
    """Rows of anything -> the bytes of a CSV file with safe cells."""
    lines = io.StringIO()
    csv.writer(lines, lineterminator="\n").writerows([cell(v) for v in row] for row in rows)
    return lines.getvalue().encode(encoding)
