"""Tables: whole rows, honest about where they come from, and in nobody's place."""

import json
import os
from pathlib import Path

import pandas as pd
import pytest
import torch

from tests.experiments.runs import MY_MIXER, AtOnce, ids, made_up, tiny
from zoology_teach import files
from zoology_teach.experiments import results, sweep
from zoology_teach.experiments.synthetic_runs import SyntheticRun
from zoology_teach.experiments.text_runs import losses_of
from zoology_teach.version import code


def test_a_table_cut_off_anywhere_loads_and_goes_on(tmp_path):
    out = tmp_path / "t.csv"
    rows = [made_up(tiny(seed)) for seed in range(3)]
    results.note_provenance(out, "", results.environment())
    for row in rows[:2]:
        results.append(out, row)
    whole = out.read_bytes()
    for end in range(len(whole) + 1):
        out.write_bytes(whole[:end])
        kept = max(whole[:end].count(b"\n") - 1, 0)
        assert results.load(out)["seed"].tolist() == [0, 1][:kept]
        files.mend(out)
        results.append(out, rows[2])
        assert results.load(out)["seed"].tolist() == [*[0, 1][:kept], 2]


@pytest.mark.parametrize("name", ["a\nb", '"\n"', "\n\n", 'a,\r\n"b'])
def test_a_row_with_line_ends_in_it_is_cut_off_whole(tmp_path, name):
    out = tmp_path / "t.csv"
    results.note_provenance(out, "", results.environment())
    rows = [made_up(tiny(seed)) | {"recipe": name} for seed in range(3)]
    results.append(out, rows[0])
    one = len(out.read_bytes())
    results.append(out, rows[1])
    whole = out.read_bytes()
    for end in range(one, len(whole)):
        out.write_bytes(whole[:end])
        assert results.load(out)["seed"].tolist() == [0]
        files.mend(out, results.whole_rows)
        assert out.read_bytes() == whole[:one]
    results.append(out, rows[2])
    assert results.load(out)["recipe"].tolist() == [name, name]


def test_what_else_is_wrong_with_a_table_is_not_cut_off(tmp_path):
    out = tmp_path / "t.csv"
    results.note_provenance(out, "", results.environment())
    for seed in range(3):
        results.append(out, made_up(tiny(seed)))
    lines = out.read_bytes().split(b"\n")
    lines[1] = lines[1].replace(b",", b',"', 1)
    out.write_bytes(b"\n".join(lines))
    files.mend(out, results.whole_rows)
    assert out.read_bytes() == b"\n".join(lines)


