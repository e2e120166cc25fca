"""A chapter pasted into its exercises earns little: each function is tried, and each cell."""

import ast
import contextlib
import functools
import inspect
import io
import linecache
import signal
from collections.abc import Callable, Iterator
from inspect import Parameter
from pathlib import Path
from types import CodeType
from typing import Any

import jupytext
import pytest
import torch

from zoology_teach.grading import check
from zoology_teach.grading.check import EXERCISES, Report
from zoology_teach.kernels.interpreter import triton

BOOK = Path(__file__).parents[1] / "book"
SOLUTIONS = BOOK.parent / "solutions"
MOST = 0.4  # of an exercise's points
PATIENCE = 0.1  # CPU seconds for a call: what trains a model is no answer
KERNEL_PATIENCE = 2.0  # Triton's interpreter takes its time
OURS = ("__main__", "zoology_teach")
NESTED = (ast.FunctionDef, ast.ClassDef, ast.Lambda)


def trees(folder: Path, chapter: str) -> list[ast.Module]:
    """The code cells of a chapter's notebook in `folder`, each with its `file`.

    As in Jupyter, `inspect` finds the source of what a cell defines: Triton asks for it.
    """
    (source,) = folder.glob(f"{chapter}_*.md")
    found = []
    for number, cell in enumerate(jupytext.read(source).cells):
        if cell.cell_type == "code":
            tree = ast.parse(cell.source)
            tree.file = f"<{source.stem}, cell {number}>"
            lines = cell.source.splitlines(keepends=True)
            linecache.cache[tree.file] = (len(cell.source), None, lines, tree.file)
            found.append(tree)
    return found


@functools.cache
def definitions(chapter: str) -> dict[str, Any]:
    """The imports, functions, classes and literals of a chapter by name; nothing is computed."""
    scope: dict[str, Any] = {"__name__": "__main__"}
    for file, statement in ((tree.file, s) for tree in trees(BOOK, chapter) for s in tree.body):
        is_literal = isinstance(statement, ast.Assign) and not any(
            isinstance(node, ast.Call | ast.ListComp | ast.DictComp) for node in ast.walk(statement)
        )
        if is_literal or isinstance(
            statement, ast.Import | ast.ImportFrom | ast.FunctionDef | ast.ClassDef
        ):
            with contextlib.suppress(Exception):
                exec(compile(ast.Module([statement], []), file, "exec"), scope)
    return scope


def asked_parameters(exercise_id: str) -> list[str]:
    """The names of the arguments of the function that an exercise asks for."""
    name = EXERCISES[exercise_id].function
    for statement in (s for tree in trees(SOLUTIONS, exercise_id[:2]) for s in tree.body):
        if isinstance(statement, ast.FunctionDef) and statement.name == name:
            return [argument.arg for argument in statement.args.args]
    raise AssertionError(f"no {name} in the solutions")


def pasted_functions(chapter: str) -> Iterator[tuple[str, Callable[..., Any]]]:
    """Every function that a chapter defines or imports from the library.

    One that takes fewer arguments than are asked for gets the first ones.
    """
    for name, function in list(definitions(chapter).items()):
        module = (getattr(function, "__module__", None) or "").split(".")[0]
        if not callable(function) or isinstance(function, type) or module not in OURS:
            continue
        kinds = [parameter.kind for parameter in inspect.signature(function).parameters.values()]
        takes_any = Parameter.VAR_POSITIONAL in kinds
        most = None if takes_any else kinds.count(Parameter.POSITIONAL_OR_KEYWORD)
        yield name, lambda *arguments, f=function, most=most: f(*arguments[:most])


def names(tree: ast.Module, context: type) -> set[str]:
    """What a cell itself reads (ast.Load) or assigns (ast.Store), outside its functions."""
    found, left = set(), list(tree.body)
    while left:
        node = left.pop()
        if isinstance(node, ast.Name) and isinstance(node.ctx, context):
            found.add(node.id)
        left += [] if isinstance(node, NESTED) else list(ast.iter_child_nodes(node))
    return found


def pasted_cells(chapter: str, parameters: list[str]) -> Iterator[tuple[str, Callable, set[str]]]:
    """Every cell that reads an asked argument, as a body, and the names that it assigns."""
    for number, tree in enumerate(trees(BOOK, chapter)):
        if not names(tree, ast.Load) & set(parameters):
            continue
        if isinstance(tree.body[-1], ast.Expr):  # what the cell shows
            tree.body[-1] = ast.Assign([ast.Name("shown", ast.Store())], tree.body[-1].value)
        body = compile(ast.fix_missing_locations(tree), tree.file, "exec")

        def run(*arguments: Any, body: CodeType = body) -> dict[str, Any]:
            scope = definitions(chapter) | dict(zip(parameters, arguments, strict=True))
            exec(body, scope)
            return scope

        yield f"cell {number}", run, names(tree, ast.Store)


