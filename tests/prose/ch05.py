import math

import pandas as pd

from zoology_teach.experiments.usual_start import STEPS, lessons
from zoology_teach.plots import best
from zoology_teach.tasks.mqar import MQAR


def means(runs: pd.DataFrame) -> pd.DataFrame:
    """The means of each mixer's runs of width 64."""
    columns = ["steps", "batch_size", "lr", "accuracy"]
    return runs.query("d_model == 64").groupby("mixer")[columns].mean()


def sequences(cells: pd.DataFrame) -> pd.Series:
    """How many a run of the cell was trained on."""
    return cells.steps * cells.batch_size


def claims(book):
    mean = book.cells("figure2_identity")["mean"]
    after_lessons = book.cells()["mean"]
    patience = means(book.table("usual_init"))
    table = best(book.table("figure2").query("mixer != 'attention' and seq_len == 32"))
    taught = means(table.replace({"mixer": {"attention_short_conv": "attention"}}))
    (updates,) = book.out("mixer updates accuracy attention #")
    (conv,) = book.out("base_conv 500 #")
    right, listed, elsewhere = book.out("BaseConv, d = 32, K = 8 # # #")
    blur = book.out("BaseConv, d = 64, K = 4 # # #")
    plateau = book.out("BaseConv usual, d = 64, K = 4 # #")
    seen, new = book.out(
        "on new ones? The result: #. One seed, 150 updates; on the sequences that it saw #"
    )[::-1]
    return [
        (
            "answer about a sixth",
            abs(conv - 1 / 6) < 0.02,
            abs(mean["base_conv", 32, 64] - 1 / 6) < 0.03,
        ),
        ("after about a fifth of the budget", 0.15 < updates / 500 < 0.25),
        ("wrong five times out of six", abs(conv - 1 / 6) < 0.02),
        ("It may stop at # % on unseen sequences", 99),
        ("the label is −# and counts for nothing", 100),
        ("skips the label −#.", 100),
        ("ignoring −#,", 100),
        (
            "At the paper's vocabulary of # every wasted row costs # times as much",
            book.paper("fig2_vocab"),
            book.paper("fig2_vocab") / 256,
        ),
        ("trains on # fixed examples", book.paper("fig2_train_examples")),
        ("deviation 1, attention with LayerNorm and #", 0.02),
        ("solved # #", mean["attention", 64, 64], after_lessons["attention", 64, 64]),
        ("at most 0.9 # #", mean["base_conv", 32, 64], after_lessons["base_conv", 32, 64]),
        ("may pass 0.9 # #", mean["base_conv", 64, 64], after_lessons["base_conv", 64, 64]),
        (
            "does not suffice *at our budgets*",
            max(mean["base_conv", 64, 64], after_lessons["base_conv", 64, 64]) < 0.9,
        ),
        (
            "reaches # accuracy within # updates",
            0.99,
            150,
            updates < 150,
            book.out(f"accuracy attention {updates:.0f} #")[0] >= 0.99,
        ),
        ("for at most # seconds", 20),
        (
            "more than half of its wrong answers stand in the list, at $d = 64$",
            listed > elsewhere,
            blur[1] < blur[2],
            math.isclose(right + listed + elsewhere, 1, abs_tol=0.011),
        ),
        (
            "right about as often as a guess among four",
            abs(plateau[0] - 0.25) < 0.03,
            plateau[1] > 0.6,
            abs(sum(plateau) - 0.9) < 0.05,
        ),
        ("It learned its sequences by heart", seen > 0.99, new < 0.25),
        ("plateau of #", 1 / 4),
        *(
            (f"{m} 64 {at.steps:.0f} {at.batch_size:.0f} {at.lr:.3f} #", at.accuracy)
            for m, at in patience.loc[["linear_attention", "base_conv", "mamba"]].iterrows()
        ),
        (
            "or # updates are over; only then comes the task itself, for # updates",
            *(lessons(MQAR(32, 4, 256), 64)[0].steps, STEPS),
        ),
        (
            "With fewer sequences every mixer ends at least as high",
            all(taught.accuracy > patience.accuracy - 0.002),
            all(sequences(taught) < sequences(patience)),
        ),
        (
            "BaseConv, H3, Hyena and Mamba far higher",
            all((taught - patience).accuracy[["base_conv", "h3", "hyena", "mamba"]] > 0.15),
        ),
        ("attention passes # %", 99),
        ("shows the same with # fixed examples", book.paper("replica_examples")),
    ]
