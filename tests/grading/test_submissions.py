"""Folders and zips of notebooks, as platforms export them and as nobody should send them."""

import hashlib
import json
import os
import re
import struct
import time
import tracemalloc
import unicodedata
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zoology_teach.grading import archives, submissions, zip_names
from zoology_teach.grading.notebooks import as_notebook, code_cells
from zoology_teach.grading.origins import is_late, platform_ids
from zoology_teach.grading.submissions import Submission, cells, collect

KEY = re.compile(r"[a-z0-9-]{1,60}-[0-9a-f]{8}")


def platform_id(file: str, key: str, platform: str) -> str:
    """The number of somebody who handed in alone."""
    return platform_ids([(file, key)], platform).get(key, "")


def notebook(*sources: str) -> bytes:
    return as_notebook(list(sources))


def zipped(path, *files: tuple[str, bytes], **options):
    with zipfile.ZipFile(path, "w", **options) as archive:
        for name, data in files:
            archive.writestr(name, data)
    return path


def folder(path, **files: bytes):
    for name, data in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    return path


def files_in(path) -> list[tuple[str, bytes]]:
    """A folder's files as a zip has them."""
    found = sorted(p for p in path.rglob("*") if p.is_file())
    return [(p.relative_to(path).as_posix(), p.read_bytes()) for p in found]


def by_name(source, chapter=None) -> dict[str, Submission]:
    found, _ = collect(source, chapter)
    assert len({s.key for s in found}) == len(found)
    assert all(KEY.fullmatch(s.key) for s in found)
    assert all((s.data is None) == bool(s.problem) for s in found)
    named = {s.student: s for s in found}
    assert len(named) == len(found)
    return named


def sources(submission: Submission) -> list[str]:
    return [cell.source for cell in cells(submission)]


def only(path, data: bytes, name: str = "ada.ipynb") -> Submission:
    (found,), _ = collect(folder(path, **{name: data}))
    return found


def test_canvas_names(tmp_path):
    source = zipped(
        tmp_path / "canvas.zip",
        ("doejohn_101_9001_02_write_the_task.ipynb", notebook("old")),
        ("doejohn_LATE_101_9007_02_write_the_task-1.ipynb", notebook("new")),
        ("doejohn_102_9003_02_write_the_task.ipynb", notebook("another John Doe")),
        ("müllerzoë_103_9004_work.py", b"x = 1"),
        ("lastword_104_text.html", b"<p>typed in the browser</p>"),
        ("readerann_105_9005_essay.pdf", b"%PDF"),
        ("anon_a1B2c_9006_02.ipynb", notebook("anonymous")),
    )
    found, notes = collect(source)
    texts = [(s.student, s.problem or sources(s)) for s in found]
    assert sorted(texts, key=str) == [
        ("anon_a1B2c", ["anonymous"]),
        ("doejohn", ["another John Doe"]),
        ("doejohn", ["new"]),
        ("lastword", "no notebook (.ipynb, .md, .py)"),
        ("müllerzoë", ["x = 1"]),
        ("readerann", "no notebook (.ipynb, .md, .py)"),
    ]
    assert len({s.key for s in found}) == len(found), "two students of one name are two"
    assert notes == [
        "doejohn: doejohn_101_9001_02_write_the_task.ipynb passed over for "
        "doejohn_LATE_101_9007_02_write_the_task-1.ipynb"
    ]
    ids = sorted(platform_id(s.file, s.key, "canvas") for s in found)
    assert ids == ["101", "102", "103", "104", "105", "a1B2c"]


def test_canvas_copies_count_up(tmp_path):
    names = [f"doejohn_5_{n}_02_x{suffix}.ipynb" for n, suffix in ((8, "-9"), (8, "-10"), (8, ""))]
    assert sources(by_name(folder(tmp_path, **{n: notebook(n) for n in names}))["doejohn"]) == [
        "doejohn_5_8_02_x-10.ipynb"
    ]


@pytest.mark.parametrize(
    "names",
    [
        ["hw_1_2_alice.ipynb", "hw_1_2_bob.ipynb"],
        ["2026_11_23_ada.ipynb", "2026_11_24_ada.ipynb"],
    ],
)
def test_names_that_only_look_like_canvas_are_students(tmp_path, names):
    found = by_name(folder(tmp_path, **{name: notebook(name) for name in names}))
    assert sorted(found) == sorted(name.removesuffix(".ipynb") for name in names)


def test_moodle_names(tmp_path):
    source = zipped(
        tmp_path / "moodle.zip",
        ("Ada Lovelace_12345_assignsubmission_file_/02_write.ipynb", notebook("ada")),
        ("Group 1-Zoë Müller_12346_assignsubmission_file_/deep/er/02.ipynb", notebook("zoë")),
        ("Eve_12347_assignsubmission_file_/doejohn_5_9_02.ipynb", notebook("eve")),
        ("Ann O'Nym_12348_assignsubmission_onlinetext_/onlinetext.html", b"<p>"),
        ("Participant_12349_assignsubmission_file_02_flat.ipynb", notebook("flat")),
    )
    found = by_name(source)
    assert {name: s.problem or sources(s) for name, s in found.items()} == {
        "Ada Lovelace": ["ada"],
        "Group 1-Zoë Müller": ["zoë"],
        "Eve": ["eve"],
        "Ann O'Nym": "no notebook (.ipynb, .md, .py)",
        "Participant 12349": ["flat"],
    }
    handed_in, eve = [(s.file, s.key) for s in found.values()], found["Eve"]
    assert platform_ids(handed_in, "moodle")[eve.key] == "12347"
    assert eve.key not in platform_ids(handed_in, "canvas"), "a file's name is no one's number"


def test_plain_and_nbgrader_names(tmp_path):
    found = by_name(
        folder(
            tmp_path,
            **{
                "ada.ipynb": notebook("ada"),
                "j.doe/ps1/02_write.ipynb": notebook("john"),
                "j.doe/ps1/.ipynb_checkpoints/02_write-checkpoint.ipynb": notebook("no"),
                "eve.md": b"```{code-cell}\neve\n```",
                "README.md": b"how to hand in",
                ".DS_Store": b"",
                "list.xlsx": b"",
            },
        )
    )
    assert {name: sources(s) for name, s in found.items()} == {
        "ada": ["ada"],
        "j.doe": ["john"],
        "eve": ["eve"],
    }
    assert found["j.doe"].file == "j.doe/ps1/02_write.ipynb"


def test_one_folder_around_all_is_no_student(tmp_path):
    inner = [("hw/ada.ipynb", notebook("1")), ("hw/bob/02.ipynb", notebook("2"))]
    mac = ("__MACOSX/hw/._ada.ipynb", b"")
    assert sorted(by_name(zipped(tmp_path / "a.zip", *inner, mac))) == ["ada", "bob"]
    canvas = ("hw/doejohn_5_9_02.ipynb", notebook("3"))
    assert sorted(by_name(zipped(tmp_path / "b.zip", canvas))) == ["doejohn"]
    single = [("ada/02.ipynb", notebook("1")), ("ada/04.ipynb", notebook("2"))]
    assert sorted(by_name(zipped(tmp_path / "c.zip", *single))) == ["ada"]


def test_chapters_of_one_student_are_one_submission(tmp_path):
    files = {
        "ada/04_gate.ipynb": notebook("four"),
        "ada/02_write.ipynb": notebook("two"),
        "ada/scratch.ipynb": notebook("scratch"),
    }
    (found,), notes = collect(folder(tmp_path, **files))
    assert [(c.number, c.source) for c in cells(found)] == [(1, "two"), (2, "four")]
    assert found.file == "ada/02_write.ipynb + ada/04_gate.ipynb"
    assert len(notes) == 1 and "ada/scratch.ipynb passed over" in notes[0]
    assert sources(by_name(tmp_path, chapter="04")["ada"]) == ["four"]
    assert sources(by_name(tmp_path, chapter="07")["ada"]) == ["two", "four"]


