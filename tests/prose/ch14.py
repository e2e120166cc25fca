from zoology_teach.experiments.usual_start import STEPS

DELTA = "delta_rule:DeltaRule"


def claims(book):
    cells = book.cells("newer_animals")
    mean, state = cells["mean"], cells["state_size"]
    narrow, kept = mean.xs((16, 32), level=[1, 2]), state.xs((16, 32), level=[1, 2])
    taught = book.table("newer_animals_lesson")["accuracy"].mean()
    lesson = book.table("lesson").query("recipe == 'renamed'").groupby("mixer")["accuracy"].mean()
    learned = set(lesson[lesson > 0.5].index)
    once = book.out("keys said once: adding #, correcting #")
    twice = book.out("keys said twice: adding #, correcting #")
    foretold = book.out("one index wrong # #")[1]
    return [
        (
            "in width the four lie close, in numbers kept they lie far apart",
            narrow.max() - narrow.min() < 0.25,
            kept.max() > 8 * kept.min(),
        ),
        (f"16 {DELTA} # #", state[DELTA, 16, 32], mean[DELTA, 16, 32]),
        (
            "only the two models with attention learned it",
            learned == {"attention_short_conv", "hybrid_short_conv"},
            taught < 0.1,
        ),
        (
            "where every key comes once and there are many of them, it is the worse of the two",
            once[0] > 0.9,
            once[1] < 0.9,
        ),
        (
            "The memory that adds holds both values of a key and cannot tell which came last",
            abs(twice[0] - 0.5) < 0.1,
            twice[1] > 0.95,
        ),
        ("Nothing has been learned yet", max(small(book)) < 0.25),
        ("every row lies above it", min(floors(book)) > 1),
        ("the same slip would have looked like the best model", foretold > 0.9),
        ("It has # lines, a third of them words", 75),
        ("A file of # lines", 75),
        ("a guess is 1 in 32, its loss #", 3.4657),
        (
            "With # numbers the delta rule answers about what Based answers with #",
            state[DELTA, 16, 32],
            state["linear_attention", 16, 32],
            abs(mean[DELTA, 16, 32] - mean["linear_attention", 16, 32]) < 0.05,
        ),
        ("projections normal with std #", 0.02),
        ("# updates of the task itself, two rates", STEPS),
        ("# updates of 64 sequences on the task itself", STEPS),
        ("trained one step a token | hard | #", 25),
        ("as a Triton kernel, against its floor | hard | #", 30),
    ]


def small(book):
    """The accuracies of the small sweep."""
    return [book.out(f"{DELTA} 16 {lr} 50 #")[0] for lr in ("0.005", "0.010", "0.020")]


def floors(book):
    """Measured time over the predicted one, row by row."""
    names = ("attention", "Based", DELTA, "gated_delta_rule:GatedDeltaRule", "mamba2:Mamba2")
    rows = " ".join(f"{name} # # # #" for name in names)
    return book.out(f"measured / predicted {rows}")[3::4]