def test_a_disk_that_is_full_leaves_no_half_row(tmp_path):
    resource = pytest.importorskip("resource")
    out = tmp_path / "t.csv"
    results.note_provenance(out, "", results.environment())
    results.append(out, made_up(tiny(0)))
    whole = out.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(whole) + 20, limits[1]))
    try:
        with pytest.raises(OSError, match="no room for another line"):
            results.append(out, made_up(tiny(1)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert out.read_bytes() == whole


def test_the_machines_that_made_the_rows_are_noted(tmp_path, monkeypatch):
    out = tmp_path / "t.csv"
    here, there = {"torch": "2.13.0"}, {"torch": "2.13.0+cuda"}
    seen = iter([here, there, there, here])
    monkeypatch.setattr(sweep, "environment", lambda: next(seen))
    monkeypatch.setattr(SyntheticRun, "execute", made_up)
    sweep.run([tiny(s) for s in range(3)], out=out, executor=AtOnce())
    assert [entry["torch"] for entry in results.provenance(out)["commands"]] == [
        "2.13.0", "2.13.0+cuda",
    ]  # fmt: skip


def test_a_file_that_is_no_table_is_left_as_it_is(tmp_path):
    out = tmp_path / "notes.csv"
    out.write_text("a file of another kind, without an end of line")
    with pytest.raises(ValueError, match="not a table of format 1"):
        sweep.run([tiny()], out=out, executor=AtOnce())
    assert out.read_text().endswith("end of line")
    out.unlink()
    out.with_suffix(".json").write_text("{")
    with pytest.raises(ValueError, match=r"notes\.json: not the provenance of a table"):
        sweep.run([tiny()], out=out, executor=AtOnce())
    assert not out.exists()


def test_a_table_of_another_version_is_refused(tmp_path, counted):
    pool, _ = counted
    out = tmp_path / "t.csv"
    sweep.run([tiny()], out=out, executor=pool)
    note = json.loads(out.with_suffix(".json").read_text())
    out.with_suffix(".json").write_text(json.dumps({**note, "format": 0}))
    with pytest.raises(ValueError, match="format 0, this version reads 1"):
        sweep.run([tiny()], out=out, executor=pool)
    out.unlink()
    with pytest.raises(ValueError, match="format 0, this version reads 1"):
        sweep.run([tiny()], out=out, executor=pool)
    out.write_text("model,accuracy\nbase_conv,0.5\n")
    with pytest.raises(ValueError, match="not a table of format 1"):
        results.load(out)


def test_provenance_says_how_it_was_made(tmp_path, counted):
    out = tmp_path / "t.csv"
    sweep.run([tiny()], out=out, executor=counted[0], command="zoology-teach sweep figure2")
    (entry,) = results.provenance(out)["commands"]
    assert entry["command"] == "zoology-teach sweep figure2"
    assert entry["torch"] == torch.__version__ and entry["device"] == "cpu"
    assert entry["zoology_teach"] == code()


def test_a_plugin_is_known_by_its_name_and_content(tmp_path, monkeypatch):
    monkeypatch.setattr(SyntheticRun, "execute", made_up)
    mine = tmp_path / "mine.py"
    mine.write_bytes(MY_MIXER.read_bytes())
    noted = []
    for seed in range(2):
        out = tmp_path / f"t{seed}.csv"
        sweep.run([tiny(seed)], out=out, executor=AtOnce(), plugins=[mine])
        noted += [entry["plugins"] for entry in results.provenance(out)["commands"]]
        mine.write_text(mine.read_text() + "# edited\n")
    assert len(set(noted)) == 2 and all(name.startswith("mine.py ") for name in noted)
    with pytest.raises(ValueError, match=r"plugin = 'mine\.py \w+': must be that of the table"):
        sweep.run([tiny(2)], out=tmp_path / "t1.csv", executor=AtOnce(), plugins=[mine])
    assert ids(tmp_path / "t1.csv") == [tiny(1).id]


REFUSED = "nb.json nb.lock nb.csv.new nb.csv.lock nb nb.txt nb.CSV .csv".split()


@pytest.mark.parametrize("name", REFUSED)
def test_a_name_that_is_no_tables_is_refused_before_a_run(tmp_path, monkeypatch, name):
    monkeypatch.setattr(SyntheticRun, "execute", lambda *a, **k: pytest.fail("trained"))
    (tmp_path / "nb.json").write_text("{}")
    with pytest.raises(ValueError, match=r"out = .*must be a table, such as table\.csv"):
        sweep.run([tiny()], out=tmp_path / name, executor=AtOnce())
    assert [p.name for p in tmp_path.iterdir()] == ["nb.json"]


def test_a_place_where_no_table_can_be_is_refused_before_a_run(tmp_path, monkeypatch):
    monkeypatch.setattr(SyntheticRun, "execute", lambda *a, **k: pytest.fail("trained"))
    (tmp_path / "file").write_text("mine")
    (tmp_path / "u_runs").write_text("mine")
    (tmp_path / "folder.csv").mkdir()
    for out, why in (
        (tmp_path / "file" / "deep" / "t.csv", "must be in a folder, made or not"),
        (tmp_path / "u.csv", "u_runs is a file"),
        (tmp_path / "folder.csv", "must be a file"),
    ):
        with pytest.raises(ValueError, match=f"out = .*{why}"):
            sweep.run([tiny()], out=out, executor=AtOnce())
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "folder.csv", "u_runs"]
    assert (tmp_path / "file").read_text() == (tmp_path / "u_runs").read_text() == "mine"


@pytest.mark.parametrize("closed", ["t.csv", "t.json", "."])
def test_what_cannot_be_written_is_refused_before_a_run(tmp_path, monkeypatch, closed):
    monkeypatch.setattr(SyntheticRun, "execute", made_up)
    out = tmp_path / "t.csv"
    sweep.run([tiny(0)], out=out, executor=AtOnce())
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    shut = (tmp_path / closed).resolve()
    real = os.access  # for root everything can be written
    monkeypatch.setattr(os, "access", lambda p, mode: Path(p) != shut and real(p, mode))
    monkeypatch.setattr(SyntheticRun, "execute", lambda *a, **k: pytest.fail("trained"))
    with pytest.raises(ValueError, match=r"out = .*must be one that can be written; .* cannot"):
        sweep.run([tiny(1)], out=out, executor=AtOnce())
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before
    assert len(sweep.run([tiny(0)], out=out, executor=AtOnce())) == 1, "reading is no writing"


ODD = ["a\rb", "a\r\nb", "a\nb", 'a"b', "a,b", "\r", "ö", "NA", "nan", "null", "None", " x "]


def test_odd_names_come_back_as_they_were(tmp_path):
    out = tmp_path / "t.csv"
    results.note_provenance(out, "", results.environment())
    for number, name in enumerate(ODD):
        results.append(out, made_up(tiny(number)) | {"recipe": name})
    assert results.load(out)["recipe"].tolist() == ODD
    assert results.load(out)["seed"].tolist() == list(range(len(ODD)))
    results.append(out, made_up(tiny(99)) | {"recipe": "latin-1 \udcef"})
    assert results.load(out)["recipe"].iloc[-1] == "latin-1 \\udcef"
    table = pd.DataFrame({"token": ODD, "ar": 1})
    results.write(table, tmp_path / "w.csv")
    again = pd.read_csv(tmp_path / "w.csv", keep_default_na=False)
    assert again["token"].tolist() == ODD


def test_a_table_may_replace_one_that_begins_with_its_four_columns(tmp_path):
    """What follows are the names of models, which may be others."""
    out = tmp_path / "t.csv"
    table = pd.DataFrame(columns="block document token ar hyena rwkv".split())
    assert results.is_replaceable(out, table)
    out.write_text("block,document,token,ar,attention\n")
    assert results.is_replaceable(out, table)
    out.write_text("block,document,token,opportunity,hyena,rwkv\n")
    assert not results.is_replaceable(out, table)


def test_a_lock_that_cannot_be_had_names_its_file(tmp_path, monkeypatch):
    fcntl = pytest.importorskip("fcntl")

    def no_locks(*_):
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    with pytest.raises(OSError, match=r"t\.lock: cannot be locked .*No locks available"):
        sweep.run([tiny()], out=tmp_path / "t.csv", executor=AtOnce())


def test_a_full_disk_names_the_file_and_leaves_what_was_there(tmp_path, monkeypatch):
    out = tmp_path / "t.csv"
    results.note_provenance(out, "first", {})
    before = out.with_suffix(".json").read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match=r"No space left on device: '.*t\.json'"):
            results.note_provenance(out, "second", {})
        with pytest.raises(OSError, match=r"t\.csv: .*No space left on device"):
            results.append(out, made_up(tiny()))
    assert out.with_suffix(".json").read_bytes() == before and out.read_bytes() == b""


