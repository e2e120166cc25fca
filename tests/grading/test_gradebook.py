"""The teacher's tables: right sums, safe cells, marks by hand that survive everything."""

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from sample_class import EXERCISES, NASTY, graded, nasty_class

from zoology_teach.grading import gradebook
from zoology_teach.grading.gradebook import count_items, items_alternative, write_gradebook
from zoology_teach.grading.ladders import EXERCISES as ALL
from zoology_teach.grading.manual import read_marks, read_rubrics
from zoology_teach.grading.records import Graded, visible
from zoology_teach.grading.safe_csv import cell

ROOT = Path(__file__).parents[2]
CLASS = [
    graded("Zoë", "zoe-00000003", ["02.a 0", "02.a 1", "02.b 0", "04.a 2"]),
    graded("ada", "ada-00000001", ["02.a 0"], status="stopped", detail="out of time"),
    graded("Bob", "bob-00000002", status="unreadable", detail="not a notebook"),
]


def table(path: Path, delimiter=",") -> list[list[str]]:
    text = path.read_bytes().decode("utf-8-sig")
    return list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))


def fill(path: Path, marks: dict[tuple[str, str], str]) -> None:
    """Write points into manual.csv as a teacher does, cell by cell."""
    rows = table(path)
    for row in rows[1:]:
        row[5] = marks.pop((row[0], row[3]), row[5])
    assert not marks
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_grades(tmp_path):
    write_gradebook(tmp_path, CLASS, EXERCISES)
    assert table(tmp_path / "grades.csv") == [
        "student 02.a 02.b 02.d 04.a 04.d total status detail key file".split(),
        "ada,1,0,,0,,1,stopped,out of time,ada-00000001,ada.ipynb".split(","),
        "Bob,0,0,,0,,0,unreadable,not a notebook,bob-00000002,Bob.ipynb".split(","),
        "Zoë,3,3,,2,,8,ok,,zoe-00000003,Zoë.ipynb".split(","),
    ]


def test_items_count_the_notebooks_that_could_be_read(tmp_path):
    write_gradebook(tmp_path, CLASS, EXERCISES)
    heading, first, second, *rest = table(tmp_path / "items.csv")
    assert heading == ["exercise", "rung", "points", "passed", "of", "share", "the likely mistake"]
    assert first == ["02.a", "rung 0", "1", "2", "2", "1.000", "mistake 0 & more"]
    assert second == ["02.a", "rung 1", "2", "1", "2", "0.500", "mistake 1 & more"]
    assert len(rest) == 4


def test_the_picture_says_what_it_shows(tmp_path):
    write_gradebook(tmp_path, CLASS, EXERCISES)
    picture = Image.open(tmp_path / "items.png")
    words = items_alternative(count_items(CLASS, EXERCISES))
    assert picture.info["Description"] == words
    assert picture.info["Title"] == "What the class did not understand: 2 notebooks"
    assert words.startswith("Bars: how many of 2 passed each rung. Fewest: 04.a rung 0 (0 of 2), ")
    assert picture.height < picture.width * 2


def test_a_picture_of_the_whole_book_shows_the_hardest_rungs(tmp_path):
    everything = list(ALL.values())
    items = count_items([], everything)
    assert len(items) > gradebook.MAX_BARS
    picture = Image.open(io.BytesIO(gradebook.items_picture(items)))
    assert f"the {gradebook.MAX_BARS} rungs of {len(items)}" in picture.info["Title"]
    assert picture.info["Description"] == "No notebook could be read."


def test_order_and_repetition_change_no_byte(tmp_path):
    for name, students in (("a", CLASS), ("b", CLASS[::-1])):
        write_gradebook(tmp_path / name, students, EXERCISES, ROOT / "solutions")
    write_gradebook(tmp_path / "b", CLASS, EXERCISES, ROOT / "solutions")
    assert files(tmp_path / "a") == files(tmp_path / "b")
    assert set(files(tmp_path / "a")) == {"grades.csv", "items.csv", "items.png", "manual.csv"}


