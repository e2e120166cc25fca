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
    (states,) = book.out("1024 messages lead to # states")
    (steps,) = book.table("figure2_identity")["steps"].unique().tolist()
    half = book.out("bits at least 0.60 29 0.90 #")[0]
    sums, signs = book.out("(bits of state) whole sums # signs only #")
    worst = book.out("guess, 1 / 16 4 # ")[0]
    conv = book.cells("figure2_identity")["mean"]["base_conv"]
    compared = "theory, d signs 16 # # # 32 # # # 64 # # # 128 # # #"
    by_hand = book.out(compared)[::3]
    return [
        ("it takes # channels of this memory to answer", need[4, 1024]),
        ("for 16 pairs? The result: # channels", need[16, 1024]),
        ("# times as many for 4 times the pairs", need[16, 1024] / need[4, 1024]),
        ("answers cost? The result: # times.", need[8, 8192] / need[8, 1024]),
        ("# channels in place of #:", need[8, 8192], need[8, 1024]),
        ("#, four times #.", 4 * need[4, 1024], need[4, 1024]),
        ("The rule puts the threshold at # pairs", 16**2 / (2 * math.log(256))),
        (
            "twice if it was (4), on average #. That makes # for each",
            (1 + 2**2) / 2,
            1 + (1 + 2**2) / 2,
        ),
        ("Four channels are worse than that guess", worst < 1 / 16),
        (
            "At the threshold a half to two thirds of the answers are right",
            min(at_threshold) > 0.49,
            max(at_threshold) < 0.68,
        ),
        ("whole, at best? The result: # messages", 2**8, states <= 2**8),
        ("Our signs reach #", states),
        ("#, eight tenths of them", 0.8 * 2**10),
        ("costs more than half of the bits", half > 500),
        ("fewer than half as many bits as the one with whole sums", signs < sums / 2),
        ("Two layers without attention do not pass # unless", book.paper("fig2_bar")),
        (
            "which is higher except at the left end",
            all(conv[d, n] < predicted_accuracy(d, n // 8, 256) for d, n in conv.index if d >= 32),
        ),
        (
            compared,
            *(
                number
                for hand, d in zip(by_hand, (16, 32, 64, 128), strict=True)
                for number in (hand, conv[d, 64], predicted_accuracy(d, 8, 256))
            ),
        ),
        ("at # steps (chapter 06)", steps),
        ("of chapter 06, trained for # steps", steps),
        ("chapter 06's table (# steps", steps),
    ]
