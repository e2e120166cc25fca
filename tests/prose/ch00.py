from zoology_teach import constructions
from zoology_teach.experiments.usual_start import RECIPES, STEPS, USUAL


def claims(book):
    mean = book.cells()["mean"]
    conv = mean["base_conv"]
    narrow = [a for (d, n), a in conv.items() if d < n]
    width = constructions.attention(256).config.d_model
    wide = constructions.attention(8192).config.d_model
    rates = {len(RECIPES[m].rates) for m in ("attention_short_conv", "base_conv")}
    steps = book.table("figure2").query("mixer in ['attention_short_conv', 'base_conv']")["steps"]
    untaught = book.table("curriculum").set_index(["mixer", "recipe"]).loc["base_conv", USUAL]
    pairs = (1, 2, 4, 8, 16, 32)
    theory = book.out("theory " + " ".join(f"{k} # # # #" for k in pairs))[3::4]
    predicted = [constructions.predicted_accuracy(64, k, 256) for k in pairs]
    agrees = [abs(a - b) < 0.006 for a, b in zip(theory, predicted, strict=True)]
    return [
        ("it is a formula that chapter 07 derives from this sum", all(agrees)),
        ("gated convolution, trained 128 #", conv[128, 128]),
        ("and is wrong more often than right", bool(conv[128, 128] < 0.5)),
        ("It is # numbers wide and makes no mistake", width),
        ("It is more than eight times as wide", 8 < 128 / width < 9),
        ("at one of two learning rates", rates == {2}),
        ("then # steps on this very task", STEPS),
        ("and then take # steps on the task itself", STEPS),
        (
            "is at the top at every width from # on",
            16,
            all(a > 0.99 for (d, _), a in mean["attention_short_conv"].items() if d > 8),
            all(mean["attention_short_conv", 4, n] < 0.2 for n in (32, 64, 128)),
        ),
        ("some # to # updates", round(steps.min(), -2), steps.max()),
        (
            "stays near a guess for # updates",
            untaught["steps"].max(),
            bool(untaught["accuracy"].max() < 0.3),
        ),
        ("and # signs can tell # keys apart", (wide - 1) / 2, 2 ** ((wide - 1) / 2)),
        ("the other models do not pass # unless", book.paper("fig2_bar")),
        ("highest mean at most 0.9 #", max(narrow)),
        ("It stays below 0.9 even there", bool(conv.max() < 0.9)),
        ("lowest mean solved #", min(mean["attention_short_conv", 64, n] for n in (32, 64, 128))),
        ("The paper trained # language models", book.paper("models")),
        ("of this page with # tokens (reported", book.paper("fig2_vocab")),
    ]
