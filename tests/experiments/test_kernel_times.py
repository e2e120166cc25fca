"""Measured kernels beside their floors."""

import pandas as pd
import pytest

from zoology_teach.experiments.kernel_times import side_by_side

COLUMNS = "kernel N implementation ms floor_ms percent_of_floor note direction dtype".split()
ROWS = [
    ("scan", 512, "zoology_teach", 0.2, 0.01, 5.0, None, "forward", "bfloat16"),
    ("scan", 512, "zoology_teach, tiles", 0.1, 0.01, 10.0, None, "forward", "bfloat16"),
    ("scan", 512, "torch eager", 0.4, 0.01, 2.5, None, "forward", "bfloat16"),
    ("scan", 512, "torch.compile", 0.3, 0.01, 3.3, None, "forward", "bfloat16"),
    ("scan", 512, "wrong", 0.05, 0.01, 20.0, "wrong by 1.3", "forward", "bfloat16"),
    ("scan", 512, "other", 0.05, 0.01, 20.0, None, "forward", "float32"),
    ("scan", 1024, "zoology_teach", 0.2, 0.01, 5.0, None, "forward", "bfloat16"),
]


def test_ours_and_the_fastest_other_that_is_right():
    (row,) = side_by_side(pd.DataFrame(ROWS, columns=COLUMNS), ("scan", "conv"), (512, 1024))
    assert row["ours (µs)"] == pytest.approx(200) and row["floor (µs)"] == pytest.approx(10)
    assert row["fastest other"] == "torch.compile" and row["it takes (µs)"] == pytest.approx(300)
    assert (row["kernel"], row["N"], row["ours, % of the floor"]) == ("scan", 512, 5.0)
