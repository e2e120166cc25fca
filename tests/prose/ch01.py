import numpy as np

from zoology_teach import recall
from zoology_teach.recall import scaled_threshold


def token_share(book, row):
    """The share of hits that makes a row's three perplexities fit, in per cent."""
    ppl, ar, other = (np.log(book.paper(f"{row}_{part}")) for part in ("ppl", "ar", "other"))
    return 100 * (ppl - other) / (ar - other)


def of_the_gap(book, row, attention):
    """The share of a row's gap that lies on hits, in per cent, at most 100."""
    gaps = (
        np.log(book.paper(f"{row}_{p}") / book.paper(f"{attention}_{p}")) for p in ("ar", "ppl")
    )
    return min(100, 100 * recall.share_of_gap(*gaps, token_share(book, attention) / 100))


def of_networks(book):
    """Perplexities of BaseConv and the taught hybrid, share of their gap on hits, by seed."""
    table = book.table("text").set_index(["mixer", "warm_up", "seed"]).sort_index()
    found = []
    for seed in range(3):
        two = [table.loc[(*m, seed)] for m in (("base_conv", 0), ("hybrid_short_conv", 200))]
        gaps = (np.log(two[0][c] / two[1][c]) for c in ("ar_ppl", "ppl"))
        share = 100 * recall.share_of_gap(*gaps, two[0]["ar_share"])
        found.append([*(row[c] for c in ("ppl", "ar_ppl", "other_ppl") for row in two), share])
    return found


def claims(book):
    overall = book.out("all 100.0 # #")
    share, *marked = book.out("marked # # #")
    tokens, gap = book.out("% of the gap AR hits # #")
    unseen = book.out("AR hits 0 # # # # # #")
    everything = book.out("AR hits all # # # #")[-1]
    plays = book.out("training: # plays")[0] + 6
    networks = of_networks(book)
    shares = [row[-1] for row in networks]
    most = ["attention_125", "rwkv_169", "h3_168", "long_conv_128", "attention_360"]
    agree = [token_share(book, f"table1_{m}") for m in [*most, "rwkv_351", "h3_357"]]
    hyenas = [token_share(book, f"table1_hyena_{size}") for size in (158, 358)]
    larger = [token_share(book, f"table5_{m}_1400") for m in ("attention", "hyena")]
    long = [
        of_the_gap(book, f"table1_long_conv_{n}", f"table1_attention_{a}")
        for n, a in ((128, 125), (360, 360))
    ]
    largest = of_the_gap(book, "table5_hyena_1400", "table5_attention_1400")
    slip = of_the_gap(book, "table1_hyena_358", "table1_attention_360")
    scaled = scaled_threshold(1_649_865)
    return [
        (
            "On one token in # it is three hundred times",
            43,
            42 < 100 / share < 45,
            300 < marked[0] / marked[1] < 350,
        ),
        ("The corpus is # plays by", plays),
        ("a context of #, and the next", book.out("rows of # tokens")[0] - 1),
        ("theirs? The result: # %", gap),
        ("The text says #%", book.paper("ar_hits")),
        ("in Table 1 most say about #%", np.mean(agree), max(agree) - min(agree) < 0.1),
        ("both Hyenas say #%", np.mean(hyenas), max(hyenas) < 6.4),
        ("Table 5 says about #%", np.mean(larger)),
        ("is printed as #", book.paper("table1_hyena_358_share")),
        ("its perplexities give about #", slip),
        ("largest Hyena: about #%. There more than half", largest, all(39 < x < 42 for x in long)),
        (
            "reports #% of tokens and #% of the gap on average",
            book.paper("ar_hits"),
            book.paper("gap_share"),
        ),
        *((f"seed {n} # # # # # # #", *row) for n, row in enumerate(networks)),
        (
            "From #% to #% of the gap, on #% of the tokens; the rest",
            min(shares),
            max(shares),
            100 * book.table("text")["ar_share"][0],
        ),
        ("and end at exactly #%", book.out("opportunities all # # # #")[-1]),
        ("bars the bootstrap's #% over plays", 95),
        ("Without a threshold the hits hold #%", everything),
        ("our 1.6 million? The result: #", scaled),
        ("training would count, #% of tokens with #% of the gap", unseen[0], unseen[3]),
        (
            "rise steeply from #% of the gap on #% of the tokens, pass 100% before 1,000 and "
            "end at #%",
            unseen[3],
            unseen[0],
            everything,
        ),
        ("It trained # models from 70M to 1.4B", book.paper("models")),
        ("Two models that count, # million", 1_649_865 / 1e6),
        ("hides recall: # against # is # against # on #% of the tokens", *overall, *marked, tokens),
    ]
