from zoology_teach import plots
from zoology_teach.experiments import longer


def beyond(book):
    """What the table of lengths is said to show: accuracies and sizes of state."""
    tested = longer.by_length(book.table("longer"))
    cells = tested.groupby(["recipe", "mixer", "K", "N"])["accuracy"].agg(["mean", "min", "max"])
    alone, mixed = (cells.loc[f"usual init, curriculum, {x}"] for x in ("N = 64", "mixed lengths"))
    near, far, full = (alone.xs(at, level=("K", "N")) for at in ((4, 64), (4, 1024), (64, 1024)))
    state = tested.groupby(["mixer", "N"])["state_size"].first()
    seeds = tested[tested["recipe"].str.endswith("N = 64")].query("N == 64 and K == 4")
    learned = (seeds.set_index(["mixer", "seed"])["accuracy"] > 0.5).groupby("mixer").sum()
    rows = {"Based": "linear_attention", "RWKV": "rwkv", "Mamba": "mamba", "H3": "h3"}
    rows |= {"Hyena": "hyena", "BaseConv": "base_conv", "attention, positions": "attention"}
    lost = near["mean"] - far["mean"]
    return [
        *(
            (
                f"{name} # # # # # # #",
                *(state[mixer, 64], state[mixer, 1024], near["mean"][mixer]),
                *(*far.loc[mixer], full["mean"][mixer]),
            )
            for name, mixer in rows.items()
        ),
        (
            "BaseConv, two of three seeds of attention with learned positions, one of Mamba",
            learned[["base_conv", "attention", "mamba"]].tolist() == [0, 1, 2],
        ),
        (
            "Attention behind a short convolution loses nothing",
            full["min"]["attention_short_conv"] > 0.995,
        ),
        (
            "With 4 pairs Based hardly loses anything either",
            lost["linear_attention"] < 0.02,
            0.4 < full["mean"]["linear_attention"] < 0.6,
        ),
        ("RWKV and H3 lose with 4 pairs too", min(lost[["rwkv", "h3"]]) > 0.2),
        ("costs Hyena a part of its answers", 0.05 < lost["hyena"] < 0.2),
        (
            "RWKV then reaches # at 1,024 tokens and 4 pairs, in place of #",
            mixed["mean"]["rwkv", 4, 1024],
            far["mean"]["rwkv"],
        ),
    ]


def claims(book):
    cells = book.cells("input_filters")
    mean, low = cells["mean"], cells["min"]
    state = book.table("input_filters").groupby(["mixer", "d_model"])["state_size"].first()
    reach = [
        (mean["elu 153", d, n] - mean["elu 16", d, n])
        / (mean["taylor 16", d, n] - mean["elu 16", d, n])
        for d in (16, 32)
        for n in (32, 64, 128)
    ]
    rates = plots.best(book.table("input_filters")).groupby("mixer")["lr"].unique()
    places = ((16, 32), (16, 64), (32, 64), (16, 128))
    lines = [book.out(f" {n} {d} # # # # # #") for d, n in places]
    wrong = [book.out(f" {n} {n // 8} # # # # #") for n in (32, 64, 128)]
    (guess,) = book.out("varied gaps #")
    exponential, taylor, elu, even = book.out("exp # taylor # elu # even #")
    fixed = book.cells("figure2_identity")["mean"]["base_conv"]
    return [
        *beyond(book),
        *(
            (f" {n} {d} # # # # # #", fixed[d, n], *line[1:])
            for (d, n), line in zip(places, lines, strict=True)
        ),
        ("is worth about four times the width", all(3 < line[-1] < 5 for line in lines)),
        (
            "The estimate of step 3 was right in size and wrong in trend",
            lines[3][-1] > lines[1][-1],
        ),
        ("varied gaps stay near #", guess),
        ("Which accuracy does it reach? The result: #", guess, guess < 0.4),
        ("question read, on average? The result: # values", wrong[1][1]),
        (
            "one value is right and # are noise, against # with",
            wrong[1][1] - 1,
            wrong[1][0] - 1,
        ),
        ("a gain of about four (last column)", all(3.5 < line[-1] < 6 for line in wrong)),
        (
            "Taylor reaches two thirds of the exponential's share; elu is close to even",
            0.63 < taylor / exponential < 0.7,
            elu < 1.5 * even,
        ),
        ("# numbers become # features", 16, 1 + 16 + 16 * 17 / 2),
        ("gains most of the distance to Taylor", min(reach) > 0.5),
        (
            "At equal state, identity-like start and width 32 Taylor is still a little ahead",
            all(mean["taylor 16", 32, n] > mean["elu 153", 32, n] for n in (32, 64, 128)),
        ),
        (
            "at width 16 and N = 128 it is behind (# against #)",
            mean["taylor 16", 16, 128],
            mean["elu 153", 16, 128],
        ),
        (
            "with # numbers at width 32 and from the same identity-like start, beats elu with #",
            state["mamba", 32],
            state["elu 16", 32],
            all(mean["mamba", 32, n] > mean["elu 16", 32, n] for n in (32, 64, 128)),
        ),
        (
            "near the guess or below it (# and #)",
            low["mamba", 16, 64],
            low["mamba", 16, 128],
            low["mamba", 16, 64] < 2 / 8,
            low["mamba", 16, 128] < 1 / 16,
        ),
        (
            "Both elu maps did best at the larger rate",
            all(list(rates[m]) == [0.01] for m in ("elu 16", "elu 153")),
        ),
    ]
