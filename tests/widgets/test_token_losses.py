"""The two-model view of a passage, in a real browser and without a kernel."""

import pandas as pd
import pytest
from matplotlib.figure import Figure

from zoology_teach import page
from zoology_teach.widgets import TokenLosses


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
def shown(show, passage):
    return show(TokenLosses(passage))


def test_arrow_keys_read_out_the_losses_of_both_models(shown):
    reading = shown.locator("[aria-live]")
    group = shown.get_by_role("group")
    group.focus()
    assert reading.inner_text().startswith('Token 1 of 6: "LADY". plain 1.00 nats')
    group.press("End")
    assert 'Token 6 of 6: " M", an AR hit' in reading.inner_text()
    assert "plain 6.00 nats (probability 0.25 %)" in reading.inner_text()
    assert "recalls 0.50 nats (probability 61 %)" in reading.inner_text()
    assert "left minus right +5.50" in reading.inner_text()
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
    stripes = spans.evaluate_all("spans => spans.map(s => s.style.backgroundImage !== 'none')")
    assert [i for i, striped in enumerate(stripes) if striped] == [5, 10], "the worse, and only it"
    assert shown.get_by_text("+4 and more, worse (striped)").is_visible()
    shown.get_by_label("right").select_option(label="third")
    assert "third 4.00 nats" in shown.locator("[aria-live]").inner_text()
    shown.get_by_label("passage").select_option(label="King <b>John</b>, block 9")
    assert "an AR hit" not in shown.locator("[aria-live]").inner_text()
    assert shown.get_by_text("0 AR hits").is_visible()


@pytest.fixture
def play():
    lines = ["Sail", ",", " ho", "\n", "**", "LADY", "**", "  \n", "_", "Exit", "_", "\n"]
    tokens = (lines * 40)[:-1]
    table = pd.DataFrame({"block": 1, "document": "Play", "token": tokens, "ar": 0})
    return table.assign(opportunity=0, plain=1.0, recalls=2.0)


def test_marks_of_speakers_and_directions_are_shown_as_printed(play, show):
    assert page.as_printed(["*", "*LADY**", "\n_a", "_", " b_c 2"]) == [
        "▸", "LADY:", "\n[a", "]", " b_c 2",
    ]  # fmt: skip
    assert page.as_printed(["LVOLIO**", "  \n**", "X"]) == ["LVOLIO:", "  \n▸", "X"]
    view = TokenLosses(play)
    assert view.passages[0]["shown"]["4"] == "▸" and view.passages[0]["tokens"][4] == "**"
    text = show(view).get_by_role("group").inner_text()
    assert "▸LADY:" in text and "[Exit]" in text and "*" not in text and "_" not in text


def number(shown) -> int:
    return int(shown.locator("[aria-live]").inner_text().split()[1])


def test_up_and_down_go_from_line_to_line_and_stay(play, show):
    shown = show(TokenLosses(play), style="height: 4000px")
    group = shown.get_by_role("group")
    group.focus()
    for key, token in (
        ("ArrowUp", 1), ("ArrowRight", 2), ("ArrowDown", 7), ("ArrowDown", 11), ("ArrowUp", 7),
    ):  # fmt: skip
        group.press(key)
        assert number(shown) == token, key
    group.press("End")
    last = number(shown)
    group.press("ArrowDown")
    assert number(shown) == last == 479
    assert shown.evaluate("document.activeElement.getAttribute('role')") == "group"


def test_home_and_end_scroll_into_view_and_the_reading_stays(play, show):
    shown = show(TokenLosses(play))
    shown.set_viewport_size({"width": 900, "height": 700})
    group, reading = shown.get_by_role("group"), shown.locator("[aria-live]")
    for key, token in (("End", 478), ("Home", 0)):
        group.press(key)
        seen = """span => {
            const a = span.getBoundingClientRect();
            const b = span.closest("[role=group]").getBoundingClientRect();
            return a.top >= b.top - 1 && a.bottom <= b.bottom + 1 && a.bottom <= innerHeight;
        }"""
        assert shown.locator(f"span[data-token='{token}']").first.evaluate(seen), key
        top = reading.bounding_box()["y"]
        assert 0 <= top < 700


def test_a_pointer_that_rests_selects_nothing_and_one_that_moves_does(play, show):
    shown = show(TokenLosses(play))
    box = shown.locator("span[data-token='5']").first.bounding_box()
    shown.mouse.move(box["x"] + 5, box["y"] + 5)
    assert number(shown) == 1, "it may have rested there before"
    shown.evaluate("document.querySelector('[role=group]').scrollTop = 90")
    shown.wait_for_timeout(100)
    assert number(shown) == 1
    shown.mouse.move(box["x"] + 9, box["y"] + 7)
    shown.mouse.move(box["x"] + 12, box["y"] + 7)
    assert number(shown) > 5


@pytest.mark.parametrize(
    "style", ["color: black; background: white", "color: #eee; background: #111"]
)
def test_text_is_readable_on_every_colour_in_light_and_dark(passage, show, style):
    shown = show(TokenLosses(passage.assign(plain=20.0)), style=style)
    for colouring in ("loss", "difference"):
        shown.get_by_label("colour").select_option(label=colouring)
        assert min(shown.get_by_role("group").evaluate(CONTRASTS)) >= 4.5


# Of each token's text with its colour, laid over the paper below it.
CONTRASTS = """group => {
    const numbers = (css) => css.match(/[\\d.]+/g).map(Number);
    const light = (rgb) => rgb.map((c) => c / 255)
        .map((c) => (c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
        .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
    return [...group.querySelectorAll("span")].map((span) => {
        const paper = numbers(getComputedStyle(span.parentNode).backgroundColor);
        const [r, g, b, alpha = 1] = numbers(getComputedStyle(span).backgroundColor);
        const over = [r, g, b].map((c, i) => alpha * c + (1 - alpha) * paper[i]);
        const text = numbers(getComputedStyle(span).color).slice(0, 3);
        const [dim, bright] = [light(over), light(text)].sort((x, y) => x - y);
        return (bright + 0.05) / (dim + 0.05);
    });
}"""


def test_it_fits_a_telephone(passage, show):
    shown = show(TokenLosses(passage))
    shown.set_viewport_size({"width": 390, "height": 800})
    assert shown.evaluate("document.documentElement.scrollWidth") <= 390
