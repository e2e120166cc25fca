"""The teacher's guide says what is so: commands, links, plans, limits, files, its new ladder."""

import re
import shlex
from pathlib import Path

import nbformat
import pytest
import typer

from zoology_teach import chapters, cli
from zoology_teach.grading import archives, check, notebooks
from zoology_teach.grading.archives import MAX_BYTES
from zoology_teach.grading.grade import grade
from zoology_teach.grading.inside import bounds, confine
from zoology_teach.grading.ladders import EXERCISES
from zoology_teach.grading.manual import OPEN_POINTS, read_rubrics, rubrics_of
from zoology_teach.grading.nbgrader import assignment
from zoology_teach.grading.notebooks import MAX_CELLS, MAX_CODE
from zoology_teach.grading.release import release
from zoology_teach.grading.sandbox import Limits
from zoology_teach.grading.session import MOST_LATE, OUTPUT_CHARS

ROOT = Path(__file__).parents[2]
BOOK = ROOT / "book"
SOLUTIONS = sorted((ROOT / "solutions").glob("[0-9][0-9]_*.md"))
TEXT = (BOOK / "teaching.md").read_text()
FENCES = re.findall(r"^(`{3,})(\w*)\n(.*?)^\1$", TEXT, re.DOTALL | re.MULTILINE)
PROSE = re.sub(r"^(`{3,}).*?^\1$", "", TEXT, flags=re.DOTALL | re.MULTILINE)
INLINE = re.findall(r"`([^`\n]+)`", PROSE)
COMMANDS = typer.main.get_command(cli.app).commands
OPTIONS = {o for c in COMMANDS.values() for p in c.params for o in p.opts}


def fenced_commands() -> list[list[str]]:
    lines = [line for _, kind, text in FENCES if not kind for line in text.splitlines()]
    words = [shlex.split(line, comments=True) for line in lines]
    return [w for w in words if w and w[0] == "zoology-teach"]


@pytest.mark.parametrize("words", fenced_commands(), ids=" ".join)
def test_commands_are_understood(words):
    COMMANDS[words[1]].make_context(words[1], words[2:])  # raises for what it does not know


def test_commands_and_options_in_the_text_exist():
    assert len(fenced_commands()) >= 5
    for code in INLINE:
        words = shlex.split(code)
        if words[:1] == ["zoology-teach"] and len(words) > 1:
            known = {o for p in COMMANDS[words[1]].params for o in p.opts}
            assert {w for w in words if w.startswith("-")} <= known, code
        elif code.startswith("--"):
            assert words[0] in OPTIONS, code


def test_every_option_of_grade_and_release_is_explained():
    wanted = {o for name in ("grade", "release") for p in COMMANDS[name].params for o in p.opts}
    wanted = {o for o in wanted if o.startswith("--")} - {"--out", "--help"}  # -o everywhere
    assert not {o for o in wanted if o not in TEXT}


def test_make_targets_exist():
    makefile = (ROOT / "Makefile").read_text()
    for code in INLINE:
        if code.startswith("make "):
            assert re.search(rf"^{code.split()[1]}:", makefile, re.MULTILINE), code


@pytest.mark.parametrize("path", [BOOK / "teaching.md", BOOK / "teacher.md"], ids=str)
def test_links_lead_somewhere(path):
    text = path.read_text()
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    anchors = {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}
    for target in re.findall(r"\]\((?!https?://)([^)]+)\)", text):
        file, _, anchor = target.partition("#")
        assert (path.parent / file).exists(), target
        assert not anchor or anchor in anchors, target


def minutes(chapter: str) -> tuple[int, int]:
    (source,) = BOOK.glob(f"{chapter}_*.md")
    reading = int(re.search(r"\*\*Reading\*\* (\d+) minutes", source.read_text())[1])
    return reading, sum(e.minutes for e in EXERCISES.values() if e.id[:2] == chapter)


