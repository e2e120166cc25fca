"""benchmarks/versions.py without a network; the files that run it, and that make a container."""

import csv
import importlib.util
import json
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]


@pytest.fixture
def versions(tmp_path, monkeypatch):
    """The module, with its environments and its table elsewhere, and its calls of uv noted."""
    spec = importlib.util.spec_from_file_location("versions", ROOT / "benchmarks/versions.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    calls = []
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(module, "OUT", tmp_path / "versions.csv")
    monkeypatch.setattr(module, "uv", lambda *arguments: calls.append(arguments))
    module.calls = calls
    return module


@pytest.mark.parametrize(
    ("resolution", "strategy", "source"),
    [
        ("lowest", "lowest-direct", ("pyproject.toml", "--extra", "test")),
        ("newest", "highest", ("pyproject.toml", "--extra", "test")),
        ("colab", "highest", ("benchmarks/colab.txt",)),
    ],
)
def test_versions_are_resolved_and_installed_exactly(versions, resolution, strategy, source):
    inside = versions.environment(resolution, "3.12", ["--torch-backend", "cpu"])
    compiled, made, synced = versions.calls
    assert compiled[: 2 + len(source)] == ("pip", "compile", *source)
    assert ("--resolution", strategy) == compiled[2 + len(source) :][:2]
    assert compiled[compiled.index("--python-version") + 1] == "3.12"
    assert made[:1] == ("venv",) and str(inside).startswith(made[-1])
    assert synced[:2] == ("pip", "sync") and synced[-1] == compiled[-1]
    for call in (compiled, synced):
        assert call[call.index("--torch-backend") + 1] == "cpu"


@pytest.mark.parametrize(
    ("printed", "counts"),
    [
        ("....\n10 passed, 2 skipped in 3.1s\n", (10, 0, "")),
        ("F.\nFAILED tests/a.py::b - x\n1 failed, 9 passed in 3s\n", (9, 1, "tests/a.py::b")),
        ("ERROR tests/a.py - y\n1 error in 3s\n", (0, 1, "tests/a.py")),
        ("Fatal Python error: killed\n", (0, 1, "Fatal Python error: killed")),
        ("", (0, 1, "")),
    ],
)
def test_passed_and_failed_are_counted(versions, printed, counts):
    assert versions.counted(printed) == counts


def test_both_runs_count_and_the_pins_are_not_asked(versions, monkeypatch):
    (versions.ROOT / "Makefile").write_text("SLOW := sandbox or kernel\n")
    runs = []
    outputs = iter(["FAILED tests/a.py::b\n1 failed, 4 passed in 1s", "8 passed in 1s"])
    monkeypatch.setattr(
        versions, "pytest", lambda inside, given: runs.append(given) or next(outputs)
    )
    assert versions.tested(Path("python")) == (12, 1, "tests/a.py::b")
    quick, kernels = runs
    assert "not (sandbox or kernel)" in quick and versions.NOT_ASKED in quick
    assert all((ROOT / path).exists() for path in kernels)
    path, _, test = versions.NOT_ASKED.partition("::")
    assert f"def {test}(" in (ROOT / path).read_text()


def test_a_row_names_what_was_tried(versions):
    versions.note(dict.fromkeys(versions.COLUMNS, "x"))
    versions.note({**dict.fromkeys(versions.COLUMNS, "y"), "failures": "a, b"})
    with open(versions.OUT, newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["torch"] for row in rows] == ["x", "y"] and rows[1]["failures"] == "a, b"
    assert {"triton", "ipywidgets", "python", "machine", "day"} <= rows[0].keys()


def test_the_weekly_workflow_runs_every_resolution(versions):
    workflow = yaml.safe_load((ROOT / ".github/workflows/versions.yml").read_text())
    assert len(workflow[True]["schedule"][0]["cron"].split()) == 5  # YAML reads `on` as True
    (job,) = workflow["jobs"].values()
    tried = {(one["resolution"], one["python"]) for one in job["strategy"]["matrix"]["include"]}
    ends = {(r, p) for r in ("lowest", "newest") for p in ("3.11", "3.13")}
    assert tried == ends | {("colab", "3.13")}
    assert {resolution for resolution, _ in tried} == set(versions.STRATEGY)
    steps = " ".join(step.get("run", "") for step in job["steps"])
    assert "benchmarks/versions.py" in steps and "git push" not in steps


def test_what_colab_has_is_allowed_by_the_package():
    lines = (ROOT / "benchmarks/colab.txt").read_text().splitlines()
    has = dict(line.split("==") for line in lines if "==" in line)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    core = {r.name: r for r in map(Requirement, project["dependencies"])}
    for name in ("torch", "numpy", "pandas", "ipywidgets"):
        assert core[name].specifier.contains(has[name])


DOCKERFILE = (ROOT / "Dockerfile").read_text()


def test_the_container_is_made_by_commands_that_exist():
    for target in re.findall(r"make ([\w./]+)", DOCKERFILE):
        subprocess.run(["make", "-n", target], cwd=ROOT, check=True, capture_output=True)
    assert "make .venv/.lab TORCH=cpu" in DOCKERFILE
    assert re.search(r"^USER reader$", DOCKERFILE, re.MULTILINE), "JupyterLab refuses root"
    assert "bubblewrap" in DOCKERFILE and "systempaths=unconfined" in DOCKERFILE
    ignored = (ROOT / ".dockerignore").read_text().split()
    assert {".git", ".venv"} <= set(ignored) and "book" not in ignored


def test_the_devcontainer_is_the_same_machine():
    given = json.loads((ROOT / ".devcontainer/devcontainer.json").read_text())
    assert f"FROM python:3.11-slim-bookworm AS {given['build']['target']}\n" in DOCKERFILE
    assert f"USER {given['remoteUser']}\n" in DOCKERFILE
    assert "make .venv/.lab TORCH=cpu" in given["postCreateCommand"]
    for option in given["runArgs"][1::2]:
        assert option in DOCKERFILE


def test_a_chapter_runs_as_in_colab(monkeypatch, tmp_path):
    """With the cell in front, in an empty folder, and without what this Python could import."""
    spec = importlib.util.spec_from_file_location("colab", ROOT / "benchmarks/colab_chapters.py")
    chapters = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(chapters)
    seen = {}

    class Client:
        def __init__(self, notebook, **options):
            seen.update(cell=notebook.cells[0].source, folder=options["resources"]["metadata"])

        def execute(self, env):
            seen.update(env=env)
            if env["PATH"].startswith("/broken"):
                raise chapters.CellExecutionError("cell 3", "ValueError", "no")

    monkeypatch.setattr(chapters, "NotebookClient", Client)
    monkeypatch.setattr(chapters, "CHAPTERS", chapters.CHAPTERS[:1])
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("JUPYTER_PATH", "")  # set by it, and so taken back
    assert chapters.tried(Path("/colab/bin/python")) == (1, 0, "")
    assert f"!git clone --quiet --depth 1 {ROOT.as_uri()} zoology_book" in seen["cell"]
    assert "PYTHONPATH" not in seen["env"] and seen["env"]["PATH"].startswith("/colab/bin:")
    assert chapters.tried(Path("/broken/python")) == (0, 1, chapters.CHAPTERS[0])