def test_points_by_hand_are_kept_and_added(tmp_path):
    write_gradebook(tmp_path, CLASS, EXERCISES)
    manual = tmp_path / "manual.csv"
    fill(manual, {("zoe-00000003", "02.d"): "7,5", ("ada-00000001", "04.d"): " 10 "})
    marks = write_gradebook(tmp_path, CLASS[1:], EXERCISES)
    assert marks == {("zoe-00000003", "02.d"): 7.5, ("ada-00000001", "04.d"): 10}
    assert [row[6] for row in table(tmp_path / "grades.csv")[1:]] == ["11", "0"]
    write_gradebook(tmp_path, CLASS, EXERCISES)
    assert [row[6] for row in table(tmp_path / "grades.csv")[1:]] == ["11", "0", "15.5"]
    assert read_marks(manual) == marks
    write_gradebook(tmp_path, CLASS, EXERCISES[:1])
    assert read_marks(manual) == marks, "also where a re-run grades another chapter"


def test_a_teachers_own_columns_and_rows_are_kept(tmp_path):
    write_gradebook(tmp_path, CLASS, EXERCISES)
    manual = tmp_path / "manual.csv"
    rows = table(manual)
    rows[0].append("remark")
    rows[1] += ["well argued"]
    rows += [["", "", "", "", "a line of mine", ""], ["", "", "", "", "another", ""]]
    with manual.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    write_gradebook(tmp_path, CLASS, EXERCISES)
    after = table(manual)
    assert after[0][-1] == "remark" and sum(row[-1] == "well argued" for row in after) == 1
    assert {"a line of mine", "another"} <= {row[4] for row in after}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252"])
def test_as_a_spreadsheet_saves_it(tmp_path, encoding):
    write_gradebook(tmp_path, CLASS, EXERCISES)
    manual = tmp_path / "manual.csv"
    fill(manual, {("zoe-00000003", "02.d"): "7,5"})
    text = io.StringIO()
    csv.writer(text, delimiter=";", lineterminator="\r\n").writerows(table(manual))
    manual.write_bytes(text.getvalue().encode(encoding))
    assert read_marks(manual) == {("zoe-00000003", "02.d"): 7.5}
    write_gradebook(tmp_path, CLASS, EXERCISES)
    assert "Zoë" in {row[1] for row in table(manual)}


@pytest.mark.parametrize("entry", ["nine", "-1", "11", "1e1", "nan", "inf", "=7", "7 of 10", "1_0"])
def test_a_bad_entry_is_one_clear_error_and_nothing_is_written(tmp_path, entry):
    write_gradebook(tmp_path, CLASS, EXERCISES)
    fill(tmp_path / "manual.csv", {("bob-00000002", "02.d"): entry})
    before = files(tmp_path)
    with pytest.raises(ValueError) as error:
        write_gradebook(tmp_path, CLASS[:1], EXERCISES)
    assert str(error.value) == (
        f'manual.csv, row 3, column "points": {entry!r} must be a number, 0 to 10'
    )
    assert files(tmp_path) == before


HEAD = "key,student,file,question,rubric,points\n"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", 'row 1: must have one column "key"'),
        ("key,student,file,question,rubric\n", 'row 1: must have one column "points"'),
        (HEAD.replace("file", "key"), 'row 1: must have one column "key"'),
        (HEAD + ",a,,02.d,,3\n", 'row 2, column "key": must not be empty'),
        (HEAD + "k,a,,,,3\n", 'row 2, column "question": must not be empty'),
        (HEAD + "k,a,,02.d,,3\n\nk,a,,02.d,,4\n", "'4', but row 2 has 3 for the same"),
        (HEAD + '"k,a\n', "must be a CSV file"),
    ],
)
def test_a_broken_manual_file_is_one_clear_error(tmp_path, text, complaint):
    (tmp_path / "manual.csv").write_text(text)
    with pytest.raises(ValueError, match=r"^manual\.csv") as error:
        read_marks(tmp_path / "manual.csv")
    assert complaint in str(error.value)


