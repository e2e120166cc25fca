"""Marks are given, merged and taken back without anything lost; strangers get nothing."""

import base64
import csv
import hashlib
import http.client
import io
import json
import threading
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from typer.testing import CliRunner

from tests.grading.sample_class import write_class
from zoology_teach import cli, files
from zoology_teach.grading import marking_pages, marks
from zoology_teach.grading.grade import grade, load
from zoology_teach.grading.marking import Marking, address
from zoology_teach.grading.marking_server import Server
from zoology_teach.grading.marks import NO_MARK, ChangedMeanwhile, Mark, checked
from zoology_teach.grading.rendering import style
from zoology_teach.grading.settings import GRADED

ROOT = Path(__file__).parents[2]
NAMES = ["Ada", "Bob", "Zoë"]


@pytest.fixture
def out(tmp_path) -> Path:
    write_class(tmp_path / "out", {name: {"02.d": f"By {name}."} for name in NAMES}, ["02"])
    return tmp_path / "out"


@pytest.fixture
def marking(out) -> Marking:
    return Marking(out, ROOT / "solutions")


def manual(out: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO((out / "manual.csv").read_text("utf-8-sig"))))


def rewrite(out: Path, rows: list[dict[str, str]], delimiter=",") -> None:
    """As a spreadsheet saves it."""
    with (out / "manual.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0], delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)


def given(out: Path) -> dict[str, Mark]:
    graded = load(out)
    names = {g.key: g.student for g in graded}
    return {names[key]: m for (key, _), m in marks.read(out / "manual.csv", graded).items()}


def complaint(*words) -> str:
    done = CliRunner().invoke(cli.app, ["mark", *map(str, words)])
    assert done.exit_code == 2, done.output
    return done.output


def test_a_chapter_may_have_two_open_questions_with_a_rubric_each(tmp_path):
    write_class(tmp_path / "out", {"Ada": {"06.d": "Equal.", "06.f": "It held."}}, ["06"])
    marking = Marking(tmp_path / "out", ROOT / "solutions")
    assert [q.title for q in marking.questions.values()] == ["A fair comparison", "What came of it"]
    comparison, report = marking.questions.values()
    assert comparison.rubric.startswith("A good answer names what is held equal")
    assert comparison.rubric.endswith("`book/results/figure2.csv`.")
    assert report.text.endswith("is worth as much as one that held.")
    assert report.rubric.endswith("another budget, another mixer (1).")


def test_a_mark_reaches_every_file_before_it_is_said(marking, out):
    ada = marking.graded[0]
    marking.give(ada, "02.d", checked("7,5", "Well  said.\nBut why?", "02.d"), NO_MARK)
    assert given(out) == {"Ada": Mark("7.5", "Well said. But why?")}
    (row,) = [r for r in manual(out) if r["student"] == "Ada"]
    assert row["file"] == f"Ada.ipynb @{'0' * 12}", "the submission that was read"
    page = (out / "feedback" / f"{ada.key}.html").read_text()
    assert "7.5 of 10" in page and "Well said. But why?" in page
    assert "Ada,0,0,0,7.5,7.5," in (out / "grades.csv").read_text()
    marking.give(ada, "02.d", NO_MARK, Mark("7.5", "Well said. But why?"))
    assert given(out) == {}
    assert "Well said" not in (out / "feedback" / f"{ada.key}.html").read_text()


@pytest.mark.parametrize(
    "text", ["=1+1", "-1 for the control; -1 for the rest", "a;@b", "'=x", "é\t ÿ"]
)
def test_a_comment_comes_back_as_it_was_given_and_no_spreadsheet_runs_it(marking, out, text):
    ada, mark = marking.graded[0], checked("3", text, "02.d")
    marking.give(ada, "02.d", mark, NO_MARK)
    marking.end()
    assert given(out) == {"Ada": mark}
    (row,) = [r for r in manual(out) if r["student"] == "Ada"]
    assert not row["comment"].startswith(tuple("=+-@")) and ";-" not in row["comment"]


@pytest.mark.parametrize(
    ("points", "comment", "said"),
    [
        ("11", "", "\"points\": '11' must be a number, 0 to 10"),
        ("-1", "", "must be a number"),
        ("nan", "", "must be a number"),
        ("7", "5", "\"comment\": '5' must be more than digits"),
        ("7", "x" * 2001, "of at most 2000 characters; it has 2001"),
    ],
)
def test_what_is_no_mark(points, comment, said):
    with pytest.raises(ValueError, match=r"02\.d|comment") as error:
        checked(points, comment, "02.d")
    assert said in str(error.value)


def test_what_was_changed_meanwhile_is_not_overwritten(marking, out):
    ada = marking.graded[0]
    marking.give(ada, "02.d", Mark("3"), NO_MARK)
    before = (out / "manual.csv").read_bytes()
    with pytest.raises(ChangedMeanwhile, match=r"^meanwhile it has 3 points$"):
        marking.give(ada, "02.d", Mark("9"), NO_MARK)
    assert (out / "manual.csv").read_bytes() == before
    marking.give(ada, "02.d", Mark("3"), NO_MARK)  # what stands there already is no conflict
    rows = manual(out)
    rows[0]["points"] = "4"  # by hand, while the page is open
    rewrite(out, rows, ";")
    with pytest.raises(ChangedMeanwhile, match="4 points"):
        marking.give(ada, "02.d", Mark("9"), Mark("3"))
    marking.give(ada, "02.d", Mark("9"), Mark("4"))
    assert given(out) == {"Ada": Mark("9")}


def test_a_teachers_rows_and_columns_stay(marking, out):
    rows = [row | {"remark": f"mine {n}"} for n, row in enumerate(manual(out))]
    rows.append({"key": marking.graded[0].key, "question": "02.a", "points": "2"})
    rows.append({"key": "", "rubric": "a line of mine"})
    rewrite(out, rows)
    marking.give(marking.graded[1], "02.d", Mark("6"), NO_MARK)
    after = manual(out)
    assert [row["remark"] for row in after if row["student"]][:3] == ["mine 0", "mine 1", "mine 2"]
    assert {"a line of mine"} <= {row["rubric"] for row in after}
    assert marking.marks()[marking.graded[0].key, "02.a"] == Mark("2")


def test_a_column_for_comments_is_there_once_it_is_needed_and_stays(marking, out):
    assert "comment" not in manual(out)[0]
    rewrite(out, [row | {"comment": ""} for row in manual(out)])
    marking.give(marking.graded[0], "02.d", Mark("6"), NO_MARK)
    assert list(manual(out)[0])[5:] == ["points", "comment"], "the teacher made it: it stays"


def test_a_row_that_somebody_deleted_comes_back_with_its_mark(marking, out):
    rewrite(out, [row for row in manual(out) if row["student"] != "Bob"])
    marking.give(marking.graded[1], "02.d", Mark("6"), NO_MARK)
    assert given(out) == {"Bob": Mark("6")}


def test_a_crash_between_a_mark_and_the_pages_is_made_up_for(marking, out):
    key = marking.graded[0].key
    rows = manual(out)
    rows[0] |= {"points": "8", "comment": "All there."}
    rewrite(out, rows)  # manual.csv, and then nothing more
    assert "All there." not in (out / "feedback" / f"{key}.html").read_text()
    Marking(out, ROOT / "solutions")
    assert "All there." in (out / "feedback" / f"{key}.html").read_text()


def test_a_mark_of_an_earlier_submission_is_said_until_it_is_given_again(marking, out):
    ada = marking.graded[0]
    rows = manual(out)
    rows[0] |= {"points": "8", "file": "Ada.ipynb @111111111111"}
    rewrite(out, rows)
    assert marking.outdated() == {(ada.key, "02.d")}
    marking.give(ada, "02.d", Mark("8"), Mark("8"))
    assert marking.outdated() == set()


def test_the_order_is_by_name_or_tells_nothing(marking):
    assert [g.student for g in marking.order("02.d", hidden=False)] == NAMES
    assert all(g.key not in address("02.d", g) for g in marking.graded)
    hidden = marking.order("02.d", hidden=True)
    assert sorted(hidden, key=lambda g: g.key) == sorted(marking.graded, key=lambda g: g.key)
    marking.give(marking.graded[1], "02.d", Mark("5"), NO_MARK)
    ada, bob, zoe = marking.graded
    assert marking.next_unmarked("02.d", ada, hidden=False) == zoe
    assert marking.next_unmarked("02.d", zoe, hidden=False) == ada, "and from the start"
    for student in (ada, zoe):
        marking.give(student, "02.d", Mark("7"), NO_MARK)
    assert marking.next_unmarked("02.d", bob, hidden=False) is None


def test_beside_an_answer_stands_the_best_of_the_others(marking):
    ada, bob, _ = marking.graded
    assert marking.best("02.d", ada, marking.marks()) == ("", "")
    marking.give(ada, "02.d", Mark("9"), NO_MARK)
    marking.give(bob, "02.d", Mark("4.5"), NO_MARK)
    assert marking.best("02.d", bob, marking.marks()) == ("9", "By Ada.")
    assert marking.best("02.d", ada, marking.marks()) == ("4.5", "By Bob.")


def test_two_markers_are_merged_and_what_disagrees_is_said(tmp_path):
    for who in ("one", "two"):
        write_class(tmp_path / who, {name: {} for name in "ABCDEF"}, ["02"])
    ours = {"A": Mark("3", "x"), "B": Mark("5"), "C": Mark("7"), "D": Mark("", "only said")}
    theirs = {"A": Mark("3", "x"), "B": Mark("6", "no"), "C": Mark("7", "why?"), "E": Mark("1")}
    for who, all_given in (("one", ours), ("two", theirs | {"D": Mark("2")})):
        marking = Marking(tmp_path / who)
        for student in marking.graded:
            if student.student in all_given:
                marking.give(student, "02.d", all_given[student.student], NO_MARK)
    other = tmp_path / "two" / "manual.csv"
    for taken in (3, 0):  # a second time changes nothing
        done = CliRunner().invoke(cli.app, ["mark", str(tmp_path / "one"), "--merge", str(other)])
        assert done.exit_code == 1, "they disagree"
        assert f"{taken} marks taken over" in done.output
        assert f"note: 02.d of B: 5 points here, 6 points, “no” in {other}; the one here stays" in (
            done.output
        )
        merged = {"C": Mark("7", "why?"), "D": Mark("2", "only said"), "E": Mark("1")}
        assert given(tmp_path / "one") == ours | merged
    (key,) = [g.key for g in load(tmp_path / "one") if g.student == "C"]
    assert "why?" in (tmp_path / "one" / "feedback" / f"{key}.html").read_text()


def test_what_is_no_graded_class_is_one_clear_error(tmp_path, out):
    assert "must be a folder that was graded into" in complaint(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out"], "and nothing was left there"
    assert "must be a folder that was graded into" in complaint(tmp_path / "nothing")
    assert "merge = '" in complaint(out, "--merge", tmp_path / "none.csv")
    (out / "manual.csv").write_text("who,what\n1,2\n")
    assert 'manual.csv, row 1: must have one column "key"' in complaint(out)
    (out / "manual.csv").write_text("key,student,file,question,rubric,points\nk,,,02.d,,ten\n")
    assert "row 2, column \"points\": 'ten' must be a number, 0 to 10" in complaint(out)
    (out / "manual.csv").unlink()
    (out / "settings.json").write_text((out / "settings.json").read_text().replace('"02.a",', ""))
    assert "ladders" in complaint(out)


def test_grading_and_marking_wait_for_each_other(tmp_path, out):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "ada.py").write_text("x = 1")
    with files.sole_writer(out / GRADED):
        assert "graded.jsonl: another run is writing it" in complaint(out)
        with pytest.raises(OSError, match="another run is writing it"):
            grade(tmp_path / "in", out, chapter="02", sandbox="none")


def test_a_grading_run_keeps_comments_and_stores_answers(tmp_path):
    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    for text in ("First.", "Second."):
        (source / "ada.md").write_text(f"# 02\n\n## 02.d What does MQAR leave out\n\n{text}\n")
        for _ in range(2):
            graded = grade(source, out, chapter="02", sandbox="none").graded
        assert [g.answers for g in graded] == [g.answers for g in load(out)] == [{"02.d": text}]
        if text == "First.":
            Marking(out).give(graded[0], "02.d", Mark("6", "Why?"), NO_MARK)
    assert given(out) == {"ada": Mark("6", "Why?")}
    assert "Why?" in (out / "feedback" / f"{graded[0].key}.html").read_text()
    assert Marking(out).outdated() == {(graded[0].key, "02.d")}
    assert len((out / GRADED).read_text().splitlines()) == 2, "the text changed, the code did not"


@contextmanager
def asked(marking: Marking):
    """A function that sends one request: method, path, headers, body -> status, headers, text."""
    with Server(marking) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()

        def ask(method, path, body=None, **headers):
            parts = urlsplit(server.address)
            connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=30)
            path = path.replace("TOKEN", server.token)
            headers = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body, {"Host": parts.netloc} | headers)
            answer = connection.getresponse()
            text = answer.read().decode()
            connection.close()
            return answer.status, dict(answer.getheaders()), text

        ask.origin = server.address.rpartition(f"/{server.token}")[0]
        yield ask
        server.shutdown()
        thread.join()


