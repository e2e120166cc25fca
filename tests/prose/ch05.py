import math


def claims(book):
    mean = book.cells()["mean"]
    usual = book.table("usual_init").groupby(["mixer", "d_model"])["accuracy"].mean()
    steps = book.table("usual_init").groupby(["mixer", "d_model"])["steps"].first()
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
        ("at most 0.9 #", mean["base_conv", 32, 64]),
        ("may pass 0.9 #", mean["base_conv", 64, 64]),
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
            (f"{m} 64 {steps[m, 64]:.0f} #", usual[m, 64])
            for m in ("linear_attention", "base_conv", "mamba")
        ),
        ("attention passes # %", 99),
        ("shows the same with # fixed examples", book.paper("replica_examples")),
    ]