def test_one_broken_chapter_does_not_cost_the_others(tmp_path):
    files = {"ada/02.ipynb": notebook("two"), "ada/04.ipynb": b"no"}
    (found,), notes = collect(folder(tmp_path, **files))
    assert sources(found) == ["two"] and found.file == "ada/02.ipynb"
    assert notes == ["ada: ada/04.ipynb left out, not a notebook: it is not JSON"]


def test_the_last_changed_counts(tmp_path):
    names = ["ada/02_b.ipynb", "ada/02_a.ipynb", "ada/02_a.md"]
    folder(tmp_path, **{name: notebook(name) for name in names})
    for age, name in enumerate(names):
        os.utime(tmp_path / name, (1e9 - age, 1e9 - age))
    assert sources(by_name(tmp_path)["ada"]) == ["ada/02_b.ipynb"]
    for name in names:
        os.utime(tmp_path / name, (1e9, 1e9))
    assert sources(by_name(tmp_path)["ada"]) == ["ada/02_b.ipynb"], "of one age: by name"


def test_same_name_twice_in_a_zip_is_the_last(tmp_path):
    with pytest.warns(UserWarning, match="Duplicate"):
        source = zipped(
            tmp_path / "a.zip", ("ada.ipynb", notebook("1")), ("ada.ipynb", notebook("2"))
        )
    (found,), notes = collect(source)
    assert sources(found) == ["2"] and notes == ["ada: ada.ipynb passed over for ada.ipynb"]


ABSURD = [
    "../../../evil.ipynb",
    "/etc/passwd.ipynb",
    "C:\\temp\\..\\win.ipynb",
    'comma, "quote".ipynb',
    "new\nline.ipynb",
    "<script>alert(1)</script>.ipynb",
    "=HYPERLINK(1).ipynb",
    "\u202egnp.ipynb",
    "\x1b[31mred.ipynb",
    "n" * 300 + ".ipynb",
    ".ipynb/x.ipynb",
    "日本語.ipynb",
    "---.ipynb",
]


def test_absurd_names_in_a_zip_stay_apart_and_touch_nothing(tmp_path):
    (tmp_path / "in").mkdir()
    visible = [name for name in ABSURD if not name.startswith(".ipynb")]
    source = zipped(
        tmp_path / "in" / "a.zip", *((n, notebook(str(i))) for i, n in enumerate(ABSURD))
    )
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*")}
    found = by_name(source)
    assert sorted(int(s) for f in found.values() for s in sources(f)) == [
        i for i, name in enumerate(ABSURD) if name in visible
    ]
    assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*")} == before
    assert all(s.file.isprintable() for s in found.values())


def test_dots_in_a_path_do_not_make_another_student(tmp_path):
    source = zipped(
        tmp_path / "a.zip",
        ("ada.ipynb", notebook("ada")),
        ("eve/../ada.ipynb", notebook("eve")),
        ("../ada.ipynb", notebook("out")),
    )
    assert {n: sources(s) for n, s in by_name(source).items()} == {
        "ada": ["ada"],
        "eve": ["eve"],
        "..": ["out"],
    }


def test_links_pipes_and_folders_are_not_opened(tmp_path):
    secret = folder(tmp_path / "secret", **{"s.ipynb": notebook("secret")})
    into = folder(tmp_path / "in", **{"ada.ipynb": notebook("ada"), "dir.ipynb/x.ipynb": b""})
    (into / "link.ipynb").symlink_to(secret / "s.ipynb")
    (into / "eve").mkdir()
    (into / "eve" / "02").symlink_to(secret, target_is_directory=True)
    os.mkfifo(into / "pipe.ipynb")
    (into / "empty").mkdir()
    found = by_name(into)
    assert {name: s.problem for name, s in found.items()} == {
        "ada": "",
        "dir": "a folder with the name of a notebook",
        "link": "a link, which is not followed",
        "eve": "no notebook (.ipynb, .md, .py)",
        "pipe": "not a file",
        "empty": "no notebook (.ipynb, .md, .py)",
    }


def test_a_file_swapped_for_a_link_or_pipe_is_not_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").write_bytes(b"secret")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    for name in ("pipe", "link", "gone"):
        with pytest.raises(archives.Unreadable):
            archives._read_file(str(tmp_path / name))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_without_permission(tmp_path):
    folder(tmp_path, **{"ada.ipynb": notebook(), "bob/02.ipynb": notebook()})
    os.chmod(tmp_path / "ada.ipynb", 0)
    os.chmod(tmp_path / "bob", 0)
    problems = {s.problem for s in collect(tmp_path)[0]}
    os.chmod(tmp_path / "bob", 0o700)
    assert problems == {"cannot be read: Permission denied"}


def test_an_unreadable_folder_is_its_student(tmp_path, monkeypatch):
    folder(tmp_path, **{"ada.ipynb": notebook(), "bob/02.ipynb": notebook()})
    scandir = os.scandir

    def refuse(path):
        if str(path).endswith("bob"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert by_name(tmp_path)["bob"].problem


def test_large_files_are_not_read(tmp_path):
    with open(tmp_path / "ada.ipynb", "wb") as file:
        file.truncate(200 * 1024**2)
    source = tmp_path / "bomb.zip"
    with zipfile.ZipFile(source, "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("bob.ipynb", "w") as stream:
            for _ in range(200):
                stream.write(bytes(1024**2))
        archive.writestr("eve.ipynb", notebook("eve"))
    assert source.stat().st_size < 1024**2
    tracemalloc.start()
    assert by_name(tmp_path)["ada"].problem == "too large: more than 10 MiB"
    bomb = by_name(source)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert bomb["bob"].problem == "too large: more than 10 MiB" and sources(bomb["eve"]) == ["eve"]
    assert peak < 40 * 1024**2


def patched(path, name: str, offset: int, value: bytes):
    """Change both headers of an entry: the central one at `offset`, the local one 2 before."""
    data = bytearray(path.read_bytes())
    where = data.rindex(b"PK\1\2", 0, data.rindex(name.encode()))
    data[where + offset : where + offset + len(value)] = value
    (local,) = struct.unpack_from("<I", data, where + 42)
    data[local + offset - 2 : local + offset - 2 + len(value)] = value
    path.write_bytes(data)


# A newer zipfile sees that the next file begins within these 2 GiB; an older one reads on.
STORED = "damaged" if "_end_offset" in zipfile.ZipInfo.__slots__ else ""


@pytest.mark.parametrize(
    ("offset", "value", "problem"),
    [
        (24, b"\x05\0\0\0", "damaged"),  # says that it holds 5 bytes
        (24, b"\xff\xff\xff\x7f", ""),  # says that it holds 2 GiB: what is there is read
        (20, b"\xff\xff\xff\x7f", STORED),  # says that 2 GiB are stored
        (16, b"\0\0\0\0", "damaged"),  # another checksum
        (8, b"\1\0", "encrypted"),
        (10, b"\x63\0", "compressed"),  # an unknown method
        (10, b"\x0c\0", "compressed"),  # bzip2, which cannot be bounded
    ],
)
def test_a_forged_header_costs_only_its_own_file(tmp_path, offset, value, problem):
    source = zipped(
        tmp_path / "a.zip",
        ("ada.ipynb", notebook("ada")),
        ("eve.ipynb", notebook("eve" * 100)),
        compression=zipfile.ZIP_DEFLATED,
    )
    patched(source, "eve.ipynb", offset, value)
    found = by_name(source)
    assert sources(found["ada"]) == ["ada"]
    if problem:
        assert found["eve"].problem.startswith(problem)
    else:
        assert sources(found["eve"]) == ["eve" * 100]


def test_a_link_in_a_zip(tmp_path):
    link = zipfile.ZipInfo("eve.ipynb")
    link.create_system, link.external_attr = 3, 0o120777 << 16
    source = zipped(tmp_path / "a.zip", (link, b"/etc/passwd"), ("dir.ipynb/", b""))
    problems = {name: s.problem for name, s in by_name(source).items()}
    assert problems == {
        "eve": "a link, which is not followed",
        "dir": "a folder with the name of a notebook",
    }


def test_names_from_a_mac_are_utf8(tmp_path):
    source = zipped(tmp_path / "a.zip", ("Zoë.ipynb", notebook("1")))
    data = source.read_bytes()
    source.write_bytes(data.replace(struct.pack("<H", 0x800), b"\0\0"))
    assert list(by_name(source)) == ["Zoë"]


@pytest.mark.parametrize("content", [None, b"", b"PK\3\4 cut", b"text"])
def test_what_is_no_folder_and_no_zip_is_one_clear_error(tmp_path, content):
    source = tmp_path / "hand\nins.zip"
    if content is not None:
        source.write_bytes(content)
    with pytest.raises(ValueError, match="SUBMISSIONS = "):
        collect(source)


def test_a_folder_without_students_is_one_clear_error(tmp_path):
    folder(tmp_path, **{"readme.md": b"", "list.csv": b""})
    with pytest.raises(ValueError, match=r"SUBMISSIONS = .*notebooks"):
        collect(tmp_path)


V3 = {"nbformat": 3, "worksheets": [{"cells": [{"cell_type": "code", "input": ["a\n", "b"]}]}]}
V4 = {
    "cells": [
        {"cell_type": "markdown", "source": "# no"},
        {"cell_type": "code", "source": "x = 1\r\ny = 2"},
        {"cell_type": "code", "source": ["z = ", "3"]},
        {"cell_type": "code", "source": 7},
        {"cell_type": "code"},
        {"cell_type": "code", "source": ["a", 1, None, "b"]},
        "no cell",
    ]
}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (V3, ["a\nb"]),
        (V4, ["x = 1\r\ny = 2", "z = 3", "", "", "ab"]),
        ({"cells": []}, []),
        ({"cells": [{"cell_type": "code", "source": "\ud800"}]}, ["?"]),
    ],
)
def test_notebooks_of_any_age(tmp_path, value, expected):
    assert sources(only(tmp_path, json.dumps(value).encode())) == expected
    assert sources(only(tmp_path, json.dumps(value).encode("utf-16"))) == expected


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"%PDF-1.7",
        b"[]",
        b"{}",
        b'{"cells": {}}',
        b'{"worksheets": 3}',
        b"[" * 100_000,
        b'{"cells": ' + b"9" * 10_000,
        b"\xff\xfe\xff",
        b"\0\1\2",
        notebook(*["x"] * 3_000),
        notebook("x" * 1_100_000),
    ],
)
def test_what_is_no_notebook_has_a_problem(tmp_path, data):
    found = only(tmp_path, data)
    assert found.problem.startswith("not a notebook") and found.data is None
    assert found.digest == hashlib.sha256(found.problem.encode()).hexdigest()
    with pytest.raises(ValueError, match="not a notebook"):
        cells(found)


