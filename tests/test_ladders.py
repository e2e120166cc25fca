"""Ladders: solutions reach the top, stubs stay at the bottom, mistakes fall where named."""

import functools
import importlib.util
import itertools
import linecache
import math
import re
from pathlib import Path

import jupytext
import pytest
import torch

from zoology_teach.grading import check
from zoology_teach.grading.check import EXERCISES
from zoology_teach.grading.manual import open_questions
from zoology_teach.grading.marking_guide import DIFFICULTY
from zoology_teach.grading.release import Released, exercise_notebook, release
from zoology_teach.grading.stub import without_solution

ROOT = Path(__file__).parents[1]
SOLUTIONS = sorted((ROOT / "solutions").glob("[0-9][0-9]_*.md"))
KERNEL_CHAPTERS = ("12", "13")  # their exercises need Triton, which is published for Linux only
cell_numbers = itertools.count()


def run_cells(notebook) -> dict:
    """Execute the cells of an exercise notebook as Jupyter does, checks left out.

    As in Jupyter, `inspect` finds the source of what a cell defines: Triton asks for it.
    """
    scope: dict = {}
    for cell in notebook.cells:
        if cell.cell_type == "code" and "check(" not in cell.source:
            name, lines = f"<cell {next(cell_numbers)}>", cell.source.splitlines(keepends=True)
            linecache.cache[name] = (len(cell.source), None, lines, name)
            exec(compile(cell.source, name, "exec"), scope)
    return scope


@pytest.fixture(autouse=True)
def triton_where_needed(request):
    parameters = request.node.callspec.params if hasattr(request.node, "callspec") else {}
    if parameters.get("exercise_id", "").startswith(KERNEL_CHAPTERS):
        pytest.importorskip("triton")


def quotes(call: str, arguments) -> bool:
    """Whether a call in a message, pasted, hands over just these arguments."""
    if "<" in call or "…" in call:
        return False
    _, _, rest = call.partition("(")
    pasted = eval(f"({rest[:-1]},)", {"inf": math.inf, "nan": math.nan})
    return len(pasted) == len(arguments) and all(map(same, pasted, arguments))


def same(pasted, argument) -> bool:
    if not isinstance(argument, torch.Tensor):
        return pasted == pytest.approx(argument)
    numbers = torch.tensor(pasted, dtype=torch.float64)
    close = {"rtol": 1e-6, "atol": 0, "equal_nan": True}
    return numbers.shape == argument.shape and torch.allclose(numbers, argument.double(), **close)


def not_contiguous(value):
    if not isinstance(value, torch.Tensor) or value.ndim == 0:
        return value
    return torch.stack([value, value], dim=-1)[..., 0]


def in_another_form(answer):
    """The same numbers in another kind of tensor; a tensor of one for a float."""
    if isinstance(answer, float):
        return torch.tensor([answer], dtype=torch.float64)
    if not isinstance(answer, torch.Tensor):
        return answer
    kept = not_contiguous(answer)
    return torch.nn.Parameter(kept.double()) if answer.is_floating_point() else kept


