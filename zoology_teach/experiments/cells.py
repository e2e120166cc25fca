"""The runs of a table -> its cells: runs that differ in their seeds alone (chapter 06)."""

import json
from functools import cache
from typing import Any

import pandas as pd

from zoology_teach.checks import require

CELL = ["mixer", "seq_len", "num_pairs", "d_model", "state_size"]
SETUP = ["recipe", "vocab_size", "batch_size"]


def best(table: pd.DataFrame) -> pd.DataFrame:
    """Of the learning rates tried for a cell, the runs with the best mean accuracy over seeds.

    A rate that was tried with fewer seeds than another of the cell does not take part.
    Runs with another recipe or budget, or another model, are another cell. A run that diverged
    counts as accuracy 0.
    """
    table = table.fillna({"accuracy": 0.0})
    if "run" in table:  # of joined tables that share runs
        table = table.drop_duplicates("run")
    table = table.reset_index(drop=True)
    cell = _numbers(table, _keys(table))
    rate = _numbers(table, [cell, table["lr"]])
    of_rate = table.groupby(rate)["accuracy"]
    order = table.assign(
        cell=cell, rate=rate, tried=of_rate.transform("size"), mean=of_rate.transform("mean")
    )
    order = order.sort_values(
        ["tried", "mean", "lr"], ascending=[False, False, True], kind="stable"
    )
    winners = order.drop_duplicates("cell")["rate"]
    return table[rate.isin(winners)].reset_index(drop=True)


def spread(table: pd.DataFrame) -> pd.DataFrame:
    """Mean, lowest, highest accuracy and number of seeds for each mixer, width and length.

    Those with several recipes, budgets or models in the table have a row for each of them, and
    then there are columns that say which: recipe, vocab_size, batch_size, steps (the most done).
    """
    chosen = best(table)
    cell = _numbers(chosen, _keys(chosen))
    rows = chosen.groupby(cell)
    cells = rows[CELL].first().join(rows["accuracy"].agg(["mean", "min", "max", "count"]))
    told_by = []
    if cells.duplicated(CELL).any():
        told_by = [key for key in (*SETUP, "steps") if key in chosen]
        cells = cells.join(rows[told_by].max())
    return cells.sort_values([*CELL, *told_by], kind="stable", ignore_index=True)


def require_one_set_up(cells: pd.DataFrame) -> None:
    """Raise ValueError where a mixer has two rows of `spread` at one width and length, or the
    mixers were asked for different numbers of pairs there.
    """
    point = ["mixer", "seq_len", "d_model"]
    for _, row in cells[cells.duplicated(point)].iterrows():
        found = f"{row['mixer']}, N = {row['seq_len']}, d = {row['d_model']} twice"
        allowed = "of one recipe, budget and model: choose with table.query(...)"
        require(False, "table", found, allowed)
    for length, rows in cells.groupby("seq_len"):
        pairs = sorted(rows["num_pairs"].unique())
        found = f"K = {', '.join(map(str, pairs))} at N = {length}"
        require(len(pairs) == 1, "table", found, "of one K a length: choose with table.query(...)")


def _numbers(table: pd.DataFrame, keys: list[pd.Series]) -> pd.Series:
    """The number of each run's group."""
    return table.groupby(keys, dropna=False).ngroup()


def _keys(table: pd.DataFrame) -> list[pd.Series]:
    """What the runs of a cell have in common; `steps` is what a run did, not its budget."""
    keys = [table[key] for key in (*CELL, *SETUP) if key in table]
    if "config" in table:
        return [*keys, table["config"].map(_set_up)]
    return [*keys, table["steps"]] if "steps" in table else keys


@cache
def _set_up(config: str) -> str:
    """A configuration without its seeds and its learning rate.

    A field that is left out counts as empty: the row may be older than the field.
    """
    whole = _seedless(json.loads(config))
    whole.get("train", {}).pop("lr", None)
    return json.dumps(whole, sort_keys=True)


def _seedless(value: Any) -> Any:
    if isinstance(value, list):
        return [_seedless(one) for one in value]
    if not isinstance(value, dict):
        return value
    kept = {key: _seedless(one) for key, one in value.items() if key != "seed"}
    return {key: one for key, one in kept.items() if one not in (None, False, [], {})}
