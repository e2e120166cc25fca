"""The whole command: a folder in, marks and feedback out, whatever interrupts it."""

import csv
import io
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import jupytext
import nbformat
import pytest
from typer.testing import CliRunner

from zoology_teach import cli, version
from zoology_teach.grading import check, settings
from zoology_teach.grading import grade as grades
from zoology_teach.grading.ladder import climb
from zoology_teach.grading.ladders import EXERCISES

ROOT = Path(__file__).parents[2]
CHAPTERS = sorted({name[:2] for name in EXERCISES})


def notebook(*sources: str) -> str:
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    return nbformat.writes(nbformat.v4.new_notebook(cells=cells))


def hand_in(folder: Path, **notebooks: str) -> Path:
    """A folder of notebooks, a student each."""
    folder.mkdir(parents=True, exist_ok=True)
    for student, text in notebooks.items():
        (folder / f"{student}.ipynb").write_text(text)
    return folder


def solution(chapter: str) -> str:
    (source,) = (ROOT / "solutions").glob(f"{chapter}_*.md")
    return nbformat.writes(jupytext.read(source))


def stub(chapter: str) -> str:
    (source,) = (ROOT / "exercises").glob(f"{chapter}_*.ipynb")
    return source.read_text()


def read(out: Path) -> dict[str, dict[str, str]]:
    """The rows of grades.csv by student."""
    rows = csv.DictReader(io.StringIO((out / "grades.csv").read_text("utf-8-sig")))
    return {row["student"]: row for row in rows}


def run(*words) -> str:
    """The command's output; it must end well."""
    done = CliRunner().invoke(cli.app, ["grade", *map(str, words)])
    assert done.exit_code == 0, done.output
    return done.output


def complaint(*words) -> str:
    done = CliRunner().invoke(cli.app, ["grade", *map(str, words)])
    assert done.exit_code == 2, done.output
    return done.output


def test_solutions_get_everything_and_stubs_nothing(tmp_path, sandbox_kind):
    """All chapters at once: a student's notebooks do not get into each other's way."""
    texts = {"right": solution, "blank": stub}
    for student, text in texts.items():
        for chapter in CHAPTERS:
            hand_in(tmp_path / "in" / student, **{f"{chapter}_chapter": text(chapter)})
    said = run(tmp_path / "in", "-o", tmp_path / "out", "--sandbox", sandbox_kind)
    assert "2 submissions (2 ok)" in said
    rows = read(tmp_path / "out")
    for name, exercise in EXERCISES.items():
        assert rows["right"][name] == str(exercise.points)
        assert rows["blank"][name] == "0"
    page = (tmp_path / "out" / "feedback" / f"{rows['blank']['key']}.html").read_text()
    assert page.count("not written yet") == len(EXERCISES), "once for each function"


def test_the_same_bytes_whatever_the_jobs_and_the_runs(tmp_path, sandbox_kind):
    broken = notebook("def answers(:", "import torch", "def fill(*a): return torch.rand(3)")
    source = hand_in(tmp_path / "in", a=solution("02"), b=stub("02"), c=broken, d="{")
    words = ["--exercise", "02", "--seed", "5", "--sandbox", sandbox_kind]
    for out, jobs in (("one", 1), ("two", 3)):
        run(source, "-o", tmp_path / out, *words, "--jobs", jobs)
    run(source, "-o", tmp_path / "two", *words)  # nothing is left to do
    assert len((tmp_path / "two" / "graded.jsonl").read_bytes().splitlines()) == 4
    one, two = (
        {p.relative_to(tmp_path / o): p.read_bytes() for p in (tmp_path / o).rglob("*.*")}
        for o in ("one", "two")
    )
    unordered = Path("graded.jsonl")
    assert sorted(one.pop(unordered).splitlines()) == sorted(two.pop(unordered).splitlines())
    assert one == two and len(one) > 8


def test_a_file_that_changed_is_graded_again_and_no_other(tmp_path, sandbox_kind):
    source = hand_in(tmp_path / "in", a=solution("02"), b=stub("02"))
    words = ["-o", tmp_path / "out", "--exercise", "02", "--sandbox", sandbox_kind]
    run(source, *words)
    hand_in(source, b=solution("02"))
    run(source, *words)
    keys = [g.key[0] for g in map(grades.Graded.from_json, lines(tmp_path / "out"))]
    assert sorted(keys) == ["a", "b", "b"]
    assert read(tmp_path / "out")["b"]["total"] == read(tmp_path / "out")["a"]["total"]
    (source / "a.ipynb").unlink()
    run(source, *words)
    assert list(read(tmp_path / "out")) == ["b"]


def lines(out: Path) -> list[str]:
    return (out / settings.GRADED).read_text().splitlines()


