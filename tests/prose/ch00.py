from zoology_teach import constructions
from zoology_teach.experiments.synthetic_presets import LAPTOP_RECIPES


def claims(book):
    mean = book.cells()["mean"]
    conv = mean["base_conv"]
    narrow = [a for (d, n), a in conv.items() if d < n]
    width = constructions.attention(256).config.d_model
    wide = constructions.attention(8192).config.d_model
    rates = {len(LAPTOP_RECIPES[m].rates) for m in ("attention", "base_conv")}
    pairs = (1, 2, 4, 8, 16, 32)
    theory = book.out("theory " + " ".join(f"{k} # # # #" for k in pairs))[3::4]
    predicted = [constructions.predicted_accuracy(64, k, 256) for k in pairs]
    agrees = [abs(a - b) < 0.006 for a, b in zip(theory, predicted, strict=True)]
    return [
        ("it is a formula that chapter 07 derives from this sum", all(agrees)),
        ("gated convolution, trained for 500 steps 128 #", conv[128, 128]),
        ("and is wrong more often than right", bool(conv[128, 128] < 0.5)),
        ("It is # numbers wide and makes no mistake", width),
        ("It is more than eight times as wide", 8 < 128 / width < 9),
        ("at the best of three learning rates", len(LAPTOP_RECIPES["base_conv"].rates) == 3),
        ("the best of two or three learning rates", rates == {2, 3}),
        ("and # signs can tell # keys apart", (wide - 1) / 2, 2 ** ((wide - 1) / 2)),
        ("the other models do not pass # unless", book.paper("fig2_bar")),
        ("highest mean at most 0.9 #", max(narrow)),
        (
            "above 0.9 we find BaseConv, from the identity-like start, only where it is wider",
            max(narrow) < 0.9 < conv.max(),
        ),
        ("The paper trained # language models", book.paper("models")),
        ("of this page with # tokens (reported", book.paper("fig2_vocab")),
    ]
