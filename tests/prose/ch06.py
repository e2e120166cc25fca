import json
from itertools import pairwise

from zoology_teach.constructions import predicted_accuracy
from zoology_teach.experiments.cells import best, spread
from zoology_teach.experiments.synthetic_presets import LAPTOP_RECIPES
from zoology_teach.experiments.usual_start import STEPS, lessons
from zoology_teach.tasks.mqar import MQAR

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


FIXED = ("base_conv", "h3", "hyena", "rwkv")
LENGTHS = (32, 64, 128)


def from_the_usual_start(book):
    """What Figure 2 is said to show."""
    cells = book.cells()
    mean, conv = cells["mean"], cells["mean"]["base_conv"]
    short, two_layers = mean["attention_short_conv"], mean["attention"]
    bar = book.paper("fig2_bar")
    guess = 2 / cells["num_pairs"]
    rates = book.table("figure2").groupby(["mixer", "d_model", "seq_len"])["lr"].nunique()
    return [
        ("BaseConv, attention 16 128 # BaseConv 128 128 #", short[16, 128], conv[128, 128]),
        ("The small one wins by far", bool(short[16, 128] > 2 * conv[128, 128])),
        (
            "is flat at the top, and falls off a wall at its left",
            all(short[d, n] > 0.99 for d in WIDTHS for n in LENGTHS),
            all(short[4, n] < 0.2 for n in LENGTHS),
        ),
        (
            "N = 128 4 # # # 8 # # # 16 # # #",
            *(short[d, n] for d in (4, 8, 16) for n in LENGTHS),
        ),
        (
            "need more width to learn",
            all(two_layers[16, n] < 0.5 < 0.95 < two_layers[64, n] for n in LENGTHS),
        ),
        (
            "The gated convolutions climb a staircase, and each panel moves it to the right",
            all(conv[a, n] < conv[b, n] for a, b in pairwise(WIDTHS) for n in LENGTHS),
            all(mean[m, d, 128] < mean[m, d, 32] for m in FIXED for d in WIDTHS),
        ),
        (
            "The gated convolutions climb with the width and fall with the length, from both",
            all(
                of[m, a, n] < of[m, b, n] and of[m, b, n] > of[m, b, 2 * n]
                for of in (mean, book.cells("figure2_identity")["mean"])
                for m in FIXED
                for a, b in pairwise(WIDTHS)
                for n in (32, 64)
            ),
        ),
        (
            "H3 and Hyena climb about level with BaseConv, RWKV a step ahead",
            all(abs(mean[m, d, 64] - conv[d, 64]) < 0.15 for m in ("h3", "hyena") for d in WIDTHS),
            all(mean["rwkv", d, 64] > conv[d, 64] + 0.1 for d in WIDTHS),
        ),
        (
            "BaseConv of width 16 and 32 did not even master the first lesson",
            not any(
                json.loads(stages)[0][1]
                for stages in best(book.table("figure2")).query(
                    "mixer == 'base_conv' and seq_len == 128 and d_model <= 32"
                )["stages"]
            ),
        ),
        (
            "# of the # cells are not above twice the guess",
            int((cells["mean"] <= guess).sum()),
            len(cells),
        ),
        ("here # CPU hours", book.table("figure2")["cpu_seconds"].sum() / 3600),
        ("with one seed at least in # of the # cells", int((rates == 2).sum()), len(rates)),
        ("solves every cell at $d = 64$ |", all(two_layers[64, n] > 0.95 for n in LENGTHS)),
        ("BaseConv never passes 0.9", bool(conv.max() < bar)),
        ("does not pass # unless", bar),
        (
            "usual 16 # # # usual 32 # # # usual 64 # # # usual 128 # # #",
            *(conv[d, n] for d in WIDTHS for n in LENGTHS),
        ),
        (
            "rises along every column and falls along every row",
            all(conv[d, a] > conv[d, b] for d in WIDTHS for a, b in pairwise(LENGTHS)),
        ),
    ]


