"""The corpus: whatever is handed in, each submission gets its row and nobody else's changes.

tests/submissions/ holds the submissions, a Markdown notebook each, and expected.csv their rows.
`# the solution` (of a, b or c) stands for the reference solution of chapter 02, and a name
between at-signs for what an attacker may know: where the marks are, the home, a port. What
cannot lie in git, such as 200 MB or a name with a line break, is made here.
"""

import contextlib
import csv
import functools
import hashlib
import html
import io
import json
import os
import re
import socket
import stat
import sysconfig
import tempfile
import warnings
import zipfile
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import jupytext
import matplotlib.pyplot  # noqa: F401  now: it may write a cache into the user's home
import psutil
import pytest
import torch
from typer.testing import CliRunner

import zoology_teach
from zoology_teach import cli
from zoology_teach.grading import grade as grades
from zoology_teach.grading.inside import confine
from zoology_teach.grading.ladder import climb
from zoology_teach.grading.ladders import EXERCISES
from zoology_teach.grading.notebooks import as_notebook
from zoology_teach.grading.sandbox import Limits

ROOT = Path(__file__).parents[2]
CORPUS = ROOT / "tests" / "submissions"
with open(CORPUS / "expected.csv", newline="") as file:
    EXPECTED = {row.pop("submission"): row for row in csv.DictReader(file)}
MARK = "zoology-corpus-was-here"
WORDS = ["--exercise", "02", "--seed", "5", "--timeout", "20", "--jobs", "2"]
FULL = {"a": "10", "b": "10", "c": "10", "status": "ok", "detail": "", "says": ""}
NAMES = [
    "comma, and; semicolon",
    "quote \"double\" and 'single'",
    "line\nbreak\r\nand\ttab",
    "<script>alert(1)",
    "<img src=x onerror=alert(1)>",
    '=HYPERLINK("http:x","click")',
    "@SUM(A1)",
    "+1+1",
    "-rf",
    "\t=1",
    "$(touch zoology-corpus-was-here)",
    "%2e%2e%2fgrades",
    "x\\..\\..\\grades",
    "\u202egnp.evil",
    "\x1b[31mred\x07",
    "\udcff\udc80",
    "CON",
    "x" * 240,
    "Élodie Müller",
    "elodie muller",
    "محمد علي",
]


@functools.cache
def solution() -> dict[str, str]:
    """The reference solutions of chapter 02 by letter; "" for all of them."""
    cells = jupytext.read(next((ROOT / "solutions").glob("02_*.md"))).cells
    code = [cell.source for cell in cells if cell.source.startswith("def ")]
    found = {letter: f"import torch\n\n{text}\n" for letter, text in zip("abc", code, strict=True)}
    return {"": "\n".join(found.values()), **found}


def written_out(text: str, known: dict[str, object]) -> str:
    for name, value in known.items():
        text = text.replace(f"@{name}@", str(value))
    of = re.compile(r"^# the solution(?: of ([abc]))?$", re.MULTILINE)
    return of.sub(lambda match: solution()[match[1] or ""], text)


def notebook(*sources: str) -> bytes:
    return as_notebook(list(sources))


def unreadable(detail: str) -> dict[str, str]:
    says = "there was no notebook to run"
    return {**dict.fromkeys("abc", "0"), "status": "unreadable", "detail": detail, "says": says}


