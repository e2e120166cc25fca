"""Pictures carry their words; explorers hold every combination; live runs can be stopped."""

import base64
import io
from dataclasses import replace

import ipywidgets
import pandas as pd
import pytest
from IPython.core.formatters import DisplayFormatter
from PIL import Image

from zoology_teach import plots
from zoology_teach.experiments import results
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


def test_the_width_slider_speaks_of_the_table(table):
    slider = WidthSlider(table)
    assert slider.view.alts[1] == (
        "Width 16, 64 tokens, 8 pairs: accuracy of attention 0.80 (0.70 to 0.90, 3 seeds) · "
        "BaseConv 0.01 (0.01 to 0.01, 3 seeds)."
    )
    assert set(slider.live._controls) == {"model_width", "sequence_length", "mixer", "seed"}


def test_a_live_run_is_the_recipe_of_the_table(table):
    slower = table.assign(lr=3e-2, accuracy=table["accuracy"] + 0.01)
    make_run = WidthSlider(pd.concat([table, slower])).live._make_run
    assert make_run(32, 64, "base_conv", 0) == laptop_run("base_conv", 32, 64, 0, lr=3e-2)


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


def test_committed_tables_load():
    for name in ("figure2", "budget", "usual_init"):
        assert len(results.load(f"book/results/{name}.csv")) > 0
