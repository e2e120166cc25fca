import pandas as pd
import torch

from zoology_teach import cost

MIXERS = [
    "base_conv",
    "long_conv",
    "s4d",
    "h3",
    "hyena",
    "linear_attention",
    "base_conv_autocorrelation",
]


def in_order(mixers: pd.DataFrame, predicted: pd.Series) -> float:
    """The per cent of pairs of mixers of one size whose order by time is the predicted one."""
    right = []
    for _, cell in mixers.groupby(["d_model", "seq_len"]):
        took, guess = cell["forward_ms"].to_numpy(), predicted[cell.index].to_numpy()
        i, j = torch.triu_indices(len(took), len(took), 1).tolist()
        right += ((took[i] < took[j]) == (guess[i] < guess[j])).tolist()
    return 100 * sum(right) / len(right)


def best(cells: pd.DataFrame, n: int, budget: int) -> str:
    """The mixer that recalls most at length n with at most so many numbers of state."""
    return cells.query("seq_len == @n and state_size <= @budget")["mean"].idxmax()[0]


def claims(book):
    table, cells = book.table("cost"), book.cells()
    at = table.set_index(["mixer", "d_model", "seq_len"])
    mixers = table[table["kind"] == "mixer"]
    here = mixers.query("d_model == 64 and seq_len == 512")
    arithmetic = mixers["flops"] / mixers["gflops_per_second"] / 1e6
    both = arithmetic + mixers["bytes_as_run"] / mixers["gbytes_per_second"] / 1e6

    def gain(name, rival, d, n):
        return [at.loc[(rival, d, n), c] / at.loc[(name, d, n), c] for c in ("flops", "forward_ms")]

    layers = {(d, n): gain("hyena", "attention", d, n) for d in (64, 256) for n in (512, 2048)}
    lost = {cell: 1 - clock / counted for cell, (counted, clock) in layers.items()}
    lengths = {
        (d, rival): next(
            n
            for n in (64, 128, 256)
            if at.loc[("FFT", d, n), "forward_ms"] < at.loc[(rival, d, n), "forward_ms"]
        )
        for d in (32, 64, 128, 256)
        for rival in ("all pairs", "direct sum")
    }
    fft = {n: at.loc[("FFT", 64, n), "flops"] for n in (64, 128)}
    equal = cells.query("seq_len == 64 and 4000 < state_size < 4700")
    crossing = book.out("as much as projections from N = # on")[0]
    return [
        *((f"{m} # 0.", cost.count(cost.build(m, 64, 512), 4, 512).flops / 1e6) for m in MIXERS),
        *((f"{m} # 0.", at.loc[(m, 64, 512), "flops"] / 1e6) for m in MIXERS),
        (
            "Mamba does less arithmetic, keeps a seventh of the state",
            at.loc[("mamba", 64, 64), "flops"] < at.loc[("attention", 64, 64), "flops"],
            6.5 < at.loc[("attention", 64, 64), "state"] / at.loc[("mamba", 64, 64), "state"] < 7.5,
        ),
        (
            "lies below all pairs from 64 on and below the direct sum from 128 on",
            all(fft[n] < at.loc[("all pairs", 64, n), "flops"] for n in fft),
            fft[128] < at.loc[("direct sum", 64, 128), "flops"],
            fft[64] > at.loc[("direct sum", 64, 64), "flops"],
        ),
        ("Guess 2: 128, or already 64 in a narrow layer", set(lengths.values()) == {64, 128}),
        (
            "A floor of # to # MB becomes # to # MB",
            here["bytes"].min() / 1e6,
            here["bytes"].max() / 1e6,
            here["bytes_as_run"].min() / 1e6,
            here["bytes_as_run"].max() / 1e6,
        ),
        (
            "puts #% of all pairs in order; the median time is # times the sum",
            in_order(mixers, both),
            (mixers["forward_ms"] / both).median(),
        ),
        (
            "FLOPs alone get nearly a quarter of all pairs wrong",
            20 < 100 - in_order(mixers, arithmetic) < 25,
        ),
        ("in 8-byte integers # MB at N = #", 8 * 2048**2 / 1e6, 2048),
        ("N = 512, D = 64, hyena against attention: counted #, measured #", *layers[64, 512]),
        ("N = 512, D = 256, hyena against attention: counted #, measured #", *layers[256, 512]),
        (
            "A gain of # in the operation becomes # and # in Hyena's layer",
            gain("FFT", "all pairs", 64, 2048)[0],
            layers[64, 2048][0],
            layers[256, 2048][0],
        ),
        (
            "The clock takes a quarter to two fifths of the factor",
            all(0.23 < lost[cell] < 0.42 for cell in lost if cell != (64, 2048)),
        ),
        ("(Not at 2,048 and width 64:", lost[64, 2048] < 0),
        (
            "at N = 512 it is ahead at width 64 and not yet at width 256",
            layers[64, 512][1] > 1 > layers[256, 512][1],
        ),
        (
            "The smallest budget goes to RWKV",
            all(best(cells, n, 400) == "rwkv" for n in (32, 64, 128)),
            all(best(cells, n, 1000) == "mamba" for n in (32, 64, 128)),
            all(best(cells, n, 5000) == "attention" for n in (32, 64, 128)),
        ),
        ("Guess 3: Mamba, at width 32, with #", cells["mean"]["mamba", 32, 64]),
        (
            "recall from a third to everything",
            0.3 < equal["mean"].min() < 0.4,
            equal["mean"].max() > 0.99,
        ),
        ("At width 64 that is # tokens", crossing),
        ("# tokens; #, in a narrow layer # or less; Mamba", crossing, 128, 64),
        (
            "V = #, # steps, one state",
            *book.table("figure2")["vocab_size"].unique(),
            *book.table("figure2")["steps"].unique(),
        ),
    ]
