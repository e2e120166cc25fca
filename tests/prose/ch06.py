from zoology_teach.experiments.synthetic_presets import LAPTOP_RECIPES


def claims(book):
    cells = book.cells()
    mean, conv = cells["mean"], cells["mean"]["base_conv"]
    longer = book.cells("budget")["mean"]["base_conv"]
    usual = book.table("usual_init").groupby(["mixer", "d_model"])["accuracy"]
    start = usual.agg(["mean", "min", "max"])
    pairs = [(d, n) for n in (32, 64) for d in (16, 32, 64)]
    behind = [conv[d, n] - conv[2 * d, 2 * n] for d, n in pairs]
    worst = {
        m: max(mean[m, d, n] - mean[m, 2 * d, 2 * n] for d, n in pairs)
        for m in ("base_conv", "h3", "hyena", "rwkv")
    }
    table = book.table("figure2").query("d_model == 64 and seq_len == 64")
    state = table.groupby("mixer")["state_size"].first()
    top = [m for m in state.index if mean[m, 64, 64] > 0.95]
    passed = {cell: a for cell, a in conv.items() if a > book.paper("fig2_bar")}
    tall = [(r.norm, r.embedding_std) for r in LAPTOP_RECIPES.values()]
    first = next(iter(passed.values()), 0.0)
    return [
        ("attention, 16 channels: #", mean["attention", 16, 128]),
        ("BaseConv, 128 channels: #", conv[128, 128]),
        (
            "Attention stays near accuracy 1 from width 16 to width 128",
            bool(mean["attention"].min() > 0.99),
        ),
        ("BaseConv of width 64 answers about # of the questions", conv[64, 64]),
        ("to get back to #?", conv[64, 64]),
        (
            "The two columns agree within #, and the larger model is always a little behind",
            0.08,
            all(0 < x < 0.08 for x in behind),
        ),
        ("costs width 64 more than half of its accuracy", bool(conv[64, 128] < 0.5 * conv[64, 64])),
        ("BaseConv above 0.9: N = 32, d = 128, #", first),
        ("In one cell, at the shortest length and the largest width", list(passed) == [(128, 32)]),
        ("at $N = d = 64$ the model answers less than half", bool(conv[64, 64] < 0.5)),
        (
            "at width 16 BaseConv is *below* the guess in every row",
            all(conv[16, n] < 8 / n for n in (32, 64, 128)),
        ),
        ("d = 16: 500 steps #, 2000 steps #", conv[16, 32], longer[16, 32]),
        ("d = 128: 500 steps #, 2000 steps #", conv[128, 32], longer[128, 32]),
        (
            "More steps lift every stair",
            all(longer[d, 32] > conv[d, 32] for d in (16, 32, 64, 128)),
        ),
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
        ("passes accuracy # unless", book.paper("fig2_bar")),
        ("do not pass # unless", book.paper("fig2_bar")),
        (
            "$N$ from # to #, widths from # to #, # training examples, up to # epochs",
            *2 * [book.paper("fig2_width_min"), book.paper("fig2_width_max")],
            book.paper("fig2_train_examples"),
            book.paper("fig2_epochs"),
        ),
        ("attention solves every cell at $d = #$", book.paper("fig2_attention_width")),
        (
            "four with LayerNorm and embeddings of standard deviation #, three without",
            0.02,
            sorted(tall) == [(False, 1.0)] * 3 + [(True, 0.02)] * 4,
        ),
        (
            "For H3 and Hyena it does, about as closely as for BaseConv",
            all(worst[m] < 0.1 for m in ("h3", "hyena", "base_conv")),
            worst["rwkv"] > 0.2,
        ),
        (
            "Mamba is the most frugal of those that reach the top",
            min(top, key=state.get, default="") == "mamba",
        ),
        ("dropout is #, and no gradient", book.paper("fig2_dropout")),
        ("for # seconds at most", 20),
    ]
