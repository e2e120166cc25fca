"""One notebook -> one page: its links, its folded cells, its pictures and its widgets."""

from pathlib import Path

import jupytext
import links
import nbformat
import outputs
from nbformat import NotebookNode

from zoology_teach.grading.stub import BEGIN, END, without_solution

FOLDED = "hide-input"
STATE = "application/vnd.jupyter.widget-state+json"


def of_notebook(source: Path, *, live: bool = True) -> NotebookNode:
    """The page of an executed notebook, or of an exercise."""
    notebook = nbformat.read(source, as_version=4)
    models = notebook.metadata.get("widgets", {}).get(STATE, {}).get("state", {})
    show = outputs.Shown(models, live=live)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            fold(cell)
            cell.metadata["mystnb"] = {"image": outputs.image_options(cell.outputs)}
            cell.outputs = [shown for output in cell.outputs for shown in show.of(output)]
    return finished(notebook, source)


def with_solutions(source: Path) -> NotebookNode:
    """The page of an exercise from its solution: each stub, and below it what solves it, folded."""
    notebook = jupytext.read(source)
    cells = []
    for cell in notebook.cells:
        cells.append(cell)
        if BEGIN in cell.source:
            solved = "\n".join(
                line for line in cell.source.split("\n") if line.strip() not in (BEGIN, END)
            )
            about = {"tags": [FOLDED], "mystnb": {"code_prompt_show": "A solution"}}
            cells.append(nbformat.v4.new_code_cell(solved, metadata=about))
            cell.source = without_solution(cell.source, str(source))
    notebook.cells = cells
    return finished(notebook, source.parent.parent / "exercises" / source.name)


def of_text(source: Path) -> str:
    """The page of a text that is no notebook."""
    return links.resolved(source.read_text(), source)


def finished(notebook: NotebookNode, source: Path) -> NotebookNode:
    """With its links, and without what only JupyterLab reads."""
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = links.resolved(cell.source, source)
    first = notebook.cells[0]
    first.source = links.with_launch_row(first.source, source.with_suffix(".ipynb"))
    for unread in ("widgets", "jupytext", "zoology_teach"):
        notebook.metadata.pop(unread, None)
    return notebook


def fold(cell: NotebookNode) -> None:
    """A cell whose source JupyterLab hides is folded here too."""
    tags = cell.metadata.get("tags", [])
    if cell.metadata.get("jupyter", {}).get("source_hidden") and FOLDED not in tags:
        cell.metadata["tags"] = [*tags, FOLDED]
