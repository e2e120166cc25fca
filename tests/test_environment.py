"""The files that describe the environment agree with each other and with what is installed."""

import ast
import os
import re
import shutil
import subprocess
import tomllib
from contextlib import suppress
from importlib import metadata
from pathlib import Path

import jupytext
import pytest
import yaml
from jupytext.sync_contentsmanager import TextFileContentsManager
from nbformat.v4 import new_code_cell, new_notebook
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

import zoology_teach

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
LISTED = [Requirement(line) for line in sum(EXTRAS.values(), PROJECT["dependencies"])]
DIRECT = [requirement for requirement in LISTED if requirement.name != PROJECT["name"]]
CONSTRAINTS = [
    line
    for line in (ROOT / "constraints.txt").read_text().splitlines()
    if line[:1] not in ("", "#")
]
PINS = {
    canonicalize_name(name): version
    for name, _, version in (line.partition("==") for line in CONSTRAINTS)
}
KERNEL = {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}
# What the stored outputs of the chapters are made with. The rest of the pins may differ.
SHAPES_OUTPUTS = [
    *("torch", "triton", "numpy", "pandas", "matplotlib", "einops", "scipy", "tqdm"),
    *("ipykernel", "ipython", "ipywidgets", "anywidget", "jupytext", "nbclient", "nbformat"),
]


@pytest.mark.parametrize("requirement", DIRECT, ids=lambda requirement: requirement.name)
def test_each_direct_dependency_is_pinned_within_its_range(requirement):
    pin = PINS[canonicalize_name(requirement.name)]
    assert requirement.specifier, f"{requirement.name} has no lower bound"
    assert requirement.specifier.contains(pin)


def test_every_pin_can_be_had_with_the_lowest_python():
    """Of those that are installed. Debian 12 has Python 3.11.2."""
    (lowest,) = Requirement(f"python{PROJECT['requires-python']}").specifier
    for name in PINS:
        with suppress(metadata.PackageNotFoundError):
            allowed = SpecifierSet(metadata.metadata(name).get("Requires-Python", ""))
            assert allowed.contains(f"{lowest.version}.0"), f"{name} needs Python {allowed}"


def test_each_dependency_line_gives_its_reason():
    lines = (ROOT / "pyproject.toml").read_text().splitlines()
    for requirement in DIRECT:
        (line,) = (line for line in lines if re.match(rf'    "{requirement.name}[<>=]', line))
        assert re.search(r'",  # \w+', line), f"no reason: {line.strip()}"


def test_whoever_runs_the_tests_has_every_extra():
    test = [Requirement(line) for line in EXTRAS["test"]]
    (own,) = (requirement for requirement in test if requirement.name == PROJECT["name"])
    assert own.extras == set(EXTRAS) - {"test", "pile"}  # a large one; its test has a stand-in


def test_what_is_imported_is_listed():
    """Every library that a module imports by name is listed, whoever else may bring it along."""
    listed = {canonicalize_name(requirement.name) for requirement in DIRECT}
    assert foreign_imports() <= listed | {"zoology-teach"}


def foreign_imports() -> set[str]:
    """The distributions whose modules zoology_teach imports, anywhere in a file."""
    modules = set()
    for path in (ROOT / "zoology_teach").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                modules |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                modules.add(node.module.split(".")[0])
    provided_by = metadata.packages_distributions()
    return {canonicalize_name(name) for m in modules for name in provided_by.get(m, [])[:1]}


def test_no_dependency_is_listed_twice():
    names = [canonicalize_name(requirement.name) for requirement in DIRECT]
    assert len(names) == len(set(names))
    assert len(CONSTRAINTS) == len(PINS)


def test_constraints_are_exact_and_hold_on_any_machine():
    for line in CONSTRAINTS:
        assert re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][A-Za-z0-9.]*", line), line
    assert not [name for name in PINS if name.startswith(("nvidia", "cuda"))]


@pytest.mark.parametrize("name", SHAPES_OUTPUTS)
def test_installed_version_is_the_pinned_one(name):
    if name == "triton" and not _wanted_here("triton"):
        pytest.skip("triton is published for Linux only")
    assert Version(metadata.version(name)).public == PINS[name]


