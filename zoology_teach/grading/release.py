"""solutions/NN_slug.md -> exercises/NN_slug.ipynb: the same notebook without the solutions.

In a solution's code cell the lines between ``### BEGIN SOLUTION`` and ``### END SOLUTION``
become one line that says "your code here". The teacher's solutions/marking_guide.md is written
along with the exercises.
"""

import re
from pathlib import Path

import jupytext
import nbformat

from zoology_teach import files
from zoology_teach.grading.marking_guide import marking_guide

BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"
PLACEHOLDER = 'raise NotImplementedError("your code here")'
SOLUTION = re.compile(rf"^([ \t]*){BEGIN}\n.*?^[ \t]*{END}$", re.DOTALL | re.MULTILINE)


def release(solutions: Path, exercises: Path, *, check: bool = False) -> list[Path]:
    """Write every exercise notebook, and the marking guide, that differs; return those paths.

    With `check` nothing is written: the returned paths are those out of step, notebooks
    without a solution among them. Raises ValueError for unbalanced markers.
    """
    sources = sorted(solutions.glob("[0-9][0-9]_*.md"))
    wanted = {exercises / f"{s.stem}.ipynb": exercise_notebook(s) for s in sources}
    orphans = [p for p in sorted(exercises.glob("*.ipynb")) if p not in wanted]
    wanted[solutions / "marking_guide.md"] = marking_guide(sources)
    differing = update(wanted, check=check)
    if not check:
        for path in orphans:
            path.unlink()
    return differing + orphans


def update(wanted: dict[Path, str], *, check: bool = False) -> list[Path]:
    """Write (with `check`: only name) the files whose text is not the wanted one."""
    differing = [p for p, text in wanted.items() if not p.exists() or p.read_text() != text]
    for path in [] if check else differing:
        files.replace(path, wanted[path])
    return differing


def exercise_notebook(source: Path) -> str:
    """The text of the .ipynb that students get for one solution file."""
    notebook = jupytext.read(source)
    notebook.metadata.pop("jupytext", None)
    for number, cell in enumerate(notebook.cells):
        cell.id = f"{source.stem[:2]}-{number:03d}"
        if cell.cell_type == "code":
            cell.source = without_solution(cell.source, f"{source}, cell {number}")
    return nbformat.writes(notebook) + "\n"


def without_solution(code: str, where: str) -> str:
    """`code` with each marked solution replaced by the placeholder at its indentation."""
    stub = SOLUTION.sub(lambda match: match[1] + PLACEHOLDER, code)
    if BEGIN in stub or END in stub:
        raise ValueError(f"{where}: a {BEGIN!r} without its {END!r}, or the other way round")
    return stub
