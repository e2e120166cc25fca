"""The width figure, in a real browser and without a kernel; and what Python says of it."""

import json
from itertools import pairwise
from pathlib import Path

import pandas as pd
import pytest

from tests.widgets.shown import add, empty_page, state_of
from zoology_teach.constructions import predicted_accuracy
from zoology_teach.experiments import results
from zoology_teach.widgets import WidthSlider, width_slider

POINTS = "svg[role=group] > g"
LARGEST = 15_000  # bytes of script and numbers, for the book's own tables
MOVE_SECONDS = 0.05


@pytest.fixture
def table():
    """Attention and BaseConv for 4 and 8 pairs in 32 and 64 tokens, Mamba for 4 in 32 alone."""
    rows = [
        (mixer, d, n, k, seed, 0.9 - 0.1 * seed if mixer == "attention" else d / k / 20)
        for mixer in ("attention", "base_conv", "mamba")
        for d in (16, 32)
        for n, k in ((32, 4), (64, 4), (32, 8), (64, 8))
        for seed in range(3)
        if mixer != "mamba" or (n, k) == (32, 4)
    ]
    names = ["mixer", "d_model", "seq_len", "num_pairs", "seed", "accuracy"]
    table = pd.DataFrame(rows, columns=names)
    table["state_size"] = table["d_model"] * table["seq_len"]
    return table.assign(vocab_size=256, recipe="r", lr=1e-2)


def test_numbers_are_those_of_the_table(table):
    slider = WidthSlider(table)
    assert [m["name"] for m in slider.mixers] == ["attention", "Mamba", "BaseConv"]
    assert "0 4 32 3,16 512 80 70 90,32 1024 80 70 90" in slider.curves.split("\n")
    assert "2 8 64 3,16 1024 10,32 2048 20" in slider.curves.split("\n")
    [line] = [line for line in slider.theory.split("\n") if line.startswith("-1 8 ")]
    assert line.endswith(f"32 32 {100 * predicted_accuracy(32, 8, 256):.0f}")
    assert slider.mixers[1]["colour"] == "currentColor", "black in a dark page is no colour"


def test_pictures_stand_in_where_widgets_are_not_shown(table):
    data, metadata = WidthSlider(table, start=(4, 32, 16))._repr_mimebundle_()
    assert {"image/png", "application/vnd.jupyter.widget-view+json"} <= set(data)
    assert "N = 32, K = 4, Mamba: 0.20 at d = 16" in metadata["image/png"]["alt"]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda t: t[:0], "table = 'empty'"),
        (lambda t: pd.concat([t, t.assign(recipe="s")]), "twice"),
    ],
)
def test_a_table_that_is_none_is_refused(table, change, named):
    with pytest.raises(ValueError, match=named):
        WidthSlider(change(table))


def test_a_start_that_was_not_measured_is_refused(table):
    with pytest.raises(ValueError, match=r"start = \(4, 32, 48\)"):
        WidthSlider(table, start=(4, 32, 48))


def test_a_live_run_is_the_choice_at_the_best_rate_and_becomes_a_star(table, monkeypatch):
    slower = table.assign(lr=3e-2, accuracy=table["accuracy"] + 0.01)
    slider = WidthSlider(pd.concat([table, slower]))
    slider.pairs, slider.length, slider.width = 4, 64, 16
    asked = {}

    def laptop_run(*choice, **recipe):
        asked["run"] = (choice, recipe)
        return original(*choice, **{**recipe, "steps": 3})

    original = width_slider.laptop_run
    monkeypatch.setattr(width_slider, "laptop_run", laptop_run)
    live = slider.live_training()
    live.chosen = [0, 5]  # BaseConv, seed 5
    live.start()
    live.wait()
    recipe = {"num_pairs": 4, "lr": 3e-2, "steps": 500}
    assert asked["run"] == (("base_conv", 16, 64, 5), recipe)
    [star] = slider.stars
    assert (star["mixer"], star["pairs"], star["length"], star["width"]) == (2, 4, 64, 16)
    assert (star["seed"], star["steps"]) == (5, 3) and star["state"] > 0
    assert star["mean"] == pytest.approx(100 * live.result["accuracy"])


def test_a_live_run_that_cannot_be_says_so(table):
    slider = WidthSlider(table)
    slider.pairs, slider.length = 16, 32
    live = slider.live_training()
    live.start()
    live.wait()
    assert "could not be trained: seq_len = 32" in live.status and slider.stars == []
    assert not live.is_running


