from zoology_teach.constructions import predicted_accuracy
from zoology_teach.experiments.cells import spread
from zoology_teach.experiments.synthetic_presets import LAPTOP_RECIPES

WIDTHS = (16, 32, 64, 128)


def apart(book):
    """What the table that takes pairs and length apart is said to show."""
    table = spread(book.table("pairs_and_length"))
    cells = table.set_index(["mixer", "d_model", "num_pairs", "seq_len"])["mean"]
    conv, hyena = cells["base_conv"], cells["hyena"]
    tokens = [conv[d, k, 64] - conv[d, k, 256] for d in WIDTHS for k in (2, 4, 8, 16)]
    pairs = [conv[d, 2, n] - conv[d, 16, n] for d in WIDTHS for n in (64, 128, 256)]
    mean = [sum(lost) / len(lost) for lost in (tokens, pairs)]
    bar = book.paper("fig2_bar")
    behind = [predicted_accuracy(d, k, 256) > conv[d, k, 64] for d in WIDTHS[1:] for k in (4, 8)]
    return [
        ("N = 256 2 # # # #", *(conv[64, 2, n] for n in (32, 64, 128, 256))),
        ("N from 64 to 256, at fixed d / K # #", mean[0], max(tokens)),
        ("K from 2 to 16, at fixed d / N # #", mean[1], max(pairs)),
        ("those of longer sequences (markers) a little lower", 0 < min(tokens) < max(tokens) < 0.3),
        ("the reading $d / K$ survives, as a good first approximation", mean[0] < 0.2 * mean[1]),
        (
            "grow with the sequence, from # at # tokens to # at #,",
            *(book.paper("fig2_n_64_pairs"), book.paper("fig2_width_min")),
            *(book.paper("fig2_n_512_pairs"), book.paper("fig2_width_max")),
        ),
        ("passes the paper's # at a width of half its tokens", bar, bool(conv[64, 2, 128] > bar)),
        ("with 16 pairs it answers less than half", bool(conv[128, 16, 128] < 0.5)),
        (
            "tells the same story up to # tokens",
            64,
            all(hyena[d, k, 64] > hyena[d, 2 * k, 64] + 0.01 for d in WIDTHS for k in (2, 4, 8)),
        ),
        (
            "at # tokens, with up to # pairs, it ends below its own width 64",
            *(256, 8),
            all(hyena[128, k, 256] < hyena[64, k, 256] for k in (2, 4, 8)),
            bool(hyena[128, 16, 256] > hyena[64, 16, 256]),
        ),
        ("stays behind the memory at most widths", sum(behind) > 0.8 * len(behind)),
        ("From #, four times the tokens lead to #", conv[64, 4, 64], conv[64, 4, 256]),
        ("four times the pairs to #", conv[64, 16, 64]),
        (
            "answers # % of the questions at 64 tokens and 4 pairs, and # % where",
            100 * conv[64, 4, 64],
            100 * conv[64, 16, 64],
        ),
        ("4 pairs? The result: # %", 100 * conv[64, 4, 256]),
        ("measured #, #, #, #.", *(conv[d, 2, 256] for d in WIDTHS)),
    ]


