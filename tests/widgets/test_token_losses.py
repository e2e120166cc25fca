"""The two-model view of a passage, in a real browser and without a kernel."""

import json
from pathlib import Path

import pandas as pd
import pytest
from matplotlib.figure import Figure
from playwright.sync_api import sync_playwright

from zoology_teach import page
from zoology_teach.widgets import TokenLosses

FLAGS = "--no-sandbox --disable-gpu --disable-quic --no-first-run".split()


@pytest.fixture
def passage():
    tokens = ["LADY", " M", "AC", "\n", "LADY", " M"]
    first = pd.DataFrame({"block": 7, "document": "Macbeth", "token": tokens, "ar": 0})
    first["ar"] = [0, 0, 0, 0, 0, 1]
    first["opportunity"] = [0, 0, 0, 0, 1, 1]
    first["plain"] = [1.0, 2.0, 3.0, 0.0, 5.0, 6.0]
    first["recalls"] = [1.0, 2.0, 3.0, 0.0, 7.0, 0.5]
    first["third"] = 4.0
    second = first.assign(block=9, document="King <b>John</b>", ar=0, opportunity=0)
    return pd.concat([first, second])


def test_passages_models_and_losses_are_those_of_the_table(passage):
    view = TokenLosses(passage)
    assert view.models == ["plain", "recalls", "third"] and len(view.passages) == 2
    page = view.passages[0]
    assert page["title"] == "Macbeth, block 7" and page["tokens"][3] == "\n"
    assert page["hits"].index(True) == 5 and page["losses"][1][5] == 0.5


def test_there_is_a_picture_with_words_where_widgets_are_not_shown(passage):
    data, metadata = TokenLosses(passage, right="third")._repr_mimebundle_()
    assert {"image/png", "application/vnd.jupyter.widget-view+json"} <= set(data)
    assert "plain 6.0, third 4.0" in metadata["image/png"]["alt"]


def test_the_models_shown_at_first_can_be_named(passage):
    view = TokenLosses(passage)
    assert (view.left, view.right) == (0, 1)
    view = TokenLosses(passage, left="third", right="plain")
    assert (view.left, view.right) == (2, 0)
    with pytest.raises(ValueError, match="left = 'fourth'"):
        TokenLosses(passage, left="fourth")


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (lambda p: p.drop(columns="ar"), "passage = "),
        (lambda p: p.drop(columns=["recalls", "third"]), "losses of two models"),
        (lambda p: p.assign(plain=float("nan")), r"passage\['plain'\]"),
        (lambda p: p[:0], "empty"),
        (lambda p: p.assign(token=float("nan")), "keep_default_na"),
    ],
)
def test_a_table_that_does_not_fit_is_refused(passage, damage, named):
    with pytest.raises(ValueError, match=named):
        TokenLosses(damage(passage))


def test_a_page_is_laid_out_as_the_text_runs():
    pieces = page.lay_out(["ab", " c", "\n", "\n", " d", "ef"], columns=5)
    assert [p for p in pieces if p[3]] == [
        (0, 0, 0, "ab"), (1, 0, 2, " c"), (4, 1, 0, "d"), (5, 1, 1, "ef"),
    ]  # fmt: skip
    assert page.lay_out(["abc", "def"], columns=5)[1][:3] == (1, 1, 0)
    with pytest.raises(ValueError, match="colours = 1"):
        page.draw_page(Figure().subplots(), ["a", "b"], [None], [False, False], 5.0)


@pytest.fixture
def shown(chromium, passage):
    """The view in a page that has nothing but its state, as a static page of the book has."""
    view = TokenLosses(passage)
    state = {name: getattr(view, name) for name in ("passages", "models", "most")}
    state |= {"passage": 0, "left": 0, "right": 1}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        page = browser.new_page()
        page.set_content("<div id=here></div>")
        page.evaluate(_SHOW, [SCRIPT.read_text(), json.dumps(state)])
        yield page
        browser.close()


SCRIPT = Path(__file__).parents[2] / "zoology_teach" / "widgets" / "token_losses.js"
# A model as a widget manager gives it to `render`: get, set, on.
_SHOW = """async ([script, state]) => {
    const values = JSON.parse(state), listeners = {};
    const model = {
        get: (name) => values[name],
        set: (name, value) => { values[name] = value; listeners["change:" + name]?.(); },
        on: (event, call) => { listeners[event] = call; },
        save_changes: () => {},
    };
    const url = URL.createObjectURL(new Blob([script], { type: "text/javascript" }));
    const { default: widget } = await import(url);
    widget.render({ model, el: document.getElementById("here") });
}"""


def test_arrow_keys_read_out_the_losses_of_both_models(shown):
    reading = shown.locator("[aria-live]")
    group = shown.get_by_role("group")
    group.focus()
    assert reading.inner_text().startswith('Token 1 of 6: "LADY". plain 1.00 nats')
    group.press("End")
    assert 'Token 6 of 6: " M", an AR hit' in reading.inner_text()
    assert "plain 6.00 nats (probability 0.25 %)" in reading.inner_text()
    assert "recalls 0.50 nats (probability 61 %)" in reading.inner_text()
    group.press("ArrowRight")
    group.press("ArrowLeft")
    assert 'Token 5 of 6: "LADY", an opportunity, no hit' in reading.inner_text()
    group.press("Home")
    shown.get_by_role("button", name="next AR hit").click()
    assert "Token 6 of 6" in reading.inner_text()


def test_the_summary_is_the_perplexity_of_each_slice(shown):
    said = "1 AR hits: perplexity 403 and 1.65. 5 other tokens: perplexity 9.03 and 13.5."
    assert shown.get_by_text(said).is_visible()


def test_menus_choose_models_colour_and_passage(shown):
    spans = shown.get_by_role("group").locator("span")
    assert spans.count() == 12
    colours = "spans => spans.map(s => getComputedStyle(s).backgroundColor)"
    by_loss = spans.evaluate_all(colours)
    assert by_loss[5] == "rgba(230, 159, 0, 0.75)" and by_loss[3] == "rgba(230, 159, 0, 0)"
    shown.get_by_label("colour").select_option(label="difference")
    by_difference = spans.evaluate_all(colours)
    assert by_difference[0] == "rgba(86, 180, 233, 0)", "alike"
    assert by_difference[5] == "rgb(230, 159, 0)" and by_difference[11] == "rgb(86, 180, 233)"
    shown.get_by_label("right").select_option(label="third")
    assert "third 4.00 nats" in shown.locator("[aria-live]").inner_text()
    shown.get_by_label("passage").select_option(label="King <b>John</b>, block 9")
    assert "an AR hit" not in shown.locator("[aria-live]").inner_text()
    assert shown.get_by_text("0 AR hits").is_visible()
