"""Pictures carry their words, and say what the table says."""

import base64
import io
import json

import pandas as pd
import pytest
from PIL import Image

from zoology_teach import plots


@pytest.fixture
def table():
    rows = [
        (mixer, d, n, seed, 0.9 - 0.1 * seed if mixer == "attention" else d / n / 20)
        for mixer in ("attention", "base_conv")
        for d in (16, 32)
        for n in (32, 64)
        for seed in range(3)
    ]
    table = pd.DataFrame(rows, columns=["mixer", "d_model", "seq_len", "seed", "accuracy"])
    table["state_size"] = table["d_model"] * table["seq_len"]
    return table.assign(num_pairs=table["seq_len"] // 8, vocab_size=256, recipe="r", lr=1e-2)


def test_best_takes_the_learning_rate_with_the_best_mean(table):
    worse = table.assign(lr=1e-3, accuracy=table["accuracy"] - 0.05)
    lucky = worse.copy()
    lucky.loc[lucky["seed"] == 0, "accuracy"] += 0.06  # one lucky seed does not win
    chosen = plots.best(pd.concat([table, lucky]))
    assert chosen["lr"].unique().tolist() == [1e-2] and len(chosen) == len(table)


def test_a_rate_with_fewer_seeds_does_not_take_part(table):
    better = table.query("seed == 0").assign(lr=1e-3, accuracy=0.99)
    chosen = plots.best(pd.concat([better, table]))
    assert chosen["lr"].unique().tolist() == [1e-2] and len(chosen) == len(table)
    assert plots.best(better)["lr"].unique().tolist() == [1e-3]


def test_spread_counts_seeds(table):
    cells = plots.spread(table).set_index(["mixer", "d_model", "seq_len"])
    cell = cells.loc["attention", 16, 32]
    assert cell["mean"] == pytest.approx(0.8)
    assert (cell["min"], cell["max"], cell["count"]) == (pytest.approx(0.7), 0.9, 3)


def config_of(steps: int, seed: int, lr: float, **model) -> str:
    train = {"steps": steps, "seed": seed, "lr": lr}
    layers = [{"mixer": "x", "options": {"seed": seed}}]
    return json.dumps({"train": train, "model": {"seed": seed, "layers": layers, **model}})


@pytest.fixture
def joined(table):
    """Two budgets and two rates, as `results.load` gives them."""

    def one(steps, lr, accuracy):
        rows = table.query("mixer == 'base_conv'").assign(lr=lr, accuracy=accuracy)
        rows["config"] = [config_of(steps, seed, lr) for seed in rows["seed"]]
        return rows.assign(steps=steps, batch_size=32)

    return pd.concat(
        [one(500, 1e-2, 0.4), one(500, 2e-2, 0.5), one(2000, 1e-2, 0.6), one(2000, 2e-2, 0.1)]
    )


def test_runs_of_several_budgets_are_not_averaged(joined):
    chosen = plots.best(joined)
    found = chosen.groupby("steps")[["lr", "accuracy"]].agg(["min", "max"]).to_numpy().tolist()
    assert found == [[2e-2, 2e-2, 0.5, 0.5], [1e-2, 1e-2, 0.6, 0.6]]
    cells = plots.spread(joined).query("seq_len == 32 and d_model == 16")
    assert cells[["steps", "mean", "count"]].to_numpy().tolist() == [[500, 0.5, 3], [2000, 0.6, 3]]
    for draw in (plots.accuracy_by_width, plots.collapse, draw_width_and_state):
        with pytest.raises(
            ValueError, match=r"table = 'base_conv, N = .*, d = 16 twice': must be of"
        ):
            draw(joined)
    for steps, mean in ((500, 0.5), (2000, 0.6)):
        cells = plots.spread(joined[joined["steps"] == steps])
        assert cells["mean"].tolist() == pytest.approx([mean] * 4) and set(cells["count"]) == {3}
        assert list(cells)[-1] == "count"


def test_one_panel_has_one_number_of_pairs(joined):
    """A mixer asked for four pairs is not compared with one asked for eight."""
    one = joined[joined["steps"] == 500]
    other = one.assign(mixer="attention", num_pairs=2 * one["num_pairs"])
    both = pd.concat([one, other], ignore_index=True)
    for draw in (plots.accuracy_by_width, draw_width_and_state):
        with pytest.raises(ValueError, match=r"table = 'K = \d+, \d+ at N = \d+': must be of one"):
            draw(both)


@pytest.mark.parametrize("column, value", [("recipe", "s"), ("batch_size", 64), ("vocab_size", 64)])
def test_runs_of_several_recipes_are_not_averaged(joined, column, value):
    one = joined.query("steps == 500")
    both = pd.concat([one, one.assign(**{column: value})])
    cells = plots.spread(both)
    assert len(cells) == 2 * len(plots.spread(one)) and cells[column].nunique() == 2
    assert set(cells["count"]) == {3}


def test_a_model_that_differs_is_another_cell_and_an_older_row_is_not(joined):
    one = joined.query("steps == 500 and lr == 0.01")
    older = one.assign(seed=one["seed"] + 3)
    older["config"] = [config_of(500, seed, 1e-2, max_len=None) for seed in older["seed"]]
    assert set(plots.spread(pd.concat([one, older]))["count"]) == {6}
    older["config"] = [config_of(500, seed, 1e-2, max_len=64) for seed in older["seed"]]
    assert set(plots.spread(pd.concat([one, older]))["count"]) == {3}


def test_a_run_in_two_tables_counts_once(joined):
    one = joined.query("steps == 500").reset_index(drop=True)
    one["run"] = one.index.astype(str)
    assert set(plots.spread(pd.concat([one, one]))["count"]) == {3}


def test_a_run_that_diverged_counts_as_accuracy_0_in_its_own_cell(joined):
    one = joined.query("steps == 500 and lr == 0.01").reset_index(drop=True)
    lost = one["seed"] == 0
    one.loc[lost, "accuracy"], one.loc[lost, "steps"] = None, 37  # what it did, not its budget
    cells = plots.spread(one)
    assert set(cells["count"]) == {3} and set(cells["min"]) == {0.0}
    assert cells["mean"].tolist() == pytest.approx([0.8 / 3] * 4)


def test_of_an_empty_table_there_are_no_cells(table):
    assert len(plots.best(table[:0])) == len(plots.spread(table[:0])) == 0
    with pytest.raises(ValueError, match="mixer = 'mamba': must be one that the table has"):
        plots.collapse(table, "mamba")


def test_as_many_lengths_as_there_are_look_different(table):
    lengths = [32 * 2**i for i in range(9)]
    many = pd.concat([table.query("seq_len == 32").assign(seq_len=n) for n in lengths])
    left, right = plots.collapse(many).figure.axes
    looks = {(line.get_color(), line.get_marker()) for line in left.lines}
    assert len(looks) == len(left.lines) == len(right.lines) == 9


OTHERS = [f"mine_{i}:Delta" for i in range(12)]


def test_mixers_from_outside_can_be_told_apart_and_look_the_same_in_all_panels(table):
    rows = [table.query("mixer == 'attention'").assign(mixer=name) for name in OTHERS]
    some = pd.concat([table, *rows])
    some = some[(some["mixer"] != OTHERS[0]) | (some["seq_len"] == 64)]  # in the second panel only
    for draw in (plots.accuracy_by_width, draw_width_and_state):
        picture = draw(some)
        assert sorted(n for n in names(picture) if n.startswith("mine")) == sorted(OTHERS)
        assert all(name in picture.alt for name in OTHERS)
        looks = {}
        for panel in picture.figure.axes:
            for bars in panel.containers:
                line = bars.lines[0]
                look = line.get_color(), line.get_marker(), line.get_linestyle()
                looks.setdefault(bars.get_label(), set()).add(look)
        assert all(len(look) == 1 for look in looks.values())
        assert len(set.union(*looks.values())) == len(looks) == 14


def names(picture):
    [legend] = picture.figure.legends
    return [text.get_text() for text in legend.get_texts()]


def test_a_mixer_that_never_beats_the_guess_is_shown_as_untrained(table):
    assert plots.untrained(plots.spread(table)) == {"base_conv"}
    shown = ["attention", "BaseConv (did not train here)"]
    assert names(plots.accuracy_by_width(table)) == shown
    assert names(plots.width_and_state(table, 16, 64)) == shown
    one_cell = table["mixer"].eq("base_conv") & table["d_model"].eq(32) & table["seq_len"].eq(32)
    table.loc[one_cell, "accuracy"] = 0.51  # twice the guess of one in four
    assert not plots.untrained(plots.spread(table))
    assert names(plots.accuracy_by_width(table)) == ["attention", "BaseConv"]


def test_a_width_that_is_not_there_is_named(table):
    with pytest.raises(ValueError, match="width = 48"):
        plots.width_and_state(table, 48, 64)


def draw_width_and_state(table):
    return plots.width_and_state(table, 32, 64)


@pytest.mark.parametrize("draw", [plots.accuracy_by_width, plots.collapse, draw_width_and_state])
def test_pictures_show_themselves_with_words(table, draw):
    picture = draw(table)
    data, metadata = picture._repr_mimebundle_()
    assert metadata["image/png"]["alt"] == picture.alt and len(picture.alt) > 60
    assert f'alt="{picture.alt}"' in data["text/html"] and data["text/plain"] == picture.alt
    image = Image.open(io.BytesIO(base64.b64decode(data["image/png"])))
    assert image.format == "PNG" and image.width > 500


def test_a_small_marker_keeps_its_colour():
    figure, panels = plots.axes(columns=2)
    for panel in panels:
        for y, colour in enumerate(plots.COLOURS.values()):
            panel.scatter(range(3), [y] * 3, s=36, color=colour)
        panel.set_yticks(range(len(plots.COLOURS)), list(plots.COLOURS))
        panel.fill_between([0, 2], 0, 7, color=plots.COLOURS["base_conv"], alpha=0.2)
    drawn = Image.open(io.BytesIO(plots.Picture(figure, "Points.").png())).convert("RGB")
    found = [colour for _, colour in drawn.getcolors()]
    for colour in plots.COLOURS.values():
        wanted = tuple(bytes.fromhex(colour.removeprefix("#")))
        nearest = min(max(abs(a - b) for a, b in zip(wanted, f, strict=True)) for f in found)
        assert nearest <= 12, f"{colour}: {nearest} away"


def test_words_cannot_break_out_of_the_picture(table):
    picture = plots.Picture(plots.collapse(table).figure, 'a "quoted" <b>tag</b>')
    assert "<b>" not in picture._repr_mimebundle_()[0]["text/html"]


def test_the_same_figure_gives_the_same_bytes(table):
    assert plots.collapse(table).png() == plots.collapse(table).png()


def test_an_empty_table_says_so(table):
    with pytest.raises(ValueError, match="table = 'empty'"):
        plots.accuracy_by_width(table[:0])
