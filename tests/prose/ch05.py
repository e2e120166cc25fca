import math

import pandas as pd

from zoology_teach.experiments.usual_start import CURRICULUM, STEPS, USUAL, lessons
from zoology_teach.plots import best, name, spread
from zoology_teach.tables import NOTHING
from zoology_teach.tasks.mqar import MQAR

ASKED_OTHERWISE = ["loss on all tokens", "loss on the last question"]


def changes(tables: list[pd.DataFrame]) -> pd.DataFrame:
    """Mean accuracy by what was changed and mixer, as the chapter shows it."""
    cells = spread(pd.concat(tables)).query("count == 3").reset_index(drop=True)
    cells["change"] = [
        recipe.removeprefix(CURRICULUM).removeprefix(", ") or "nothing"
        if vocabulary == 256
        else f"V = {vocabulary}"
        for recipe, vocabulary in zip(cells["recipe"], cells["vocab_size"], strict=True)
    ]
    cells["name"] = cells["mixer"].map(name)
    return cells.pivot(index="change", columns="name", values="mean")


def printed(table: pd.DataFrame) -> list[tuple]:
    """The rows of a table of means, each as a claim."""
    return [
        (
            " ".join([head, *(NOTHING if math.isnan(value) else "#" for value in row)]),
            *(value for value in row if not math.isnan(value)),
        )
        for head, row in zip(table.index, table.to_numpy().tolist(), strict=True)
    ]


def claims(book):
    mean = book.cells("figure2_identity")["mean"]
    after_lessons = book.cells()["mean"]
    ways = book.cells("curriculum").reset_index().set_index(["recipe", "mixer"])
    taught, alone = ways.loc[CURRICULUM], ways.loc[USUAL]
    tables = [book.table("confounders"), book.table("vocabulary")]
    changed = changes(tables)
    runs = best(pd.concat(tables))
    runs["mastered"] = ~runs["stages"].str.contains("false")
    published = runs[runs["recipe"].str.endswith("published start")]
    missed = published[~published["mastered"]]
    conv = runs[runs["mixer"] == "base_conv"].set_index("recipe").sort_index()
    with_mlp = conv.loc[f"{CURRICULUM}, with an MLP", "accuracy"]
    based = runs[runs["mixer"] == "linear_attention"].groupby("recipe")["accuracy"].min()
    (updates,) = book.out("mixer updates accuracy attention #")
    (sixth,) = book.out("base_conv 500 #")
    right, listed, elsewhere = book.out("BaseConv, d = 32, K = 8 # # #")
    blur = book.out("BaseConv, d = 64, K = 4 # # #")
    plateau = book.out("BaseConv usual, d = 64, K = 4 # #")
    seen, new = book.out(
        "on new ones? The result: #. One seed, 150 updates; on the sequences that it saw #"
    )[::-1]
    return [
        (
            "answer about a sixth",
            abs(sixth - 1 / 6) < 0.02,
            abs(mean["base_conv", 32, 64] - 1 / 6) < 0.03,
        ),
        ("after about a fifth of the budget", 0.15 < updates / 500 < 0.25),
        ("wrong five times out of six", abs(sixth - 1 / 6) < 0.02),
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
        *(
            (f"{name(m)} {training} #", way["mean"][m])
            for training, way in {"lesson first": taught, "task only": alone}.items()
            for m in way.index.drop("attention")  # another's name ends in it
        ),
        (
            "steps attention lesson first # # # # attention task only #",
            *taught.loc["attention", ["mean", "min", "max", "steps"]],
            alone["mean"]["attention"],
        ),
        *printed(changed),
        (
            "with the same start, batches and rate: # updates",
            alone.steps.max(),
            bool(alone.steps.min() == 3700),
        ),
        (
            "or # updates are over, and then # updates",
            *(lessons(MQAR(32, 4, 256), 64)[0].steps, STEPS),
        ),
        (
            "behind a short BaseConv needs no lesson",
            all(alone["min"][["attention_short_conv", "linear_attention"]] > 0.99),
        ),
        (
            "find recall alone in some seeds",
            all(alone["max"][["attention", "mamba", "rwkv"]] > 0.8),
            all(alone["min"][["attention", "mamba", "rwkv"]] < 0.3),
        ),
        (
            "hardly leave that guess, or do not even reach it",
            all(alone["max"][["base_conv", "h3", "hyena"]] < 0.35),
            bool(alone["max"]["hyena"] < 0.25),
        ),
        (
            "with fewer updates, all seeds of all models stand far above it",
            all(taught["steps"] < alone["steps"]),
            all(taught["min"] > 0.5),
        ),
        (
            "one seed of H3 and one of Mamba missed it",
            sorted(missed["mixer"]) == ["h3", "mamba"],
            all(missed["accuracy"] < 0.3),
        ),
        (
            "give what the shared start gives wherever the lesson was mastered",
            all(
                abs(run.accuracy - taught["mean"][run.mixer]) < 0.17
                for run in published.itertuples()
                if run.mastered
            ),
        ),
        (
            "moves BaseConv no more than its seeds differ",
            abs(with_mlp.mean() - taught["mean"]["base_conv"]) < with_mlp.max() - with_mlp.min(),
        ),
        (
            "make it # wide, and width helps",
            conv.loc[f"{CURRICULUM}, equal parameters", "d_model"].max(),
            bool(changed["BaseConv"]["equal parameters"] > taught["max"]["base_conv"]),
        ),
        (
            "at # and at the paper's # it never mastered the lesson in time",
            1024,
            book.paper("fig2_vocab"),
            not any(conv["mastered"][conv["vocab_size"] > 256]),
        ),
        (
            "Attention behind a short convolution notices none of these changes",
            changed["BaseConv"][["V = 64", "nothing", "V = 1024"]].is_monotonic_decreasing,
            all(changed["BaseConv, attention"].dropna() > 0.99),
        ),
        (
            "rest there too, or below, with this loss and with that on the last question",
            all(changed["attention"][ASKED_OTHERWISE] < 1 / 4 + 0.01),
            bool(changed["attention"].drop(ASKED_OTHERWISE).min() > 0.95),
        ),
        ("and Based stays above #", 0.96, bool(based.min() > 0.96), len(based) == 6),
        (
            "it rests at the guess. Text asks",
            abs(changed["BaseConv"]["loss on all tokens"] - 1 / 4) < 0.03,
        ),
        ("attention passes # %", 99),
        ("shows the same with # fixed examples", book.paper("replica_examples")),
    ]