def test_a_copied_row_loses_no_points(tmp_path):
    (tmp_path / "manual.csv").write_text(HEAD + "k,a,,02.d,,3\nk,a,,02.d,,\n")
    write_gradebook(tmp_path, CLASS, EXERCISES)
    assert read_marks(tmp_path / "manual.csv") == {("k", "02.d"): 3}


def test_rubrics_come_from_the_solutions(tmp_path):
    rubrics = read_rubrics(ROOT / "solutions")
    chapters = {path.stem[:2] for path in (ROOT / "solutions").glob("[0-9][0-9]_*.md")}
    assert set(rubrics) == {f"{chapter}.d" for chapter in chapters}
    assert all(r.startswith("A good answer") and 80 < len(r) < 2500 for r in rubrics.values())
    assert "\n" not in "".join(rubrics.values())
    write_gradebook(tmp_path, CLASS, EXERCISES, ROOT / "solutions")
    assert {row[4] for row in table(tmp_path / "manual.csv")[1:]} == {
        cell(rubrics["02.d"]),
        cell(rubrics["04.d"]),
    }


def is_formula(text: str) -> bool:
    return text.strip()[:1] in tuple("=+-@＝＋－＠") or text[:1] in ("\t", "\r")


def test_no_formula_and_no_line_break_gets_into_a_cell(tmp_path):
    write_gradebook(tmp_path, nasty_class(), EXERCISES)
    write_gradebook(tmp_path, nasty_class(), EXERCISES)
    for name, columns in (("grades.csv", 11), ("manual.csv", 6), ("items.csv", 7)):
        data = (tmp_path / name).read_bytes().decode("utf-8-sig")
        rows = table(tmp_path / name)
        assert all(len(row) == columns for row in rows)
        assert data.count("\n") == len(rows) and "\r" not in data
        assert not [c for row in rows for c in row if is_formula(c) or not c.isprintable()]
        split = [c.strip('"') for line in data.splitlines() for c in line.split(";")]
        assert not [c for c in split if is_formula(c)], "nor where Excel splits at semicolons"
    assert len(table(tmp_path / "grades.csv")) == len(NASTY) + 1


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=20) | st.text("=+-@\t\r\n;, '\"a\u00a0\u202e", max_size=8))
def test_cells_are_safe_and_safe_again(text):
    safe = cell(text)
    assert not is_formula(safe) and safe.isprintable()
    assert not any(is_formula(part) for part in safe.split(";"))
    assert cell(safe) == safe, "a re-run adds no second apostrophe"
    safe.encode()


def test_visible():
    assert visible("a\n\u202e\udcff\U000e0001\u00a0é") == "a\\n\\u202e\\udcff\\U000e0001 é"
    assert visible("a\n\tb\r", keep="\n\t") == "a\n\tb\\r"


def test_files_are_replaced_whole(tmp_path, monkeypatch):
    write_gradebook(tmp_path, CLASS, EXERCISES)
    before = files(tmp_path)

    def crash(self, target):
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", crash)
    with pytest.raises(KeyboardInterrupt):
        write_gradebook(tmp_path, CLASS[:1], EXERCISES)
    assert {name: files(tmp_path)[name] for name in before} == before


@pytest.mark.parametrize("one", [*CLASS, *nasty_class()])
def test_a_record_survives_its_line_of_json(one):
    line = one.to_json()
    assert "\n" not in line and line.isascii()
    assert Graded.from_json(line) == one and Graded.from_json(line).to_json() == line


@pytest.mark.parametrize(
    "line", ["", "{}", "[]", "3", CLASS[0].to_json()[:-9], CLASS[0].to_json().replace("ok", "fine")]
)
def test_a_cut_or_foreign_line_is_a_value_error(line):
    with pytest.raises(ValueError):
        Graded.from_json(line)
