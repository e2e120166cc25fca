import pandas as pd


def claims(book):
    _, moving = book.out("PyTorch's operations # #")
    (work,) = book.out("arithmetic – #")
    table = {way: row(book, way, "arithmetic") for way in ("Toeplitz tiles", "flash", "256 rows")}
    once = {way: row(book, way, "bytes, once") for way in (*table, "torch.fft", "op by op")}
    tiles = {way: row(book, way, "bytes, by tiles") for way in table}
    _, wave = book.out("H100 tile # #"), book.out("H100 head # #")
    times = measured(book)
    rows, rows_512 = times["sparse_attention", 2048], times["sparse_attention", 512]
    flash, conv = times["flash_attention", 2048], times["long_conv", 2048]
    flash_512, percent = times["flash_attention", 512], book.out("long_conv 2048 # # # torch")
    floor = {way: [max(x) for x in zip(once[way], table[way], strict=True)] for way in table}
    return [
        ("The arithmetic takes # µs", work),
        ("to and fro takes # times as long", moving / work),
        ("From 2,048 tokens on they are arithmetic", arithmetic_from_2048(once, table)),
        (
            "attention's is twice the convolution's",
            all(
                abs(a / c - 2) < 0.05
                for a, c in zip(table["flash"][2:], table["Toeplitz tiles"][2:], strict=True)
            ),
        ),
        (
            "limited by bytes at every length here",
            all(b > f for b, f in zip(once["256 rows"], table["256 rows"], strict=True)),
        ),
        (
            "from 2,048 tokens on they are the cheapest",
            all(floor["256 rows"][i] < floor["Toeplitz tiles"][i] for i in (2, 3, 4))
            and floor["256 rows"][1] > floor["Toeplitz tiles"][1],
        ),
        ("would move # GB without a cache, not the # of", tiles["flash"][2] * 3.35e-3, 0.2),
        (
            "five times as long as for arithmetic",
            abs(tiles["flash"][2] / table["flash"][2] - 5) < 0.2,
        ),
        ("twice what the H100's L2 holds", abs(wave[0] / wave[1] - 2) < 0.1),
        (
            "takes # µs at # tokens on this GPU (`torch eager` in the table's file). Ours takes #, "
            "a twentieth of that",
            *(1e3 * flash["torch eager"], 2048, 1e3 * flash["ours"]),
            18 < flash["torch eager"] / flash["ours"] < 24,
        ),
        (
            "takes # µs, and at # tokens # against our #, where ours waits",
            *(1e3 * flash["SDPA"], 512),
            *(1e3 * flash_512[name] for name in ("SDPA", "ours")),
        ),
        ("take half the time of the best FFT", 0.45 < conv["ours"] / best_fft(conv) < 0.55),
        ("and yet seven times their own floor", abs(100 / percent[2] - 7) < 0.2),
        ("take seven times theirs at # tokens", 2048, abs(100 / percent[2] - 7) < 0.2),
        (
            "Ours computes # of # rows, one in sixteen, in # µs. SDPA computes all # rows in # (",
            *(selected(book, 2048), 2048, 1e3 * rows["ours"], 2048, 1e3 * rows["SDPA of all rows"]),
            2048 / selected(book, 2048) == 16,
        ),
        ("with # rows, ours takes as long as at 2,048", selected(book, 512)),
        ("ours takes as long as at 2,048", rows_512["ours"] > rows["ours"]),
        ("ours still lose to a library's attention", rows["ours"] > rows["SDPA of all rows"]),
    ]


def row(book, way, what):
    """Microseconds at 512, 1024, 2048, 4096 and 8192 tokens."""
    return book.out(f"{way} {what} # # # # #")


def arithmetic_from_2048(once, table):
    return all(
        table[way][i] > once[way][i] for way in ("Toeplitz tiles", "flash") for i in (2, 3, 4)
    ) and all(table[way][1] < once[way][1] for way in ("Toeplitz tiles", "flash"))


def measured(book):
    """Median milliseconds by kernel and N, by implementation; "ours" is what `auto` takes."""
    table = pd.read_csv(book.folder / "kernels_h200.csv").query(
        "direction == 'forward' and dtype == 'bfloat16' and note.isna()"
    )
    cases = table.groupby(["kernel", "N"])
    return {
        case: times.set_index("implementation")["ms"].rename({"zoology_teach": "ours"})
        for case, times in cases
    }


def selected(book, n):
    """How many of n rows were selected in the measurement."""
    table = pd.read_csv(book.folder / "kernels_h200.csv")
    return table.query("kernel == 'sparse_attention' and N == @n")["k"].iloc[0]


def best_fft(times):
    return times[[n for n in times.index if n.startswith("torch")]].min()
