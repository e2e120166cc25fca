"""The teacher's tables: right sums, safe cells, marks by hand that survive everything."""

import csv
import io
import re
import unicodedata
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.grading.sample_class import EXERCISES, NASTY, graded, nasty_class
from zoology_teach.grading import gradebook, manual_rows
from zoology_teach.grading.gradebook import count_items, items_alternative, write_gradebook
from zoology_teach.grading.ladder import Exercise
from zoology_teach.grading.ladders import EXERCISES as ALL
from zoology_teach.grading.manual import marked, odd_marks, open_question, read_marks, read_rubrics
from zoology_teach.grading.origins import key_of
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
        "student 02.a 02.b 02.d 04.a 04.d total late status detail key file".split(),
        "ada,1,0,,0,,1,,stopped,out of time,ada-00000001,ada.ipynb".split(","),
        "Bob,0,0,,0,,0,,unreadable,not a notebook,bob-00000002,Bob.ipynb".split(","),
        "Zoë,3,3,,2,,8,,ok,,zoe-00000003,Zoë.ipynb".split(","),
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
    assert picture.size == (8 * 120, int((1.2 + 6 * 0.24) * 120)), "a line for each rung"
    for none in ([], count_items([], EXERCISES)):
        assert items_alternative(none) == "No notebook could be read."


@pytest.mark.parametrize("earned", [True, False])
def test_the_bars_are_as_long_as_the_share_that_passed(earned):
    rungs = [f"{e.id} {n}" for e in EXERCISES for n in range(len(e.rungs))] if earned else []
    for readable in (True, False):
        status = "ok" if readable else "unreadable"
        items = count_items([graded("a", "a-0", rungs, status=status)], EXERCISES)
        picture = Image.open(io.BytesIO(gradebook.items_picture(items))).convert("RGB")
        colours = {colour: count for count, colour in picture.getcolors(1 << 24)}
        passed = colours.get((0x00, 0x72, 0xB2), 0)
        assert (passed > 10_000) == (earned and readable)


def test_a_rung_may_be_called_anything():
    odd = Exercise("99.a", "f", "Odd", minutes=1, difficulty=1)
    odd.rung(r"costs $\frac$", 1, "mistake")(lambda call, generator: None)
    assert gradebook.items_picture(count_items(CLASS[:1], [odd])).startswith(b"\x89PNG")


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
        f'{tmp_path}/manual.csv, row 3, column "points": {entry!r} must be a number, 0 to 10'
    )
    assert files(tmp_path) == before


HEAD = "key,student,file,question,rubric,points\n"


@pytest.mark.parametrize("question", ["02.d", "02.a"])
def test_marks_from_nothing_to_the_most_that_the_question_can_earn(tmp_path, question):
    most = ALL[question].points if question in ALL else 10
    for entry in ("0", "0.", "0,5", "00.25", str(most), f"{most}.00"):
        (tmp_path / "manual.csv").write_text(HEAD + f'k,a,,{question},,"{entry}"\n')
        assert read_marks(tmp_path / "manual.csv") == {
            ("k", question): float(entry.replace(",", "."))
        }
    for entry in (f"{most}.01", str(most + 1), ".5", "1.5.5", "+1", "1x"):
        (tmp_path / "manual.csv").write_text(HEAD + f"k,a,,{question},,{entry}\n")
        with pytest.raises(ValueError, match=rf"row 2.*must be a number, 0 to {most}$"):
            read_marks(tmp_path / "manual.csv")


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
        (HEAD + "k,a,,02.d,,7,5\n", "row 2: has 7 cells, and the heading 6; quote a cell with ','"),
        (HEAD[:-1] + ",comment\nk,a,,02.d,,7,5\n", "row 2, column \"comment\": '5' must be more"),
        (HEAD[:-1] + ",comment,comment\n", 'row 1: must have one column "comment"'),
    ],
)
def test_a_broken_manual_file_is_one_clear_error(tmp_path, text, complaint):
    (tmp_path / "manual.csv").write_text(text)
    with pytest.raises(ValueError, match=rf"^{tmp_path}/manual\.csv") as error:
        read_marks(tmp_path / "manual.csv")
    assert complaint in str(error.value)


def test_a_comment_is_one_line_of_words(tmp_path):
    line = 'k,a,,02.d,,3,"  All   there.\n\tBut why? "'
    (tmp_path / "manual.csv").write_text(HEAD[:-1] + f",comment\n{line}\n")
    _, (row,) = manual_rows.read(tmp_path / "manual.csv")
    assert row["comment"] == "All there. But why?" and row["points"] == "3"