def test_wrong_bytes_do_not_cost_the_rest(tmp_path):
    assert sources(only(tmp_path, b"# caf\xe9\nx = 1", "ada.py")) == ["# caf\ufffd\nx = 1"]


MYST = """---
jupytext: {formats: "ipynb,md:myst"}
---
# Title
```python
shown_only()
```
```{code-cell} ipython3
:tags: [hide-input]

x = 1
```
````{code-cell}
---
tags: [a]
---
y = '''
```
'''
````
~~~text
```{code-cell}
~~~
```{code-cell}
open = 1
"""


PERCENT = """# ---
# jupytext: {}
# ---

# %%
x = 1
# %% [markdown]
# no
# %% a title
# %%time is no mark
y
"""
LIGHT = """import a

# +
x = 1

y = 2
# -

z = 3
"""


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("a.md", MYST, ["\nx = 1", "y = '''\n```\n'''", "open = 1\n"]),
        ("a.md", "text\n```python\nx = 1\n```\n```bash\nls\n```", ["x = 1"]),
        ("a.md", "only text", []),
        ("a.py", PERCENT, ["x = 1", "# %%time is no mark\ny\n"]),
        ("a.py", LIGHT, ["import a\n", "x = 1\n\ny = 2", "\nz = 3\n"]),
        ("a.py", "x = 1\n\ndef f():\n    pass", ["x = 1\n\ndef f():\n    pass"]),
        ("a.py", "", []),
    ],
)
def test_jupytext_texts(tmp_path, name, text, expected):
    assert sources(only(tmp_path, text.encode(), name)) == expected
    assert code_cells(text.encode(), name) == expected


def test_solutions_of_the_book_keep_their_cells(pytestconfig):
    import jupytext

    for path in sorted((pytestconfig.rootpath / "solutions").glob("*.md")):
        expected = [c.source for c in jupytext.read(path).cells if c.cell_type == "code"]
        assert code_cells(path.read_bytes(), path.name) == expected, path


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=40), max_size=8))
def test_cells_survive_the_way_through_a_notebook(texts):
    texts = [t.replace("\0", "") for t in texts]
    assert code_cells(as_notebook(texts), "any.py") == texts


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from("cells worksheets cell_type source input code".split()), inner
        )
    ),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200) | JSON.map(lambda v: json.dumps(v).encode()), st.integers(0, 2))
def test_any_bytes_give_cells_or_a_value_error(data, kind):
    submission = Submission("s", "k", "f" + (".ipynb", ".md", ".py")[kind], "", data)
    try:
        found = cells(submission)
    except ValueError:
        return
    assert [cell.number for cell in found] == list(range(1, len(found) + 1))


NAMES = st.text(
    st.characters(exclude_characters="/\\\0", exclude_categories=["Cs"]), min_size=1, max_size=30
).filter(lambda name: not name.startswith(".") and not name.lower().startswith("readme"))


@settings(max_examples=60, deadline=None)
@given(st.lists(NAMES, min_size=1, max_size=5, unique=True), st.randoms())
def test_every_name_is_one_submission_in_any_order(tmp_path_factory, names, random):
    files = [(f"{name}.ipynb", notebook(name)) for name in names]
    random.shuffle(files)
    source = zipped(tmp_path_factory.mktemp("any") / "a.zip", *files)
    found, _ = collect(source)
    assert sorted(sources(s)[0] for s in found) == sorted(names)
    assert len({s.key for s in found}) == len(names)
    assert found == collect(zipped(source, *sorted(files)))[0]


def test_names_cannot_cost_much_time(tmp_path):
    hard = ["a" * 60_000, "_1" * 20_000, "_1_assignsubmission_" * 3_000, "-1" * 20_000]
    hard += ["a team " * 8_000 + "-_1_assignsubmission_file_", "x_attempt_" * 6_000]
    source = zipped(tmp_path / "a.zip", *((f"{n}.ipynb", notebook()) for n in hard))
    start = time.monotonic()
    assert len(collect(source)[0]) == len(hard)
    assert time.monotonic() - start < 2


def test_digest_follows_the_code_and_not_its_outputs(tmp_path):
    plain = {"cells": [{"cell_type": "code", "source": "x"}]}
    run = {"cells": [{"cell_type": "code", "source": "x", "outputs": [{"text": "1"}]}]}
    first, second = (only(tmp_path, json.dumps(v).encode()) for v in (plain, run))
    assert first.handed_in != second.handed_in, "but a teacher who reads wants to know"
    assert first.digest == second.digest == hashlib.sha256(first.data).hexdigest()


SOLVED = "def answers(inputs):\n    return inputs"
STUB = 'def answers(inputs):\n    raise NotImplementedError("your code here")'
WORK = "ada/02_write_the_task.ipynb"


