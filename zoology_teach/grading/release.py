"""solutions/NN_slug.md -> exercises/NN_slug.ipynb: the same notebook without the solutions.

In a solution's code cell the lines between ``### BEGIN SOLUTION`` and ``### END SOLUTION``
become one line that says "your code here". The teacher's solutions/marking_guide.md is written
along with the exercises.

The folder is also a place to work in. What is released carries a digest of itself, and only a
file that still agrees with its digest is ever replaced or removed: all else is somebody's.
"""

import hashlib
import json
import re
from dataclasses import dataclass, field
from pathlib import Path

import jupytext
import nbformat
from nbformat import NotebookNode

from zoology_teach import files
from zoology_teach.checks import require
from zoology_teach.grading.marking_guide import marking_guide
from zoology_teach.grading.stub import without_solution

STAMP = re.compile(r"\n<!-- released: ([0-9a-f]{12}) -->\n\Z")


@dataclass
class Released:
    """What a release wrote or removed (with `check`: would), and what it left alone.

    kept: files in the place of a released one that have been changed since, or that no release
    made.
    """

    written: list[Path] = field(default_factory=list)
    removed: list[Path] = field(default_factory=list)
    kept: list[Path] = field(default_factory=list)


def release(solutions: Path, exercises: Path, *, check: bool = False) -> Released:
    """Bring every exercise notebook, and the marking guide, up to date.

    A released notebook whose solution is gone is removed. With `check` nothing is changed.
    Raises ValueError for unbalanced markers, and where there are no solutions.
    """
    sources = solution_files(solutions)
    wanted = {exercises / f"{s.stem}.ipynb": exercise_notebook(s) for s in sources}
    others = [path for path in sorted(exercises.glob("*.ipynb")) if path not in wanted]
    wanted[solutions / "marking_guide.md"] = stamped_text(marking_guide(sources))
    done = update(wanted, check=check)
    done.removed = [path for path in others if as_released(path)]
    for path in [] if check else done.removed:
        path.unlink()
    return done


def solution_files(solutions: Path) -> list[Path]:
    """The solution files of the chapters, in order. Raises ValueError where there is none."""
    found = sorted(solutions.glob("[0-9][0-9]_*.md"))
    require(bool(found), "solutions", str(solutions), "a folder of solutions, 02_....md and so on")
    return found


def update(wanted: dict[Path, str], *, check: bool = False) -> Released:
    """Write (with `check`: only name) the files whose text is not the wanted one."""
    done = Released()
    for path, text in wanted.items():
        if not path.exists():
            done.written.append(path)
        elif _text(path) != text:
            (done.written if as_released(path) else done.kept).append(path)
    for path in [] if check else done.written:
        files.replace(path, wanted[path])
    return done


def as_released(path: Path) -> bool:
    """Whether a file is, to the letter, what a release wrote under this name."""
    text = _text(path)
    if path.suffix == ".md":
        stamp = STAMP.search(text)
        return stamp is not None and stamped_text(text[: stamp.start()]) == text
    try:
        notebook = nbformat.reads(text, as_version=4)
        stored = notebook.metadata["zoology_teach"]["released"]
        return stored == _digest(notebook, path.stem)
    except Exception:  # not a notebook, or another tool's: nbformat raises many kinds
        return False


def stamped(notebook: NotebookNode, name: str) -> str:
    """The text of a notebook that will be released as `name`.ipynb, its digest with it."""
    notebook.metadata["zoology_teach"] = {"released": _digest(notebook, name)}
    return nbformat.writes(notebook) + "\n"


def stamped_text(text: str) -> str:
    """Markdown with its own digest as a last line that is not shown."""
    return f"{text}\n<!-- released: {hashlib.sha256(text.encode()).hexdigest()[:12]} -->\n"


def _digest(notebook: NotebookNode, name: str) -> str:
    """Of the name and all that stands in the cells, outputs and answers included."""
    parts = [[c.cell_type, c.source, c.get("outputs", [])] for c in notebook.cells]
    return hashlib.sha256(json.dumps([name, parts]).encode()).hexdigest()[:12]


def _text(path: Path) -> str:
    """Text, whatever line ends and bytes are in it."""
    return path.read_bytes().decode("utf-8", "replace").replace("\r\n", "\n")


def exercise_notebook(source: Path) -> str:
    """The text of the .ipynb that students get for one solution file."""
    notebook = jupytext.read(source)
    notebook.metadata.pop("jupytext", None)
    for number, cell in enumerate(notebook.cells):
        cell.id = f"{source.stem[:2]}-{number:03d}"
        if cell.cell_type == "code":
            cell.source = without_solution(cell.source, f"{source}, cell {number}")
    return stamped(notebook, source.stem)
