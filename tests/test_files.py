"""Writing destroys nothing that another made."""

import os

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