def test_columns_with_one_heading_or_none_are_all_kept(tmp_path):
    head = HEAD.replace("\n", ",remark,remark,\n").replace("key,", "mine,key,")
    (tmp_path / "manual.csv").write_text(head + "0,k,a,,02.d,,3,1,2,3\n9,k,a,,02.d,,,4,5,6\n")
    for _ in range(2):
        write_gradebook(tmp_path, CLASS, EXERCISES)
    rows = table(tmp_path / "manual.csv")
    assert rows[0] == [*HEAD.strip().split(","), "mine", "remark", "remark", ""]
    assert sorted(row[5:] for row in rows if row[0] == "k") == [
        ["", "9", "4", "5", "6"],
        ["3", "0", "1", "2", "3"],
    ]


def test_empty_cells_that_a_spreadsheet_adds_are_nothing(tmp_path):
    (tmp_path / "manual.csv").write_text(HEAD.replace("\n", ",,\n") + "k,a,,02.d,,3,,,,\n")
    write_gradebook(tmp_path, CLASS, EXERCISES)
    assert table(tmp_path / "manual.csv")[0] == HEAD.strip().split(",")
    assert read_marks(tmp_path / "manual.csv") == {("k", "02.d"): 3}


def said(out: Path, students) -> list[str]:
    """What is odd about the marks, each with the row that it is about."""
    write_gradebook(out, students, EXERCISES)
    rows = ["", *table(out / "manual.csv")]
    notes = list(odd_marks(out / "manual.csv", students, EXERCISES))
    for note in notes:
        if match := re.match(rf"{out}/manual\.csv, row (\d+): the mark (\S+) for (\S+) ", note):
            row = rows[int(match[1])]
            assert (row[5], row[3]) == (match[2], match[3]), "it names the right row"
    return [note.removeprefix(f"{out}/manual.csv, ") for note in notes]


def test_a_mark_that_matches_nothing_is_said(tmp_path):
    lines = [
        "who,x,,02.d,,3",
        "ada-00000001,ada,,2.d,,4",
        "ada-00000001,ada,,07.a,,1",
        "x,,,02.d,,",
    ]
    (tmp_path / "manual.csv").write_text(HEAD + "\n".join(lines))
    notes = " | ".join(said(tmp_path, CLASS))
    assert "the mark 3 for 02.d counts for nobody: no student here has the key 'who'" in notes
    assert "the mark 4 for 2.d does not count: that is no exercise or open question" in notes
    assert "the mark 1 for 07.a does not count" in notes and notes.count("the mark") == 3


def test_one_open_mark_raises_the_maximum_with_a_word(tmp_path):
    assert said(tmp_path, CLASS) == []
    fill(tmp_path / "manual.csv", {("zoe-00000003", "02.d"): "7"})
    assert said(tmp_path, CLASS) == [
        "02.d: 1 of 3 answers marked; its 10 points are in everybody's maximum, and who has no "
        "mark has none of them"
    ]
    overruled = "ada-00000001,ada,,02.a,,3"
    (tmp_path / "manual.csv").write_text(HEAD + overruled)
    assert said(tmp_path, CLASS) == [], "an overruled ladder is no open answer"
    marks = read_marks(tmp_path / "manual.csv")
    assert marked(CLASS, EXERCISES, marks) == {"02.d": 0, "04.d": 0}


