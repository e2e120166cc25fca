"""Pictures carry their words; explorers hold every combination; live runs can be stopped."""

import base64
import io
import json
from dataclasses import replace

import ipywidgets
import pandas as pd
import pytest
from IPython.core.formatters import DisplayFormatter
from PIL import Image

from zoology_teach import plots
from zoology_teach.experiments.synthetic_presets import laptop_run
from zoology_teach.widgets import Explorer, LiveTraining, WidthSlider


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
        panel.set_yticks(range(7), list(plots.COLOURS))
        panel.fill_between([0, 2], 0, 6, color=plots.COLOURS["base_conv"], alpha=0.2)
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


def draw_number(first: int, second: str = "a", third: int = 0) -> plots.Picture:
    figure, _ = plots.axes()
    figure.suptitle(f"{first} {second} {third}")
    return plots.Picture(figure, f"picture {first} {second} {third}")


def test_an_explorer_holds_every_combination_in_order():
    explorer = Explorer(draw_number, first=[1, 2], second=["a", "b", "c"], third=[0, 5])
    view, names = explorer.view, ("first", "second", "third")
    assert len(view.frames) == len(view.alts) == 12
    for i, first in enumerate([1, 2]):
        for j, second in enumerate("abc"):
            for k, third in enumerate([0, 5]):
                number = sum(s * x for s, x in zip(view.strides, (i, j, k), strict=True))
                assert view.alts[number] == f"picture {first} {second} {third}"
    assert [type(explorer.controls[n]).__name__ for n in names] == [
        "SelectionSlider", "Dropdown", "SelectionSlider",
    ]  # fmt: skip
    assert explorer.choice == {"first": 1, "second": "a", "third": 0}


def test_an_explorer_has_a_picture_where_widgets_are_not_shown():
    data, metadata = Explorer(draw_number, first=[1, 2])._repr_mimebundle_()
    assert {"image/png", "application/vnd.jupyter.widget-view+json"} <= set(data)
    assert metadata["image/png"]["alt"] == "picture 1 a 0"


def test_the_picture_is_shown_with_ipywidgets_7_too(monkeypatch):
    """There a widget shows itself by `_ipython_display_`, and no picture beside it."""
    monkeypatch.delattr(ipywidgets.Widget, "_repr_mimebundle_")
    alone = "_ipython_display_"
    monkeypatch.setattr(ipywidgets.Widget, alone, lambda self: pytest.fail(alone), raising=False)
    explorer = Explorer(draw_number, first=[1, 2])
    data, _ = DisplayFormatter().format(explorer)
    view = data["application/vnd.jupyter.widget-view+json"]
    assert "image/png" in data and view["model_id"] == explorer.model_id


@pytest.mark.parametrize(
    "controls",
    [{}, {"a": [1], "b": [1], "c": [1], "d": [1]}, {"first": []}, {"first": list(range(81))}],
)
def test_an_explorer_refuses_what_it_cannot_hold(controls):
    with pytest.raises(ValueError, match="controls"):
        Explorer(draw_number, **controls)


OWN = ("mixer", "seed")  # controls that only the live run has


def test_the_width_slider_speaks_of_the_table(table):
    slider = WidthSlider(table)
    assert slider.view.alts[1] == (
        "Width 16, 64 tokens, 8 pairs: accuracy of attention 0.80 (0.70 to 0.90, 3 seeds) · "
        "BaseConv 0.01 (0.01 to 0.01, 3 seeds)."
    )


def test_a_live_run_is_the_choice_with_the_recipe_of_the_table(table, monkeypatch):
    class Asked(Exception):
        pass

    def asked(*choice, **recipe):
        raise Asked(choice, recipe)

    monkeypatch.setattr("zoology_teach.widgets.width_slider.laptop_run", asked)
    slower = table.assign(lr=3e-2, accuracy=table["accuracy"] + 0.01)
    slider = WidthSlider(pd.concat([table, slower]))
    slider.controls["model_width"].value, slider.controls["sequence_length"].value = 32, 64
    mixer, seed = (x for x in slider.live.children if getattr(x, "description", "") in OWN)
    mixer.value, seed.value = "base_conv", 5
    with pytest.raises(Asked) as run:
        slider.live.start()
    assert run.value.args == (("base_conv", 32, 64, 5), {"lr": 3e-2, "steps": 500})


def live(steps: int, seconds: float = 20.0, lr: float = 1e-2) -> LiveTraining:
    def make_run(seed: int):
        run = laptop_run("base_conv", 16, 32, seed, steps=steps)
        return replace(run, train=replace(run.train, lr=lr))

    return LiveTraining(make_run, {"seed": ipywidgets.IntText(value=1)}, seconds=seconds)


def test_live_training_reports_seed_steps_and_accuracy():
    panel = live(steps=20, seconds=600)
    panel.start()
    panel.wait()
    assert "BaseConv, d = 16, N = 32, seed 1: accuracy 0." in panel.status.value
    assert "after 20 of 20 steps" in panel.status.value
    assert not panel.train_button.disabled and panel.stop_button.disabled
    assert bytes(panel.curve.value).startswith(b"\x89PNG")


def test_live_training_stops_when_asked_and_when_time_is_up():
    asked = live(steps=100_000)
    asked.start()
    asked.stop_button.click()
    asked.wait()
    late = live(steps=100_000, seconds=0.2)
    late.start()
    late.wait()
    for panel in (asked, late):
        assert "of 100000 steps" in panel.status.value
        assert panel.progress.value < 5000


def test_live_training_says_why_it_could_not():
    panel = live(steps=50, lr=1e30)
    panel.start()
    panel.wait()
    assert "could not be trained: lr = 1e+30" in panel.status.value
    assert not panel.train_button.disabled
