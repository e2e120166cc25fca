"""Chapters as Colab would run them: their first cell clones and installs, the others follow."""

import json
import os
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat.v4 import new_code_cell

from zoology_teach.colab import first_cell

ROOT = Path(__file__).resolve().parents[1]
CHAPTERS = ("02_write_the_task", "06_turn_the_width_knob")


def tried(inside: Path) -> tuple[int, int, str]:
    """Passed, failed and which, of CHAPTERS run by the Python `inside`; prints why one failed."""
    failures = []
    for name in CHAPTERS:
        with tempfile.TemporaryDirectory() as folder:
            why = failure(name, inside, Path(folder))
        print(f"{name}: {why or 'ran'}", flush=True)
        failures += [name] * bool(why)
    return len(CHAPTERS) - len(failures), len(failures), " ".join(failures)


def failure(name: str, inside: Path, folder: Path) -> str:
    """Why a chapter does not run in the empty `folder`; "" where it does."""
    chapter = nbformat.read(ROOT / "book" / f"{name}.ipynb", as_version=4)
    chapter.cells.insert(0, new_code_cell(first_cell(ROOT.as_uri())))
    argv = [str(inside), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    kernel = folder / "kernels" / "colab"
    kernel.mkdir(parents=True)
    spec = {"argv": argv, "display_name": "Colab", "language": "python"}
    (kernel / "kernel.json").write_text(json.dumps(spec))
    os.environ["JUPYTER_PATH"] = str(folder)
    outside = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}  # what is installed counts
    path = os.pathsep.join([str(inside.parent), os.environ["PATH"]])
    client = NotebookClient(
        chapter,
        kernel_name="colab",
        timeout=600,
        resources={"metadata": {"path": str(folder)}},
    )
    try:
        client.execute(env={**outside, "PATH": path, "OMP_NUM_THREADS": "1"})
    except CellExecutionError as error:
        return str(error)
    return ""