def odd_files(folder: Path, outside: Path) -> dict[str, dict[str, str]]:
    """Put what cannot lie in git into `folder`: the rows it must get, by the student's name."""
    right, wrong = notebook(solution()[""]), notebook("def answers(inputs): return inputs")
    text, rows = right.decode(), {}

    def hand_in(path: str, data: bytes, row: dict[str, str]) -> Path:
        name = path.split("/")[0]
        rows[name.rpartition(".")[0] or name] = row
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_bytes(data)
        return folder / path

    for name in NAMES:
        hand_in(f"{name}.ipynb", right, FULL)
    (stub,) = (ROOT / "exercises").glob("02_*.ipynb")
    blank = {**FULL, **dict.fromkeys("abc", "0"), "says": "not written yet"}
    hand_in("blank.ipynb", stub.read_bytes(), blank)
    lines = {"cell_type": "code", "source": solution()[""].splitlines(keepends=True)}
    hand_in("lost metadata.ipynb", json.dumps({"cells": [lines]}).encode(), FULL)
    odd = [7, None, {}, {"cell_type": "code"}, {"cell_type": ["code"]}, {"source": 1}, lines]
    hand_in("odd cells.ipynb", json.dumps({"cells": odd, "metadata": 3}).encode(), FULL)
    shown = lines | {"outputs": [{"data": {"image/png": "x" * 2_000_000}}], "id": "../../x"}
    hand_in("large outputs.ipynb", json.dumps({"cells": [shown]}).encode(), FULL)
    hand_in("utf-16.ipynb", text.encode("utf-16"), FULL)
    hand_in("script.py", solution()[""].encode(), FULL)
    for name, head, mark in (
        ("nbconvert", "# coding: utf-8", "# In[ ]:"),
        ("databricks", "# Databricks notebook source", "# COMMAND ----------"),
    ):
        parts = (head, "1 / 0", "def broken(:", solution()[""], "oops")
        hand_in(f"{name}.py", f"\n\n{mark}\n\n".join(parts).encode(), FULL)
    hand_in("pdf.ipynb", b"%PDF-1.7\n\0\xff", unreadable("not a notebook: it is binary"))
    for name, data in (("empty", b""), ("cut off", right[:-9]), ("web page", b"<html>")):
        hand_in(f"{name}.ipynb", data, unreadable("not a notebook: it is not JSON"))
    deep = unreadable("not a notebook: its JSON is nested too deeply")
    hand_in("deep.ipynb", b'{"cells": ' + b"[" * 1_000_000, deep)
    hand_in("list.ipynb", b"[1, NaN]", unreadable("not a notebook: it is JSON without cells"))
    many = unreadable("not a notebook to grade: it has more than 2,000 code cells")
    hand_in("many cells.ipynb", notebook(*["1"] * 2001), many)
    long = unreadable("not a notebook to grade: it has more than 1,000,000 characters")
    hand_in("much code.ipynb", notebook("#" * 1_000_001), long)
    large = hand_in("200 MB.ipynb", text[:-1].encode(), unreadable("too large: more than 10 MiB"))
    with open(large, "ab") as file:
        for _ in range(200):
            file.write(b" " * (1 << 20))
        file.write(b"}")
    for name in ("draft", "final"):
        path = hand_in(f"several files/{name}.ipynb", right if name == "final" else wrong, FULL)
        os.utime(path, (0, 1_000_000 if name == "final" else 999_000))
    none = unreadable("no notebook (.ipynb, .md, .py)")
    hand_in("no notebook/report.pdf", b"%PDF", none)
    (folder / "a folder.ipynb").mkdir()
    rows["a folder"] = unreadable("a folder with the name of a notebook")
    (outside / "solution.ipynb").write_bytes(right)
    for name, target in (("link", outside / "solution.ipynb"), ("passwords", "/etc/passwd")):
        (folder / f"{name}.ipynb").symlink_to(target)
        rows[name] = unreadable("a link, which is not followed")
    os.mkfifo(folder / "pipe.ipynb")
    rows["pipe"] = unreadable("not a file")
    return rows


def tree(*roots: Path) -> dict[str, tuple]:
    """Every file below: its kind, size, time and hash. Folders: their names."""
    found = {}
    for root in roots:
        for path in [root, *root.rglob("*")]:
            status = path.lstat()
            plain = stat.S_ISREG(status.st_mode)
            data = hashlib.sha256(path.read_bytes()).hexdigest() if plain else ""
            found[str(path)] = (status.st_mode, data, plain and status.st_mtime_ns)
    return found


