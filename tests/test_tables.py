"""A table says the same in HTML and in plain text, its numbers aligned."""

import pandas as pd
import pytest

from zoology_teach.tables import show


@pytest.fixture
def table():
    return {
        "mixer": ["BaseConv", "attention <b>"],
        "accuracy": [0.125, 1.0],
        "loss (nats)": [float("nan"), 0.5],
        "rows": [12345, 7],
        "trained": [True, False],
    }


def test_plain_text_is_aligned_under_its_caption(table):
    assert str(show(table, "Two models")).splitlines() == [
        "Two models",
        "mixer          accuracy  loss (nats)    rows  trained",
        "BaseConv           0.12            –  12,345  yes",
        "attention <b>      1.00         0.50       7  no",
    ]


def test_html_has_the_same_cells_caption_and_heads(table):
    shown = show(table, "Two <models>", digits={"accuracy": 3})._repr_mimebundle_()
    assert shown["text/plain"].startswith("Two <models>\n")
    html = shown["text/html"]
    assert "<caption" in html and "Two &lt;models&gt;</caption>" in html
    assert html.count('scope="col"') == 5 and html.count("<tr>") == 3
    assert "<td>0.125</td>" in html and 'table" style="text-align: right"' in html
    assert '<td style="text-align: left">attention &lt;b&gt;</td>' in html


def test_a_named_index_is_a_column_and_a_plain_one_is_not():
    frame = pd.DataFrame({"accuracy": [0.5]})
    assert show(frame, "One").heads == ["accuracy"]
    assert show(frame.rename_axis("row"), "One").heads == ["row", "accuracy"]
    rows = [{"d": 16, "accuracy": 0.5}, {"d": 32, "accuracy": None}]
    assert show(rows, "Rows", digits=1).rows == [["16", "0.5"], ["32", "–"]]


@pytest.mark.parametrize(
    ("table", "caption", "digits", "named"),
    [
        ([], "Nothing", 2, "table = 'empty'"),
        ({"a": [1]}, " ", 2, "caption = ' '"),
        ({"a": [1]}, "One", {"b": 2}, r"digits = 'b': must be a column, one of \['a'\]"),
    ],
)
def test_what_cannot_be_shown_is_refused(table, caption, digits, named):
    with pytest.raises(ValueError, match=named):
        show(table, caption, digits)