def test_who_does_not_know_the_token_or_comes_from_elsewhere_gets_nothing(marking, out):
    place = f"/TOKEN/02.d/{address('02.d', marking.graded[0])}"
    mark = json.dumps({"points": "9", "comment": "", "seen": {"points": "", "comment": ""}})
    kind = {"Content_Type": "application/json"}
    with asked(marking) as ask:
        ours = {"Origin": ask.origin} | kind
        strangers = [
            ("GET", "/", None, {}),
            ("GET", "/" + "x" * 32 + "/02.d", None, {}),
            ("GET", "/TOKEN/", None, {"Host": "evil.example"}),
            ("GET", "/TOKEN/", None, {"Host": "localhost"}),
            ("GET", "/TOKEN/99.d", None, {}),
            ("GET", "/TOKEN/02.d/0123456789ab", None, {}),
            ("GET", "/TOKEN/../../etc/passwd", None, {}),
            ("POST", place, mark, kind),
            ("POST", place, mark, ours | {"Origin": "http://evil.example"}),
            ("POST", place, mark, ours | {"Content_Type": "text/plain"}),
            ("POST", place, mark, ours | {"Host": "evil.example"}),
            ("POST", place.replace("TOKEN", "x"), mark, ours),
        ]
        for method, path, body, headers in strangers:
            status, _, text = ask(method, path, body, **headers)
            assert (status, text) == (404, "Not found."), (method, path, headers)
        assert given(out) == {}
        for body in (
            "",
            "[]",
            "{}",
            "[" * 90_000,
            mark.replace('"9"', "9"),
            mark.replace("9", "99"),
        ):
            status, _, text = ask("POST", place, body, **ours)
            assert status == 422 and json.loads(text)["said"], body[:20]
        status, _, text = ask("POST", place, "x" * 200_000, **ours)
        assert status == 422 and "at most 100000 bytes" in text
        assert given(out) == {}
        assert ask("POST", place, mark, **ours)[0] == 200
        assert given(out) == {"Ada": Mark("9")}