def marked() -> list[str]:
    """What the attackers left in places that are known to them."""
    packages = Path(sysconfig.get_path("purelib"))
    folders = [Path(p) for p in ("/", "/tmp", "/var/tmp", "/dev", "/dev/shm", "/etc", "/usr")]
    folders += [Path.cwd(), ROOT, ROOT.parent, ROOT / "solutions", packages, Path("/root")]
    names = [str(p) for f in folders if os.access(f, os.R_OK) for p in f.iterdir()]
    found = [name for name in names if MARK in name]
    grading = Path(zoology_teach.__file__).parent
    for path in (Path(torch.__file__), *grading.rglob("*.py"), packages / "sitecustomize.py"):
        if path.exists() and MARK.encode() in path.read_bytes():
            found.append(str(path))
    unix = Path("/proc/net/unix").read_text()
    return found + [line for line in unix.splitlines() if MARK in line and "-left" in line]


def family() -> set[psutil.Process]:
    """All processes below this one."""
    return set(psutil.Process().children(recursive=True))


def alive(processes: set[psutil.Process]) -> list[str]:
    """Those that are more than an entry that nobody has asked for yet; what they are."""
    found = []
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            if process.status() != psutil.STATUS_ZOMBIE:
                found.append(str(process))
    return found


def command(*words: object) -> str:
    done = CliRunner().invoke(cli.app, ["grade", *map(str, words)])
    assert done.exit_code == 0, done.output
    return done.output


def results(out: Path) -> dict[str, SimpleNamespace]:
    """By student: the line and the cells of grades.csv, the page and its text."""
    lines = (out / "grades.csv").read_text("utf-8-sig").split("\n")
    rows = {row["key"]: row for row in csv.DictReader(lines)}
    by_key = {row["key"]: line for line in lines for row in rows.values() if row["key"] in line}
    found = {}
    for graded in grades.load(out):
        page = (out / "feedback" / f"{graded.key}.html").read_text()
        text = html.unescape(re.sub(r"<[^>]*>", " ", page))
        row = rows.pop(graded.key)
        found[graded.student] = SimpleNamespace(
            graded=graded, row=row, line=by_key[graded.key], page=page, text=text
        )
    assert not rows, "a row that nobody handed in"
    return found


@pytest.fixture(scope="module")
def ran(tmp_path_factory, sandbox_kind):
    """The class, graded: what was expected, what came out, and the machine around it."""
    if sandbox_kind == "none":
        pytest.skip("needs the sandbox")
    base = tmp_path_factory.mktemp("corpus")
    source, out, honest_out = base / "in", base / "out", base / "honest out"
    home, temp, honest = base / "home", base / "temp", base / "honest"
    for folder in (source, out, home, temp, honest, base / "outside"):
        folder.mkdir()
    (home / ".bashrc").write_text("true\n")
    with (
        pytest.MonkeyPatch.context() as patch,
        socket.create_server(("127.0.0.1", 0)) as port,
        socket.socket(socket.AF_UNIX) as abstract,
        socket.socket(socket.AF_UNIX) as named,
    ):
        mark = f"{MARK}-{os.getpid()}"  # abstract names are those of all who run these tests
        abstract.bind(f"\0{mark}")
        named.bind(str(temp / f"{mark}.socket"))
        abstract.listen(), named.listen()
        patch.setenv("HOME", str(home))
        patch.setenv("TMPDIR", str(temp))
        patch.setenv("SECRET_TOKEN", "of the teacher")
        patch.setattr(tempfile, "tempdir", str(temp))
        limits = functools.partial(Limits, cell_seconds=2.0, call_seconds=2.0)
        patch.setattr(grades, "Limits", limits)
        known = {"OUT": out, "SUBMISSIONS": source, "COURSE": ROOT, "HOME": home, "TEMP": temp}
        known |= {"MARK": mark, "PORT": port.getsockname()[1], "HOSTNAME": os.uname().nodename}
        expected = odd_files(source, base / "outside")
        for path in CORPUS.glob("*.md"):
            text = written_out(path.read_text(), known)
            (source / path.name).write_text(text)
            expected[path.stem] = EXPECTED[path.stem]
            if EXPECTED[path.stem]["kind"] == "honest":
                (honest / path.name).write_text(text)
        for name in NAMES:
            (honest / f"{name}.ipynb").write_bytes((source / f"{name}.ipynb").read_bytes())
        around = (source, home, temp, honest, base / "outside")
        confine.prctl(confine.SET_CHILD_SUBREAPER, 1)  # whoever is orphaned comes here
        before, relatives = tree(*around), family()
        said = command(source, "-o", out, *WORDS)
        left, after = alive(family() - relatives), tree(*around)
        confine.prctl(confine.SET_CHILD_SUBREAPER, 0)
        command(honest, "-o", honest_out, *WORDS)
        for platform in ("canvas", "moodle", "gradescope"):
            command(source, "-o", out, *WORDS, "--export", platform)
        yield SimpleNamespace(
            expected=expected,
            said=said,
            found=results(out),
            alone=results(honest_out),
            out=out,
            base=base,
            before=before,
            after=after,
            left=left,
            others=sorted(p.name for p in base.iterdir()),
        )


