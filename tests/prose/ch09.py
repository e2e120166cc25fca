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
    questions, keys = book.out("questions behind a value # keys behind a value #")
    (half,) = book.out("in MQAR: # of 64")
    (others,) = book.out("models above reach? The result: #")

    def closed(start, column):
        first, last = (book.paper(f"{x}_{column}") for x in (start, "table2_attention"))
        return 100 * (first - book.paper(f"table2_programmatic_{column}")) / (first - last)

    long_conv, h3, hyena = "table1_long_conv_360", "table1_h3_357", "table1_hyena_358"
    return [
        ("learned 8 12.50 332,288 # # #", *cells.loc["learned 8"][["mean", "min", "max"]]),
        ("in MQAR: # of 64", half, half == 8),
        ("if a question may not ask, its answer is lost", others < 0.02),
        (
            "8 rows answer #, 12 rows #, 16 rows #",
            *(mean[f"learned {k}"] for k in (8, 12, 16)),
        ),
        (
            "Long Conv all # Long Conv AR hits # H3 AR hits # Hyena AR hits #",
            *(closed(long_conv, "ppl"), closed(long_conv, "ar")),
            *(closed(h3, "ar"), closed(hyena, "ar")),
        ),
        (
            "the abstract's, to within the rounding of #",
            book.paper("table2_programmatic_ppl"),
            abs(closed(long_conv, "ppl") - book.paper("hybrid_share")) < 0.5 / 3.69,
        ),
        (
            "On AR hits and from a gated convolution between Hyena and H3, it is about # %",
            book.paper("hybrid_programmatic_closed"),
            closed(hyena, "ar") < book.paper("hybrid_programmatic_closed") < closed(h3, "ar"),
        ),
        ("How can # and # both be true?", 85, book.paper("hybrid_share")),
        ("And # % is another selection", book.paper("hybrid_learned_closed")),
        (
            "the router with $k = 8$ gets well over half, with 12 most, with 16 and more "
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
            "On AR hits it says # % for the programmatic choice, # % for the learned one, about # "
            "for a random one",
            *(book.paper(f"hybrid_{x}_closed") for x in ("programmatic", "learned", "random")),
        ),
        (
            "a BaseConv of # layers, # of them with attention, #M parameters",
            *(book.paper(f"hybrid_{x}") for x in ("depth", "layers", "params")),
        ),
        (
            "Its abstract says # % for input-dependent sparse attention (one source)",
            book.paper("hybrid_share"),
        ),
    ]