def test_a_mark_for_an_earlier_submission_is_flagged_until_it_is_read(tmp_path):
    first, second = (replace(CLASS[0], handed_in=c * 12) for c in "ab")
    said(tmp_path, [first])
    fill(tmp_path / "manual.csv", {(first.key, "02.d"): "7"})
    assert said(tmp_path, [first]) == []
    moved = replace(first, file="elsewhere/Zoë.ipynb")
    assert said(tmp_path, [moved]) == [], "the same bytes in another place are the same answer"
    flag = "was given to an earlier submission of Zoë; when you have read the new one, empty"
    for _ in range(2):
        (note,) = said(tmp_path, [second])
        assert "the mark 7 for 02.d " + flag in note
    rows = table(tmp_path / "manual.csv")
    for row in rows[1:]:
        row[2] = ""
    with (tmp_path / "manual.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    assert said(tmp_path, [second]) == [] and said(tmp_path, [second]) == []
    assert said(tmp_path, [first]) != []


def test_a_ladder_overruled_for_an_earlier_submission_is_flagged_too(tmp_path):
    first, second = (replace(CLASS[0], handed_in=c * 12) for c in "ab")
    (tmp_path / "manual.csv").write_text(HEAD + f"{first.key},,,02.a,,3\n")
    assert said(tmp_path, [first]) == []
    (note,) = said(tmp_path, [second])
    assert "the mark 3 for 02.a was given to an earlier submission of Zoë" in note


@pytest.mark.parametrize("old", ["NFC", "NFD"])
def test_marks_under_the_key_of_another_spelling_count(tmp_path, old):
    name = unicodedata.normalize(old, "Zoë Müller")
    key = key_of(name, f":{name}")
    (tmp_path / "manual.csv").write_text(HEAD + f"{key},x,,02.d,,7\n", encoding="utf-8")
    today = unicodedata.normalize("NFC", "Zoë Müller")
    one = graded(today, key_of(today, f":{today}"))
    assert write_gradebook(tmp_path, [one], EXERCISES) == {(one.key, "02.d"): 7}
    assert [row[0] for row in table(tmp_path / "manual.csv")[1:]] == [one.key] * 2
    assert list(odd_marks(tmp_path / "manual.csv", [one], EXERCISES)) == []


def test_late_is_what_canvas_says(tmp_path):
    files = ["ada_LATE_7_9_02.ipynb", "ben_8_10_02.ipynb", "eve_9_11_x_LATE_7_9_02.ipynb"]
    keys = [key_of("x", f"canvas:{n}") for n in (7, 8, 9)]
    students = [graded("x", key, file=file) for key, file in zip(keys, files, strict=True)]
    students.append(graded("mal", file="mal/ada_LATE_7_9_02.ipynb"))
    write_gradebook(tmp_path, students, EXERCISES)
    late = {row[-1]: row[-5] for row in table(tmp_path / "grades.csv")}
    assert late == {
        "file": "late",
        files[0]: "LATE",
        files[1]: "",
        files[2]: "",
        "mal/ada_LATE_7_9_02.ipynb": "",
    }


def test_a_copied_row_loses_no_points(tmp_path):
    (tmp_path / "manual.csv").write_text(HEAD + "k,a,,02.d,,3\nk,a,,02.d,,\n")
    write_gradebook(tmp_path, CLASS, EXERCISES)
    assert read_marks(tmp_path / "manual.csv") == {("k", "02.d"): 3}


def test_copies_of_a_row_that_say_nothing_go_and_all_others_stay(tmp_path):
    lines = [
        "k,a,,02.d,,,",  # a copy in which nothing is written, before and after
        "k,a,,02.d,,3,",
        "k,a,,02.d,,3,",
        "k,a,,02.d,,,well argued",
        "k,a,,02.d,,,",
        "k,a,,04.d,,,",
        "k,a,,04.d,,,",
        ",,,02.d,mine,,",
        ",,,02.d,mine,,",
        ",,,,,,",
    ]
    (tmp_path / "manual.csv").write_text(HEAD.replace("\n", ",remark\n") + "\n".join(lines))
    write_gradebook(tmp_path, [], EXERCISES)
    rows = [(r[0], r[3], r[5], r[6]) for r in table(tmp_path / "manual.csv")[1:]]
    assert sorted(rows) == [
        ("", "02.d", "", ""),
        ("", "02.d", "", ""),
        ("k", "02.d", "", "well argued"),
        ("k", "02.d", "3", ""),
        ("k", "02.d", "3", ""),
        ("k", "04.d", "", ""),
    ]


def test_the_open_question_is_the_first_that_no_ladder_grades():
    assert [open_question(chapter) for chapter in ("02", "13", "20")] == ["02.d", "13.e", "20.d"]


def test_rubrics_come_from_the_solutions(tmp_path):
    rubrics = read_rubrics(ROOT / "solutions")
    chapters = {path.stem[:2] for path in (ROOT / "solutions").glob("[0-9][0-9]_*.md")}
    assert set(rubrics) == {open_question(chapter) for chapter in chapters} | {"06.f"}
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
    for name, columns in (("grades.csv", 12), ("manual.csv", 6), ("items.csv", 7)):
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

    def crash(source, target):
        raise KeyboardInterrupt

    monkeypatch.setattr("os.replace", crash)
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
