"""Numbers that come from a training are compared to one last digit, and no others."""

import ast
import re
import subprocess
import symtable
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output

from tests.nearly import DECIMAL, Nearly

ROOT = Path(__file__).parents[1]
CHAPTERS = sorted((ROOT / "book").glob("[0-9][0-9]_*.ipynb"))
CHECKED, TRAINED = "nbval-check-output", "trained"


@pytest.mark.parametrize("fresh", ["accuracy .7 of 8", "accuracy .6 of 8", "accuracy .8 of 8"])
def test_one_last_digit_is_the_same(fresh):
    assert Nearly("accuracy .7 of 8") == fresh


@pytest.mark.parametrize(
    "fresh",
    ["accuracy .9 of 8", "accuracy .7 of 9", "share .7 of 8", "accuracy .70 of 8", "accuracy .7"],
)
def test_more_is_another_result(fresh):
    assert Nearly("accuracy .7 of 8") != fresh


@pytest.mark.training
def test_only_cells_that_say_so_are_compared_nearly(tmp_path):
    def cell(code: str, stored: str, *tags: str):
        output = new_output("stream", name="stdout", text=stored + "\n")
        metadata = {"tags": [CHECKED, *tags]}
        return new_code_cell(code, outputs=[output], metadata=metadata, execution_count=1)

    cells = [
        cell("print(0.16)", "0.15", TRAINED),
        cell("print(0.17)", "0.15", TRAINED),
        cell("print(0.16)", "0.15"),
    ]
    nbformat.write(new_notebook(cells=cells), tmp_path / "a.ipynb")
    command = [sys.executable, "-m", "pytest", "-p", "tests.nearly", "--nbval-lax", "-q"]
    said = subprocess.run(
        [*command, "--nbval-current-env", str(tmp_path / "a.ipynb")],
        cwd=ROOT,
        capture_output=True,
        text=True,
    ).stdout
    assert ".FF" in said and "1 passed" in said, said


def used_and_given(statement: ast.stmt) -> tuple[set[str], set[str]]:
    """Names of the notebook that a statement reads, and those that it binds."""
    top = symtable.symtable(ast.unparse(statement), "cell", "exec")
    scopes, used = [top], set()
    while scopes:
        scope = scopes.pop()
        scopes += scope.get_children()
        read = (s for s in scope.get_symbols() if s.is_referenced())
        used |= {s.get_name() for s in read if scope is top or s.is_global()}
    if isinstance(statement, ast.For):  # its own names are bound before they are read
        used -= {n.id for n in ast.walk(statement.target) if isinstance(n, ast.Name)}
    return used, {s.get_name() for s in top.get_symbols() if s.is_assigned()}


def models_of(statement: ast.stmt) -> set[str]:
    """Names whose objects `train` changes: the models that it is given, or a loop goes over."""
    calls = [n for n in ast.walk(statement) if isinstance(n, ast.Call)]
    models = [c.args[0] for c in calls if getattr(c.func, "id", None) == "train"]
    if isinstance(statement, ast.For):
        models += getattr(statement.iter, "args", [statement.iter])
    holders = [m.value if isinstance(m, ast.Subscript) else m for m in models]
    return {holder.id for holder in holders if isinstance(holder, ast.Name)}


def untagged(cells) -> list[str]:
    """Checked cells that show decimals of something trained, and do not say `trained`."""
    trained, found = {"train"}, []
    for cell in cells:
        shows = False
        for statement in ast.parse(cell.source).body:
            used, given = used_and_given(statement)
            if used & trained:
                trained |= given | models_of(statement)
                shows |= not isinstance(statement, ast.FunctionDef | ast.ClassDef)
            else:
                trained -= given
        said = DECIMAL.search(re.sub("<[^>]*>", "", str(cell.outputs)))
        tags = cell.metadata.get("tags", [])
        if shows and said and CHECKED in tags and TRAINED not in tags:
            found.append(cell.source)
    return found


def test_a_cell_that_hangs_on_a_training_is_noticed():
    cells = [
        new_code_cell("def run():\n    b = 1\n    return train(m, task)"),
        new_code_cell("a = run()"),
    ]
    output, tags = [new_output("stream", text="0.7")], {"tags": [CHECKED]}
    for code in ("print(a)", "print(b)", "print([a for a in b])", "a = 3", "print(a)"):
        cells.append(new_code_cell(code, outputs=output, metadata=tags))
    assert untagged(cells) == ["print(a)"]


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.stem)
def test_cells_that_hang_on_a_training_say_so(chapter):
    cells = [c for c in nbformat.read(chapter, 4).cells if c.cell_type == "code"]
    assert not untagged(cells), "tag it `trained`: another processor may round it differently"
    for cell in cells:
        tags = cell.metadata.get("tags", [])
        assert TRAINED not in tags or CHECKED in tags, f"nothing is compared in: {cell.source}"