def _wanted_here(name: str) -> bool:
    (requirement,) = (requirement for requirement in DIRECT if requirement.name == name)
    return requirement.marker is None or requirement.marker.evaluate()


def test_conda_installs_the_same_through_pip():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    *conda, pip = environment["dependencies"]
    makefile = (ROOT / "Makefile").read_text()
    assert {re.split(r"[=<>]", line)[0] for line in conda} == {"python", "pip"}
    assert pip == {"pip": ["-c constraints.txt", "-e .[test]"]}
    assert '-c constraints.txt -e ".[$(extra)]"' in makefile
    (python,) = (line.removeprefix("python=") for line in conda if line != "pip")
    assert PROJECT["requires-python"] == f">={python}"


CPU_INDEX = "--extra-index-url https://download.pytorch.org/whl/cpu"


def assembled(*arguments: str) -> subprocess.CompletedProcess:
    """What make would run, were nothing made yet."""
    command = ["make", "--always-make", "--dry-run", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("arguments", "installs"),
    [
        (("lab",), '-c constraints.txt -e ".[test]"'),
        (("lab", "TORCH="), '-c constraints.txt -e ".[test]"'),
        (("lab", "TORCH=cpu"), f'{CPU_INDEX} -c constraints.txt -e ".[lab]"'),
        (("quick", "TORCH=cpu"), f'{CPU_INDEX} -c constraints.txt -e ".[test]"'),
    ],
)
def test_torch_cpu_takes_pytorchs_cpu_build_and_nothing_else_does(arguments, installs):
    lines = assembled(*arguments).stdout.splitlines()
    assert [x for x in lines if "pip" in x] == [f".venv/bin/python -m pip install {installs}"]


def test_another_build_of_torch_is_refused():
    done = assembled("lab", "TORCH=gpu")
    assert done.returncode == 2 and "TORCH = gpu: must be cpu, or not be given" in done.stderr


def test_the_small_install_is_told_for_pip_conda_and_uv():
    readme = (ROOT / "README.md").read_text()
    index = CPU_INDEX.removeprefix("--extra-index-url ")
    assert "make lab TORCH=cpu" in readme
    assert f"PIP_EXTRA_INDEX_URL={index} conda env create -f environment.yml" in readme
    assert 'UV_TORCH_BACKEND=cpu uv pip install -c constraints.txt -e ".[lab]"' in readme


def test_make_quick_leaves_out_what_a_marker_names():
    options = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]
    (left_out,) = re.findall(r"^SLOW := (.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert left_out.split(" or ") == [marker.split(":")[0] for marker in options["markers"]]


def test_citation_names_this_version_and_the_paper():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == zoology_teach.__version__
    assert metadata.version("zoology-teach") == zoology_teach.__version__
    (paper,) = citation["references"]
    assert paper["url"] == "https://arxiv.org/abs/2312.04927"
    assert len(paper["authors"]) == 8


def test_a_chapter_opens_whatever_the_file_times_of_a_clone(tmp_path):
    shutil.copy(ROOT / "book" / "jupytext.toml", tmp_path)
    chapter = new_notebook(
        cells=[new_code_cell("1 + 1")],
        metadata={"jupytext": {"formats": "ipynb,md:myst"}, "kernelspec": KERNEL},
    )
    jupytext.write(chapter, tmp_path / "chapter.md", fmt="md:myst")
    chapter.cells[0].source = "an older version"
    jupytext.write(chapter, tmp_path / "chapter.ipynb")
    os.utime(tmp_path / "chapter.md", (0, 0))

    manager = TextFileContentsManager()
    manager.root_dir = str(tmp_path)
    opened = manager.get("chapter.ipynb")["content"]
    assert [cell.source for cell in opened.cells] == ["1 + 1"]


def test_licences():
    assert (ROOT / "LICENSE").read_text().startswith("MIT License")
    assert "Attribution 4.0 International" in (ROOT / "book" / "LICENSE").read_text()