def needs(chapter: str) -> set[str]:
    """Chapters named in the head: "chapters 02, 04" or "chapters 02 to 05"."""
    (source,) = BOOK.glob(f"{chapter}_*.md")
    named = re.search(r"\*\*Needs\*\* (.+)", source.read_text())[1]
    found = set(re.findall(r"\d\d", named))
    if "to" in named:
        first, last = min(found), max(found)
        found = {s.stem[:2] for s in SOLUTIONS if first <= s.stem[:2] <= last}
    return found


@pytest.mark.parametrize(("plan", "weeks"), [("Three", 3), ("Six", 6), ("Twelve", 12)])
def test_plans_add_up_and_nothing_comes_before_what_it_needs(plan, weeks):
    section = TEXT.split(f"### {plan} weeks")[1].split("\n#")[0]
    rows = re.findall(r"^\| (\d+) \| (.+?) \| (\d+) \| (\d+) \| (\d+) \|$", section, re.MULTILINE)
    assert [int(week) for week, *_ in rows] == list(range(1, weeks + 1))
    taught: set[str] = set()
    for _, cell, reading, exercises, together in rows:
        here = re.findall(r"\[(\d\d)\]\((\d\d)_\w+\.ipynb\)", cell)
        assert here and all(name == target for name, target in here)
        sums = [sum(part) for part in zip(*(minutes(name) for name, _ in here), strict=True)]
        assert sums == [int(reading), int(exercises)] and sum(sums) == int(together)
        for name, _ in here:
            assert needs(name) <= taught, f"{name} before what it needs"
            taught.add(name)
    assert plan != "Twelve" or taught == {s.stem[:2] for s in SOLUTIONS}


def test_limits_are_the_real_ones():
    section = TEXT.split("The limits are")[1].split("\n\nCode")[0]
    stated = [int(n) for n in re.findall(r"\| (\d+) \|$", section, re.MULTILINE)]
    limits = Limits()
    seconds = [limits.cell_seconds, limits.call_seconds, limits.submission_seconds]
    sizes = [limits.memory_bytes >> 20, limits.processes, limits.file_bytes >> 20]
    assert stated == [*seconds, *sizes, limits.answer.body >> 20, OUTPUT_CHARS]


def test_limits_of_what_is_handed_in_are_the_real_ones():
    said = "may have 10 MiB with its outputs, 2000 code cells and a million characters of code"
    assert said in TEXT and "a student may have 50000 files" in TEXT
    limits = (archives.MAX_BYTES >> 20, notebooks.MAX_CELLS, notebooks.MAX_CODE)
    assert (*limits, archives.MAX_FILES) == (10, 2000, 1_000_000, 50_000)


def test_limits_that_nobody_should_meet_are_the_real_ones():
    section = TEXT.split("nobody should meet by accident")[1].split("\n\nCode")[0]
    stated = [f"{number} {unit}" for number, unit in re.findall(r"\| ([\d,]+) (\w+)", section)]
    limits, answer, memory = Limits(), Limits().answer, Limits().memory_bytes >> 20
    assert stated == [
        f"{MAX_BYTES >> 20} MiB",
        f"{MAX_CELLS:,} cells",
        f"{MAX_CODE:,} characters",
        f"{MOST_LATE} calls",
        f"{limits.cpu_seconds} s",
        f"{memory:,} MiB",
        f"{confine.OPEN_FILES} files",
        f"{limits.file_bytes >> 20} MiB",
        f"{confine.FILES_IN_MEMORY:,} each",
        f"{answer.tensors} tensors",
        f"{answer.dimensions} dimensions",
        f"{answer.items:,} items",
        f"{answer.depth} deep",
        f"{answer.header >> 20} MiB",
        f"{bounds.INTEGER_LIMIT.bit_length() - 1:,} bits",
    ]


def test_out_holds_the_files_that_are_named(tmp_path):
    submissions = tmp_path / "in"
    submissions.mkdir()
    (submissions / "ada.md").write_text(SOLUTIONS[0].read_text())
    grade(submissions, tmp_path / "out", chapter="00", sandbox="none")
    section = TEXT.split("It then holds")[1].split("\n\n[teacher")[0]
    named = re.findall(r"`([^`]+)`", " ".join(re.findall(r"^\| (`.+?) \|", section, re.MULTILINE)))
    assert len(named) == 8 and all((tmp_path / "out" / name).exists() for name in named)
    assert f"write 0 to {OPEN_POINTS} into" in TEXT