def agrees(result: SimpleNamespace, expected: dict[str, str]) -> None:
    row = result.row
    points = [row["02.a"], row["02.b"], row["02.c"], row["status"]]
    assert points == [expected[k] for k in ("a", "b", "c", "status")], (row, result.text)
    assert row["total"] == str(sum(map(int, points[:3])))
    assert expected["detail"] == row["detail"] or re.fullmatch(expected["detail"], row["detail"])
    assert re.search(expected["says"], result.text), result.text


def test_the_corpus_is_whole():
    assert {path.stem for path in CORPUS.glob("*.md")} == set(EXPECTED)
    assert len(EXPECTED) >= 40


@pytest.mark.parametrize("name", EXPECTED)
def test_every_submission_gets_exactly_its_row(ran, name):
    agrees(ran.found[name], EXPECTED[name])


def test_every_cell_that_jupyter_runs_is_run(ran):
    assert ran.found["jupyter_cells"].graded.cells == ()


def test_what_cannot_lie_in_git_gets_its_rows_too(ran):
    assert set(ran.found) == set(ran.expected), "nobody more and nobody less"
    for name in set(ran.expected) - set(EXPECTED):
        agrees(ran.found[name], ran.expected[name])


def test_rows_are_the_same_without_the_hostile_ones(ran):
    assert len(ran.alone) > 30
    for name, alone in ran.alone.items():
        together = ran.found[name]
        assert (alone.line, alone.page) == (together.line, together.page), name
        assert alone.graded == together.graded, name


def test_nothing_outside_of_out_is_written(ran):
    assert ran.before == ran.after
    assert ran.others == sorted([*"in out home temp honest outside".split(), "honest out"])
    assert marked() == []
    files = {str(p.relative_to(ran.out)) for p in ran.out.rglob("*") if p.is_file()}
    keys = [result.graded.key for result in ran.found.values()]
    tables = "grades.csv items.csv items.png manual.csv canvas.csv moodle.csv settings.json"
    expected = {*tables.split(), grades.GRADED, "graded.lock", "written.jsonl"}
    expected |= {f"feedback/{key}.html" for key in keys}
    assert files == expected | {f"gradescope/{key}/results.json" for key in keys}


def test_no_process_is_left_behind(ran):
    assert ran.left == []


def test_no_formula_survives_into_a_table(ran):
    tables = sorted(ran.out.rglob("*.csv"))
    assert len(tables) >= 5
    for path in tables:
        text = path.read_text("utf-8-sig")
        assert all(c == "\n" or c.isprintable() for c in text), path
        for row in csv.reader(io.StringIO(text, newline="")):
            assert not [cell for cell in row if re.match(r"\s*[=+\-@]", cell)], (path, row)


