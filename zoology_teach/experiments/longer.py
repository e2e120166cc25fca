"""Models tested at lengths that they were not trained at: `results/longer.csv` (chapter 08).

Trained at N = 64 only, or on lengths 32, 64 and 128 mixed; tested at 64 to 1,024 tokens, with
the 4 pairs of the training or with one pair for every 16 tokens. What ends at a length, a
filter's network or learned positions, is built for 1,024 tokens; the rest has no end.
"""

import json
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, ClassVar

import pandas as pd

from zoology_teach.experiments import usual_start
from zoology_teach.experiments.results import COLUMNS
from zoology_teach.experiments.synthetic_runs import SyntheticRun
from zoology_teach.model import LanguageModel
from zoology_teach.tasks.mixture import Mixture
from zoology_teach.tasks.mqar import MQAR
from zoology_teach.training import accuracy

LONGEST = 1024
TRAINED_AT = MQAR(64, 4, usual_start.VOCABULARY)
MIXED = Mixture(tuple(MQAR(n, n // 16, usual_start.VOCABULARY) for n in (32, 64, 128)))
TESTS = tuple(
    MQAR(n, k, usual_start.VOCABULARY)
    for n in (64, 128, 256, 512, LONGEST)
    for k in sorted({4, n // 16})
)
TEST_EXAMPLES = 250
MIXERS = tuple(usual_start.RECIPES)
RATES = {"attention": 3e-3, "attention_short_conv": 5e-3}  # 1e-2 for the others


@dataclass(frozen=True)
class LongerRun(SyntheticRun):
    """A training, and the accuracy of its model on each of `tests`, in the row as JSON."""

    columns: ClassVar[tuple[str, ...]] = (*COLUMNS, "tested")

    tests: tuple[MQAR, ...] = TESTS

    def also_measured(self, model: LanguageModel) -> dict[str, Any]:
        """ "tested": [N, K, accuracy, state size] of each test."""
        seed = 2 * self.train.seed + 1
        tested = [
            [
                test.seq_len,
                test.num_pairs,
                round(accuracy(model, test.sample(TEST_EXAMPLES, seed), batch_size=32), 6),
                model.state_size(test.seq_len),
            ]
            for test in self.tests
        ]
        return {"tested": json.dumps(tested)}


def longer() -> list[LongerRun]:
    """Every mixer of `usual_start.RECIPES`, d = 64, one learning rate each:
    that of the lessons in chapter 05, chosen before any of these tests.
    """
    return [
        longer_run(mixer, seed, mixed=mixed)
        for seed, mixed, mixer in product(usual_start.SEEDS, (False, True), MIXERS)
    ]


def longer_run(mixer: str, seed: int, *, mixed: bool, d_model: int = 64) -> LongerRun:
    """One training from the usual start, with the curriculum of `usual_start`."""
    first = usual_start.run(mixer, d_model, TRAINED_AT, seed, lr=RATES.get(mixer, 1e-2))
    positions = LONGEST if first.model.max_len is not None else None
    model = replace(first.model, layers=usual_start.layers(mixer, LONGEST), max_len=positions)
    return LongerRun(
        mixer,
        f"{first.recipe}, {'mixed lengths' if mixed else 'N = 64'}",
        TRAINED_AT,
        model,
        first.train,
        trained_on=MIXED if mixed else None,
    )


def by_length(table: pd.DataFrame) -> pd.DataFrame:
    """A row for each test of each run: run, mixer, recipe, seed, N, K, accuracy, state_size.

    A run that diverged has none.
    """
    rows = [
        {
            "run": run.run,
            "mixer": run.mixer,
            "recipe": run.recipe,
            "seed": run.seed,
            "N": n,
            "K": k,
            "accuracy": right,
            "state_size": state,
        }
        for run in table.itertuples()
        if isinstance(run.tested, str) and run.tested
        for n, k, right, state in json.loads(run.tested)
    ]
    return pd.DataFrame(rows)
