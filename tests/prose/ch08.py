from zoology_teach import plots


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
    lines = [
        book.out(f"{n} {d} # # (# to #) # #") for d, n in ((16, 32), (16, 64), (32, 64), (16, 128))
    ]
    wrong = [book.out(f"N = {n} fixed # autocorrelation #") for n in (32, 64, 128)]
    guess = book.out("varied True : mean #")[0]
    exponential, even = book.out("exp own key gets # of the weight (even: #)")
    taylor, elu = (book.out(f"{x} own key gets #")[0] for x in ("taylor", "elu"))
    fixed = book.cells()["mean"]["base_conv"]
    return [
        *((f" {n} {d} # 0.", fixed[d, n]) for d, n in ((16, 32), (16, 64), (32, 64), (16, 128))),
        ("worth about four times the width", all(3 < line[-1] < 5 for line in lines)),
        (
            "The estimate of step 3 was right in size and wrong in trend",
            lines[3][-1] > lines[1][-1],
        ),
        ("varied gaps stay near #", guess),
        (
            "Guess 2: about # of 8. One is right and # are noise, against # with",
            wrong[1][1],
            wrong[1][1] - 1,
            wrong[1][0] - 1,
        ),
        ("About #, about #, yes", guess, wrong[1][1]),
        (
            "Taylor reaches two thirds of the exponential's share; elu is close to even",
            0.63 < taylor / exponential < 0.7,
            elu < 1.5 * even,
        ),
        ("# numbers become # features", 16, 1 + 16 + 16 * 17 / 2),
        ("gains most of the distance to Taylor", min(reach) > 0.5),
        (
            "At equal state and width 32 Taylor is still a little ahead",
            all(mean["taylor 16", 32, n] > mean["elu 153", 32, n] for n in (32, 64, 128)),
        ),
        (
            "at width 16 and N = 128 it is behind (# against #)",
            mean["taylor 16", 16, 128],
            mean["elu 153", 16, 128],
        ),
        (
            "Mamba, with # numbers at width 32, beats elu with #",
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
