import math


def claims(book):
    cells = book.cells("hybrids").droplevel(["d_model", "seq_len"])
    mean = cells["mean"]
    learned = {k: mean[f"learned {k}"] for k in (8, 12, 16, 24, 32)}
    ar, other, ppl = (
        math.log(book.paper(f"table2_programmatic_{p}")) for p in ("ar", "other", "ppl")
    )
    below = math.exp(ppl) - math.exp(0.07 * ar + 0.93 * other)
    kept = book.out("rows kept at test: # on average")[0]
    keys, questions = (book.out(f"{x} behind a value #")[0] for x in ("keys", "questions"))
    eight = cells.loc["learned 8"]
    return [
        ("learned 8 12.5% 332,288 # (# to #)", eight["mean"], eight["min"], eight["max"]),
        (
            "With $k = 8$ the router gets well over half, with 12 most, with 16 and more "
            "everything",
            0.55 < learned[8] < 0.75 < learned[12] < 0.95,
            min(learned[16], learned[24], learned[32]) > 0.99,
        ),
        (
            "Random rows lie on the dotted line, accuracy equal to share",
            all(abs(mean[f"random {p}"] - p) < 0.02 for p in (0.25, 0.5, 0.75)),
        ),
        ("The window of 8 did not train", mean["window 8"] < 1 / 8),
        ("rows kept at test: # on average", kept, abs(kept - 16) < 0.5),
        ("has # at this width, budget and identity-like start", mean["base_conv"]),
        ("both are kept equally rarely", abs(keys - questions) < 0.15, max(keys, questions) < 0.5),
        ("If # % of the tokens are AR hits", 7),
        (
            "In the second it is # below; # % of hits, the number in the paper's text",
            below,
            book.paper("ar_hits"),
            abs(100 * (ppl - other) / (ar - other) - book.paper("ar_hits")) < 0.1,
        ),
        (
            "In the third, # does not follow from #",
            book.paper("table2_full_ppl"),
            book.paper("table2_full_other"),
        ),
        (
            "closes # % of the gap on AR hits, the learned one # %, the random one about #",
            *(book.paper(f"hybrid_{x}_closed") for x in ("programmatic", "learned", "random")),
        ),
        (
            "a BaseConv of # layers, # of them with attention, #M parameters",
            *(book.paper(f"hybrid_{x}") for x in ("depth", "layers", "params")),
        ),
        (
            "Closes # % of the gap\" is the abstract's number for input-dependent sparse attention "
            "(one report)",
            book.paper("hybrid_share"),
        ),
    ]
