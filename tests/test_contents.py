"""The book's own pages: the map, the glossary, and the way from chapter to chapter."""

import re
from pathlib import Path

import pytest

from zoology_teach import chapters, contents
from zoology_teach.grading.ladders import EXERCISES

BOOK = Path(__file__).parents[1] / "book"
SOURCES = contents.chapters(BOOK)
PAGES = ["index", "glossary"]


@pytest.fixture
def folder(tmp_path):
    """A book of three chapters."""
    (tmp_path / "index.md").write_text("# The map\n")
    for number, name in enumerate(("one", "two", "three")):
        words = f"**Word {number}** $w$: meant here. **Same**: as in {name}.\n\n"
        text = f"# 0{number} · Chapter {name}\n\nText.\n\n## Summary and words\n\n{words}## End\n"
        (tmp_path / f"0{number}_{name}.md").write_text(text)
    return tmp_path


def test_a_chapter_leads_to_its_neighbours_from_top_and_bottom(folder):
    source = folder / "01_two.md"
    whole = contents.complete(source, source.read_text())
    line = (
        "[Contents](index.ipynb) · chapter 01 of 02 · previous: [00 Chapter one](00_one.ipynb) · "
        "next: [02 Chapter three](02_three.ipynb) · [Words](glossary.ipynb)"
    )
    assert whole.startswith(f"# 01 · Chapter two\n\n{line}\n\nText.\n")
    assert whole.endswith(f"## End\n\n{line}\n") and whole.count(line) == 2
    assert contents.complete(source, whole) == whole
    assert "previous" not in contents.navigation(folder / "00_one.md")
    assert "next" not in contents.navigation(folder / "02_three.md")


def test_a_line_of_another_time_is_replaced(folder):
    source = folder / "01_two.md"
    source.write_text(contents.complete(source, source.read_text()))
    (folder / "02_three.md").rename(folder / "02_third.md")
    whole = contents.complete(source, source.read_text())
    assert whole.count("02_third.ipynb") == 2 and "02_three" not in whole


def test_the_glossary_has_every_word_once_with_its_chapters(folder):
    assert contents.glossary(folder).splitlines() == [
        "- **Same**: As in one. ([00](00_one.ipynb)) As in two. ([01](01_two.ipynb)) "
        "As in three. ([02](02_three.ipynb))",
        "- **Word 0** $w$: Meant here. ([00](00_one.ipynb))",
        "- **Word 1** $w$: Meant here. ([01](01_two.ipynb))",
        "- **Word 2** $w$: Meant here. ([02](02_three.ipynb))",
    ]


def test_what_is_no_chapter_of_a_book_stays_as_it_is(folder, tmp_path_factory):
    alone = tmp_path_factory.mktemp("alone") / "00_alone.md"
    alone.write_text("# 00 · Alone\n")
    assert contents.complete(alone, alone.read_text()) == "# 00 · Alone\n"
    for name in ("index.md", "teaching.md"):
        assert contents.complete(folder / name, "# A page\n") == "# A page\n"


@pytest.mark.parametrize("page", PAGES)
def test_the_pages_of_the_book_are_built(page):
    source = BOOK / f"{page}.md"
    assert contents.complete(source, source.read_text()) == source.read_text()
    assert chapters.in_step(source), f"run: zoology-teach build book/{page}.md"
    for target in re.findall(r"\]\((?!https?://)([^)]+)\)", source.read_text()):
        assert (BOOK / target).exists(), target


def test_every_chapter_has_words_in_the_glossary():
    glossary = contents.glossary(BOOK)
    assert [s.stem for s in SOURCES if f"({s.stem}.ipynb)" not in glossary] == LACKING


LACKING = ["03_look_anywhere"]  # its words are still to be listed


@pytest.mark.parametrize("source", SOURCES, ids=[s.stem for s in SOURCES])
def test_the_map_says_what_the_chapter_says(source):
    map_ = (BOOK / "index.md").read_text()
    row = re.search(rf"^\| {source.stem[:2]} \[(.+?)\]\({source.stem}\.ipynb\) \|(.+)$", map_, re.M)
    assert row and row[1] == contents.title(source)
    head = source.read_text()
    minutes, needs = row[2].split("|")[:2]
    assert int(minutes) == int(re.search(r"\*\*Reading\*\* (\d+) minutes", head)[1])
    assert _numbers(needs) == _numbers(re.search(r"\*\*Needs\*\* (.+)", head)[1])
    line = re.search(rf"^- {source.stem[:2]}: \[(.+)\]\(\.\./exercises/{source.stem}\.", map_, re.M)
    for exercise in (e for id, e in EXERCISES.items() if id.startswith(source.stem[:2])):
        assert exercise.title.replace(",", "").lower() in line[1].replace(",", "").lower()


def _numbers(needs: str) -> set[int]:
    """The chapters named; "02 to 05" and "02–05" are four."""
    found = {int(n) for n in re.findall(r"\d\d", needs)}
    for first, last in re.findall(r"(\d\d)(?: to |–)(\d\d)", needs):
        found |= set(range(int(first), int(last)))
    return found