@pytest.mark.parametrize(
    ("names", "newest"),
    [
        ({WORK: SOLVED}, {"ada/02_open_question.md": b"# Because\n\nnothing else fits."}),
        ({WORK: SOLVED}, {"ada/02_scratch.py": b"x = 1"}),
        ({WORK: SOLVED}, {"ada/02_scratch.py": b"answers = None"}),
        ({WORK: SOLVED}, {"ada/02_write_the_task.md": b"only text"}),
        ({WORK: SOLVED}, {"ada/02_notes.ipynb": notebook("# to do")}),
        ({WORK: SOLVED}, {"ada/02_play.ipynb": notebook("import torch", "torch.ones(3)")}),
        ({WORK: SOLVED}, {"ada/02_broken.ipynb": b"{"}),
        ({WORK: SOLVED}, {"ada/02_write_the_task-Copy1.ipynb": notebook(STUB)}),
        ({WORK: SOLVED}, {"ada/2026_notes.ipynb": notebook("answers")}),
        ({"ada/work.ipynb": SOLVED}, {"ada/02_open_question.md": b"Because."}),
        ({"ada/work.ipynb": SOLVED}, {"ada/02_scratch.ipynb": notebook("x = 1")}),
        ({"ada/work.py": SOLVED}, {"ada/02_write_the_task.ipynb": notebook(STUB)}),
        ({"ada/01_homework.ipynb": SOLVED}, {"ada/02_scratch.ipynb": notebook("x = 1")}),
    ],
)
@pytest.mark.parametrize("chapter", [None, "02"])
def test_what_was_worked_on_is_not_displaced_by_what_came_later(tmp_path, names, newest, chapter):
    (name,), (later,) = names, newest
    data = SOLVED.encode() if name.endswith(".py") else notebook(SOLVED)
    folder(tmp_path, **{name: data}, **newest)
    os.utime(tmp_path / name, (1e9, 1e9))
    (found,), notes = collect(tmp_path, chapter)
    assert sources(found) == [SOLVED] and found.file == name
    assert len(notes) == 1 and later in notes[0], "and the teacher is told of the other"


def test_two_solved_versions_are_told_apart_by_their_age(tmp_path):
    names = ["ada/02_a.ipynb", "ada/02_b.ipynb"]
    folder(tmp_path, **{n: notebook(SOLVED, f"# {n}") for n in names})
    for age, name in enumerate(names):
        os.utime(tmp_path / name, (1e9 - age, 1e9 - age))
    assert by_name(tmp_path)["ada"].file == names[0]


def test_notebooks_without_a_number_belong_where_their_functions_do(tmp_path):
    fill = "def look_up(*arguments):\n    return 4"
    files = {"ada/first.ipynb": notebook(SOLVED), "ada/second.ipynb": notebook(fill)}
    assert sources(by_name(folder(tmp_path, **files))["ada"]) in ([SOLVED, fill], [fill, SOLVED])


def test_many_files_of_one_student_do_not_hide_the_notebook(tmp_path):
    names = [f"ada/02_scratch_{n}.py" for n in range(100)]
    folder(tmp_path, **{n: b"x = 1" for n in names}, **{WORK: notebook(SOLVED)})
    os.utime(tmp_path / WORK, (1e9, 1e9))
    (found,), notes = collect(tmp_path)
    assert found.file == WORK and len(notes) == 11
    assert notes[-1] == "ada: 90 more files passed over or left out"


def test_names_of_files_that_browsers_and_editors_saved(tmp_path):
    found = by_name(
        folder(
            tmp_path,
            **{
                "ada.ipynb.json": notebook("ada"),
                "bob.ipynb.txt": notebook("bob"),
                "cleo.json": notebook("cleo"),
                "dora/work.txt": notebook("dora"),
                "eve/02_x.IPYNB.TXT": notebook("eve"),
                "fay.txt": b"I could not do it",
            },
        )
    )
    assert {n: s.problem or sources(s) for n, s in found.items()} == {
        "ada": ["ada"],
        "bob": ["bob"],
        "cleo": ["cleo"],
        "dora": ["dora"],
        "eve": ["eve"],
        "fay": "no notebook (.ipynb, .md, .py)",
    }


def test_everybody_who_handed_anything_in_has_a_row(tmp_path):
    outside = folder(tmp_path / "outside", **{"02.ipynb": notebook("secret")})
    source = folder(
        tmp_path / "in",
        **{
            "ada.ipynb": notebook("ada"),
            "bob.zip": b"PK",
            "carol.pdf": b"%PDF",
            "carol.tar.gz": b"",
            "list.xlsx": b"",
            "README.md": b"",
        },
    )
    (source / "dave").symlink_to(outside, target_is_directory=True)
    found, notes = collect(source)
    assert {s.student: s.problem for s in found} == {
        "ada": "",
        "bob": "no notebook (.ipynb, .md, .py), but a zip, which is not opened: unpack it",
        "carol": "no notebook (.ipynb, .md, .py), but a tar.gz, which is not opened: unpack it",
        "dave": "a link, which is not followed",
    }
    assert [note.split(": ")[1] for note in notes] == ["README.md", "list.xlsx"]


def test_a_folder_with_versions_is_one_student(tmp_path):
    files = {"alice/hw.ipynb": notebook("1"), "alice/hw_old.ipynb": notebook("2")}
    found, notes = collect(folder(tmp_path / "subs", **files))
    assert [s.student for s in found] == ["alice"]
    assert notes[0] == "alice: taken for one student; if it is a class, give this folder"
    source = zipped(tmp_path / "subs.zip", *files.items())
    assert list(by_name(source)) == ["alice"]
    inner = {"hw/ada.ipynb": notebook("1"), "hw/bob.ipynb": notebook("2")}
    assert list(by_name(zipped(tmp_path / "c.zip", *inner.items()))) == ["ada", "bob"]


CANVAS_NAMES = ["शर्माप्रिया", "สมหญิงใจดี", "mu\u0308llerzoe\u0308", "نعمه\u200cزهرا", "o\u0302ng"]


def test_canvas_names_with_marks(tmp_path):
    names = [f"{name}_{n}_90{n}_02_x.ipynb" for n, name in enumerate(CANVAS_NAMES, 11)]
    found, _ = collect(zipped(tmp_path / "a.zip", *((n, notebook("x")) for n in names)))
    ids = {s.student: platform_id(s.file, s.key, "canvas") for s in found}
    expected = [unicodedata.normalize("NFC", name) for name in CANVAS_NAMES]
    assert ids == {name: str(n) for n, name in enumerate(expected, 11)}


def test_anonymous_texts_and_late_ones_of_canvas(tmp_path):
    texts = ["anon_a1B2c_text.html", "doejohn_LATE_5_text.html"]
    files = [("anon_LATE_x9_7_02.ipynb", notebook("x")), *((name, b"<p>") for name in texts)]
    found, _ = collect(zipped(tmp_path / "a.zip", *files))
    shown = sorted((s.file, is_late(s.file, s.key), s.problem[:11]) for s in found)
    assert shown == [
        ("anon_LATE_x9_7_02.ipynb", True, ""),
        ("anon_a1B2c_text.html", False, "no notebook"),
        ("doejohn_LATE_5_text.html", True, "no notebook"),
    ]
    assert sorted(platform_id(s.file, s.key, "canvas") for s in found) == ["5", "a1B2c", "x9"]


def test_two_spellings_of_an_accent_are_one_student(tmp_path):
    two = {unicodedata.normalize(form, "Zoë"): form for form in ("NFC", "NFD")}
    assert len(two) == 2
    found = [collect(zipped(tmp_path / f, (f"{n}/02.ipynb", notebook("x"))))[0][0] for n, f in
             two.items()]  # fmt: skip
    assert found[0].key == found[1].key and found[0].student == found[1].student
    both = zipped(tmp_path / "both", *((f"{n}/02.ipynb", notebook("x")) for n in two))
    assert len(collect(both)[0]) == 1


def test_a_file_without_code_does_not_count_beside_one_with_code(tmp_path):
    solved = notebook("def answers(x):\n    return x")
    files = {"02_a.ipynb": solved, "03_b.ipynb": notebook("# a note"), "04_c.md": b"words"}
    (found,), notes = collect(folder(tmp_path, **{f"ana/{n}": data for n, data in files.items()}))
    assert found.file == "ana/02_a.ipynb"
    passed_over = sorted(note.split()[1] for note in notes)
    assert passed_over == ["ana/03_b.ipynb", "ana/04_c.md"]


