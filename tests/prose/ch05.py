import math


def claims(book):
    mean = book.cells()["mean"]
    usual = book.table("usual_init").groupby(["mixer", "d_model"])["accuracy"].mean()
    updates, conv = book.out("after # updates")[0], book.out("base_conv: accuracy #")[0]
    right, listed, elsewhere = book.out("BaseConv, d = 32, K = 8 right # listed # elsewhere #")
    plateau = book.out("BaseConv usual, d = 64, K = 4 right # listed #")
    seen, new = book.out("the 256 sequences it saw: # new sequences: #")
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
        ("ours # at d = 32", mean["base_conv", 32, 64]),
        ("paper may pass 0.9, ours #", mean["base_conv", 64, 64]),
        (
            "reaches # accuracy within # updates",
            0.99,
            150,
            updates < 150,
            book.out("attention: accuracy #")[0] >= 0.99,
        ),
        ("for at most # seconds", 20),
        (
            "more than half of BaseConv's wrong answers stood in the list",
            listed > elsewhere and math.isclose(right + listed + elsewhere, 1, abs_tol=0.011),
        ),
        (
            "right about as often as a guess among four",
            abs(plateau[0] - 0.25) < 0.03,
            plateau[1] > 0.6,
        ),
        ("answers them all and fails on new ones", seen > 0.99, new < 0.25),
        ("plateau of #", 1 / 4),
        ("linear_attention 64 #", usual["linear_attention", 64]),
        ("base_conv 64 #", usual["base_conv", 64]),
        ("mamba 64 #", usual["mamba", 64]),
        ("attention passes # %", 99),
        ("shows the same with # fixed examples", book.paper("replica_examples")),
    ]
