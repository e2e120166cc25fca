import math

from zoology_teach import constructions


def claims(book):
    wide, narrow = (constructions.attention(v).config.d_model for v in (8192, 256))
    two_thirds = [1 / (1 + (m - 1) / (2 * m)) for m in (64, 4096)]
    unmasked = book.out("random filler: with mask 1.00, without #")[0]
    return [
        ("with weights set by hand and # channels", wide),
        (
            "All of them right, with # channels; the paper's trained attention has #",
            wide,
            book.paper("fig2_attention_width"),
        ),
        (
            "the right key gets two thirds",
            all(math.isclose(w, 2 / 3, abs_tol=0.01) for w in two_thirds),
        ),
        ("and 25 channels, answer every query", book.out("25 1280 #")[0] == 1),
        ("By hand # channels do; training was given #", narrow, 64),
        ("scores $1/K$, here #.", 1 / 8),
        ("about half of the queries are followed by some value", 0.4 < unmasked < 0.6),
        ("The same # channels serve", wide),
        ("solves all its cells at width #", book.paper("fig2_attention_width")),
        ("learned positions at vocabulary #", book.paper("fig2_vocab")),
        ("lengths up to #", book.paper("fig2_width_max")),
    ]
