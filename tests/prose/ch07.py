import math

from zoology_teach.constructions import predicted_accuracy


def enough(pairs, vocab_size):
    """The fewest channels with which the formula says more than 0.9."""
    return next(m for m in range(8, 999) if predicted_accuracy(m, pairs, vocab_size) > 0.9)


def claims(book):
    need = {cell: enough(*cell) for cell in ((4, 1024), (16, 1024), (8, 1024), (8, 8192))}
    at_threshold = [
        predicted_accuracy(round(2 * (k - 1) * math.log(512)), k, 1024) for k in (4, 8, 16)
    ]
    states, most = book.out("1024 messages, # states, at most #")
    steps = book.table("figure2")["steps"].unique().tolist()
    half = book.out("probability 0.9: at least # bits")[0]
    sums = book.out("whole sums: bound kept True, 0.95 of the bits right with # bits")[0]
    signs = book.out("signs only: bound kept True, 0.95 of the bits right with # bits")[0]
    conv = book.cells()["mean"]["base_conv"]
    return [
        ("16 pairs, V = 1024: m = # for", need[16, 1024]),
        ("ratios # and #", need[16, 1024] / need[4, 1024], need[8, 8192] / need[8, 1024]),
        (
            "Guess 1: about # channels, # times as many for 4 times the pairs",
            need[16, 1024],
            need[16, 1024] / need[4, 1024],
        ),
        ("Guess 2: # times.", need[8, 8192] / need[8, 1024]),
        (
            "At the threshold a half to two thirds of the answers are right",
            min(at_threshold) > 0.49,
            max(at_threshold) < 0.68,
        ),
        ("Guess 3: at most # messages come back whole", most),
        ("our signs reach #", states),
        ("costs more than half of the bits", half > 500),
        ("fewer than half as many bits as the one with whole sums", signs < sums / 2),
        ("Two layers without attention do not pass # unless", book.paper("fig2_bar")),
        (
            "from width 32 on, below a memory of d signs: True",
            all(conv[d, n] < predicted_accuracy(d, n // 8, 256) for d, n in conv.index if d >= 32),
        ),
        ("at # steps (chapter 06)", *steps),
        ("chapter 06's table (# steps", *steps),
    ]