def test_the_script_asks_no_other_host_and_is_small_with_the_books_numbers(book_figure):
    state = state_of(book_figure)
    numbers = json.dumps({name: state[name] for name in ("mixers", "curves", "theory")})
    size = len(book_figure._esm.encode()) + len(numbers.encode())
    assert size < LARGEST, f"{size} bytes"
    script = book_figure._esm.replace("http://www.w3.org/2000/svg", "")
    assert "http" not in script and "import" not in script


@pytest.fixture(scope="module")
def book_figure():
    folder = Path(__file__).parents[2] / "book" / "results"
    names = ("figure2_identity", "pairs_and_length")
    return WidthSlider(
        pd.concat([results.load(folder / f"{name}.csv") for name in names]), start=(8, 64, 64)
    )


@pytest.fixture
def shown(browser, table):
    with empty_page(browser, viewport={"width": 1400, "height": 900}) as page:
        add(page, WidthSlider(table, start=(4, 32, 16)))
        yield page


def said(page) -> str:
    words = page.locator("p[aria-live]").inner_text()
    label = page.locator("svg[role=group]").get_attribute("aria-label")
    assert label == f"{words} Arrow keys go from point to point."
    return words


def marks(page, label: str) -> list[str]:
    return page.locator(f"{POINTS} [role=img][aria-label^='{label}']").evaluate_all(
        "all => all.map(e => e.firstChild.getAttribute('transform'))"
    )


def ticks(page) -> list[str]:
    return page.locator("svg[role=group] text[text-anchor=middle]").evaluate_all(
        "all => all.map(e => [e.textContent, e.getAttribute('x'), e.getAttribute('y')].join())"
    )


def test_pairs_and_length_are_sliders_of_their_own_and_the_axes_stay(shown):
    assert said(shown) == (
        "Width 16, 4 pairs in 32 tokens: accuracy of attention 0.80 (0.70 to 0.90) · Mamba 0.20 "
        "(0.20 to 0.20) · BaseConv 0.20 (0.20 to 0.20); mean of 3 seeds, lowest to highest."
    )
    before, base_conv = ticks(shown), marks(shown, "BaseConv, d = 16")
    shown.get_by_label("pairs K").press("ArrowRight")
    assert "8 pairs in 32 tokens: accuracy of attention" in said(shown)
    assert said(shown).endswith("Not measured here: Mamba.")
    assert ticks(shown) == before and marks(shown, "BaseConv, d = 16") != base_conv
    shown.get_by_label("sequence length N").press("End")
    assert "8 pairs in 64 tokens" in said(shown)
    shown.get_by_label("model width d").press("End")
    assert said(shown).startswith("Width 32, 8 pairs in 64 tokens")
    assert shown.get_by_label("model width d").get_attribute("aria-valuetext") == "32"


def test_a_move_takes_a_twentieth_of_a_second(browser, book_figure):
    moves = 40
    with empty_page(browser) as page:
        add(page, book_figure)
        session = page.context.new_cdp_session(page)
        session.send("Performance.enable", {"timeDomain": "threadTicks"})  # not those of others

        def seconds() -> float:
            metrics = session.send("Performance.getMetrics")["metrics"]
            return next(m["value"] for m in metrics if m["name"] == "TaskDuration")

        before = seconds()
        page.evaluate(
            """moves => {
                for (let i = 0; i < moves; i++) {
                    window.models[0].set("pairs", [2, 4, 8, 16][i % 4]);
                    document.querySelector("svg[role=group]").getBoundingClientRect();
                }
            }""",
            moves,
        )
        took = (seconds() - before) / moves
    assert 0 < took < MOVE_SECONDS


def test_pairs_that_do_not_fit_are_said(browser, book_figure):
    with empty_page(browser) as page:
        add(page, book_figure)
        page.get_by_label("pairs K").press("End")
        page.get_by_label("sequence length N").press("Home")
        assert said(page) == "Width 64, 16 pairs in 32 tokens: 16 pairs need 64 tokens."
        assert marks(page, "BaseConv") == []


