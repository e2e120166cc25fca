"""Writing destroys nothing that another made."""

import os
from pathlib import Path

import pytest

from zoology_teach import files


@pytest.mark.parametrize("name", ["u.json", "v.lock", "w.new", "U.JSON", "a.csv.lock", "folder"])
def test_a_table_does_not_stand_where_its_companions_do(tmp_path, name):
    (tmp_path / "folder").mkdir()
    with pytest.raises(ValueError, match=rf"out = '.*{name}': must be a file, such as table\.csv"):
        files.require_table_path(tmp_path / name)


@pytest.mark.parametrize("name", ["u.csv", "u", "u.tsv", "json"])
def test_other_names_are_fine(tmp_path, name):
    files.require_table_path(tmp_path / name)


def test_a_lock_that_somebody_else_wrote_is_not_emptied(tmp_path):
    """Such as poetry.lock, where the table is called poetry.csv."""
    (tmp_path / "poetry.lock").write_text("packages")
    with (
        pytest.raises(OSError, match=r"poetry\.lock: is not a lock of this library"),
        files.sole_writer(tmp_path / "poetry.csv"),
    ):
        pass
    assert (tmp_path / "poetry.lock").read_text() == "packages"
    with files.sole_writer(tmp_path / "mine.csv"), files.sole_writer(tmp_path / "other.csv"):
        pass
    with files.sole_writer(tmp_path / "mine.csv"):
        pass


def test_somebodys_file_or_folder_called_new_is_left_alone(tmp_path):
    (tmp_path / "a.csv.new").write_text("mine")
    (tmp_path / "b.new").mkdir()
    (tmp_path / "b.new" / "work").write_text("mine")
    files.replace(tmp_path / "a.csv", "text")
    with files.replacing(tmp_path / "b") as new:
        new.mkdir()
    assert (tmp_path / "a.csv.new").read_text() == (tmp_path / "b.new" / "work").read_text()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.csv", "a.csv.new", "b", "b.new"]


def test_every_file_of_a_folder_is_on_the_disk_before_the_folder_has_its_name(
    tmp_path, monkeypatch
):
    synced = set()
    monkeypatch.setattr(files.os, "fsync", lambda file: synced.add(os.fstat(file).st_ino))
    with files.replacing(tmp_path / "tokens") as new:
        (new / "deep").mkdir(parents=True)
        (new / "a.npy").write_bytes(b"1")
        (new / "deep" / "b.json").write_bytes(b"2")
    written = [f for f in (tmp_path / "tokens").rglob("*") if f.is_file()]
    assert len(written) == 2 and {f.stat().st_ino for f in written} <= synced


def test_a_replaced_file_keeps_its_permissions_and_a_link_its_place(tmp_path):
    (tmp_path / "a").write_text("old")
    (tmp_path / "a").chmod(0o640)
    (tmp_path / "link").symlink_to("a")
    files.replace(tmp_path / "link", "é\r\n")
    assert (tmp_path / "a").read_bytes() == "é\r\n".encode()
    assert (tmp_path / "link").is_symlink() and (tmp_path / "a").stat().st_mode & 0o777 == 0o640
    files.replace(tmp_path / "new" / "folder" / "b", b"\0\n")
    assert (tmp_path / "new" / "folder" / "b").read_bytes() == b"\0\n"


@pytest.mark.parametrize("left", ["file", "folder", "link", "nothing"])
def test_what_a_crash_left_is_no_part_of_what_is_written(tmp_path, left):
    there = tmp_path / ".a.new"
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "work").write_text("mine")
    if left == "file":
        there.write_text("half")
    elif left == "folder":
        there.mkdir()
        (there / "half").write_text("half")
    elif left == "link":
        there.symlink_to("kept")
    with files.replacing(tmp_path / "a") as new:
        new.mkdir()
    assert list((tmp_path / "a").iterdir()) == [] and not there.exists()
    assert (tmp_path / "kept" / "work").read_text() == "mine"


@pytest.mark.parametrize(
    ("error", "named"),
    [
        (
            OSError(28, "No space left on device"),
            r"\[Errno 28\] No space left on device: '.*a\.csv'",
        ),
        (OSError("something else"), r"a\.csv: something else"),
        (OSError(2, "No such file", "other"), r"No such file: 'other'"),
        (ValueError("mine"), "^mine$"),
    ],
)
def test_after_an_error_all_is_as_before(tmp_path, error, named):
    (tmp_path / "a.csv").write_text("old")
    with pytest.raises(type(error), match=named), files.replacing(tmp_path / "a.csv") as new:
        new.write_text("half")
        raise error
    assert [p.name for p in tmp_path.iterdir()] == ["a.csv"]
    assert (tmp_path / "a.csv").read_text() == "old"


@pytest.mark.parametrize(
    ("there", "mended"),
    [(b"", b""), (b"a", b""), (b"a\n", b"a\n"), (b"a\nb\n", b"a\nb\n"), (b"a\nb\nhal", b"a\nb\n")],
)
def test_a_last_line_without_its_end_is_cut_off(tmp_path, there, mended):
    path = tmp_path / "a.csv"
    files.mend(path)
    assert not path.exists()
    path.write_bytes(there)
    files.mend(path)
    assert path.read_bytes() == mended


@pytest.mark.parametrize("room", [0, 3])
def test_lines_for_which_there_is_no_room_are_not_there(tmp_path, monkeypatch, room):
    path = tmp_path / "a.csv"
    files.append(path, b"a\n")
    files.append(path, b"b\n")
    assert path.read_bytes() == b"a\nb\n"

    class Full:
        def __init__(self, file):
            self.file = file

        def __getattr__(self, name):
            return getattr(self.file, name)

        def __enter__(self):
            return self

        def __exit__(self, *error):
            self.file.close()

        def write(self, lines):
            return self.file.write(lines[:room])

    monkeypatch.setattr("builtins.open", lambda *a, o=open, **k: Full(o(*a, **k)))
    with pytest.raises(OSError, match=r"a\.csv: no room for another line; what was finished is"):
        files.append(path, b"cccc\n")
    monkeypatch.undo()
    assert path.read_bytes() == b"a\nb\n"


def test_appended_lines_are_on_the_disk(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr(files.os, "fsync", lambda file: synced.append(os.fstat(file).st_size))
    files.append(tmp_path / "a.csv", b"line\n")
    assert synced == [5]


def test_another_writer_is_named(tmp_path):
    held = files.sole_writer(tmp_path / "a.csv")
    with (
        held,
        pytest.raises(OSError, match=r"a\.csv: another run is writing it"),
        files.sole_writer(tmp_path / "a.csv"),
    ):
        pass
    (tmp_path / "b.lock").mkdir()
    with (
        pytest.raises(OSError, match=r"b\.lock: is not a lock of this library"),
        files.sole_writer(tmp_path / "b.csv"),
    ):
        pass


def test_the_book_is_the_checkouts_or_that_of_this_folder(tmp_path, monkeypatch):
    assert files.checkout() == Path(__file__).parents[1]
    assert files.book() == Path(__file__).parents[1] / "book"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(files, "checkout", lambda: None)
    with pytest.raises(ValueError, match="there is no book here; run it in a clone"):
        files.book()
    (tmp_path / "book").mkdir()
    assert files.book() == tmp_path / "book"