def test_a_killed_run_goes_on_where_it_was(tmp_path, sandbox_kind):
    slow = notebook("import time\ntime.sleep(0.3)")
    source = hand_in(tmp_path / "in", **{f"s{i:02}": slow for i in range(12)})
    words = ["--exercise", "02", "--seed", "5", "--jobs", "2", "--sandbox", sandbox_kind]
    run(source, "-o", tmp_path / "whole", *words)
    out = tmp_path / "killed"
    program = Path(sys.executable).with_name("zoology-teach")
    command = [str(w) for w in (program, "grade", source, "-o", out, *words)]
    process = subprocess.Popen(command, start_new_session=True, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not (out / settings.GRADED).exists() or len(lines(out)) < 3:
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    with open(out / settings.GRADED, "a") as file:
        file.write('{"cells": [], "det')  # as if it had been killed while it wrote
    before = lines(out)[:-1]
    assert 3 <= len(before) < 12
    run(source, "-o", out, *words)
    assert lines(out)[: len(before)] == before and len(lines(out)) == 12
    for name in ("grades.csv", "items.csv", "manual.csv"):
        assert (out / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert nobody_is_left()


def nobody_is_left(seconds: float = 10) -> bool:
    """Whether all workers end; a moment may pass until the kernel has done away with them."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = subprocess.run(
            ["pgrep", "-f", "zoology_teach.grading.inside.worker"], capture_output=True
        )
        if not found.stdout:
            return True
        time.sleep(0.1)
    return False


def test_marks_by_hand_are_kept_and_count(tmp_path, sandbox_kind):
    source = hand_in(tmp_path / "in", a=stub("02"))
    words = ["-o", tmp_path / "out", "--exercise", "02", "--sandbox", sandbox_kind]
    run(source, *words)
    manual = tmp_path / "out" / "manual.csv"
    text = manual.read_text("utf-8-sig").splitlines()
    assert text[0].endswith("points") and text[1].endswith(",")
    manual.write_text("\n".join([text[0], text[1] + "7"]))
    run(source, *words, "--export", "moodle")
    row = read(tmp_path / "out")["a"]
    assert (row["02.d"], row["total"]) == ("7", "7")
    assert "7" in (tmp_path / "out" / "moodle.csv").read_text()
    overruled = f"{row['key']},a,,02.a,,3"
    manual.write_text("\n".join([text[0], text[1] + "7", overruled]))
    run(source, *words)
    row = read(tmp_path / "out")["a"]
    assert (row["02.a"], row["02.d"], row["total"]) == ("3", "7", "10")
    page = (tmp_path / "out" / "feedback" / f"{row['key']}.html").read_text()
    assert "3 of 10, set by your teacher" in page and "10 of 40" in page
    manual.write_text("\n".join([text[0], text[1] + "much"]))
    assert "'much' must be a number" in complaint(source, *words)
    assert read(tmp_path / "out")["a"]["total"] == "10"


def test_wrong_use_is_one_line(tmp_path, monkeypatch):
    source, out = hand_in(tmp_path / "in", a=stub("02")), tmp_path / "out"
    assert "SUBMISSIONS" in complaint(tmp_path / "nothing", "-o", out)
    assert "exercise = '99'" in complaint(source, "-o", out, "--exercise", "99")
    assert "sandbox = 'maybe'" in complaint(source, "-o", out, "--sandbox", "maybe")
    assert "export = 'word'" in complaint(source, "-o", out, "--export", "word")
    assert "timeout = -1.0" in complaint(source, "-o", out, "--timeout", "-1")
    assert "outside of" in complaint(source, "-o", source / "out")
    monkeypatch.setenv("PATH", "")
    said = complaint(source, "-o", out, "--exercise", "02")
    assert "no bubblewrap found" in said and "--sandbox none" in said


def test_a_wrong_mark_is_said_before_anybody_is_graded(tmp_path):
    source, out = hand_in(tmp_path / "in", **NO_NOTEBOOKS), tmp_path / "out"
    out.mkdir()
    heading = "key,student,file,question,rubric,points"
    (out / "manual.csv").write_text(f"{heading}\nk,a,,02.d,,much\n")
    with pytest.raises(ValueError, match="'much' must be a number"):
        quick(source, out)
    assert [path.name for path in out.iterdir()] == ["manual.csv"]


def test_a_folder_holds_one_set_of_marks(tmp_path):
    source, out = hand_in(tmp_path / "in", a=stub("02")), tmp_path / "out"
    words = [source, "-o", out, "--sandbox", "none"]
    said = run(*words, "--exercise", "02", "--seed", "5")
    assert "GRADED WITHOUT A SANDBOX" in said
    (page,) = (out / "feedback").iterdir()
    assert "GRADED WITHOUT A SANDBOX" in page.read_text()
    assert "seed = 6" in complaint(*words, "--exercise", "02", "--seed", "6")
    assert "exercises = " in complaint(*words, "--exercise", "03")
    assert "sandboxed = True" in complaint(source, "-o", out, "--exercise", "02")
    (out / settings.SETTINGS).write_text("[]")
    assert "not the settings" in complaint(*words, "--exercise", "02")


def test_a_secret_seed_is_drawn_once(tmp_path):
    source = hand_in(tmp_path / "in", a=stub("02"))
    for out in ("one", "two", "one"):
        run(source, "-o", tmp_path / out, "--exercise", "02", "--sandbox", "none")
    one, two = ((tmp_path / o / settings.SETTINGS).read_text() for o in ("one", "two"))
    assert one != two


def test_the_checks_answers_by_heart_earn_nothing_more(tmp_path, sandbox_kind):
    """A function that knows what the public check asks, and nothing else."""
    scope: dict = {}
    for cell in jupytext.read(next((ROOT / "solutions").glob("02_*.md"))).cells:
        if cell.cell_type == "code" and not cell.source.startswith("check("):
            exec(cell.source, scope)
    known = {}

    def remembering(*arguments):
        found = scope["answers"](*arguments)
        known[tuple(map(as_text, arguments))] = found.tolist()
        return found

    assert check("02.a", remembering).passed
    source = "\n".join(
        [
            "import torch",
            f"KNOWN = {known!r}",
            "def as_text(a): return repr(a.tolist()) if isinstance(a, torch.Tensor) else repr(a)",
            "def answers(*arguments):",
            "    return torch.tensor(KNOWN[tuple(map(as_text, arguments))])",
        ]
    )
    own: dict = {}
    exec(source, own)
    assert check("02.a", own["answers"]).passed, "it must fool the public check"
    folder = hand_in(tmp_path / "in", cheat=notebook(source))
    run(folder, "-o", tmp_path / "out", "--exercise", "02", "--sandbox", sandbox_kind)
    row = read(tmp_path / "out")["cheat"]
    fixed = [r for r in EXERCISES["02.a"].rungs if r.name in always_the_same("02.a")]
    assert int(row["02.a"]) <= sum(r.points for r in fixed) < EXERCISES["02.a"].points


def as_text(a) -> str:
    return repr(a.tolist()) if hasattr(a, "tolist") else repr(a)


def always_the_same(exercise_id: str) -> set[str]:
    """Rungs whose inputs no seed changes, such as the example worked by hand in the text."""
    asked: dict[int, list[str]] = {}

    def asking(*arguments):
        asked[seed].append(as_text(arguments))
        raise AssertionError

    names = set()
    exercise = EXERCISES[exercise_id]
    for rung in exercise.rungs:
        for seed in (1, 2):
            asked[seed] = []
            climb(replace(exercise, rungs=[rung]), asking, seed)
        if [str(a) for a in asked[1]] == [str(a) for a in asked[2]]:
            names.add(rung.name)
    return names


NO_NOTEBOOKS = {"a": "{", "b": "[", "c": "-"}  # nothing to run: quick


def quick(source: Path, out: Path, **options):
    return grades.grade(source, out, chapter="02", **{"sandbox": "none", "seed": 5} | options)


def test_a_folder_with_marks_keeps_to_its_settings_whoever_is_graded(tmp_path):
    """Also where nobody of before is among the submissions, so that all seems new."""
    out = tmp_path / "out"
    first = hand_in(tmp_path / "in", **NO_NOTEBOOKS)
    second = hand_in(tmp_path / "in2", d="{")
    quick(first, out)
    before = (out / settings.SETTINGS).read_bytes()
    for changed, said in (
        ({"sandbox": "bwrap"}, r"sandboxed = True: must be False, as when OUT was first graded"),
        ({"chapter": "03"}, r"exercises = .*: must be .*02\.a.*, as when OUT was first"),
        ({"seconds": 30}, r"timeout = 30: must be 60\.0, as when OUT was first graded"),
        ({"seed": 6}, r"seed = 6: must be the one in .*settings\.json, or OUT another folder"),
    ):
        for source in (second, first):
            with pytest.raises(ValueError, match=said):
                grades.grade(source, out, **{"chapter": "02", "sandbox": "none"} | changed)
    assert (out / settings.SETTINGS).read_bytes() == before
    quick(second, out)
    assert list(read(out)) == ["d"]
    assert [g.student for g in grades.load(out)] == ["d"], "of others there are no pages"
    quick(first, out)
    assert list(read(out)) == ["a", "b", "c"]


def test_without_its_settings_a_graded_folder_is_refused(tmp_path):
    source, out = hand_in(tmp_path / "in", **NO_NOTEBOOKS), tmp_path / "out"
    quick(source, out)
    (out / settings.SETTINGS).unlink()
    with pytest.raises(ValueError, match=r"out = .*: must be without graded\.jsonl, or with the"):
        quick(source, out)


@pytest.mark.parametrize("name", ["grades.csv", "canvas.csv", "feedback/mine.html", "items.png"])
def test_a_folder_with_files_of_others_is_refused_and_untouched(tmp_path, name):
    source, out = hand_in(tmp_path / "in", **NO_NOTEBOOKS), tmp_path / "out"
    (out / name).parent.mkdir(parents=True)
    (out / name).write_text("mine")
    with pytest.raises(ValueError, match=rf"out = .*: must be without {name.split('/')[0]}"):
        quick(source, out)
    assert (out / name).read_text() == "mine" and len(list(out.iterdir())) == 1


def test_settings_of_another_program_are_refused_and_untouched(tmp_path):
    source, out = hand_in(tmp_path / "in", **NO_NOTEBOOKS), tmp_path / "out"
    out.mkdir()
    (out / "settings.json").write_text('{"editor.fontSize": 12}')
    with pytest.raises(ValueError, match=r"settings\.json: not the settings of a graded class"):
        quick(source, out)
    assert (out / "settings.json").read_text() == '{"editor.fontSize": 12}'


def test_out_that_is_a_file_is_refused_first(tmp_path):
    source, out = hand_in(tmp_path / "in", **NO_NOTEBOOKS), tmp_path / "out.csv"
    out.write_text("mine")
    with pytest.raises(ValueError, match="must be a folder, or a new name"):
        quick(source, out)
    assert out.read_text() == "mine"


def test_other_ladders_need_another_folder(tmp_path, monkeypatch):
    source, out = hand_in(tmp_path / "in", **NO_NOTEBOOKS), tmp_path / "out"
    quick(source, out)
    changed = replace(EXERCISES["02.a"], rungs=EXERCISES["02.a"].rungs[1:])
    monkeypatch.setitem(EXERCISES, "02.a", changed)
    with pytest.raises(ValueError, match=r"ladders = .*, as when OUT was first graded"):
        quick(source, out)


def test_marks_of_two_commits_are_not_mixed_without_a_word(tmp_path, monkeypatch):
    source, out = hand_in(tmp_path / "in", **NO_NOTEBOOKS), tmp_path / "out"
    monkeypatch.setattr(version, "code", lambda: "0.1+aaa")
    assert quick(source, out).notes == []
    monkeypatch.setattr(version, "code", lambda: "0.1+bbb")
    assert quick(source, out).notes == [], "nothing was graded by the new one"
    hand_in(source, d="{")
    for _ in range(2):
        assert quick(source, out).notes == [
            "graded by different code: 3 by 0.1+aaa, 1 by 0.1+bbb; for marks of one version "
            "grade into a new OUT"
        ]
    monkeypatch.setattr(version, "code", lambda: "0.1+ccc.changed.0a")
    assert quick(source, tmp_path / "new").notes == [
        "graded by code with changes that are in no commit: 4 by 0.1+ccc.changed.0a"
    ]


def test_pages_and_exports_follow_the_class(tmp_path):
    source, out = hand_in(tmp_path / "in", **NO_NOTEBOOKS), tmp_path / "out"
    for platform in ("canvas", "gradescope"):
        quick(source, out, platform=platform)
    (source / "a.ipynb").unlink()
    (out / "feedback" / "mine.html").write_text("mine")
    quick(source, out)
    (canvas,) = [(out / "canvas.csv").read_text().splitlines()]
    assert [line.split(",")[0] for line in canvas[2:]] == ["b", "c"]
    keys = {row["key"] for row in read(out).values()}
    assert {p.stem for p in (out / "feedback").iterdir()} == keys | {"mine"}
    assert {p.name for p in (out / "gradescope").iterdir()} == keys
    assert not (out / "moodle.csv").exists(), "what was never asked for is not made"


def test_a_row_has_the_file_as_it_is_called_today(tmp_path, monkeypatch):
    def graded_again(submissions, *rest):
        assert not submissions
        return iter(())

    source, out = hand_in(tmp_path / "in", doejohn_7_9_02="{", eve_8_10_02="{"), tmp_path / "out"
    quick(source, out)
    (source / "doejohn_7_9_02.ipynb").rename(source / "doejohn_LATE_7_11_02.ipynb")
    monkeypatch.setattr(grades, "_run", graded_again)
    quick(source, out)
    row = read(out)["doejohn"]
    assert (row["file"], row["late"]) == ("doejohn_LATE_7_11_02.ipynb", "LATE")


def test_a_broken_record_names_its_path(tmp_path):
    source, out = hand_in(tmp_path / "in", **NO_NOTEBOOKS), tmp_path / "out"
    quick(source, out)
    with open(out / settings.GRADED, "a") as file:
        file.write("{}\n")
    with pytest.raises(ValueError, match=rf"^{out}/graded\.jsonl: line = '{{}}': must be a Graded"):
        quick(source, out)
