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

from zoology_teach import __version__, contents
from zoology_teach.checks import require
from zoology_teach.files import replace

CELL_TIMEOUT = 120
SOURCE_FORMAT = "md:myst"
FOLDED = "hide-input"  # the tag of a cell that only plots, asks or asserts
DRAW_ALL = """
import sys

if explorers := sys.modules.get("zoology_teach.widgets.explorer"):
    explorers.draw_all()
"""  # run after the last cell, so that the stored notebook answers without a kernel


def read(source: Path, text: str | None = None) -> NotebookNode:
    """The hand-written chapter, or `text` in its place, as a notebook without outputs; its
    cells are numbered.
    """
    text = source.read_text(encoding="utf-8") if text is None else text
    notebook = jupytext.reads(text, SOURCE_FORMAT)
    plain = json.dumps(notebook.metadata, default=str)  # YAML has dates, JSON has not
    notebook.metadata = nbformat.from_dict(json.loads(plain))
    for number, cell in enumerate(notebook.cells):
        cell.id = f"{source.stem[:2]}-{number:03d}"
    if any(map(_is_folded, notebook.cells)):  # what a save in JupyterLab leaves out of the source
        kept = {"cell_metadata_filter": "-jupyter", **notebook.metadata["jupytext"]}
        notebook.metadata["jupytext"] = nbformat.from_dict(kept)
    return notebook


def in_step(source: Path) -> bool:
    """Whether the executed notebook has exactly the cells of its source."""
    paired = source.with_suffix(".ipynb")
    if not paired.exists():
        return False
    executed = nbformat.read(paired, as_version=4)
    return _cells(read(source)) == _cells(executed)


def build(source: Path, force: bool = False) -> str:
    """Execute a chapter whose code changed (or always, with `force`).

    Returns "executed"; "its outputs kept" where only prose changed; or "", where nothing did.
    What `contents` keeps, such as the line to the next chapter, is written into the source. It
    is also brought into the form in which Jupytext writes it, so that saving the chapter in
    JupyterLab changes nothing; but not where something in it would be lost. Raises,
    with nothing written: ValueError for what is no chapter source, and where the notebook
    beside it holds work that the source does not; FileNotFoundError without a source;
    nbclient's CellExecutionError where a cell fails (by then the source has its form).
    """
    source = Path(source)
    paired = source.with_suffix(".ipynb")
    text = _source_text(source)
    whole = contents.complete(source, text)
    notebook = read(source, whole)
    _require_replaceable(paired, notebook)
    normal_form = jupytext.writes(notebook, SOURCE_FORMAT)
    if _is_all_of(whole, notebook, normal_form):
        whole = normal_form
    if whole != text:
        replace(source, whole)
    if in_step(source) and not force:
        return ""
    kept = not force and _keep_outputs(paired, notebook)
    if not kept:
        _execute(notebook, source.parent)
    _leave_out_defaults(notebook)
    notebook.metadata["zoology_teach"]["cells"] = _digest(notebook)
    for cell in notebook.cells:
        if _is_folded(cell):
            cell.metadata["jupyter"] = {"source_hidden": True}
    replace(paired, nbformat.writes(notebook) + "\n")
    return "its outputs kept" if kept else "executed"


def _is_folded(cell: NotebookNode) -> bool:
    return FOLDED in cell.metadata.get("tags", [])


def _keep_outputs(paired: Path, notebook: NotebookNode) -> bool:
    """Whether `paired` ran the same code as `notebook` has; its outputs are then taken over."""
    if not paired.exists():
        return False
    before = nbformat.read(paired, as_version=4)
    ran, runs = ([c for c in n.cells if c.cell_type == "code"] for n in (before, notebook))
    if [c.source for c in ran] != [c.source for c in runs]:
        return False
    if "zoology_teach" not in before.metadata or any(c.execution_count is None for c in ran):
        return False
    for old, new in zip(ran, runs, strict=True):
        new.outputs, new.execution_count = old.outputs, old.execution_count
    notebook.metadata = nbformat.from_dict({**before.metadata, **notebook.metadata})
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


def _execute(notebook: NotebookNode, folder: Path) -> None:
    """Run the cells from top to bottom, without what they say on stderr; note the version, and
    the CPU seconds of the kernel and what it started.

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
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [o for o in cell.outputs if o.get("name") != "stderr"]
    seconds = round(max(used, default=0.0), 1)
    notebook.metadata["zoology_teach"] = {"version": __version__, "cpu_seconds": seconds}


def _leave_out_defaults(notebook: NotebookNode) -> None:
    """Without what a widget leaves to the browser: 1 kB for each."""
    for kept in notebook.metadata.get("widgets", {}).values():
        for model in kept["state"].values():
            is_layout = model["model_name"] == "LayoutModel"
            unset = [k for k, v in model["state"].items() if v is None]
            for name in unset:
                if is_layout or name in ("_view_count", "tabbable", "tooltip"):
                    del model["state"][name]


def _cpu_seconds_of_children() -> float:
    seconds = 0.0
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):  # it has just ended
            seconds += sum(child.cpu_times()[:4])  # its own and those of children that ended
    return seconds
