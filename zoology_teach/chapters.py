"""Chapters: book/NN_slug.md is written by hand, book/NN_slug.ipynb is the same, executed."""

import os
import resource
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

from zoology_teach import __version__
from zoology_teach.files import replace

CELL_TIMEOUT = 120
SOURCE_FORMAT = "md:myst"


def read(source: Path) -> NotebookNode:
    """The hand-written chapter as a notebook without outputs, its cells numbered."""
    notebook = jupytext.read(source)
    for number, cell in enumerate(notebook.cells):
        cell.id = f"{source.stem[:2]}-{number:03d}"
    return notebook


def in_step(source: Path) -> bool:
    """Whether the executed notebook has exactly the cells of its source."""
    paired = source.with_suffix(".ipynb")
    if not paired.exists():
        return False
    executed = nbformat.read(paired, as_version=4)
    return _cells(read(source)) == _cells(executed)


def build(source: Path, force: bool = False) -> bool:
    """Execute a chapter whose source changed (or always, with `force`); True if it did.

    The source is also brought into the form in which Jupytext writes it, so that saving the
    chapter in JupyterLab changes nothing. Raises FileNotFoundError without a source, and
    nbclient's CellExecutionError, with nothing written, where a cell fails.
    """
    notebook = read(source)
    normal_form = jupytext.writes(notebook, SOURCE_FORMAT)
    if normal_form != source.read_text():
        replace(source, normal_form)
    if in_step(source) and not force:
        return False
    before = _children_cpu_seconds()
    NotebookClient(
        notebook,
        timeout=CELL_TIMEOUT,
        record_timing=False,
        resources={"metadata": {"path": str(source.parent)}},
    ).execute(env={**os.environ, "OMP_NUM_THREADS": "1"})  # as the Makefile starts the lab
    notebook.metadata["zoology_teach"] = {
        "version": __version__,
        "cpu_seconds": round(_children_cpu_seconds() - before, 1),
    }
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [o for o in cell.outputs if o.get("name") != "stderr"]
    replace(source.with_suffix(".ipynb"), nbformat.writes(notebook) + "\n")
    return True


def _cells(notebook: NotebookNode) -> list[tuple[str, str, list[str]]]:
    return [(c.cell_type, c.source, c.metadata.get("tags", [])) for c in notebook.cells]


def _children_cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