def test_two_whose_keys_would_meet_have_two(tmp_path, monkeypatch):
    def short(known_as, identity):
        return "x-00000001" if identity == "x-00000000" else "x-00000000"

    monkeypatch.setattr(submissions, "key_of", short)
    found = by_name(folder(tmp_path, **{"ann.ipynb": notebook("x"), "bob.ipynb": notebook("x")}))
    assert {found["ann"].key, found["bob"].key} == {"x-00000000", "x-00000001"}


def unmarked(path, *files: tuple[bytes, bytes]):
    """A zip whose names are these bytes, without the mark for UTF-8, as old tools write it."""
    stand_ins = [(f"{n:03}".ljust(len(name), "x"), data) for n, (name, data) in enumerate(files)]
    content = zipped(path, *stand_ins).read_bytes()
    for (stand_in, _), (name, _) in zip(stand_ins, files, strict=True):
        content = content.replace(stand_in.encode(), name)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("codec", "names"),
    [
        ("cp932", ["田中花子", "表太郎", "ソニア", "十河さくら"]),
        ("gbk", ["王小明", "李誠", "张伟", "乗刘"]),
        ("big5", ["許功蓋", "陳大文", "餐廳"]),
        ("cp437", ["Müller", "Zoë", "Åse Köln", "Élodie"]),
    ],
)
def test_zips_of_old_tools(tmp_path, codec, names):
    flat = unmarked(
        tmp_path / "a.zip", *((f"{n}.ipynb".encode(codec), notebook("x")) for n in names)
    )
    assert len(by_name(flat)) == len(names), "no character divides folders"
    if codec != "big5":  # whose bytes may also be read as GBK
        assert set(by_name(flat)) == set(names)
    inside = ((f"{n}/hw\\02.ipynb".encode(codec), notebook(n)) for n in names)
    deep = by_name(unmarked(tmp_path / "b.zip", *inside))
    assert sorted(sources(s)[0] for s in deep.values()) == sorted(names)


def test_a_character_that_ends_in_a_backslash_beside_latin_ones(tmp_path):
    names = ["kadai表.ipynb", "b能a.ipynb"]
    source = unmarked(tmp_path / "a.zip", *((n.encode("cp932"), notebook(n)) for n in names))
    assert sorted(sources(s)[0] for s in by_name(source).values()) == sorted(names)


def test_blackboard_names(tmp_path):
    stamp = "attempt_2026-11-{}-09-49-48"
    names = {
        f"Homework 1_jdoe_{stamp.format(23)}_02_write.ipynb": "old",
        f"Homework 1_jdoe_{stamp.format(24)}_01_write.ipynb": "new",
        f"Homework 1_jdoe_{stamp.format(24)}.txt": "receipt",
        f"Homework 1_eve_{stamp.format(24)}_x_jdoe_{stamp.format(25)}_02.ipynb": "eve",
        f"Homework 1_mute_{stamp.format(24)}.txt": "receipt",
    }
    data = {n: b"Name: x" if t == "receipt" else notebook(t) for n, t in names.items()}
    found = by_name(zipped(tmp_path / "a.zip", *data.items()))
    assert {n: s.problem or sources(s) for n, s in found.items()} == {
        "jdoe": ["new", "old"],
        "eve": ["eve"],
        "mute": "no notebook (.ipynb, .md, .py)",
    }


@pytest.mark.parametrize("platform", ["blackboard", "moodle"])
def test_a_folder_around_what_a_platform_named_is_no_student(tmp_path, platform):
    named = {
        "blackboard": "Homework 1_{}_attempt_2026-11-23-09-49-48_02.ipynb",
        "moodle": "{}_501_assignsubmission_file_02.ipynb",
    }[platform]
    files = {f"hw/{named.format(who)}": notebook(who) for who in ("ada", "bob")}
    assert set(by_name(folder(tmp_path / "in", **files))) >= {"ada", "bob"}


def test_folders_are_looked_into_to_a_depth(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "MAX_DEPTH", 3)
    for name, files in {
        "chain": ["a/b/in.py", "a/b/c/beyond.py"],
        "branches": ["a/b/in.py", "x/y/in.py", "x/y/z/beyond.py"],
        "alone": ["a/b/c/beyond.py"],
    }.items():
        with archives.opened(folder(tmp_path / name, **dict.fromkeys(files, b"x"))) as entries:
            found = {"/".join(entry.path) for entry in entries if not entry.is_folder}
        assert found == {file for file in files if file.endswith("in.py")}, name


def test_in_a_zip_with_its_folders_each_branch_is_counted_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "MAX_FILES", 3)
    files = {f"all/class/ada/{n}.py": b"x" for n in range(4)} | {"all/class/bob.py": b"x"}
    folders = {name: b"" for name in ("all/", "all/class/", "all/class/ada/")}
    with archives.opened(zipped(tmp_path / "a.zip", *(folders | files).items())) as entries:
        found = {"/".join(entry.path): entry.problem for entry in entries if not entry.is_folder}
    too_many = "too many files: more than 3"
    assert found == {"all/class/ada": too_many, "all/class/bob.py": ""}


def test_moodle_blind_marking_and_teams(tmp_path):
    names = [
        "Participant_501_assignsubmission_file_/02.ipynb",
        "Participant_502_assignsubmission_file_/02.ipynb",
        "Team 7_77_assignsubmission_file_/02.ipynb",
        "Lab group B_78_assignsubmission_file_/02.ipynb",
        "Group 1-Zoë Müller_503_assignsubmission_file_/02.ipynb",
    ]
    found, _ = collect(zipped(tmp_path / "a.zip", *((n, notebook(n)) for n in names)))
    assert {s.student: platform_id(s.file, s.key, "moodle") for s in found} == {
        "Participant 501": "501",
        "Participant 502": "502",
        "Team 7": "",
        "Lab group B": "",
        "Group 1-Zoë Müller": "503",
    }


GRADESCOPE = """---
submission_11:
  :submitters:
  - :name: Ada Lovelace
    :sid: '007'
    :email: ada@example.edu
  - :name: "Zoë: Müller"
    :sid: ''
    :email: zoe@example.edu
  :created_at: 2026-11-24 09:49:48.000000000 Z
  :status: processed
  :results:
    tests:
    - output: |
        submission_12:
          :submitters:
          - :name: Eve
submission_12:
  :created_at: 2026-11-24 09:49:48.000000000 Z
  :submitters:
  - :name: Ben
    :email:
submission_13:
  :submitters: []
"""


def test_gradescope_names_come_from_its_list(tmp_path):
    files = {f"export/submission_{n}/02.ipynb": notebook(str(n)) for n in (11, 12, 13)}
    files["export/submission_metadata.yml"] = GRADESCOPE.encode()
    found = by_name(folder(tmp_path / "in", **files))
    assert {n: sources(s) for n, s in found.items()} == {
        "Ada Lovelace": ["11"],
        "Zoë: Müller": ["11"],
        "Ben": ["12"],
        "submission_13": ["13"],
    }
    files["export/submission_metadata.yml"] = b"\xff: ["
    found = by_name(folder(tmp_path / "in", **files))
    assert sorted(found) == ["submission_11", "submission_12", "submission_13"]


@pytest.mark.parametrize("lines", ["  :a: b\n" * 300_000, "  - :name: x\n" * 100_000])
def test_a_long_list_of_gradescope_costs_little_time(tmp_path, lines):
    files = {f"submission_{n}/02.ipynb": notebook("x") for n in (1, 2)}
    files["submission_metadata.yml"] = f"submission_1:\n{lines}".encode()
    start = time.monotonic()
    assert len(collect(zipped(tmp_path / "a.zip", *files.items()))[0]) == 2
    assert time.monotonic() - start < 5


def test_no_name_of_a_file_replaces_another_student(tmp_path):
    names = [
        "Ada Byron_501_assignsubmission_file_02_z.ipynb",
        "Eve Fox_502_assignsubmission_file_x_501_assignsubmission_file_02_z.ipynb",
        "Mal Day_503_assignsubmission_file_Ada Byron_501_assignsubmission_file_02_z.ipynb",
        "x_501_assignsubmission_file_02_z.ipynb",
    ]
    found = by_name(zipped(tmp_path / "a.zip", *((n, notebook(n)) for n in names)))
    assert {n: sources(s) for n, s in found.items()} == {
        "Ada Byron": names[:1],
        "Eve Fox": names[1:2],
        "Mal Day": names[2:3],
        "x": names[3:],
    }
    ids = platform_ids([(s.file, s.key) for s in found.values()], "moodle")
    told = {n: ids.get(s.key, "") for n, s in found.items()}
    assert told == {"Ada Byron": "", "Eve Fox": "502", "Mal Day": "503", "x": ""}, "501 is disputed"


