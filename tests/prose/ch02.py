import math

from zoology_teach.tasks import mqar, single_query


def asked_by_shown(seq_len=13, vocab_size=10, rows=4000):
    """How much likelier a key that was shown twice is asked than one shown once."""
    drawn = single_query.sample(rows, seq_len, vocab_size, seed=0)
    keys, query = drawn.inputs[:, 0:-1:2], drawn.inputs[:, -1:]
    share = {}
    for times in (1, 2):
        shown = [(keys == key).sum(1) == times for key in range(vocab_size // 2)]
        asked = [(query[:, 0] == key) & here for key, here in enumerate(shown)]
        share[times] = sum(a.sum().item() for a in asked) / sum(s.sum().item() for s in shown)
    return share[2] / share[1]


def claims(book):
    spoiled = 1 - (1 - 4 / 256) ** (64 - 3 * 4)
    weights = [(g + 1) ** (book.paper("power") - 1) for g in range(24)]
    old, hard = book.out("10 different tokens #")[0], book.out("256 different tokens #")[0]
    single = mqar.MQAR(64, 8, 256)
    return [
        (
            "nearly done after 200 steps from its identity-like start; on the other it answers "
            "about one question in five",
            old > 0.95,
            0.17 < hard < 0.25,
        ),
        (
            "a key that was shown twice is asked twice as often",
            math.isclose(asked_by_shown(), 2, rel_tol=0.1),
        ),
        ("This happens in # % of the sequences", 100 * spoiled),
        ("once in eight, $1/K$ = #", 1 / single.num_pairs),
        (
            "power (#) a quarter of all first questions",
            book.paper("power"),
            0.24 < weights[0] / sum(weights) < 0.27,
        ),
        ("the paper's has # (reported", book.paper("fig2_vocab")),
        (
            "Figure 2 uses # tokens, sequences of # to # tokens with # to # pairs, and #",
            *(
                book.paper(f"fig2_{x}")
                for x in (
                    "vocab",
                    "width_min",
                    "width_max",
                    "n_64_pairs",
                    "n_512_pairs",
                    "train_examples",
                )
            ),
        ),
        ("The power # is the released code's", book.paper("power")),
    ]
