"""Files for learning platforms, read back by the rules of the platforms' own importers."""

import csv
import io
import json
from html.parser import HTMLParser

import pytest

from tests.grading.sample_class import EXERCISES, NASTY, graded, nasty_class
from zoology_teach.grading.exports import export
from zoology_teach.grading.notebooks import as_notebook
from zoology_teach.grading.submissions import collect

EARNED = ["02.a 0", "02.b 0", "04.a 2"]


def rows(path) -> list[list[str]]:
    return list(csv.reader(io.StringIO(path.read_bytes().decode(), newline=""), strict=True))


def collected(tmp_path, *names):
    """Graded submissions with the keys and files that `collect` gives to these paths."""
    for name in names:
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_bytes(as_notebook(["x = 1"]))
    found, _ = collect(tmp_path / "in")
    return [graded(s.student, s.key, EARNED, file=s.file) for s in found]


def test_canvas_finds_its_own_numbers(tmp_path):
    students = collected(
        tmp_path,
        "doejohn_LATE_101_9001_02_write.ipynb",
        "müllerzoë_103_9004_04_gate.ipynb",
        "müllerzoë_103_9003_02_write.ipynb",
    )
    (path,) = export("canvas", students, EXERCISES, tmp_path, {(students[0].key, "02.d"): 7.5})
    heading, possible, *rest = rows(path)
    # What lib/gradebook_importer.rb of Canvas asks of the first row and looks for in the second
    assert heading[:5] == ["Student", "ID", "SIS User ID", "SIS Login ID", "Section"]
    assert heading[5:] == ["Exercises 02", "Exercises 04"]
    assert "Points Possible" in possible[0] and possible[5:] == ["16", "4"]
    assert rest == [
        ["doejohn", "101", "", "", "", "11.5", "2"],
        ["müllerzoë", "103", "", "", "", "4", "2"],
    ]


def test_moodle_finds_its_own_numbers(tmp_path):
    students = collected(
        tmp_path,
        "Ada Lovelace_12345_assignsubmission_file_/02_write.ipynb",
        "Eve_12347_assignsubmission_file_/doejohn_5_9_02.ipynb",
    )
    (path,) = export("moodle", students, EXERCISES, tmp_path)
    table = [dict(zip(rows(path)[0], row, strict=True)) for row in rows(path)[1:]]
    # The three columns without which Moodle's importer stops, and the comment it stores
    assert [row["Identifier"] for row in table] == ["Participant 12345", "Participant 12347"]
    assert [row["Grade"] for row in table] == ["6", "6"]
    assert [row["Last modified (grade)"] for row in table] == ["", ""]
    assert [row["Maximum Grade"] for row in table] == ["10", "10"]
    assert table[0]["Feedback comments"] == (
        "02.a Answer &lt;by&gt; the definition: 1 of 3; lost rung 1: why<br>"
        "02.b Run the race: 3 of 3<br>"
        "04.a A causal convolution: 2 of 4; lost rung 0: why"
    )


@pytest.mark.parametrize("kind", ["canvas", "moodle"])
def test_no_number_is_taken_from_a_name_that_a_student_chose(tmp_path, kind):
    students = collected(
        tmp_path,
        "eve/doejohn_101_9001_02.ipynb",
        "mal/x/Ada_12345_assignsubmission_file_/02.ipynb",
        "bob.ipynb",
    )
    (path,) = export(kind, students, EXERCISES, tmp_path)
    column = rows(path)[0].index({"canvas": "ID", "moodle": "Identifier"}[kind])
    assert {row[column] for row in rows(path)[1:]} == {""}


def test_gradescope_reads_a_test_for_each_rung(tmp_path):
    one = graded("Ada", earned=EARNED, status="stopped", detail="out of time")
    (path,) = export("gradescope", [one], EXERCISES, tmp_path, {(one.key, "04.d"): 7.5})
    assert path == tmp_path / "gradescope" / one.key / "results.json"
    results = json.loads(path.read_text())
    assert set(results) == {"score", "output", "tests"}
    assert results["score"] == sum(test["score"] for test in results["tests"]) == 13.5
    assert sum(test["max_score"] for test in results["tests"]) == 20
    assert results["output"] == "out of time"
    assert results["tests"][1] == {
        "name": "02.a Answer <by> the definition: rung 1",
        "score": 0,
        "max_score": 2,
        "output": "why",
        "output_format": "text",
    }


def test_who_is_not_marked_yet_is_told_and_who_has_left_changes_nothing(tmp_path):
    ada, ben = graded("Ada", "ada-00000001", EARNED), graded("Ben", "ben-00000002", EARNED)
    marks = {(ada.key, "02.d"): 7.5, ("left-00000003", "04.d"): 9}
    (path,) = export("moodle", [ada, ben], EXERCISES, tmp_path, marks)
    table = [dict(zip(rows(path)[0], row, strict=True)) for row in rows(path)[1:]]
    assert [row["Maximum Grade"] for row in table] == ["20", "20"], "02.d, but no 04.d"
    comments = [row["Feedback comments"].split("<br>")[3:] for row in table]
    assert comments == [["02.d: 7.5 of 10"], ["02.d: not marked yet"]]
    (path,) = export("canvas", [ada, ben], EXERCISES, tmp_path, marks)
    assert [row[5:] for row in rows(path)[1:]] == [["16", "4"], ["11.5", "2"], ["4", "2"]]


class Tags(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.found = set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.add((tag, *attrs))


@pytest.mark.parametrize("kind", ["canvas", "moodle"])
def test_nothing_that_acts_gets_in(tmp_path, kind):
    (path,) = export(kind, nasty_class(), EXERCISES, tmp_path)
    data = path.read_bytes().decode()
    assert data.count("\n") == len(rows(path)) == len(NASTY) + (2 if kind == "canvas" else 1)
    cells = [cell for row in rows(path) for cell in row]
    assert not [c for c in cells if c.strip()[:1] in tuple("=+-@＝") or not c.isprintable()]
    if kind == "moodle":  # Moodle stores the comment as HTML
        assert all(Tags(row[-1]).found <= {("br",)} for row in rows(path))


def test_order_changes_no_byte(tmp_path):
    for kind in ("canvas", "moodle", "gradescope"):
        students = nasty_class()
        first = {p: p.read_bytes() for p in export(kind, students, EXERCISES, tmp_path)}
        again = {p: p.read_bytes() for p in export(kind, students[::-1], EXERCISES, tmp_path)}
        assert first == again


def test_another_kind_is_one_clear_error(tmp_path):
    with pytest.raises(ValueError, match="export = 'blackboard': must be one of"):
        export("blackboard", [], EXERCISES, tmp_path)