COURSE_FILES = {
    "README.md": b"",
    "CONTRIBUTING.md": b"```python\nanswers = 1\n```",
    "book/02_write_the_task.ipynb": notebook("chapter"),
    "solutions/02_write_the_task.md": b"```{code-cell}\n" + SOLVED.encode() + b"\n```",
    "tests/submissions/right.md": b"```{code-cell}\n" + SOLVED.encode() + b"\n```",
    "zoology_teach/model.py": b"answers = 2",
    "benchmarks/02_speed.py": b"answers = 3",
}


@pytest.mark.parametrize("at", ["ada", "ada/work/zoology"])
@pytest.mark.parametrize("around", [(), ("bob.ipynb",)])
def test_of_a_clone_the_exercises_are_the_students(tmp_path, at, around):
    files = {f"{at}/{name}": data for name, data in COURSE_FILES.items()}
    files[f"{at}/exercises/02_write_the_task.ipynb"] = notebook(STUB)
    files |= {name: notebook("bob") for name in around}
    folder(tmp_path / "in", **files)
    for source in (tmp_path / "in", zipped(tmp_path / "a.zip", *files.items())):
        ada = by_name(source)["ada"]
        assert sources(ada) == [STUB] and ada.file.endswith("exercises/02_write_the_task.ipynb")


def test_a_clone_without_exercises_is_no_answer(tmp_path):
    files = {f"ada/{name}": data for name, data in COURSE_FILES.items()}
    folder(tmp_path, **files, **{"bob.ipynb": notebook("bob")})
    assert by_name(tmp_path)["ada"].problem == "nothing but the course's own files"
    (tmp_path / "ada" / "my_work.ipynb").write_bytes(notebook(SOLVED))
    assert sources(by_name(tmp_path)["ada"]) == [SOLVED]


@pytest.mark.parametrize("name", ["02.ipynb", "02_write_the_task.md", "deep/02.py"])
def test_a_folder_called_solutions_is_the_courses(tmp_path, name):
    data = notebook(SOLVED) if name.endswith("ipynb") else f"```python\n{SOLVED}\n```".encode()
    folder(tmp_path / "in", **{f"ada/solutions/{name}": data, "bob.ipynb": notebook("bob")})
    ada = by_name(tmp_path / "in")["ada"]
    assert ada.problem == "nothing but the course's own files"
    folder(tmp_path / "in", **{"ada/exercises/02.ipynb": notebook(STUB)})
    packed = {f"solutions/{n}": d for n, d in [("ann.ipynb", data), ("bob.ipynb", data)]}
    for source in (tmp_path / "in", zipped(tmp_path / "a.zip", *files_in(tmp_path / "in"))):
        found, notes = collect(source)
        assert sources(found[0]) == [STUB]
        assert notes == [
            f"ada: ada/solutions/{name} left out, as the course's: "
            'if the folder "solutions" is their own work, give it another name'
        ]
    assert list(by_name(zipped(tmp_path / "b.zip", *packed.items()))) == ["ann", "bob"]


@pytest.mark.parametrize("as_zip", [False, True])
def test_too_many_files_cost_only_the_one_who_has_them(tmp_path, monkeypatch, as_zip):
    monkeypatch.setattr(archives, "MAX_FILES", 300)
    files = {f"eve/{n}.txt": b"" for n in range(300)} | {"eve/02.ipynb": notebook("eve")}
    files |= {f"ada/venv/lib/python3/site-packages/{n}.py": b"" for n in range(400)}
    files |= {"ada/02.ipynb": notebook("ada"), "bob.ipynb": notebook("bob")}
    source = folder(tmp_path / "in", **files)
    if as_zip:
        source = zipped(tmp_path / "a.zip", *((f"hw/{n}", d) for n, d in files.items()))
    assert {n: s.problem or sources(s) for n, s in by_name(source).items()} == {
        "eve": "too many files: more than 300",
        "ada": ["ada"],
        "bob": ["bob"],
    }


@pytest.mark.parametrize("as_zip", [False, True])
@pytest.mark.parametrize("most", [2, 3])
def test_just_so_many_files_are_not_too_many(tmp_path, monkeypatch, as_zip, most):
    """A folder counts itself; in a zip it is no entry of its own."""
    monkeypatch.setattr(archives, "MAX_FILES", most)
    count = most if as_zip else most - 1
    files = {"ada/02.ipynb": notebook("ada")} | {f"ada/{n}.txt": b"" for n in range(count - 1)}
    for more, found in (
        ({}, ["ada"]),
        ({"ada/one_more.txt": b""}, f"too many files: more than {most}"),
    ):
        every = files | more | {"bob.ipynb": notebook("bob")}
        source = folder(tmp_path / f"in{len(more)}", **every)
        if as_zip:
            source = zipped(tmp_path / f"{len(more)}.zip", *every.items())
        submissions = by_name(source)
        assert (submissions["ada"].problem or sources(submissions["ada"])) == found
        assert sources(submissions["bob"]) == ["bob"]


def test_who_handed_in_a_table_has_a_row_too(tmp_path):
    names = ["doejohn_101_9001_data.csv", "Ada_12_assignsubmission_file_marks.xlsx"]
    found, notes = collect(zipped(tmp_path / "a.zip", *((name, b"1,2") for name in names)))
    assert sorted(s.student for s in found) == ["Ada", "doejohn"] and notes == []


def test_a_file_that_was_saved_twice_does_not_hide_whose_files_they_are(tmp_path):
    names = [f"s{n}_{n}_90{n}_02_x.ipynb" for n in range(1, 9)] + ["s8_8_908_02_x (1).ipynb"]
    found, _ = collect(zipped(tmp_path / "a.zip", *((name, notebook("x")) for name in names)))
    assert [platform_id(s.file, s.key, "canvas") for s in found] == [str(n) for n in range(1, 9)]


def test_a_text_of_the_courses_solutions_comes_after_the_stub(tmp_path):
    course = f"```{{code-cell}}\n### BEGIN SOLUTION\n{SOLVED}\n### END SOLUTION\n```".encode()
    files = {"ada/exercises/02.ipynb": notebook(STUB), "ada/solutions/02.md": course}
    assert sources(by_name(folder(tmp_path, **files))["ada"]) == [STUB]


@pytest.mark.parametrize("name", ["ada.pdf", "ada.ipynb", "ada/answer.pdf"])
def test_what_is_no_notebook_can_be_handed_in_anew_too(tmp_path, name):
    first, second = (only(tmp_path, data, name) for data in (b"%PDF 1", b"%PDF 2"))
    assert first.handed_in != second.handed_in and first.digest == second.digest


HELD = [
    'def answers(inputs):\n    # raise NotImplementedError("your code here")\n    return inputs',
    'def answers(inputs):\n    return inputs\n    raise NotImplementedError("your code here")',
    'def answers(inputs):\n    raise NotImplementedError("your code here")\n\n' + SOLVED,
    'if True:\n    def answers(inputs):\n        return inputs\n'
    'def helper():\n    raise NotImplementedError("your code here")',
    "answers = lambda inputs: inputs",
    "answers: object = lambda inputs: inputs",
]  # fmt: skip


@pytest.mark.parametrize("work", HELD)
def test_a_placeholder_that_no_longer_stops_is_no_stub(tmp_path, work):
    folder(tmp_path, **{WORK: notebook(work), "ada/02_write_the_task (1).ipynb": notebook(STUB)})
    os.utime(tmp_path / WORK, (1e9, 1e9))
    assert sources(by_name(tmp_path)["ada"]) == [work]