def test_every_page_forbids_all_but_its_own(marking):
    place = f"/TOKEN/02.d/{address('02.d', marking.graded[0])}"
    with asked(marking) as ask:
        for path in ("/TOKEN/", "/TOKEN/02.d", place, f"{place}/whole", f"{place}/next", "/x"):
            _, headers, text = ask("GET", path)
            rules = dict(r.split(" ", 1) for r in headers["Content-Security-Policy"].split("; "))
            assert rules["default-src"] == rules["frame-ancestors"] == "'none'"
            assert rules["script-src"].count("'") == rules["style-src"].count("'") == 2
            assert rules["script-src"].startswith("'sha256-") and "unsafe" not in str(rules)
            assert headers["X-Content-Type-Options"] == "nosniff"
            assert headers["Cache-Control"] == "no-store"
        (marking.out / "manual.csv").write_text("who\n")
        status, headers, text = ask("GET", place)
        assert status == 422 and headers["Content-Type"].startswith("text/plain")
        assert 'row 1: must have one column "key"' in text


def test_only_this_machine_is_listened_to(marking):
    with Server(marking) as server, Server(marking) as other:
        assert server.server_address[0] == "127.0.0.1"
        assert len(server.token) == 32 and server.token != other.token


def test_the_pages_run_one_script_and_one_style_and_lie_in_no_frame():
    said = dict(part.split(" ", 1) for part in marking_pages.header().split("; "))
    for kind, name in (("style-src", "marking.css"), ("script-src", "marking.js")):
        digest = hashlib.sha256(style(name).encode()).digest()
        assert f"'sha256-{base64.b64encode(digest).decode()}'" in said[kind]
    assert said["frame-ancestors"] == "'none'" and said["default-src"] == "'none'"