def load_mutants() -> list:
    found = []
    for path in sorted((ROOT / "tests" / "mutants").glob("ch[0-9][0-9].py")):
        spec = importlib.util.spec_from_file_location(f"mutants_{path.stem}", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        found += [(exercise, rung, f) for exercise, rung, f in module.MUTANTS]
    return found


MUTANTS = load_mutants()


@functools.cache
def solved(chapter: str) -> dict:
    (source,) = [s for s in SOLUTIONS if s.stem[:2] == chapter]
    return run_cells(jupytext.read(source))


def test_every_chapter_has_three_graded_exercises_or_more():
    chapters = [source.stem for source in sorted((ROOT / "book").glob("[0-9][0-9]_*.md"))]
    assert [source.stem for source in SOLUTIONS] == chapters
    for chapter in chapters:
        graded = [e for e in EXERCISES.values() if e.id.startswith(chapter[:2])]
        assert {e.id[3:] for e in graded} >= {"a", "b", "c"}
        text = (ROOT / "book" / f"{chapter}.md").read_text()
        listed = re.findall(rf"^- \*\*({chapter[:2]}\.\w) ", text, re.MULTILINE)
        assert {*listed} == {e.id for e in graded} | {*open_questions(graded)}


def test_no_two_exercises_ask_for_a_function_of_the_same_name():
    """A student's notebooks are graded as one."""
    assert len({exercise.function for exercise in EXERCISES.values()}) == len(EXERCISES)


@pytest.mark.parametrize("exercise_id", sorted(EXERCISES))
def test_the_solution_climbs_every_rung(exercise_id):
    exercise = EXERCISES[exercise_id]
    report = check(exercise_id, solved(exercise_id[:2])[exercise.function])
    assert report.passed, report
    assert 4 <= len(exercise.rungs) <= 8
    assert 1 <= exercise.difficulty <= 3 and 5 <= exercise.minutes <= 60


@pytest.mark.parametrize("exercise_id", sorted(EXERCISES))
def test_the_stub_earns_nothing(exercise_id):
    (source,) = [s for s in SOLUTIONS if s.stem[:2] == exercise_id[:2]]
    stub = run_cells(jupytext.reads(exercise_notebook(source), "ipynb"))
    report = check(exercise_id, stub[EXERCISES[exercise_id].function])
    assert report.earned == 0
    assert all(outcome.reason == "not written yet" for outcome in report.outcomes)


@pytest.mark.parametrize("exercise_id", sorted(EXERCISES))
def test_every_rung_begins_with_an_input_that_can_be_quoted(exercise_id):
    """Whatever is wrong with a function: where its first answer is, the message quotes it whole."""
    asked = []
    report = check(exercise_id, lambda *arguments: asked.append(arguments))
    assert report.earned == 0
    for outcome in report.outcomes:
        assert any(quotes(outcome.call, arguments) for arguments in asked), outcome.call[:200]


@pytest.mark.parametrize("exercise_id", sorted(EXERCISES))
def test_a_right_answer_in_another_form_is_accepted(exercise_id):
    exercise = EXERCISES[exercise_id]
    solution = solved(exercise_id[:2])[exercise.function]

    def in_other_words(*given):
        return in_another_form(solution(*map(not_contiguous, given)))

    report = check(exercise_id, solution if exercise.kernel else in_other_words)
    assert report.passed, report


@pytest.mark.parametrize("exercise_id", sorted(EXERCISES))
def test_the_ladders_speak_in_sentences(exercise_id):
    for rung in EXERCISES[exercise_id].rungs:
        assert re.fullmatch(r"[A-Z0-9].*[.?]", rung.mistake), rung.mistake


@pytest.mark.parametrize(
    ("exercise_id", "rung", "mutant"), MUTANTS, ids=[f"{e}-{f.__name__}" for e, _, f in MUTANTS]
)
def test_a_mistake_falls_off_the_rung_named_for_it(exercise_id, rung, mutant):
    asked = []

    def remembered(*arguments):
        asked.append([a.clone() if isinstance(a, torch.Tensor) else a for a in arguments])
        return mutant(*arguments)

    report = check(exercise_id, remembered)
    lost = [outcome for outcome in report.outcomes if not outcome.earned]
    assert rung in [outcome.rung for outcome in lost], report
    assert lost[0].rung == rung, f"it should fall at {rung!r} first\n{report}"
    assert "raised" not in lost[0].reason, "the message should name the mistake"
    function = EXERCISES[exercise_id].function
    assert lost[0].call.startswith(f"{function}("), "the message should show the call"
    assert any(quotes(lost[0].call, arguments) for arguments in asked), lost[0].call
    assert f"Tried: {lost[0].call}" in repr(report)


@pytest.mark.parametrize("exercise_id", sorted(EXERCISES))
def test_every_exercise_has_three_to_six_mutants(exercise_id):
    assert 3 <= sum(e == exercise_id for e, _, _ in MUTANTS) <= 6


def test_exercises_are_what_release_would_write():
    stale = release(ROOT / "solutions", ROOT / "exercises", check=True)
    assert stale == Released(), "run: zoology-teach release"


@pytest.mark.parametrize("source", SOLUTIONS, ids=[s.stem for s in SOLUTIONS])
def test_an_exercise_keeps_its_hints_and_loses_its_solution(source):
    text = exercise_notebook(source)
    assert "SOLUTION" not in text
    for exercise_id in [e for e in EXERCISES if e.startswith(source.stem[:2])]:
        exercise = EXERCISES[exercise_id]
        assert f'check(\\"{exercise_id}\\", {exercise.function})' in text
    assert text.count("<details>") >= 6, "two hints for each of the three graded exercises"


@pytest.mark.parametrize("exercise_id", sorted(EXERCISES))
def test_the_text_says_what_the_ladder_says(exercise_id):
    exercise = EXERCISES[exercise_id]
    (source,) = [s for s in SOLUTIONS if s.stem[:2] == exercise_id[:2]]
    sections = re.split(r"^## ", source.read_text(), flags=re.MULTILINE)
    (text,) = [s for s in sections if s.startswith(f"{exercise_id} {exercise.title}\n")]
    assert f"{exercise.minutes} minutes, {DIFFICULTY[exercise.difficulty]}." in text
    hints = re.findall(r"<summary>(Hint \d)</summary>\s*\S.{40,}?</details>", text, re.DOTALL)
    assert hints == ["Hint 1", "Hint 2"]


def test_release_refuses_unbalanced_markers():
    with pytest.raises(ValueError, match="BEGIN SOLUTION"):
        without_solution("def f():\n    ### BEGIN SOLUTION\n    return 1\n", "here")


def test_check_refuses_what_it_cannot_check():
    with pytest.raises(ValueError, match="exercise"):
        check("99.z", len)
    with pytest.raises(ValueError, match="without parentheses"):
        check(sorted(EXERCISES)[0], 3)


def test_check_does_not_let_a_function_change_its_inputs():
    seen = []

    def vandal(*arguments):
        for a in arguments:
            if hasattr(a, "zero_"):
                seen.append(a)
                a.zero_()

    assert check(sorted(EXERCISES)[0], vandal).earned == 0
