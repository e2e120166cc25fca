"""Guesses and results in a real browser without a kernel: kept, and shown side by side."""

import json

import pytest

from zoology_teach.widgets import Predict, Reveal

PLACE = "http://book.test/"

SHARE = Predict("00.1", "Which share is answered?", unit=" %", low=0, high=100)
FACTOR = Predict("00.2", "By what factor must it grow?", ["1", "2", "4"])
WIDGETS = [
    SHARE,
    FACTOR,
    Reveal(SHARE, 30.4, "Mean of three seeds.", tempting="all, for nothing was thrown away."),
    Reveal(FACTOR, "2"),
]

# A page as the static book makes it: a module and a small model object for each widget.
_SHOW = """async (widgets) => {
    for (const [script, state] of widgets) {
        const url = URL.createObjectURL(new Blob([script], { type: "text/javascript" }));
        const { default: widget } = await import(url);
        const el = document.createElement("div");
        document.body.append(el);
        const model = {
            get: (name) => state[name], set: () => {}, on: () => {}, off: () => {},
            save_changes: () => {},
        };
        await widget.render({ model, el });
    }
}"""


def state_of(widget) -> dict:
    state = widget.get_state(key=[name for name in widget.keys if not name.startswith("_")])
    return {name: value for name, value in state.items() if name not in ("layout", "tabbable")}


def fill(page):
    page.evaluate(_SHOW, [[w._esm, state_of(w)] for w in WIDGETS])


@pytest.fixture
def page(browser):
    page = browser.new_page()
    page.route(f"{PLACE}**", lambda route: route.fulfill(
        body="<!doctype html><body></body>", content_type="text/html"))  # fmt: skip
    page.goto(PLACE)
    yield page
    page.close()


def results(page):
    groups = page.get_by_role("group", name="Your guess and the result")
    return [" ".join(text.split()) for text in groups.all_inner_texts()]


def test_a_guess_survives_a_reload_and_stands_beside_the_result(page):
    fill(page)
    assert "Your guess none yet The result 30.40 %" in results(page)[0]
    field = page.get_by_role("group", name="Which share").get_by_label("Your guess")
    field.fill("95")
    field.press("Tab")
    assert "Your guess 95 % The result 30.40 % Mean of three seeds." in results(page)[0]
    choice = page.get_by_role("radio", name="4")
    choice.focus()
    choice.press("Space")
    choice.press("ArrowUp")  # keyboard alone: from 4 to 2
    assert "Your guess 2 ✓ The result 2" in results(page)[1]
    page.reload()
    assert results(page) == []
    fill(page)
    assert field.input_value() == "95" and page.get_by_role("radio", name="2").is_checked()
    assert "Your guess 95 % The result 30.40 %" in results(page)[0]
    assert "Tempting: all, for nothing was thrown away." in results(page)[0]


def test_without_storage_a_guess_is_kept_while_the_page_is_open(page):
    page.goto("about:blank")  # its storage raises
    fill(page)
    field = page.get_by_role("group", name="Which share").get_by_label("Your guess")
    field.fill("12.5")
    field.press("Tab")
    said = page.locator("[aria-live]", has_text="is kept")
    assert said.inner_text() == "Your guess, 12.5 %, is kept while this page is open."
    assert "Your guess 12.5 %" in results(page)[0]


def test_a_number_out_of_range_is_not_kept(page):
    fill(page)
    field = page.get_by_role("group", name="Which share").get_by_label("Your guess")
    field.fill("101")
    field.press("Tab")
    assert page.get_by_text("A number from 0 to 100, please.").is_visible()
    assert "none yet" in results(page)[0]


@pytest.mark.parametrize("colours", [("#111111", "#ffffff"), ("#eeeeee", "#111111")])
def test_everything_is_written_in_the_page_s_own_colour(page, colours):
    fill(page)
    ink, paper = colours
    page.add_style_tag(content=f"body {{ color: {ink}; background: {paper} }}")
    inks = page.locator("fieldset, fieldset *, [role=group], [role=group] *").evaluate_all(
        "all => [...new Set(all.filter(e => e.type !== 'radio')"
        ".map(e => getComputedStyle(e).color))]"
    )
    expected = tuple(int(ink[i : i + 2], 16) for i in (1, 3, 5))
    assert inks == [f"rgb{expected}".replace("'", "")]


def test_words_stand_in_where_widgets_are_not_shown():
    data, _ = FACTOR._repr_mimebundle_()
    assert data["text/plain"] == "Guess first. By what factor must it grow? One of: 1; 2; 4."
    data, _ = WIDGETS[2]._repr_mimebundle_()
    assert "Which share is answered? The result: 30.40 %. Mean of three" in data["text/plain"]
    assert "application/vnd.jupyter.widget-view+json" in data


def test_the_state_is_small():
    assert len(json.dumps([state_of(w) for w in WIDGETS])) < 4000
    assert all(len(w._esm) < 4000 for w in WIDGETS)


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: Predict("3.2", "?"), "key = '3.2'"),
        (lambda: Predict("03.2", "?", ["one"]), "choices"),
        (lambda: Predict("03.2", "?", ["one", "one"]), "choices"),
        (lambda: Predict("03.2", "?", low=1, high=1), "low = 1: must be below high, 1"),
        (lambda: Reveal(FACTOR, "3"), "answer = '3': must be one of"),
        (lambda: Reveal(SHARE, "30"), "answer = '30': must be a number"),
        (lambda: Reveal(SHARE, 120), "answer = 120: must be a number from 0"),
        (lambda: Reveal(SHARE, float("nan")), "answer = nan"),
    ],
)
def test_what_cannot_be_guessed_is_refused(make, named):
    with pytest.raises(ValueError, match=named):
        make()