class Tags(HTMLParser):
    """The tags and attributes of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list) -> None:
        self.found |= {tag, *(f"{tag} {name}" for name, _ in attributes)}


def test_no_script_survives_into_a_page(ran):
    allowed = Tags(ran.found["half_right"].page).found | Tags(ran.found["scratch_error"].page).found
    allowed |= {"strong", "pre", "pre tabindex", "pre dir", "pre role", "pre aria-label"}
    assert not [tag for tag in allowed if "script" in tag or " on" in tag or "img" in tag]
    for name, result in ran.found.items():
        assert Tags(result.page).found <= allowed, name
        assert all(c in "\n\t" or c.isprintable() for c in result.page), name


def test_no_reason_is_long(ran):
    assert max(len(result.page) for result in ran.found.values()) < 30_000
    never = next(r for r in EXERCISES["06.a"].rungs if r.name == "never reached")
    (outcome,) = climb(replace(EXERCISES["06.a"], rungs=[never]), lambda *_: [0] * 20_000, 5)
    assert outcome.earned == 0 and len(outcome.reason) < 1000


INNER_ZIP = "no notebook (.ipynb, .md, .py), but a zip, which is not opened: unpack it"


def hostile_zip(path: Path) -> dict[str, dict[str, str]]:
    """Write a zip with all that a zip can do to who unpacks it: the rows, by student."""
    right, wrong = notebook(solution()[""]), notebook("def answers(inputs): return inputs")
    rows = {"ada": FULL, "twice": FULL, "": FULL}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:

        def add(name: str, data: bytes, row: dict[str, str] | None, **more: object) -> None:
            info = zipfile.ZipInfo(name)
            info.compress_type = more.pop("compression", zipfile.ZIP_DEFLATED)
            for field, value in more.items():
                setattr(info, field, value)
            archive.writestr(info, data)
            if row:
                first = name.replace("\\", "/").strip("/").split("/")
                rows[first[0] if len(first) > 1 else first[0].rpartition(".")[0]] = row

        add("ada.ipynb", right, FULL)
        add(f"../../{MARK}/solution.ipynb", right, FULL)
        add(f"/tmp/{MARK}.ipynb", right, FULL)
        add(f"C:\\{MARK}\\x.ipynb", right, FULL)
        add("=1+1,<script>\n.ipynb", right, FULL)
        add("y" * 60_000 + ".ipynb", right, FULL)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it says that the name is there twice
            add("twice.ipynb", wrong, None)
            add("twice.ipynb", right, None)
        link = {"external_attr": (stat.S_IFLNK | 0o777) << 16, "create_system": 3}
        add("link.ipynb", b"/etc/passwd", unreadable("a link, which is not followed"), **link)
        add("folder.ipynb/", b"", unreadable("a folder with the name of a notebook"))
        packed = unreadable("compressed in a way that cannot be bounded")
        add("lzma.ipynb", right, packed, compression=zipfile.ZIP_LZMA)
        add("inner.zip", b"PK\3\4", unreadable(INNER_ZIP))
        add("class_list.csv", b"", None)
        too_large = unreadable("too large: more than 10 MiB")
        add("bomb.ipynb", bytes(300 << 20), too_large)
        add("short.ipynb", right, unreadable("damaged in the zip"))
        add("locked.ipynb", right, unreadable("encrypted in the zip"))
    del rows[""]
    data = bytearray(path.read_bytes())
    directory = data.index(b"PK\1\2")
    data[data.index(b"short.ipynb") + len(b"short.ipynb") + 20] ^= 0xFF  # in its contents
    data[data.index(b"locked.ipynb", directory) - 46 + 8] |= 1
    path.write_bytes(data)
    return rows


def test_a_hostile_zip_is_graded_in_place(tmp_path, sandbox_kind):
    if sandbox_kind == "none":
        pytest.skip("needs the sandbox")
    rows = hostile_zip(tmp_path / "class.zip")
    before = tree(tmp_path)
    said = command(tmp_path / "class.zip", "-o", tmp_path / "out", *WORDS)
    found = results(tmp_path / "out")
    assert set(found) == set(rows)
    for name, row in rows.items():
        agrees(found[name], row)
    assert "passed over, no notebook: class_list.csv" in said
    after = tree(tmp_path)
    assert before.items() <= after.items()
    assert {name for name in after if not name.startswith(f"{tmp_path}/out")} == set(before)
    assert marked() == []