def test_committed_tables_load():
    for name in ("figure2", "figure2_identity", "budget", "curriculum", "input_filters", "hybrids"):
        table = results.load(f"book/results/{name}.csv")
        assert len(table) > 0 and table.columns[-1] == "stages"


@pytest.mark.parametrize(
    "note", ["[]", "null", "5", '{"format": 1}', '{"format": 1, "commands": 2}']
)
def test_what_is_no_provenance_is_named(tmp_path, note):
    (tmp_path / "t.json").write_text(note)
    with pytest.raises(ValueError, match=r"t\.json: not the provenance of a table"):
        results.provenance(tmp_path / "t.csv")


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (b"a,\xff\n", "it is no UTF-8"),
        (b"a" + b"," * 40 + b"\n", "a row is damaged .it has more fields"),
        (b"a\nb" + b"," * 40 + b"\n", "a row is damaged .Error tokenizing data"),
        (b'a,"b\n', "a row is damaged .Error tokenizing data"),
    ],
)
def test_a_table_that_another_program_damaged_is_named(tmp_path, row, reason):
    out = tmp_path / "t.csv"
    results.note_provenance(out, "", {})
    out.write_bytes(",".join(results.COLUMNS).encode() + b"\n" + row)
    with pytest.raises(ValueError, match=rf"t\.csv: .*{reason}"):
        results.load(out)


def test_losses_that_are_cut_off_are_named(tmp_path):
    path = sweep.runs_folder(tmp_path / "t.csv") / "one.npy"
    path.parent.mkdir()
    path.write_bytes(b"\x93NUMPY")
    with pytest.raises(ValueError, match=r"run = 'one': must be one with whole losses, not .*npy"):
        losses_of(tmp_path / "t.csv", "one")


@pytest.mark.parametrize("name", ["t.csv", "t.json"])
def test_a_table_is_a_file_before_anything_is_read(tmp_path, name):
    """A pipe would be waited for, a link to nothing would fail after the training."""
    path = tmp_path / name
    for put in (lambda: os.mkfifo(path), lambda: path.symlink_to(tmp_path / "no" / "where")):
        put()
        with pytest.raises(ValueError) as error:
            results.require_table(tmp_path / "t.csv")
        assert f"must be a table: {path} is there and no file" in str(error.value)
        path.unlink()
    assert results.require_table(tmp_path / "t.csv") == tmp_path / "t.csv"


def test_an_edited_plugin_needs_a_table_of_its_own(tmp_path):
    out = tmp_path / "t.csv"
    results.note_provenance(out, "", {"plugins": "a.py 0a1b, my_mixer.py 0123"})
    out.touch()
    results.require_same_plugins(out, ["my_mixer.py 0123", "other.py 77"])
    with pytest.raises(ValueError) as error:
        results.require_same_plugins(out, ["my_mixer.py 4567"])
    said = f"plugin = 'my_mixer.py 4567': must be that of the table, or --out another: {out} has"
    assert str(error.value) == f"{said} runs of the my_mixer.py that was my_mixer.py 0123"
