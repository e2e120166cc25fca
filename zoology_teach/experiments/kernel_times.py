"""The measured kernels beside their floors: what `benchmarks/kernels.py` wrote on a GPU."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

OURS = "zoology_teach"


def side_by_side(
    table: pd.DataFrame,
    kernels: Sequence[str],
    lengths: Sequence[int],
    *,
    direction: str = "forward",
    dtype: str = "bfloat16",
) -> list[dict[str, Any]]:
    """A row a kernel and length N: floor, our time, and the fastest other implementation.

    Times are medians in microseconds. What was measured to give a wrong result is left out
    (column `note`), and so is any way of our own but the one that "auto" takes. A case that the
    table lacks has no row.
    """
    cases = table[(table["direction"] == direction) & (table["dtype"] == dtype)]
    cases = cases[cases["note"].isna()]
    rows = []
    for kernel in kernels:
        for n in lengths:
            times = cases[(cases["kernel"] == kernel) & (cases["N"] == n)]
            times = times.set_index("implementation")
            others = times[~times.index.str.startswith(OURS)]
            if OURS not in times.index or others.empty:
                continue
            ours = times.loc[OURS]
            fastest = others["ms"].idxmin()
            rows.append(
                {
                    "kernel": kernel,
                    "N": n,
                    "floor (µs)": 1e3 * ours["floor_ms"],
                    "ours (µs)": 1e3 * ours["ms"],
                    "ours, % of the floor": ours["percent_of_floor"],
                    "fastest other": fastest,
                    "it takes (µs)": 1e3 * others["ms"][fastest],
                }
            )
    return rows
