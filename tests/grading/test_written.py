"""What a teacher changes in OUT is never lost, and what is left over goes."""

import pytest

from zoology_teach.grading.written import Written


@pytest.fixture
def out(tmp_path):
    written = Written(tmp_path)
    for name in ("grades.csv", "feedback/ada.html", "feedback/ben.html", "gradescope/ada/r.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        written.write(tmp_path / name, b"first")
    written.close()
    return tmp_path


def run(out, content: bytes, *names: str) -> list[str]:
    written = Written(out)
    for name in names:
        written.write(out / name, content)
    for folder in ("feedback", "gradescope"):
        written.remove_others(folder)
    written.close()
    return written.notes


def test_what_was_written_is_replaced_and_what_is_left_over_removed(out):
    (out / "feedback" / "my_notes.html").write_text("mine")
    assert run(out, b"second", "grades.csv", "feedback/ada.html") == []
    names = {p.relative_to(out).as_posix(): p.read_bytes() for p in out.rglob("*.*")}
    assert names.pop("written.jsonl")
    assert names == {
        "grades.csv": b"second",
        "feedback/ada.html": b"second",
        "feedback/my_notes.html": b"mine",
    }
    assert not (out / "gradescope" / "ada").exists()


def test_what_was_changed_is_kept(out):
    for name in ("grades.csv", "feedback/ada.html", "feedback/ben.html"):
        (out / name).write_text("mine")
    notes = run(out, b"second", "grades.csv", "feedback/ada.html")
    assert notes == [
        f"{out}/grades.csv: changed by hand; that is grades.csv.yours now",
        f"{out}/feedback/ada.html: changed by hand; that is ada.html.yours now",
        f"{out}/feedback/ben.html: changed by hand, and no longer needed; kept",
    ]
    assert (out / "grades.csv").read_text() == "second"
    assert (out / "grades.csv.yours").read_text() == "mine"
    assert (out / "feedback" / "ben.html").read_text() == "mine"
    (out / "grades.csv").write_text("mine too")
    assert run(out, b"third", "grades.csv")[0].endswith("that is grades.csv.yours-2 now")


def test_a_change_stays_while_there_is_nothing_new(out):
    (out / "grades.csv").write_text("mine")
    assert run(out, b"first", "grades.csv", "feedback/ada.html", "feedback/ben.html") == []
    assert (out / "grades.csv").read_text() == "mine"
    (out / "grades.csv").unlink()
    run(out, b"first", "grades.csv")
    assert (out / "grades.csv").read_text() == "first"


def test_a_run_that_was_killed_leaves_nobody_elses_files(out, monkeypatch):
    """Between the note of a file and the file, and before the record is closed."""
    written = Written(out)
    written.write(out / "feedback/ada.html", b"second")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        written.write(out / "grades.csv", b"second")
    assert run(out, b"third", "grades.csv", "feedback/ada.html", "feedback/ben.html") == []
    assert (out / "grades.csv").read_text() == (out / "feedback/ada.html").read_text() == "third"


def test_what_lay_there_before_is_not_ours(tmp_path):
    (tmp_path / "items.csv").write_text("another's")
    assert run(tmp_path, b"first", "items.csv")
    assert (tmp_path / "items.csv.yours").read_text() == "another's"


def test_a_record_of_another_kind_is_one_clear_error(out):
    (out / "written.jsonl").write_text("[1]\n")
    with pytest.raises(ValueError, match=r"written\.jsonl: not a record of written files"):
        Written(out)