def test_a_value_called_as_a_function_is_does_not_displace_it(tmp_path):
    folder(tmp_path, **{WORK: notebook(SOLVED), "ada/02_play.ipynb": notebook("answers = 1")})
    os.utime(tmp_path / WORK, (1e9, 1e9))
    assert by_name(tmp_path)["ada"].file == WORK
    (tmp_path / WORK).write_bytes(notebook(STUB))
    assert by_name(tmp_path)["ada"].file == "ada/02_play.ipynb", "but it comes before a stub"


def test_many_notebooks_of_one_student_do_not_hide_the_chapters(tmp_path):
    names = [f"ada/play_{n}.ipynb" for n in range(400)]
    folder(tmp_path, **{n: notebook("x = 1") for n in names}, **{WORK: notebook(SOLVED)})
    os.utime(tmp_path / WORK, (1e9, 1e9))
    assert by_name(tmp_path)["ada"].file == WORK


def test_many_other_files_do_not_hide_a_notebook_under_another_name(tmp_path):
    pictures = {f"ada/{n}.png": b"\x89PNG" for n in range(50)}
    folder(tmp_path, **pictures, **{"ada/work.txt": notebook(SOLVED)})
    assert sources(by_name(tmp_path)["ada"]) == [SOLVED]


def test_who_handed_in_but_hidden_files_has_a_row_from_a_zip_too(tmp_path):
    names = ["ada/.ipynb_checkpoints/02.ipynb", "bob.ipynb", "__MACOSX/._bob.ipynb"]
    found = by_name(zipped(tmp_path / "a.zip", *((n, notebook("x")) for n in names)))
    assert {n: s.problem for n, s in found.items()} == {
        "ada": "no notebook (.ipynb, .md, .py)",
        "bob": "",
    }


def test_a_zip_named_after_its_folder_is_that_folder(tmp_path):
    files = {f"subs/alice/{n}.ipynb": notebook(n) for n in ("hw", "hw_old")}
    folder(tmp_path, **files)
    for source in (tmp_path / "subs", zipped(tmp_path / "subs.zip", *files.items())):
        assert list(by_name(source)) == ["alice"]
    one = zipped(tmp_path / "alice.zip", ("alice/02_write.ipynb", notebook("x")))
    assert list(by_name(one)) == ["alice"]


def test_anna_is_no_copy_of_ann(tmp_path):
    files = [(f"hw/{n}.ipynb", notebook(n)) for n in ("ann", "anna")]
    assert list(by_name(zipped(tmp_path / "a.zip", *files))) == ["ann", "anna"]
    files = [(f"smith/{n}.ipynb", notebook(n)) for n in ("hw", "hw_old")]
    found, notes = collect(zipped(tmp_path / "b.zip", *files))
    assert [s.student for s in found] == ["smith"]
    assert notes[0] == "smith: taken for one student; if it is a class, give this folder"


def numbers(tmp_path, *names: str) -> dict[str, str]:
    """Student -> Moodle's number in a class with these names of folders."""
    files = [(f"{name}_assignsubmission_file_/02.ipynb", notebook("x")) for name in names]
    found, _ = collect(zipped(tmp_path / "a.zip", *files))
    ids = platform_ids([(s.file, s.key) for s in found], "moodle")
    return {s.student: ids.get(s.key, "") for s in found}


@pytest.mark.parametrize("word", ["Teilnehmer", "Participante", "参加者", "Deltager i kurs"])
def test_blind_marking_is_known_in_any_language(tmp_path, word):
    expected = {f"{word} 501": "501", f"{word} 502": "502"}
    assert numbers(tmp_path, f"{word}_501", f"{word}_502") == expected
    assert numbers(tmp_path, f"{word} 501_501", f"{word} 502_502") == expected


def test_a_teams_number_is_nobodys_whatever_teams_are_called(tmp_path):
    names = ["Alpha_77", "Gruppe 3_78", "Omega_79", "3. Gruppe_80", "Équipe bleue_81"]
    named = [*names, "Team 7-Zoë Müller_82"]
    ids = {"Alpha": "", "Gruppe 3": "", "Omega": "", "3. Gruppe": "", "Équipe bleue": ""}
    assert numbers(tmp_path, *named) == ids | {"Team 7-Zoë Müller": "82"}


def test_a_class_of_people_has_its_numbers(tmp_path):
    names = ["Ada Lovelace_1", "Suharto_2", "Ben 4711 Li_3", "Anne-Marie Roy_4", "Gruppe 3_5"]
    assert list(numbers(tmp_path, *names).values()) == ["1", "4", "3", "", "2"]
    assert numbers(tmp_path, "Gruppe 3_3", *names[:4])["Gruppe 3"] == "", "by chance the same"
    assert numbers(tmp_path, "王小明_1", "李娜_2") == {"李娜": "2", "王小明": "1"}


TWO_OF_A_NAME = """submission_{}:
  :submitters:
  - :name: Li Wei
    :sid: ''
    :email:{}
"""


def test_two_folders_of_gradescope_with_one_name_are_two_students(tmp_path):
    files = [(f"submission_{n}/02.ipynb", notebook(str(n))) for n in (1, 2)]
    for mails, count in ((["", ""], 2), ([" a@b.c", " a@b.c"], 1), ([" a@b.c", ""], 2)):
        entries = [TWO_OF_A_NAME.format(n, mail) for n, mail in enumerate(mails, 1)]
        listed = ("submission_metadata.yml", "".join(entries).encode())
        found, _ = collect(zipped(tmp_path / "a.zip", listed, *files))
        assert [s.student for s in found] == ["Li Wei"] * count
    one = ("submission_metadata.yml", TWO_OF_A_NAME.format(1, "").encode())
    assert list(by_name(zipped(tmp_path / "b.zip", one, files[0]))) == ["Li Wei"], "a class of one"


@pytest.mark.parametrize("beside", ["README.md", "list.csv", "marks.xlsx"])
def test_a_folder_beside_a_readme_is_a_class(tmp_path, beside):
    flat = {f"class/{n}.ipynb": notebook(n) for n in ("ann", "bob")}
    source = folder(tmp_path / "flat", **{beside: b""}, **flat)
    found, notes = collect(source)
    assert [s.student for s in found] == ["ann", "bob"]
    assert notes == [f"passed over, no notebook: {beside}"]
    assert list(by_name(zipped(tmp_path / "a.zip", *files_in(source)))) == ["ann", "bob"]
    deep = {f"class/{n}/02.ipynb": notebook(n) for n in ("ann", "bob")}
    assert list(by_name(folder(tmp_path / "deep", **{beside: b""}, **deep))) == ["ann", "bob"]
    own = {"ada/hw1.ipynb": notebook("1"), "ada/hw2.ipynb": notebook("2")}
    assert list(by_name(folder(tmp_path / "one", **{beside: b""}, **own))) == ["ada"]


def test_who_may_be_a_class_is_said(tmp_path):
    files = [(f"hand_in/group 1/{n}.ipynb", notebook(n)) for n in ("ann", "bob")]
    found, notes = collect(zipped(tmp_path / "a.zip", *files))
    assert [s.student for s in found] == ["hand_in"]
    assert notes[0] == "hand_in: taken for one student; if it is a class, give this folder"
    _, notes = collect(zipped(tmp_path / "b.zip", ("ada/work/02_x.ipynb", notebook("x"))))
    assert notes == []


JSON_NAMES = ["work.txt", "02_write.JSON", "WORK.IPYNB.TXT", "02.ipynb_", "work", "Work.TXT"]


@pytest.mark.parametrize("name", JSON_NAMES)
@pytest.mark.parametrize("beside", [[f"{n}.png" for n in range(20)], ["notes.md"], ["02_a.py"]])
def test_a_notebook_under_another_name_is_found(tmp_path, name, beside):
    text = notebook(SOLVED).decode().replace(", ", ",\n")
    kinds = [text.encode(), text.replace("\n", "\r\n").encode("utf-8-sig"), text.encode("utf-16")]
    for number, data in enumerate(kinds):
        source = folder(tmp_path / str(number), **{f"ada/{name}": data})
        folder(source, **{f"ada/{other}": b"x = 1" for other in beside})
        assert sources(by_name(source)["ada"]) == [SOLVED]


