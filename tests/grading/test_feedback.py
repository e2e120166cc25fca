"""Feedback pages: every rung and reason, nothing that acts, readable without seeing colours."""

import re
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.grading.sample_class import EXERCISES, NASTY, graded, nasty_class
from zoology_teach.grading.check import Report
from zoology_teach.grading.feedback import NO_SANDBOX, page, write_feedback
from zoology_teach.grading.ladder import Outcome
from zoology_teach.grading.records import visible

TAGS = set(
    "html head meta title style body main h1 h2 p strong bdi pre table caption thead tbody tr th td"
    "".split()
)
ATTRIBUTES = set("lang charset http-equiv content name scope class tabindex dir role".split())
ATTRIBUTES |= {"aria-label"}
ONE = graded(
    "Ada",
    earned=["02.a 0", "02.b 0"],
    reason="at [0, 3] you return 5, expected 7",
    output={"02.a": "line 1\n\tline 2\n", "02.b": "passed, so not shown"},
    cells=((3, "NameError: name 'x' is not defined"),),
)


class Page(HTMLParser):
    """Tags, attributes and text of a page; fails on tags that do not nest."""

    def __init__(self, text: str):
        super().__init__()
        self.tags, self.attributes, self.words, self.open = set(), [], [], []
        self.feed(text)
        self.close()
        assert not self.open
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes += attrs
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] not in (["style"], ["title"]):
            self.words.append(data)


def test_every_rung_with_points_and_reason():
    text = Page(page(ONE, EXERCISES)).text
    assert "02.a Answer <by> the definition 1 of 3" in text
    assert "rung 0 ✓ passed 1 of 1" in text
    assert "rung 1 ✗ not yet 0 of 2 at [0, 3] you return 5, expected 7" in text
    assert "Total 4 of 10" in text
    assert "3 NameError: name 'x' is not defined" in text
    assert "line 1 line 2" in text and "passed, so not shown" not in text
    assert "02.d open question, read by your teacher not marked yet" in text
    assert NO_SANDBOX not in text


def test_a_reason_that_many_rungs_share_is_said_once():
    one = graded("Ada", reason="the function `conv` is not defined")
    text = page(one, EXERCISES)
    assert text.count("is not defined") == len(EXERCISES)
    assert text.count("✗ not yet") == len(EXERCISES) + 3, "the others wait"


def test_of_many_failed_cells_some_are_shown():
    alike = [(n, "NameError: name 'x'") for n in (1, 2, 3, 5)]
    many = [(n, f"ValueError: {n}") for n in range(100, 2000)]
    text = Page(page(graded(cells=(*alike, *many)), EXERCISES)).text
    assert "1 to 3 NameError: name 'x' 5 NameError: name 'x' 100 ValueError: 100" in text
    assert "117 ValueError: 117 And 1882 more." in text and len(text) < 3000


def test_points_by_hand():
    marks = {("ada-00000001", "02.d"): 7.5, ("bob-00000002", "04.d"): 9}
    text = Page(page(ONE, EXERCISES, marks)).text
    assert "read by your teacher 7.5 of 10" in text and "Total 11.5 of 20" in text


@pytest.mark.parametrize(
    ("status", "words"),
    [("stopped", "The run was stopped"), ("unreadable", "no notebook that could be run")],
)
def test_what_went_wrong_as_a_whole(status, words):
    text = Page(page(graded(status=status, detail="It is a PDF."), EXERCISES)).text
    assert words in text and "It is a PDF." in text


def test_without_a_sandbox_it_says_so_in_large_letters():
    text = page(ONE, EXERCISES, sandboxed=False)
    assert NO_SANDBOX in text and 'class="warning"' in text
    assert re.search(r"\.warning \{[^}]*font-size: 1\.6rem", text)


def test_for_readers_who_do_not_see_it():
    text = page(ONE, EXERCISES)
    parsed = Page(text)
    assert '<html lang="en">' in text and "<title>Feedback for Ada</title>" in text
    assert text.count("<h1>") == 1 and text.count("<h2>") == len(EXERCISES) + 1
    assert text.count("<table>") == text.count("<caption>") == len(EXERCISES) + 2
    assert parsed.attributes.count(("scope", "col")) == 2 + 4 * len(EXERCISES) + 2
    assert text.count("<tr") - text.count("<thead><tr") == text.count('<th scope="row">')
    assert text.count("✗ not yet") == text.count('class="lost"') == 4, "not by colour alone"


def harmless(text: str) -> None:
    parsed = Page(text)
    assert parsed.tags <= TAGS
    assert {name for name, _ in parsed.attributes} <= ATTRIBUTES
    assert "default-src 'none'" in text and "script-src" not in text
    shown = text.replace("\n", "").replace("\t", "")
    assert shown.isprintable(), "no control or bidirectional character"


@pytest.mark.parametrize("one", nasty_class(), ids=range(len(NASTY)))
def test_nothing_that_acts_gets_in(one):
    text = page(one, EXERCISES, sandboxed=False)
    harmless(text)
    assert " ".join(visible(one.student).split()) in Page(text).text, "but all of it is shown"


@pytest.mark.parametrize("text", NASTY)
def test_a_table_of_a_check_shows_text_as_text(text):
    report = Report(EXERCISES[0], [Outcome(text, 2, 0, text), Outcome("rung", 1, 1)])
    table = Page(report._repr_html_())
    assert table.tags <= {"b", "table", "tr", "td"}
    assert "Answer <by> the definition" in table.text and "1 of 3 points" in table.text
    assert "✗ 0/2" in table.text and "✓ 1/1" in table.text


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=30) | st.text("<>&\"'=/! -scriptbdi", max_size=30))
def test_any_text_stays_text(text):
    class_ = nasty_class(lambda _: text)
    harmless(page(class_[0], EXERCISES))


def test_the_policy_allows_exactly_its_own_style(playwright, chromium, tmp_path):
    evil = graded('"><script>document.title="x"</script>', reason="<svg onload=alert(1)>")
    injected = page(evil, EXERCISES).replace(
        "</main>", "<script>document.title='ran'</script><b style='color:red'>b</b></main>"
    )
    (tmp_path / "a.html").write_text(injected)
    browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
    tab = browser.new_page()
    tab.goto((tmp_path / "a.html").as_uri())
    assert tab.title().startswith("Feedback for")
    width = tab.evaluate("getComputedStyle(document.body).maxWidth")
    colour = tab.evaluate("getComputedStyle(document.querySelector('b')).color")
    browser.close()
    assert width == "800px", "its own style holds"
    assert colour == "rgb(26, 26, 26)", "a style that came with a submission does not"


def test_one_page_for_each_key(tmp_path):
    class_ = nasty_class()
    paths = write_feedback(tmp_path, class_, EXERCISES)
    assert [path.name for path in paths] == [f"{one.key}.html" for one in class_]
    before = [path.read_bytes() for path in paths]
    write_feedback(tmp_path, class_[::-1], EXERCISES)
    assert [path.read_bytes() for path in paths] == before
    assert sorted((tmp_path / "feedback").iterdir()) == sorted(paths)
