import pandas as pd
import torch

from zoology_teach import cost, plots

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
    state = cells["state_size"]
    measured = [(d, n) for d in (16, 32, 64, 128) for n in (32, 64, 128)]
    equal = cells.query("seq_len == 64 and 4000 < state_size < 4700")
    (crossing,) = book.out("as the four projections? The result: # tokens")
    row_of = here.set_index("mixer")

    def counted(mixer):
        return cost.count(cost.build(mixer, 64, 512), 4, 512).flops / 1e6

    def speed(name, d):
        return at.loc[(name, d, 2048), "flops"] / at.loc[(name, d, 2048), "forward_ms"] / 1e6

    def against_all_pairs(d):
        counted, clock = gain("FFT", "all pairs", d, 2048)
        bytes_of = at["bytes_as_run"].xs((d, 2048), level=("d_model", "seq_len"))
        flops_of = at["flops"].xs((d, 2048), level=("d_model", "seq_len"))
        both = [(speed(m, d), flops_of[m] / bytes_of[m]) for m in ("FFT", "all pairs")]
        return [counted, *both[0], *both[1], clock]

    return [
        *(
            (
                f"{plots.name(m)} # # # # # # #",
                *(row["flops"] / 1e6, 100 * row["projection_flops"] / row["flops"]),
                *(row["bytes"] / 1e6, row["bytes_as_run"] / 1e6, row["calls"]),
                *(row["forward_ms"], row["state"]),
                m not in MIXERS or abs(counted(m) - row["flops"] / 1e6) < 1e-6,
            )
            for m, row in row_of.iterrows()
        ),
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
        (
            "from # tokens on, or already from # in a narrow layer",
            *(128, 64),
            set(lengths.values()) == {64, 128},
        ),
        (
            "is # times that of a long convolution by FFT",
            gain("FFT", "all pairs", 64, 2048)[0],
        ),
        ("take on our CPU? The result: # times", gain("FFT", "all pairs", 64, 2048)[1]),
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
        (
            "measured 512 64 # # 512 256 # # 2048 64 # # 2048 256 # #",
            *(x for cell in sorted(layers, key=lambda c: c[::-1]) for x in layers[cell]),
        ),
        (
            "measured 32 # # # # # # 64 # # # # # # 128 # # # # # # 256 # # # # # #",
            *(x for d in (32, 64, 128, 256) for x in against_all_pairs(d)),
        ),
        (
            "Why is a gain of # only # to # by the clock?",
            gain("FFT", "all pairs", 64, 2048)[0],
            *(gain("FFT", "all pairs", d, 2048)[1] for d in (256, 32)),
        ),
        (
            "(# GFLOP/s over # GB/s, about #)",
            *(peak := table[["gflops_per_second", "gbytes_per_second"]].median()),
            peak.iloc[0] / peak.iloc[1],
        ),
        (
            "at width 64, # × # / # = #. At width 256 it is #.",
            gain("FFT", "all pairs", 64, 2048)[0],
            *(speed("FFT", 64), speed("all pairs", 64)),
            *(gain("FFT", "all pairs", d, 2048)[1] for d in (64, 256)),
        ),
        ("the FFT moves # MB", at.loc[("FFT", 256, 2048), "bytes_as_run"] / 1e6),
        ("The FFT does # FLOPs for each byte", 1.94),
        (
            "The gain in the operation becomes # and # in Hyena's layer",
            layers[64, 2048][0],
            layers[256, 2048][0],
        ),
        (
            "a quarter to two fifths of that factor is lost",
            all(0.23 < lost[cell] < 0.42 for cell in lost if cell != (64, 2048)),
        ),
        ("(Not at 2,048 and width 64:", lost[64, 2048] < 0),
        (
            "at N = 512 it is ahead at width 64 and not yet at width 256",
            layers[64, 512][1] > 1 > layers[256, 512][1],
        ),
        (
            "The two smaller budgets go to RWKV, whose state is the smallest",
            all(best(cells, n, budget) == "rwkv" for n in (32, 64, 128) for budget in (400, 1000)),
            all(state["rwkv", d, n] == state[:, d, n].min() for d, n in measured),
        ),
        (
            "at # tokens it fits at width #",
            *(128, max(d for d in (8, 16, 32) if state["attention_short_conv", d, 128] <= 5000)),
            all(best(cells, n, 5000) == "attention_short_conv" for n in (32, 64, 128)),
        ),
        ("from the usual start? The result: RWKV. At width 32: #", cells["mean"]["rwkv", 32, 64]),
        (
            "recall from a tenth to everything",
            0.08 < equal["mean"].min() < 0.12,
            equal["mean"].max() > 0.99,
        ),
        ("At width 64 that is # tokens", crossing),
        (
            "are # bits and would fit into four numbers of # bits",
            8 * 14,
            32,
        ),
        ("V = #, from the usual start, one state", *book.table("figure2")["vocab_size"].unique()),
    ]