def test_mixers_are_chosen_and_named_at_their_curves(shown):
    names = shown.locator("svg[role=group] text[text-anchor=start]")
    assert sorted(names.all_text_contents()) == sorted(2 * ["attention", "Mamba", "BaseConv"])
    shown.get_by_role("checkbox", name="Mamba").uncheck()
    assert "Mamba" not in said(shown) and "Mamba" not in names.all_text_contents()
    shown.get_by_label("theory").check()
    assert "theory" in names.all_text_contents()
    assert shown.locator("polyline[stroke-dasharray]").count() == 1
    shown.get_by_label("theory").uncheck()
    assert shown.locator("polyline[stroke-dasharray]").count() == 0


def test_names_do_not_cover_one_another(browser, book_figure):
    with empty_page(browser, viewport={"width": 390, "height": 900}) as page:
        add(page, book_figure)
        boxes = page.locator(f"{POINTS}:first-child > text[text-anchor=start]").evaluate_all(
            "all => all.map(e => e.getBoundingClientRect()).map(r => [r.top, r.bottom, r.right])"
        )
    boxes.sort()
    assert len(boxes) == 7 and all(right <= 390 for _, _, right in boxes)
    heights = [b[0] - a[0] for a, b in pairwise(boxes)]
    assert min(heights) > 14, "a line of its own for each"


def test_points_are_reached_by_keys_and_pointer_and_tell_spread_and_seeds(shown):
    first = shown.locator(f"{POINTS} [tabindex='0']").first
    first.focus()
    words = "attention, d = 16, state 512: 0.80 (0.70 to 0.90, 3 seeds)"
    tip = shown.locator("div", has_text=words).last
    assert first.get_attribute("aria-label") == words and tip.is_visible()
    for key, reached in (
        ("ArrowRight", "attention, d = 32"),
        ("ArrowDown", "Mamba, d = 32"),
        ("ArrowLeft", "Mamba, d = 16"),
        ("ArrowUp", "attention, d = 16"),
    ):
        shown.keyboard.press(key)
        focused = shown.evaluate("() => document.activeElement.getAttribute('aria-label')")
        assert focused.startswith(reached)
    shown.keyboard.press("Tab")
    assert shown.evaluate("() => document.activeElement.getAttribute('aria-label')") == words
    shown.locator(f"{POINTS} [aria-label^='BaseConv, d = 32']").first.hover()
    told = "BaseConv, d = 32, state 1,024: 0.40 (0.40 to 0.40, 3 seeds)"
    assert shown.get_by_text(told, exact=True).is_visible()


def test_a_live_run_is_a_star_at_its_own_point_only(shown):
    star = {"mixer": 2, "pairs": 4, "length": 32, "width": 16, "state": 512, "mean": 33.0}
    shown.evaluate(
        "star => window.models[0].set('stars', [star])", {**star, "seed": 7, "steps": 500}
    )
    words = "Your run: BaseConv, d = 16, seed 7, 500 steps: 0.33"
    assert len(marks(shown, "Your run")) == 2
    assert shown.locator(f"[aria-label='{words}']").count() == 2
    shown.get_by_label("pairs K").press("ArrowRight")
    assert marks(shown, "Your run") == []


@pytest.mark.parametrize(("wide", "columns"), [(390, 1), (639, 1), (1400, 2)])
def test_panels_stand_below_one_another_where_the_page_is_narrow(browser, table, wide, columns):
    with empty_page(browser, viewport={"width": wide, "height": 900}) as page:
        add(page, WidthSlider(table))
        places = page.locator(POINTS).evaluate_all(
            "all => all.map(e => e.getAttribute('transform'))"
        )
        box = page.locator("svg[role=group]").bounding_box()
        scrolls = page.evaluate("() => document.documentElement.scrollWidth > innerWidth")
    assert len({place.split(",")[0] for place in places}) == columns
    assert box["x"] + box["width"] <= wide and not scrolls


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_are_written_in_the_colour_of_the_page(browser, table, scheme):
    with empty_page(browser, color_scheme=scheme) as page:
        add(page, WidthSlider(table))
        ink = page.evaluate("() => getComputedStyle(document.body).color")
        used = page.locator("svg[role=group] text, p[aria-live], label").evaluate_all(
            "all => [...new Set(all.map(e => e.localName === 'text'"
            " ? getComputedStyle(e).fill : getComputedStyle(e).color))]"
        )
    assert used == [ink]
    assert ink == {"light": "rgb(0, 0, 0)", "dark": "rgb(255, 255, 255)"}[scheme]


def test_a_view_that_is_gone_is_not_drawn_any_more(shown):
    before = said(shown)
    shown.evaluate("() => { window.views[0](); window.models[0].set('pairs', 8); }")
    assert said(shown) == before
