"""A curve drawn before it is shown: kept by the browser, and compared where the page answers."""

import pytest

from tests.widgets.shown import add, empty_page
from zoology_teach.widgets import DrawCurve

AT = (16, 32, 64, 128)


def asked(key="06.1") -> DrawCurve:
    return DrawCurve(key, "Draw BaseConv.", AT, axis="model width d", given={"attention": [1] * 4})


@pytest.fixture
def page(browser):
    with empty_page(browser, viewport={"width": 700, "height": 900}) as page:
        yield page


def show(page):
    add(page, asked())
    add(page, asked().reveal([0.1, 0.2, 0.5, 0.8]))


def words(page) -> list[str]:
    return page.locator("p[aria-live]").all_inner_texts()


def test_keys_draw_the_curve_and_it_outlives_a_reload(page):
    show(page)
    assert words(page) == ["", "You drew no curve. Measured: 0.10, 0.20, 0.50, 0.80."]
    points = page.get_by_role("slider")
    assert [p.get_attribute("aria-label") for p in points.all()] == [f"accuracy at {d}" for d in AT]
    points.nth(0).focus()
    page.keyboard.press("Home")
    page.keyboard.press("PageUp")
    points.nth(3).focus()
    page.keyboard.press("End")
    page.keyboard.press("ArrowDown")
    assert points.nth(3).get_attribute("aria-valuenow") == "0.98"
    drawn = "0.10, 0.50, 0.50, 0.98"
    assert words(page)[0] == f"Your curve, {drawn}, is kept in this browser."
    compared = f"You drew {drawn}. Measured: 0.10, 0.20, 0.50, 0.80. On average 0.12 apart."
    assert words(page)[1] == compared
    page.reload()
    show(page)
    assert words(page) == [f"Your curve: {drawn}.", compared]


def test_a_pointer_draws_across(page):
    show(page)
    figure = page.locator("svg").first.bounding_box()
    at = [page.get_by_role("slider").nth(i).bounding_box() for i in range(4)]
    heights = [0.9, 0.6, 0.3, 0.1]
    for i, (box, share) in enumerate(zip(at, heights, strict=True)):
        page.mouse.move(box["x"] + box["width"] / 2, figure["y"] + 16 + share * 204)
        if i == 0:
            page.mouse.down()
    page.mouse.up()
    assert words(page)[0] == "Your curve, 0.10, 0.40, 0.70, 0.90, is kept in this browser."


def test_words_stand_in_where_widgets_are_not_shown():
    told = asked()._repr_mimebundle_()[0]["text/plain"]
    assert told == "Draw first. Draw BaseConv. For comparison, attention 1.00, 1.00, 1.00, 1.00."
    told = asked().reveal([0.1, 0.2, 0.5, 0.8])._repr_mimebundle_()[0]["text/plain"]
    assert told == "Draw BaseConv. The result: measured 0.10, 0.20, 0.50, 0.80."


def test_what_cannot_be_drawn_is_refused():
    with pytest.raises(ValueError, match="key = 'curve'"):
        asked("curve")
    with pytest.raises(ValueError, match="at = "):
        DrawCurve("06.1", "?", (16,), axis="d", given={"attention": [1]})
    with pytest.raises(ValueError, match="attention = '3 values': must be 4"):
        DrawCurve("06.1", "?", AT, axis="d", given={"attention": [1] * 3})
    with pytest.raises(ValueError, match=r"measured = 1.5: must be an accuracy"):
        asked().reveal([0.1, 0.2, 0.5, 1.5])
