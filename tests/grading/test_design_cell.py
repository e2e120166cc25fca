"""Exercise 06.e: its numbers are the tables', and nobody passes it by luck."""

import math
from itertools import product
from pathlib import Path
from random import Random

import jupytext
import pandas as pd
import pytest

from zoology_teach.grading import check
from zoology_teach.grading import measured_cells as cells
from zoology_teach.grading.plans import FACTOR, TOLERANCE

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "book" / "results"
LEVELS = (cells.WIDTHS, cells.LENGTHS, cells.PAIRS)
CELL = ["d_model", "seq_len", "num_pairs"]


def runs(table: str) -> pd.DataFrame:
    """The identity-like runs of BaseConv in a table of the book."""
    rows = pd.read_csv(RESULTS / table)
    return rows[(rows.mixer == "base_conv") & (rows.recipe == "identity-like init")]


MEASURED = runs("pairs_and_length.csv")


def held() -> dict[tuple[int, int, int], float]:
    """What the ladder holds, by (d, N, K)."""
    return {
        (d, n, k): cells.ACCURACY[n][i][j]
        for (i, d), n, (j, k) in product(
            enumerate(cells.WIDTHS), cells.LENGTHS, enumerate(cells.PAIRS)
        )
    }


def test_the_accuracies_are_those_of_the_table():
    means = MEASURED.groupby(CELL)["accuracy"].mean()
    assert held() == {cell: pytest.approx(means[cell], abs=6e-4) for cell in held()}


def test_the_seconds_are_those_of_the_table_to_less_than_the_factor():
    for n, d in product(cells.LENGTHS, cells.WIDTHS):
        taken = MEASURED[(MEASURED.seq_len == n) & (MEASURED.d_model == d)].cpu_seconds
        assert cells.seconds_between(d, n) == pytest.approx(taken.median(), abs=0.06)
        assert (taken.between(taken.median() / FACTOR, taken.median() * FACTOR)).mean() >= 0.75


def test_the_exercise_shows_the_numbers_that_it_is_judged_by():
    notebook = jupytext.read(ROOT / "solutions" / "06_turn_the_width_knob.md")
    (given,) = [c.source for c in notebook.cells if c.source.startswith("# Measured")]
    shown: dict = {}
    exec(given, shown)
    for n, d in product(cells.LENGTHS, cells.WIDTHS):
        i = cells.WIDTHS.index(d)
        assert shown["MEASURED_ACCURACY"][n][d] == list(cells.ACCURACY[n][i])
        assert shown["MEASURED_SECONDS"][n][d] == cells.SECONDS[n][i]


def test_no_table_of_the_book_holds_a_cell_that_counts_as_new():
    for path in RESULTS.glob("*.csv"):
        columns = pd.read_csv(path, nrows=0).columns
        if {*CELL, "mixer", "recipe"} <= set(columns):
            for d, n, k in set(runs(path.name)[CELL].itertuples(index=False, name=None)):
                is_inside = all(
                    level[0] <= x <= level[-1] for level, x in zip(LEVELS, (d, n, k), strict=True)
                )
                assert cells.is_measured(d, n, k) or not is_inside, (path.name, d, n, k)


def test_the_tolerance_is_twice_what_is_lost_by_leaving_a_cell_out():
    def logit(a: float) -> float:
        return math.log(a / (1 - a))

    errors = []
    for cell, accuracy in held().items():
        between = []
        for axis, level in enumerate(LEVELS):
            i = level.index(cell[axis])
            if 0 < i < len(level) - 1:
                around = [(*cell[:axis], level[j], *cell[axis + 1 :]) for j in (i - 1, i + 1)]
                between.append(sum(logit(held()[c]) for c in around) / 2)
        if between:
            read = 1 / (1 + math.exp(-sum(between) / len(between)))
            errors.append(abs(read - accuracy))
    assert len(errors) == 28
    assert 2 * sum(errors) / len(errors) == pytest.approx(TOLERANCE, abs=0.003)


def test_a_reading_agrees_with_the_cells_and_is_monotone_between_them():
    for (d, n, k), accuracy in held().items():
        assert cells.accuracy_between(d, n, k) == pytest.approx(accuracy)
    assert cells.accuracy_between(64, 90.51, 4) == pytest.approx(0.7459, abs=1e-3), "N = 64, 128"
    along = [cells.accuracy_between(d, 96, 5) for d in range(16, 129)]
    assert along == sorted(along)
    assert cells.accuracy_between(48, 96, 5) > cells.accuracy_between(48, 98, 5)
    assert cells.accuracy_between(48, 96, 5) > cells.accuracy_between(48, 96, 6)


def plan(d: int, n: int, seconds: float, low: float, high: float) -> dict[str, float]:
    """A plan with the right price and as many seeds as it pays for."""
    each = cells.seconds_between(d, n)
    numbers = {"seconds_each": each, "seeds": int(seconds / each), "low": low, "high": high}
    return {"d_model": d, "seq_len": n, **numbers}


def test_another_family_of_cells_is_as_good():
    """Narrow where the budget is small; tensors of one number are numbers."""

    def between_the_cells(pairs: int, seconds: float) -> dict[str, float]:
        a = cells.accuracy_between(10 * pairs - 1, 70, pairs)
        return plan(10 * pairs - 1, 70, seconds, a - 0.07, a + 0.07)

    assert check("06.e", between_the_cells).passed


def test_a_plan_from_the_book_earns_what_a_dict_does():
    report = check("06.e", lambda pairs, seconds: plan(64, 64, seconds, 0.7, 0.8))
    assert [outcome.earned for outcome in report.outcomes] == [1, 1, 0, 0, 0, 0, 0]


def test_no_constant_and_no_random_plan_passes():
    random = Random(0)
    passed = 0
    for _ in range(60):
        low = random.uniform(0.2, 0.7)
        d, n = random.randint(16, 64), random.randrange(64, 130, 2)
        report = check("06.e", lambda k, s, d=d, n=n, low=low: plan(d, n, s, low, low + 0.15))
        passed += report.outcomes[-1].earned > 0
    assert passed == 0, "the same cell and guess for every number of pairs"
    for _ in range(60):

        def drawn(pairs: int, seconds: float) -> dict[str, float]:
            low = random.uniform(0.2, 0.7)
            d, n = random.randint(16, 64), random.randrange(64, 130, 2)
            return plan(d, n, seconds, low, low + 0.15)

        passed += check("06.e", drawn).outcomes[-1].earned > 0
    assert passed == 0


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"d_model": "wide"}, "'d_model' is a str, expected a number"),
        ({"low": math.nan}, "'low' is nan"),
        ({"seq_len": 97}, "N = 97 is odd"),
        ({"seq_len": 10}, "3 pairs and their questions need N >= 12, not 10"),
        ({"d_model": 40.5}, "d = 40.5 and N = 96 must be whole numbers"),
        ({"d_model": 200}, "d = 200 is not from 16 to 128"),
        ({"d_model": 64, "seq_len": 128}, "d = 64, N = 128, K = 4 stands in a table"),
        ({"seconds_each": 0.01}, "d = 34, N = 96 takes about 3.6 s, you say 0.01 s"),
        ({"low": 0.9, "high": 1.0}, "the middle of [0.9, 1] is 0.95"),
        ({"low": 0.5, "high": 0.4}, "low = 0.5 and high = 0.4 are no interval in [0, 1]"),
    ],
)
def test_a_lost_rung_names_the_number(changed, said):
    report = check("06.e", lambda pairs, seconds: plan(34, 96, seconds, 0.4, 0.5) | changed)
    assert said in repr(report)
