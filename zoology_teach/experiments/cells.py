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

    Runs with another recipe or budget, or another model, are another cell. A run that diverged
    counts as accuracy 0.
    """
    table = table.fillna({"accuracy": 0.0})
    if "run" in table:  # of joined tables that share runs
        table = table.drop_duplicates("run")
    table = table.reset_index(drop=True)
    cell = _numbers(table, _keys(table))
    rate = _numbers(table, [cell, table["lr"]])
    mean = table.groupby(rate)["accuracy"].transform("mean")
    order = table.assign(cell=cell, rate=rate, mean=mean)
    order = order.sort_values(["mean", "lr"], ascending=[False, True], kind="stable")
    winners = order.drop_duplicates("cell")["rate"]
    return table[rate.isin(winners)].reset_index(drop=True)


def spread(table: pd.DataFrame) -> pd.DataFrame:
    """Mean, lowest, highest accuracy and number of seeds for each mixer, width and length.

    Raises ValueError where these are of several recipes, budgets or models: a mean over those
    would be of nothing.
    """
    chosen = best(table)
    setups = _numbers(chosen, _keys(chosen)).groupby([chosen[key] for key in CELL]).nunique()
    for where in setups[setups > 1].index[:1]:
        mixed = ", ".join(f"{key} {value}" for key, value in zip(CELL, where, strict=True))
        allowed = "of one recipe, budget and model for each: choose with table.query(...)"
        require(False, "table", f"{setups[where]} set-ups of {mixed}", allowed)
    accuracy = chosen.groupby(CELL)["accuracy"]
    return accuracy.agg(["mean", "min", "max", "count"]).reset_index()


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
