"""The plan of an experiment that a student hands in, and whether its parts can be judged (06.e)."""

import math

from zoology_teach.grading.ladder import Call, number_in
from zoology_teach.grading.measured_cells import LENGTHS, WIDTHS, is_measured

FACTOR = 1.5  # between two CPU seconds that are the same: how far a busy machine moves them
TOLERANCE = 0.05  # twice what a measured cell that is left out differs from those around it
WIDEST = 0.15  # of an interval that still predicts something
ASKED = ("d_model", "seq_len", "seconds_each", "seeds", "low", "high")


def planned(call: Call, pairs: int, seconds: int) -> dict[str, float]:
    """The six numbers of the student's plan."""
    plan = call(pairs, seconds)
    assert isinstance(plan, dict), f"you return a {type(plan).__name__}, expected a dict"
    found = {}
    for key in ASKED:
        assert key in plan, f"your plan has no {key!r}"
        found[key] = number_in(plan[key], f"{key!r} is")
        assert math.isfinite(found[key]), f"{key!r} is {found[key]}"
    return found


def cell_in(plan: dict[str, float], pairs: int) -> tuple[int, int, int]:
    """d, N and K, where they are a cell that lies between measured ones."""
    d, n = plan["d_model"], plan["seq_len"]
    assert d == int(d) and n == int(n), f"d = {d:g} and N = {n:g} must be whole numbers"
    assert n % 2 == 0, f"N = {n:g} is odd"
    assert n >= 4 * pairs, f"{pairs} pairs and their questions need N >= {4 * pairs}, not {n:g}"
    assert WIDTHS[0] <= d <= WIDTHS[-1], f"d = {d:g} is not from {WIDTHS[0]} to {WIDTHS[-1]}"
    assert LENGTHS[0] <= n <= LENGTHS[-1], f"N = {n:g} is not from {LENGTHS[0]} to {LENGTHS[-1]}"
    return int(d), int(n), pairs


def new_cell_in(plan: dict[str, float], pairs: int) -> tuple[int, int, int]:
    """d, N and K, where they are such a cell that no table holds."""
    d, n, k = cell_in(plan, pairs)
    assert not is_measured(d, n, k), f"d = {d}, N = {n}, K = {k} stands in a table"
    return d, n, k


def interval_in(plan: dict[str, float]) -> tuple[float, float]:
    """low and high, where they could turn out to be wrong."""
    low, high = plan["low"], plan["high"]
    assert 0 <= low <= high <= 1, f"low = {low:g} and high = {high:g} are no interval in [0, 1]"
    assert high - low <= WIDEST + 1e-6, f"[{low:g}, {high:g}] is wider than {WIDEST}"
    middle = (low + high) / 2
    assert 0.2 <= middle <= 0.8, f"the middle of [{low:g}, {high:g}] is {middle:.3g}"
    return low, high
