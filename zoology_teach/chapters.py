"""Chapters: book/NN_slug.md is written by hand, book/NN_slug.ipynb is the same, executed."""

import hashlib
import json
import os
from contextlib import suppress
from pathlib import Path

import jupytext
import nbformat
import psutil
import yaml
from nbclient import NotebookClient
from nbformat import NotebookNode
from nbformat.sign import NotebookNotary

from zoology_teach import __version__
from zoology_teach.checks import require
from zoology_teach.files import replace

CELL_TIMEOUT = 120
SOURCE_FORMAT = "md:myst"
DRAW_ALL = """
import sys

if explorers := sys.modules.get("zoology_teach.widgets.explorer"):
    explorers.draw_all()
"""  # run after the last cell, so that the stored notebook answers without a kernel


def read(source: Path) -> NotebookNode:
    """The hand-written chapter as a notebook without outputs, its cells numbered."""
    notebook = jupytext.read(source)
    plain = json.dumps(notebook.metadata, default=str)  # YAML has dates, JSON has not
    notebook.metadata = nbformat.from_dict(json.loads(plain))
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
    chapter in JupyterLab changes nothing; but not where something in it would be lost. Raises,
    with nothing written: ValueError for what is no chapter source, and where the notebook
    beside it holds work that the source does not; FileNotFoundError without a source;
    nbclient's CellExecutionError where a cell fails (by then the source has its form).
    """
    source = Path(source)
    text = _source_text(source)
    notebook = read(source)
    _require_replaceable(source.with_suffix(".ipynb"), notebook)
    normal_form = jupytext.writes(notebook, SOURCE_FORMAT)
    if normal_form != text and _is_all_of(text, notebook, normal_form):
        replace(source, normal_form)
    if in_step(source) and not force:
        return False
    cpu_seconds = _execute(notebook, source.parent)
    notebook.metadata["zoology_teach"] = {
        "version": __version__,
        "cpu_seconds": round(cpu_seconds, 1),
        "cells": _digest(notebook),
    }
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [o for o in cell.outputs if o.get("name") != "stderr"]
    replace(source.with_suffix(".ipynb"), nbformat.writes(notebook) + "\n")
    return True


def trust(folder: Path) -> list[Path]:
    """Let JupyterLab show the outputs of the book's own notebooks before a cell has run.

    Of a notebook without signature it shows no widget. Signs (`jupyter trust`), for this user,
    the notebooks of `folder` that stand beside their source and have the cells that a build
    wrote; returns these. Raises OSError where the signatures cannot be kept.
    """
    notary, trusted = NotebookNotary(), []
    for path in sorted(folder.glob("*.ipynb")):
        if not path.with_suffix(".md").exists():
            continue
        try:
            notebook = nbformat.read(path, as_version=4)
        except Exception:  # nbformat raises many kinds for what is no notebook
            continue
        built = notebook.metadata.get("zoology_teach", {})
        if built.get("cells") == _digest(notebook):
            notary.sign(notebook)
            trusted.append(path)
    return trusted


def _source_text(source: Path) -> str:
    """The text of a chapter source. Raises ValueError where `source` is none."""
    allowed = 'a chapter source: Markdown whose header has "jupytext" (myst) and "kernelspec"'
    require(source.suffix == ".md", "chapter", str(source), allowed)
    try:
        text = source.read_text(encoding="utf-8")
        header = yaml.safe_load(_header(text))
        form = header["jupytext"]["text_representation"]["format_name"]
        is_source = text.startswith("---\n") and form == "myst" and bool(header["kernelspec"])
    except (LookupError, TypeError, ValueError, yaml.YAMLError):  # no text, or no such header
        is_source = False
    require(is_source, "chapter", str(source), allowed)
    return text


def _header(text: str) -> str:
    return text.split("\n---\n")[0].removeprefix("---\n")


def _is_all_of(text: str, notebook: NotebookNode, normal_form: str) -> bool:
    """Whether the normal form has each key of the header, and the cells with what is noted of
    them. Jupytext drops the keys of other tools, such as `title`, and all comments.
    """
    before, after = _header(text), _header(normal_form)
    is_commented = any(line.lstrip().startswith("#") for line in before.split("\n"))
    again = jupytext.reads(normal_form, SOURCE_FORMAT)
    noted = [[(c.cell_type, c.source, c.metadata) for c in n.cells] for n in (notebook, again)]
    kept = _keys(yaml.safe_load(before)) <= _keys(yaml.safe_load(after))
    return kept and noted[0] == noted[1] and not is_commented


def _keys(values: object, at: tuple[str, ...] = ()) -> set[tuple[str, ...]]:
    """The paths of all keys, those of inner ones included."""
    if not isinstance(values, dict):
        return {at}
    return {at}.union(*(_keys(value, (*at, str(key))) for key, value in values.items()))


def _require_replaceable(paired: Path, notebook: NotebookNode) -> None:
    """Raise ValueError where the executed notebook has cells that neither the source nor a
    build wrote: somebody's work.
    """
    if not paired.exists():
        return
    try:
        before = nbformat.read(paired, as_version=4)
    except Exception as error:  # nbformat raises many kinds for what is no notebook
        raise ValueError(f"{paired}: is no notebook of a chapter ({error}); move it away") from None
    built = before.metadata.get("zoology_teach", {})
    as_built = built.get("cells", _digest(before)) == _digest(before) if built else False
    if not as_built and _cells(before) != _cells(notebook):
        raise ValueError(
            f"{paired}: has been changed since it was built, and its source has not; move the "
            "changes into the source, or the notebook away"
        )


def _cells(notebook: NotebookNode) -> list[tuple[str, str, list[str]]]:
    return [(c.cell_type, c.source, c.metadata.get("tags", [])) for c in notebook.cells]


def _digest(notebook: NotebookNode) -> str:
    return hashlib.sha256(json.dumps(_cells(notebook)).encode()).hexdigest()[:12]


def _execute(notebook: NotebookNode, folder: Path) -> float:
    """Run the cells from top to bottom; the CPU seconds of the kernel and what it started.

    Then the pictures are drawn that a reader's explorer draws when they are asked for.
    """
    used: list[float] = []
    drawing = nbformat.v4.new_code_cell(DRAW_ALL)

    def note_seconds(cell: NotebookNode, **_: object) -> None:
        if cell is not drawing:
            used.append(_cpu_seconds_of_children())

    notebook.cells.append(drawing)
    NotebookClient(
        notebook,
        timeout=CELL_TIMEOUT,
        record_timing=False,
        resources={"metadata": {"path": str(folder)}},
        on_cell_executed=note_seconds,
    ).execute(env={**os.environ, "OMP_NUM_THREADS": "1"})  # as the Makefile starts the lab
    notebook.cells.pop()
    return max(used, default=0.0)


def _cpu_seconds_of_children() -> float:
    seconds = 0.0
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):  # it has just ended
            seconds += sum(child.cpu_times()[:4])  # its own and those of children that ended
    return seconds
