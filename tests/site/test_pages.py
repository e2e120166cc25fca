"""Every page, from file:// and over http: nothing missing, nothing fetched, nothing too wide."""

import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from urllib.parse import unquote, urljoin, urlparse

import pytest

MOST_OF_A_PAGE, MOST_OF_ALL = 700_000, 20_000_000


def wrong(visits, look):
    """What `look` returns of the pages of which it returns something."""
    found = {page: look(seen) for page, seen in visits.items()}
    return {page: what for page, what in found.items() if what}


def test_nothing_is_asked_of_another_host_and_nothing_complains(visits):
    assert len(visits) > 50
    assert wrong(visits, lambda seen: seen.elsewhere + seen.complaints) == {}


def test_no_page_scrolls_sideways(visits):
    assert wrong(visits, lambda seen: seen.desk["sideways"] > 0) == {}
    assert wrong(visits, lambda seen: seen.phone["sideways"] > 0) == {}


def test_formulas_are_html_and_mathml(visits):
    assert wrong(visits, lambda s: s.desk["formulas"] - s.desk["whole_formulas"]) == {}
    assert visits["book/07_memory_is_a_budget.html"].desk["formulas"] > 50


def test_pictures_are_there_and_have_words(visits):
    assert wrong(visits, lambda seen: seen.desk["bare_pictures"]) == {}


def test_no_picture_is_squeezed(visits):
    assert wrong(visits, lambda seen: seen.desk["squeezed"] + seen.phone["squeezed"]) == {}


def test_there_is_a_light_and_a_dark_theme(visits):
    def brightness(look):
        return sum(map(int, re.findall(r"\d+", look["background"])[:3])) / 3

    assert wrong(visits, lambda seen: brightness(seen.desk) < 240) == {}
    assert wrong(visits, lambda seen: brightness(seen.phone) > 60) == {}


def test_widgets_live(visits):
    assert wrong(visits, lambda seen: seen.desk["widgets"] - seen.desk["alive"]) == {}
    assert sum(seen.desk["widgets"] for seen in visits.values()) > 0


def test_pages_and_the_site_are_light(visits, site):
    def weight(seen):
        return sum((site / path).stat().st_size for path in seen.loaded)

    assert wrong(visits, lambda seen: weight(seen) > MOST_OF_A_PAGE and weight(seen)) == {}
    assert sum(p.stat().st_size for p in site.rglob("*") if p.is_file()) <= MOST_OF_ALL


class Links(HTMLParser):
    """The targets and the places of a page."""

    def __init__(self, text: str):
        super().__init__()
        self.targets, self.places = set(), set()
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.targets |= {given[name] for name in ("href", "src") if given.get(name)}
        self.places |= {given[name] for name in ("id", "name") if given.get(name)}


@pytest.fixture(scope="module")
def linked(site, pages) -> dict[str, Links]:
    return {page: Links((site / page).read_text()) for page in pages}


def test_every_link_within_the_site_leads_somewhere(site, linked):
    lost = []
    for page, links in linked.items():
        for target in links.targets:
            parts = urlparse(urljoin(page, target))
            if parts.scheme or target.startswith("#!"):
                continue
            path = unquote(parts.path) or page
            place = unquote(parts.fragment)
            exists = (site / path).is_file()
            if not exists or (place and path in linked and place not in linked[path].places):
                lost.append(f"{page}: {target}")
    assert lost == []


def test_every_link_to_elsewhere_has_the_form_of_one(linked):
    targets = {target for links in linked.values() for target in links.targets}
    outside = {target for target in targets if urlparse(target).scheme}
    assert len(outside) > 25
    assert {t for t in outside if not re.fullmatch(r"https://[\w.-]+\.\w+(/\S*)?", t)} == set()


def test_a_chapter_leads_to_the_next_and_back(site, linked):
    chapters = sorted(page for page in linked if re.match(r"book/\d\d_", page))
    for before, after in pairwise(chapters):
        assert Path(after).name in {t.split("#")[0] for t in linked[before].targets}
        assert Path(before).name in {t.split("#")[0] for t in linked[after].targets}


def test_papers_are_cited_with_their_numbers(site):
    chapter = (site / "book" / "06_turn_the_width_knob.html").read_text()
    assert len(set(re.findall(r'bibliography\.html#(id\d+)"', chapter))) >= 3
    library = (site / "api" / "mixers.html").read_text()
    behind = library.partition("arXiv:2312.00752</a>")[2][:200]
    assert re.search(
        r'bibtex-citation.*bibliography\.html#id\d+" title="Albert Gu and Tri Dao', behind
    )
    listed = (site / "bibliography.html").read_text()
    assert "selective state spaces" in listed and "abs/2312.00752" in listed


def test_no_repository_no_links_into_it(site, pages):
    assert not [page for page in pages if 'class="launch"' in (site / page).read_text()]


def test_github_pages_serves_the_folders_that_begin_with_an_underscore(site):
    assert (site / ".nojekyll").is_file()


def test_exercises_do_not_hold_solutions(site):
    exercise = (site / "exercises" / "02_write_the_task.html").read_text()
    assert "your code here" in exercise and "One dict for each row" in exercise
    assert "labels = torch.full_like" not in exercise.replace("<span class=", "")
    text = re.sub(r"<[^>]+>", "", exercise)
    assert "NotImplementedError" in text and "torch.full_like(inputs, -100)" not in text