def test_what_one_chapter_is_worth_says_nothing_of_another(tmp_path):
    """`look_up` of another chapter is a variable in one file, and solved in an older one."""
    values = notebook(SOLVED, "look_up = 4")
    fill = notebook("def look_up(*arguments):\n    return 4")
    folder(tmp_path, **{"ada/task.ipynb": values, "ada/old.ipynb": fill})
    os.utime(tmp_path / "ada" / "old.ipynb", (1e9, 1e9))
    assert by_name(tmp_path)["ada"].file == "ada/old.ipynb + ada/task.ipynb"


@pytest.mark.parametrize("chapter", [None, "02"])
def test_the_chapters_own_files_are_looked_at_first(tmp_path, chapter):
    folder(tmp_path, **{f"ada/play_{n}.ipynb": notebook("x = 1") for n in range(320)})
    if chapter:
        folder(tmp_path, **{f"ada/03_play_{n}.ipynb": notebook("x = 1") for n in range(320)})
    folder(tmp_path, **{"ada/02_write.md": f"```python\n{SOLVED}\n```".encode()})
    os.utime(tmp_path / "ada/02_write.md", (1e9, 1e9))
    assert sources(by_name(tmp_path, chapter)["ada"]) == [SOLVED]


def test_a_marimo_script_is_refused_in_so_many_words(tmp_path):
    script = (
        b"import marimo\n\napp = marimo.App()\n\n@app.cell\ndef _():\n    x = 1\n    return x,\n"
    )
    assert only(tmp_path, script, "ada.py").problem == (
        "a marimo notebook, which is not read: export it as .ipynb"
    )


EMPTY = [
    "def answers(inputs):\n    raise NotImplementedError('your code here')",
    "def answers(inputs): raise NotImplementedError",
    'def answers(\n    inputs: list,  # (B, N)\n) -> int:\n    """Say: it."""\n    # do\n    ...',
    "async def answers(inputs):\n    pass\n\nx = 1",
]


@pytest.mark.parametrize("empty", EMPTY)
def test_an_empty_function_is_a_stub_too(tmp_path, empty):
    folder(tmp_path, **{WORK: notebook(SOLVED), "ada/02_write (1).ipynb": notebook(empty)})
    os.utime(tmp_path / WORK, (1e9, 1e9))
    assert by_name(tmp_path)["ada"].file == WORK


BRANCH = "def answers(inputs):\n    if inputs is None:\n        raise NotImplementedError(1)\n"


@pytest.mark.parametrize("work", [BRANCH + "    return 2", "answers = lambda x: ...", SOLVED])
def test_a_newer_solution_is_no_stub_whatever_it_refuses(tmp_path, work):
    folder(tmp_path, **{WORK: notebook(SOLVED), "ada/02_b.ipynb": notebook(work)})
    os.utime(tmp_path / WORK, (1e9, 1e9))
    assert by_name(tmp_path)["ada"].file == "ada/02_b.ipynb"


def test_stubs_of_one_file_do_not_undo_what_another_solves(tmp_path):
    look_up = "def look_up(*arguments):\n    return 4"
    one = notebook("a = 1\ndef look_up(*arguments):\n    pass", SOLVED)
    two = notebook(look_up, STUB + "\n\nb = 2")
    folder(tmp_path, **{"ada/one.ipynb": one, "ada/two.ipynb": two})
    ada = by_name(tmp_path)["ada"]
    assert sorted(sources(ada)) == sorted(["a = 1\n", SOLVED, look_up, "b = 2"])


@pytest.mark.parametrize("before", ["@cache\n", "if True:\n    "])
def test_a_stub_that_something_needs_stays(tmp_path, before):
    indent = " " * (len(before) - len(before.rstrip(" ")))
    stub = before + STUB.replace("\n", f"\n{indent}")
    two = notebook("def look_up(*arguments):\n    return 4", stub)
    folder(tmp_path, **{"ada/one.ipynb": notebook(SOLVED), "ada/two.ipynb": two})
    assert stub in sources(by_name(tmp_path)["ada"])


@pytest.mark.parametrize("name", ["24_11_notes.ipynb", "99_play.ipynb", "٠٢_play.ipynb"])
def test_a_number_that_is_no_chapters_makes_no_chapter(tmp_path, name):
    folder(tmp_path, **{WORK: notebook(SOLVED), f"ada/{name}": notebook("while True: pass")})
    assert sources(by_name(tmp_path)["ada"]) == [SOLVED]


def test_what_is_packed_is_said_whatever_lies_beside_it(tmp_path):
    files = {"ada/README.md": b"", "ada/hw.ZIP": b"PK", "bob/hw.tar.gz": b"", "bob/b.txt": b""}
    found = by_name(folder(tmp_path, **files))
    end = "which is not opened: unpack it"
    assert found["ada"].problem.endswith(f", but a zip, {end}")
    assert found["bob"].problem.endswith(f", but a tar.gz, {end}")


def test_what_a_crash_leaves_at_the_end_of_a_file_costs_nothing(tmp_path):
    assert sources(only(tmp_path, notebook(SOLVED) + b"\0" * 600)) == [SOLVED]


@pytest.mark.parametrize(
    "code",
    [
        "".join(" " * n + "def answers(\n" for n in range(1300)),
        "def answers(x):\n    '''" + "\\" * 900_000,
        "def answers(x" + ":" * 900_000,
        "def answers(x):\n" + "#\n" * 400_000,
        "answers" + " " * 900_000,
        "answers: " * 100_000,
    ],
)
def test_functions_cannot_be_written_so_that_looking_for_them_costs_much(tmp_path, code):
    start = time.process_time()
    assert only(tmp_path, notebook(code)).problem == ""
    assert time.process_time() - start < 3


def test_a_file_that_cannot_be_read_does_not_hide_the_notebook_beside_it(tmp_path):
    place = folder(tmp_path / "in", **{"ada/b.json": notebook("found")})
    (place / "ada" / "a.json").symlink_to(place / "ada" / "b.json")
    assert sources(by_name(place)["ada"]) == ["found"]


def test_a_notebook_in_which_the_marks_of_a_solution_are_left_is_the_students(tmp_path):
    kept = SOLVED.replace("\n", "\n    ### BEGIN SOLUTION\n", 1)
    place = folder(
        tmp_path / "in",
        **{"ada/02_old.ipynb": notebook(kept), "ada/02_new.ipynb": notebook(EMPTY[0])},
    )
    os.utime(place / "ada" / "02_old.ipynb", (1, 1))
    assert sources(by_name(place)["ada"]) == [kept]


def test_only_canvas_numbers_copies_by_their_age(tmp_path):
    """Elsewhere the newest counts, whatever a student calls it."""
    files = {f"ada/{name}": notebook(f"# {name}\n{SOLVED}") for name in ("02-9.ipynb", "02.ipynb")}
    place = folder(tmp_path / "in", **files)
    os.utime(place / "ada" / "02-9.ipynb", (1, 1))
    assert sources(by_name(place)["ada"])[0].startswith("# 02.ipynb")


def test_a_first_character_that_ends_in_a_backslash_divides_no_folders():
    info = zipfile.ZipInfo(b"\x95\x5cx.ipynb".decode("cp437"))
    info.orig_filename, info.flag_bits = b"\x95\x5cx.ipynb".decode("cp437"), 0
    assert zip_names.paths([info]) == [("ò＼x.ipynb",)]


def test_files_that_are_called_as_the_courses_folders_make_no_clone(tmp_path):
    files = {"ada/book": b"", "ada/tests": b"", "ada/02_work.py": SOLVED.encode()}
    files |= {"bob/book/a.md": b"", "bob/tests/b.py": b"", "bob/02_work.py": SOLVED.encode()}
    found = by_name(folder(tmp_path / "in", **files))
    assert sources(found["ada"]) == [SOLVED]
    assert found["bob"].problem == "nothing but the course's own files"