def from_the_identity_like_start(book):
    """What the chapter says of the tables that begin as a memory."""
    cells = book.cells("figure2_identity")
    mean, conv = cells["mean"], cells["mean"]["base_conv"]
    longer = book.cells("budget")["mean"]["base_conv"]
    table = book.table("figure2_identity").query("d_model == 64 and seq_len == 64")
    state = table.groupby("mixer")["state_size"].first()
    top = [m for m in state.index if mean[m, 64, 64] > 0.95]
    passed = [cell for cell, a in conv.items() if a > book.paper("fig2_bar")]
    tall = [(r.norm, r.embedding_std) for r in LAPTOP_RECIPES.values()]
    usual = book.cells()["mean"]
    lost = {m: [most_lost(mean, m, n) for n in (32, 64)] for m in FIXED}
    now = {m: [most_lost(usual, m, n) for n in (32, 64)] for m in FIXED}
    return [
        ("the table's 0.02 #", conv[16, 32]),
        ("Width 64 reaches #", conv[64, 64]),
        ("width 128 reaches #", conv[128, 128], bool(conv[128, 128] < conv[64, 64])),
        (
            "identity-like 16 # # # identity-like 32 # # # identity-like 64 # # #",
            *(conv[d, n] for d in WIDTHS[:3] for n in LENGTHS),
        ),
        ("passes # at the shortest length and the largest width only", 0.9, passed == [(128, 32)]),
        ("the identity-like BaseConv answers less than half", bool(conv[64, 64] < 0.5)),
        (
            "rises along every column and falls along every row",
            all(conv[a, n] < conv[b, n] for a, b in pairwise(WIDTHS) for n in LENGTHS),
            all(conv[d, a] > conv[d, b] for d in WIDTHS for a, b in pairwise(LENGTHS)),
        ),
        (
            "BaseConv # # # # H3 # # # # Hyena # # # # RWKV # # # #",
            *(x for m in FIXED for x in (*now[m], *lost[m])),
        ),
        (
            "BaseConv, H3 and Hyena lose little",
            max(x for m in FIXED[:3] for x in lost[m]) < 0.1,
        ),
        (
            "BaseConv and RWKV lose little up to 64 tokens, H3 and Hyena more; to 128 all do",
            max(now[m][0] for m in ("base_conv", "rwkv")) < 0.1,
            min(now[m][0] for m in ("h3", "hyena")) > 0.15,
            min(now[m][1] for m in FIXED) > 0.1,
        ),
        (
            "RWKV, whose weights cannot be negative, falls behind",
            max(lost["rwkv"]) > 0.2,
        ),
        ("Mamba keeps the fewest numbers", min(top, key=state.get, default="") == "mamba"),
        ("for # seconds at most", 20),
        ("It is *below* the guess in every row", all(conv[16, n] < 8 / n for n in LENGTHS)),
        (
            "2000 steps 16 # # 32 # # 64 # # 128 # #",
            *(cells[d, 32] for d in WIDTHS for cells in (conv, longer)),
        ),
        ("More steps lift every stair", all(longer[d, 32] > conv[d, 32] for d in WIDTHS)),
        (
            "four with LayerNorm and embeddings of standard deviation #, three without",
            0.02,
            sorted(tall) == [(False, 1.0)] * 3 + [(True, 0.02)] * 4,
        ),
    ]


def most_lost(mean, mixer, n):
    """The most that a mixer loses when width, tokens and pairs double together."""
    return max(mean[mixer, d, n] - mean[mixer, 2 * d, 2 * n] for d in (16, 32, 64))


def claims(book):
    first, second, *_ = lessons(MQAR(128, 16, 256), 128)
    sizes = [book.paper("fig2_width_min"), book.paper("fig2_width_max")]
    return [
        *apart(book),
        *from_the_usual_start(book),
        *from_the_identity_like_start(book),
        ("with its # to # tokens", book.paper("older_vocab_min"), book.paper("older_vocab_max")),
        ("takes a vocabulary of # (from its released", book.paper("fig2_vocab")),
        (
            "$N$ from # to #, widths from # to #, # training examples, up to # epochs",
            *2 * sizes,
            book.paper("fig2_train_examples"),
            book.paper("fig2_epochs"),
        ),
        ("Both took the same lessons, then # updates on this task", STEPS),
        (
            "lessons of at most # and # updates, then # on the task",
            *(first.steps, second.steps, STEPS),
        ),
        ("the others do not pass # unless", book.paper("fig2_bar")),
        ("solves every cell at $d = #$", book.paper("fig2_attention_width")),
        ("dropout is #, and no gradient", book.paper("fig2_dropout")),
    ]