def claims(book):
    cells = book.cells()
    mean, conv = cells["mean"], cells["mean"]["base_conv"]
    longer = book.cells("budget")["mean"]["base_conv"]
    usual = book.table("usual_init").groupby(["mixer", "d_model"])["accuracy"]
    start = usual.agg(["mean", "min", "max"])
    doubled = [(d, n) for n in (32, 64) for d in (16, 32, 64)]
    lost = {
        m: max(mean[m, d, n] - mean[m, 2 * d, 2 * n] for d, n in doubled)
        for m in ("base_conv", "h3", "hyena", "rwkv")
    }
    table = book.table("figure2").query("d_model == 64 and seq_len == 64")
    state = table.groupby("mixer")["state_size"].first()
    top = [m for m in state.index if mean[m, 64, 64] > 0.95]
    bar = book.paper("fig2_bar")
    passed = {cell: a for cell, a in conv.items() if a > bar}
    tall = [(r.norm, r.embedding_std) for r in LAPTOP_RECIPES.values()]
    return [
        *apart(book),
        ("attention 16 128 #", mean["attention", 16, 128]),
        ("base_conv 128 128 #", conv[128, 128]),
        ("the small one wins by far", bool(mean["attention", 16, 128] > 2 * conv[128, 128])),
        ("the table's 0.02 #", conv[16, 32]),
        ("attention is the flat line at the top", bool(mean["attention"].min() > 0.99)),
        ("at least # in every cell", 0.99, bool(mean["attention"].min() >= 0.99)),
        ("trained 16 #", mean["attention", 16, 32]),
        ("Width 64 reaches #", conv[64, 64]),
        ("width 128 reaches #", conv[128, 128], bool(conv[128, 128] < conv[64, 64])),
        ("does not pass # unless", bar),
        ("passes # by width per pair", bar),
        (
            "where K = N / 8, identity-like start tokens N pairs K width d accuracy 32 4 128 #",
            next(iter(passed.values()), 0.0),
        ),
        ("at the shortest length and the largest width only", list(passed) == [(128, 32)]),
        ("the identity-like BaseConv answers less than half", bool(conv[64, 64] < 0.5)),
        ("d = 128 attention # # # #", *(mean["attention", d, 64] for d in WIDTHS)),
        (
            "climb with BaseConv, level with it or a step ahead",
            all(mean[m, d, 64] > conv[d, 64] - 0.01 for m in lost for d in WIDTHS),
        ),
        ("BaseConv # H3 # Hyena # RWKV #", *lost.values()),
        (
            "H3 and Hyena lose about as little as BaseConv",
            all(lost[m] < 0.1 for m in ("h3", "hyena", "base_conv")),
            lost["rwkv"] > 0.2,
        ),
        ("Mamba keeps the fewest numbers", min(top, key=state.get, default="") == "mamba"),
        ("for # seconds at most", 20),
        ("It is *below* the guess in every row", all(conv[16, n] < 8 / n for n in (32, 64, 128))),
        (
            "2000 steps 16 # # 32 # # 64 # # 128 # #",
            *(cells[d, 32] for d in WIDTHS for cells in (conv, longer)),
        ),
        ("More steps lift every stair", all(longer[d, 32] > conv[d, 32] for d in WIDTHS)),
        ("with its # to # tokens", book.paper("older_vocab_min"), book.paper("older_vocab_max")),
        ("takes a vocabulary of # (from its released", book.paper("fig2_vocab")),
        (
            "Attention and Based solve the task from here too",
            all(start["min"][m, 64] > 0.98 for m in ("attention", "linear_attention")),
        ),
        ("and RWKV most of it in 5,000", bool(start["min"]["rwkv", 64] > 0.85)),
        (
            "H3 does so with one seed of three",
            bool(start["max"]["h3", 64] > 0.9),
            int((book.table("usual_init").query("mixer == 'h3'")["accuracy"] > 0.9).sum()) == 1,
        ),
        (
            "Hyena and BaseConv of width 64 have hardly left the guess of one in four",
            all(start["max"][m, 64] < 0.37 for m in ("hyena", "base_conv")),
        ),
        ("do not pass # unless", bar),
        (
            "$N$ from # to #, widths from # to #, # training examples, up to # epochs",
            *2 * [book.paper("fig2_width_min"), book.paper("fig2_width_max")],
            book.paper("fig2_train_examples"),
            book.paper("fig2_epochs"),
        ),
        ("solves every cell at $d = #$", book.paper("fig2_attention_width")),
        (
            "four with LayerNorm and embeddings of standard deviation #, three without",
            0.02,
            sorted(tall) == [(False, 1.0)] * 3 + [(True, 0.02)] * 4,
        ),
        ("dropout is #, and no gradient", book.paper("fig2_dropout")),
    ]