@pytest.fixture
def new_ladder(monkeypatch, tmp_path):
    """The guide's own example: (its solution file, its mutants), its ladder in place."""
    ladder, mutants = [text for _, kind, text in FENCES if kind == "python"]
    (solution,) = [text for _, kind, text in FENCES if kind == "markdown"]
    scope: dict = {}
    exec(ladder, scope)
    for exercise in scope["EXERCISES"]:
        monkeypatch.setitem(EXERCISES, exercise.id, exercise)
    path = tmp_path / "solutions" / "20_how_far_back.md"
    path.parent.mkdir()
    path.write_text(solution)
    mutant_scope: dict = {}
    exec(mutants, mutant_scope)
    return path, mutant_scope["MUTANTS"]


def test_the_new_ladder_works_from_solution_to_grade(new_ladder, tmp_path):
    path, mutants = new_ladder
    notebook = chapters.read(path)
    scope: dict = {}
    for cell in notebook.cells:
        if cell.cell_type == "code":
            exec(cell.source, scope)
    assert check("20.a", scope["gaps"]).passed
    for exercise_id, rung, mutant in mutants:
        lost = [o.rung for o in check(exercise_id, mutant).outcomes if not o.earned]
        assert lost[0] == rung
    written = release(path.parent, tmp_path / "exercises")
    assert [p.name for p in written.written] == ["20_how_far_back.ipynb", "marking_guide.md"]
    assert len([c for c in assignment(path).cells if "nbgrader" in c.metadata]) == 3
    graded = grade(tmp_path / "exercises", tmp_path / "stub", chapter="20", sandbox="none")
    assert [g.earned("20.a") for g in graded.graded] == [0]
    graded = grade(path.parent, tmp_path / "out", chapter="20", sandbox="none")
    points = {g.file: g.earned("20.a") for g in graded.graded}
    assert points["20_how_far_back.md"] == EXERCISES["20.a"].points


def test_the_guide_and_manual_csv_have_the_same_rubrics():
    short = read_rubrics(ROOT / "solutions")
    for source in SOLUTIONS:
        for id, _, rubric in rubrics_of(source):
            words = re.findall(r"\w+", rubric)
            assert re.findall(r"\w+", short[id]) == words


def test_a_table_row_of_the_marking_guide_has_three_cells():
    text = (ROOT / "solutions" / "marking_guide.md").read_text()
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len(rows) > len(EXERCISES) and all(row.count("|") == 4 for row in rows)


def test_plain_text():
    assert not re.search(r"^(:::|```\{)", PROSE, re.MULTILINE)
    assert "!" not in PROSE


NOTEBOOK = nbformat.read(BOOK / "teacher.ipynb", as_version=4)
CODE_CELLS = [c for c in NOTEBOOK.cells if c.cell_type == "code"]


def test_the_teachers_notebook_is_in_step_and_small():
    assert chapters.in_step(BOOK / "teacher.md"), "run: zoology-teach build book/teacher.md"
    assert CODE_CELLS[0].source == 'OUT = ""', "the example class, not somebody's own"
    assert all(len(c.source.splitlines()) <= 15 for c in CODE_CELLS)
    assert [c.execution_count for c in CODE_CELLS] == list(range(1, len(CODE_CELLS) + 1))


def test_the_teachers_notebook_shows_pictures_with_words_and_what_can_be_clicked():
    outputs = [o for c in CODE_CELLS for o in c.outputs]
    assert not [o for o in outputs if o.output_type == "error"]
    pictures = [o for o in outputs if "image/png" in o.get("data", {})]
    assert len(pictures) == 2
    assert all(len(o.metadata["image/png"]["alt"]) > 60 for o in pictures)
    view = "application/vnd.jupyter.widget-view+json"
    assert len([o for o in outputs if view in o.get("data", {})]) == 3