class TooSlow(BaseException):
    """No `except Exception` of the chapter catches it."""


@pytest.fixture
def impatient():
    """A call that takes long is broken off."""
    if not hasattr(signal, "SIGVTALRM"):
        pytest.skip("no timer of CPU time here")

    def stop(*_: Any) -> None:
        raise TooSlow

    before = signal.signal(signal.SIGVTALRM, stop)
    yield
    signal.signal(signal.SIGVTALRM, before)


def tried(exercise_id: str, f: Callable[..., Any]) -> Report | None:
    """How `f` does; None if one of its calls is too slow."""

    patience = KERNEL_PATIENCE if EXERCISES[exercise_id].kernel else PATIENCE

    def timed(*arguments: Any) -> Any:
        signal.setitimer(signal.ITIMER_VIRTUAL, patience)
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                return f(*arguments)
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)

    try:
        return check(exercise_id, timed)
    except TooSlow:
        return None


def points_of_what_is_pasted(exercise_id: str) -> dict[str, int]:
    """What each function of the chapter earns, and each name that a cell assigns.

    Of a function that returns several things each is an answer.
    """
    chapter, points = exercise_id[:2], {}
    for name, function in pasted_functions(chapter):
        found: list[Any] = []
        whole = tried(exercise_id, lambda *a, f=function, to=found: to.append(f(*a)) or to[-1])
        points[name] = getattr(whole, "earned", 0)
        for part in range(max((len(f) for f in found if isinstance(f, tuple)), default=0)):
            report = tried(exercise_id, lambda *a, f=function, part=part: f(*a)[part])
            points[f"{name}[{part}]"] = getattr(report, "earned", 0)
    for cell, run, assigned in pasted_cells(chapter, asked_parameters(exercise_id)):
        report = tried(exercise_id, run)
        if report is None or all("raised" in outcome.reason for outcome in report.outcomes):
            continue  # it cannot stand alone
        for name in assigned:
            report = tried(exercise_id, lambda *a, run=run, name=name: run(*a)[name])
            if report is None:
                break
            points[f"{name} of {cell}"] = report.earned
    return points


@pytest.mark.parametrize("exercise_id", sorted(EXERCISES))
def test_a_chapter_pasted_into_its_exercises_earns_little(exercise_id, impatient, monkeypatch):
    monkeypatch.chdir(BOOK)  # where the cells find their tables
    points = points_of_what_is_pasted(exercise_id)
    best = max(points, key=points.get)
    assert points[best] <= MOST * EXERCISES[exercise_id].points, f"{best} earns {points[best]}"


def rows_of(u):
    return u.shape[0] * u.shape[1]


def add(kernel, a, x, y, out, block):
    kernel[(triton.cdiv(len(x), block),)](x, y, out, len(x), block)


def convolve(kernel, u, h, step, out, block):
    n, d = u.shape[1:]
    lanes, grid = triton.next_power_of_2(d), (triton.cdiv(rows_of(u), block), 1)
    kernel[grid](u, h, out, rows_of(u), n, d, h.shape[1], block, lanes)


def go_back(kernel, h, g, e, step, out, block):
    n, d = e.shape[1:]
    lanes, grid = triton.next_power_of_2(d), (triton.cdiv(rows_of(e), block), 1)
    shares = torch.zeros(grid[0], h.shape[1] + 1, d)
    kernel[grid](e, h, g, e, out, shares, rows_of(e), n, d, h.shape[1], block, lanes)


def fill(kernel, h, n, k, out, block):
    kernel[(1, 1)](h, out, out, n, block, block)


def select(kernel, q, k, v, positions, window, out, block):
    grid = (triton.cdiv(len(q), block), 1)
    kernel[grid](q, k, v, positions, out, len(k), len(q), q.shape[1], block)


def look_back(kernel, q, k, v, positions, window, out, block):
    kernel[(triton.cdiv(len(q), block), 1)](q, k, v, out, len(k), window, q.shape[1], block)


NEAREST = [  # with what it earns there
    ("12.a", "add_kernel", add, 2),
    ("12.b", "conv_kernel", convolve, 3),
    ("12.c", "backward_kernel", go_back, 3),
    ("13.a", "toeplitz_kernel", fill, 2),
    ("13.c", "sparse_kernel", select, 5),
    ("13.c", "window_kernel", look_back, 4),
]


@pytest.mark.kernel
@pytest.mark.parametrize(("exercise_id", "name", "launch", "points"), NEAREST)
def test_the_nearest_kernel_of_the_chapter_earns_little(exercise_id, name, launch, points):
    """As a student would launch it who has pasted it."""

    def launched(*arguments):
        launch(definitions(exercise_id[:2])[name], *arguments)
        return arguments[-2]

    report = check(exercise_id, launched)
    assert report.earned == points <= MOST * report.exercise.points, report
    assert "raised" not in report.outcomes[0].reason, report