def test_a_mark_is_taken_over_with_the_file_that_it_was_given_to(tmp_path):
    for who in ("one", "two"):
        write_class(tmp_path / who, {name: {} for name in "AB"}, ["02"])
    marking, _ = (Marking(tmp_path / who) for who in ("one", "two"))
    marking.give(marking.graded[0], "02.d", Mark("7"), NO_MARK)
    rows = manual(tmp_path / "two")
    for row, mark in zip(rows, (("7", "Why?"), ("5", "")), strict=True):
        row |= {"points": mark[0], "comment": mark[1], "file": "earlier.ipynb @222222222222"}
    rewrite(tmp_path / "two", rows)
    other = str(tmp_path / "two" / "manual.csv")
    done = CliRunner().invoke(cli.app, ["mark", str(tmp_path / "one"), "--merge", other])
    assert done.exit_code == 0 and "2 marks taken over" in done.output, "nobody disagrees"
    assert given(tmp_path / "one") == {"A": Mark("7", "Why?"), "B": Mark("5")}
    files_read = {row["student"]: row["file"] for row in manual(tmp_path / "one")}
    assert files_read == {"A": f"A.ipynb @{'0' * 12}", "B": "earlier.ipynb @222222222222"}


def test_the_longest_comment_and_numbers_in_the_place_of_names(marking):
    assert checked("7", "x" * 2000, "02.d") == Mark("7", "x" * 2000)
    page = marking_pages.overview(marking, "/m", hidden=True)
    assert [f"Answer {n}" in page for n in range(5)] == [False, True, True, True, False]
    assert not any(name in page for name in NAMES)
    page = marking_pages.overview(marking, "/m", hidden=False)
    assert "Answer 1" not in page and all(name in page for name in NAMES)


