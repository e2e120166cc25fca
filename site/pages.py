"""One notebook -> one page: its links, its folded cells, its pictures and its widgets."""

import re
from collections.abc import Collection
from pathlib import Path

import jupytext
import nbformat
from nbformat import NotebookNode

import links
import outputs
from zoology_teach.grading.stub import BEGIN, END, without_solution

FOLDED, BARE = "hide-input", "remove-input"
CAPTION = re.compile(r"#\s*(\S.*)")
STATE = "application/vnd.jupyter.widget-state+json"


def of_text(source: Path, present: Collection[Path]) -> str:
    """The page of a text that is no notebook; `present` are the sources of all pages."""
    return links.resolved(source.read_text(), source, present)


def of_notebook(source: Path, present: Collection[Path], *, live: bool) -> NotebookNode:
    """The page of an executed notebook, or of an exercise."""
    notebook = nbformat.read(source, as_version=4)
    models = notebook.metadata.get("widgets", {}).get(STATE, {}).get("state", {})
    show = outputs.Shown(models, live=live)
    cells = []
    for cell in notebook.cells:
        cells.append(cell)
        if cell.cell_type == "code":
            fold(cell)
            cell.outputs = [shown for output in cell.outputs for shown in show.of(output)]
            cells += apart(cell)
    notebook.cells = cells
    return finished(notebook, source, present)


def with_solutions(source: Path, present: Collection[Path]) -> NotebookNode:
    """The page of an exercise from its solution: each stub, and below it what solves it, folded."""
    notebook = jupytext.read(source)
    cells = []
    for cell in notebook.cells:
        cells.append(cell)
        if BEGIN in cell.source:
            lines = cell.source.split("\n")
            solved = "\n".join(line for line in lines if line.strip() not in (BEGIN, END))
            cells.append(nbformat.v4.new_code_cell(f"# A solution\n{solved}"))
            cells[-1].metadata["tags"] = [FOLDED]
            fold(cells[-1])
            cell.source = without_solution(cell.source, str(source))
    notebook.cells = cells
    return finished(notebook, source.parent.parent / "exercises" / source.name, present)


def finished(notebook: NotebookNode, source: Path, present: Collection[Path]) -> NotebookNode:
    """With its links, and without what only JupyterLab reads."""
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = links.resolved(cell.source, source, present)
    first = notebook.cells[0]
    first.source = links.with_launch_row(first.source, source.with_suffix(".ipynb"))
    for unread in ("widgets", "jupytext", "zoology_teach"):
        notebook.metadata.pop(unread, None)
    return notebook


def fold(cell: NotebookNode) -> None:
    """Fold what JupyterLab folds. A comment at its head is what one reads of it, folded."""
    tags = cell.metadata.get("tags", [])
    if cell.metadata.get("jupyter", {}).get("source_hidden") and FOLDED not in tags:
        tags = cell.metadata["tags"] = [*tags, FOLDED]
    caption = CAPTION.match(cell.source)
    if FOLDED in tags and caption:
        cell.metadata["mystnb"] = dict.fromkeys(
            ("code_prompt_show", "code_prompt_hide"), caption[1]
        )


def apart(cell: NotebookNode) -> list[NotebookNode]:
    """Take all but the first picture of a cell's outputs into cells without code.

    MyST-NB knows one alternative text a cell.
    """
    runs: list[list[NotebookNode]] = [[]]
    for output in cell.outputs:
        if outputs.is_picture(output) and any(map(outputs.is_picture, runs[-1])):
            runs.append([])
        runs[-1].append(output)
    cell.outputs = runs[0]
    more = [nbformat.v4.new_code_cell(outputs=run, metadata={"tags": [BARE]}) for run in runs[1:]]
    for one in (cell, *more):
        one.metadata.setdefault("mystnb", {})["image"] = outputs.image_options(one.outputs)
    return more
