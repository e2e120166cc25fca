"""The recipes of CONTRIBUTING.md, followed word for word in a copy of the repository."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "CONTRIBUTING.md").read_text()
FENCE = re.compile(r"^(`{3,})(\w+) ?([^\n]*)\n(.*?)^\1$", re.DOTALL | re.MULTILINE)
NOT_COPIED = shutil.ignore_patterns(
    ".*", "*_runs", "__pycache__", "*.egg-info", "build", "benchmarks"
)


@pytest.fixture
def copy(tmp_path):
    """The repository, to be written in."""
    return shutil.copytree(ROOT, tmp_path / "copy", ignore=NOT_COPIED)


def follow(recipe: str, copy: Path) -> list[str]:
    """Write the files of a recipe and run its commands; what each of them printed.

    "```python a.py" is the file a.py, "```bash" are commands, "```bash fails" one that fails.
    """
    (section,) = re.findall(rf"^## {recipe}\n(.*?)(?=^## An? |\Z)", TEXT, re.DOTALL | re.M)
    printed = []
    for _, language, note, content in FENCE.findall(section):
        if language == "bash":
            done = run(content, copy)
            assert (done.returncode != 0) == (note == "fails"), f"{content}\n{done.stdout}"
            printed.append(done.stdout)
        else:
            (copy / note).write_text(content)
    return printed


def run(commands: str, copy: Path) -> subprocess.CompletedProcess:
    """As a developer who has activated the environment of the copy."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    env = {**os.environ, "PATH": path, "PYTHONPATH": str(copy), "OMP_NUM_THREADS": "1"}
    both = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.run(["bash", "-ec", commands], cwd=copy, env=env, timeout=240, **both)


@pytest.mark.training
def test_a_mixer(copy):
    follow("A mixer", copy)
    table = pd.read_csv(copy / "table.csv")
    mine = table[table["mixer"] == "my_mixer:Delta"]
    assert len(mine) > 0 and set(mine["d_model"]) == {16}
    assert set(mine["seq_len"]) == {32} and set(mine["steps"]) == {20}


@pytest.mark.training
def test_a_chapter(copy):
    built, lacking = follow("A chapter", copy)
    assert "15_a_memory_that_corrects.md: executed" in built
    assert "test_anatomy" in lacking and "'What you will show'" in lacking
    chapter = json.loads((copy / "book" / "15_a_memory_that_corrects.ipynb").read_text())
    (code,) = [cell for cell in chapter["cells"] if cell["cell_type"] == "code"]
    assert code["outputs"][0]["text"] == ["272\n"]


@pytest.mark.slow
def test_an_exercise(copy):
    (printed,) = follow("An exercise", copy)
    assert "written: 15_a_memory_that_corrects.ipynb" in printed
    assert re.search(r"= \d+ passed, \d+ deselected", printed), printed  # and none failed
    handed_out = (copy / "exercises" / "15_a_memory_that_corrects.ipynb").read_text()
    assert "your code here" in handed_out and "missing =" not in handed_out
    assert "## Chapter 15" in (copy / "solutions" / "marking_guide.md").read_text()


def test_every_command_of_make_that_is_named_exists():
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"(?:`|^)make (\w+)", TEXT, re.MULTILINE))
    assert {"quick", "test", "layers"} <= named <= targets