def test_from_one_answer_on_to_the_next_without_points(marking):
    ada, bob, zoe = ("/02.d/" + address("02.d", student) for student in marking.graded)
    kind = {"Content_Type": "application/json"}
    mark = {"points": "7", "comment": "", "seen": {"points": "", "comment": ""}}
    with asked(marking) as ask:

        def onward(path, query=""):
            status, headers, _ = ask("GET", f"/TOKEN{path}{query}")
            assert status == 303
            return headers["Location"].partition("/02.d/")[2].partition("?")

        def give(path, body, **headers):
            status, _, text = ask("POST", f"/TOKEN{path}", body, Origin=ask.origin, **headers)
            return status, json.loads(text)

        at = [place.removeprefix("/02.d/") for place in (ada, bob, zoe)]
        assert onward("/02.d") == (at[0], "", "") and onward(f"{ada}/next") == (at[1], "", "")
        assert onward(f"{zoe}/next", "?names=hidden")[1:] == ("?", "names=hidden")
        assert ask("GET", f"/TOKEN{ada}/whole")[::2] == (200, "By Ada.")
        assert "By Bob." in ask("GET", f"/TOKEN{bob}")[2]
        for nowhere in (f"{ada}/other", f"{ada}/next/next", "/02.d/nobody/next"):
            assert ask("GET", f"/TOKEN{nowhere}")[0] == 404
        body = json.dumps(mark)
        assert give(bob, body, **kind) == (200, {"stored": {"points": "7", "comment": ""}})
        assert onward(f"{ada}/next") == (at[2], "", "")
        status, said = give(bob, json.dumps(mark | {"points": "8"}), **kind)
        assert status == 409 and said["now"] == {"points": "7", "comment": ""}
        for wrong in ("[]", "{", json.dumps(mark | {"points": 7}), json.dumps({"points": "1"})):
            assert give(ada, wrong, **kind)[0] == 422
        longest = body + " " * (100_000 - len(body))
        assert give(ada, longest + " ", **kind) == (
            422, {"said": "a mark must have at most 100000 bytes"},
        )  # fmt: skip
        assert give(ada, longest, **kind)[0] == give(zoe, body, **kind)[0] == 200
        assert onward("/02.d")[0] == "", "to the overview"
