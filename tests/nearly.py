"""Compare what a training gives as closely as two processors agree: `pytest -p tests.nearly`.

A processor adds in an order of its own, and some hundred updates later that shows in the digits
of an accuracy. In a cell with the tag `trained` the last digit of a decimal may be one more or
less than in the stored output. Words and whole numbers may not differ, nor may other cells.
"""

import re
from decimal import Decimal

from nbval.plugin import IPyNbCell

DECIMAL = re.compile(r"-?\d*\.\d+")


class Nearly(str):
    """A text that equals others with the same words and decimals at most one last digit away."""

    def __eq__(self, other):
        if not isinstance(other, str) or DECIMAL.split(self) != DECIMAL.split(other):
            return False
        numbers = zip(DECIMAL.findall(self), DECIMAL.findall(other), strict=True)
        return all(_differ_by_one_digit_at_most(Decimal(a), Decimal(b)) for a, b in numbers)

    def __ne__(self, other):
        return not self == other


def _differ_by_one_digit_at_most(a: Decimal, b: Decimal) -> bool:
    places = a.as_tuple().exponent
    return places == b.as_tuple().exponent and abs(a - b) <= Decimal(1).scaleb(places)


def nearly(exact):
    """What prepares an output for comparison, made to compare texts nearly."""

    def sanitize(output):
        prepared = exact(output)
        return Nearly(prepared) if isinstance(prepared, str) else prepared

    return sanitize


def pytest_collection_modifyitems(items):
    for item in items:
        if isinstance(item, IPyNbCell) and "trained" in item.cell.metadata.get("tags", []):
            item.sanitize = nearly(item.sanitize)
