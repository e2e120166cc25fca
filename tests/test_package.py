"""The package as it is installed from a wheel, in an empty folder without a clone."""

import importlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import ipywidgets
import pytest
from packaging.version import Version

import zoology_teach
from zoology_teach.doctor import LIBRARIES, NOTEBOOKS

ROOT = Path(__file__).parents[1]
NEEDED_TO_BUILD = ("pyproject.toml", "README.md", "LICENSE")
CHANGELOG = (ROOT / "CHANGELOG.md").read_text()
MOVES = re.findall(r"^\| `(zoology_teach[\w.]+)` \| `(zoology_teach[\w.]+)` \|$", CHANGELOG, re.M)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """A wheel, built from a copy so that nothing of an earlier build gets into it."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in NEEDED_TO_BUILD:
        shutil.copy(ROOT / name, source)
    unwanted = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "zoology_teach", source / "zoology_teach", ignore=unwanted)
    build = f"from setuptools.build_meta import build_wheel; build_wheel({str(out)!r})"
    subprocess.run([sys.executable, "-c", build], cwd=source, check=True, capture_output=True)
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    """Where the wheel is unpacked."""
    folder = tmp_path_factory.mktemp("installed")
    with ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def outside(installed: Path, folder: Path, *command: str) -> subprocess.CompletedProcess:
    """Run Python in `folder`, where the package is the installed one."""
    env = {**os.environ, "PYTHONPATH": str(installed), "OMP_NUM_THREADS": "1"}
    both = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.run([sys.executable, *command], cwd=folder, env=env, timeout=120, **both)


def test_the_wheel_holds_every_file_of_the_package(wheel):
    package = ROOT / "zoology_teach"
    files = [p for p in package.rglob("*") if p.is_file() and p.suffix != ".pyc"]
    wanted = {path.relative_to(ROOT).as_posix() for path in files}
    shipped = {name for name in ZipFile(wheel).namelist() if name.startswith("zoology_teach/")}
    assert shipped == wanted
    assert {"zoology_teach/py.typed", "zoology_teach/data/README.md"} <= shipped
    assert wheel.name.startswith(f"zoology_teach-{zoology_teach.__version__}-")


def test_the_text_is_read_without_a_clone(installed, tmp_path):
    script = (
        "from zoology_teach import files; from zoology_teach.tasks import documents, text\n"
        "print(documents.__file__, files.checkout(), sum(1 for _ in documents.read('shakespeare')),"
        " text.load_tokenizer().get_vocab_size())"
    )
    done = outside(installed, tmp_path, "-c", script)
    assert done.stdout == f"{installed}/zoology_teach/tasks/documents.py None 37 2048\n"


@pytest.mark.kernel
def test_the_doctor_says_what_to_do_without_a_clone(installed, tmp_path):
    done = outside(installed, tmp_path, "-c", "from zoology_teach import cli; cli.app(['doctor'])")
    assert done.returncode == 0, done.stdout
    assert "The library works here. To read the book: make lab, in a clone" in done.stdout
    assert list(tmp_path.iterdir()) == []


LAB = ["jupyterlab", "jupytext", "nbclient", "nbformat"]
if Version(ipywidgets.__version__).major > 7:  # 7 itself brings it along, and imports it
    LAB.append("jupyter_client")
NEED_THE_LAB = {"chapters", "grading.release", "grading.nbgrader"}


def test_the_core_is_imported_without_the_lab(installed, tmp_path):
    script = (
        f"import sys, pkgutil, importlib; sys.modules.update(dict.fromkeys({LAB!r}))\n"
        "import zoology_teach\n"
        "for module in pkgutil.walk_packages(zoology_teach.__path__, 'zoology_teach.'):\n"
        "    try: importlib.import_module(module.name)\n"
        "    except ImportError as error: print(module.name, error.name)\n"
    )
    lines = outside(installed, tmp_path, "-c", script).stdout.splitlines()
    lacking = dict(line.removeprefix("zoology_teach.").split(" ") for line in lines)
    assert lacking.keys() == NEED_THE_LAB
    assert set(lacking.values()) <= set(LAB)


def test_the_doctor_examines_what_the_package_lists():
    pyproject = (ROOT / "pyproject.toml").read_text()
    core = re.search(r"^dependencies = \[\n(.*?)^\]", pyproject, re.M | re.S)[1]
    lab = re.search(r"^lab = \[\n(.*?)^\]", pyproject, re.M | re.S)[1]
    names = re.compile(r'^    "([\w-]+)', re.MULTILINE)
    assert [*LIBRARIES, "triton"] == sorted(names.findall(core), key=[*LIBRARIES, "triton"].index)
    assert names.findall(lab) == NOTEBOOKS


def found(name: str):
    """The module or the member of a module; None where there is neither."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        owner, _, member = name.rpartition(".")
        return getattr(found(owner), member, None) if owner else None


@pytest.mark.parametrize(("old", "new"), MOVES)
def test_a_moved_name_is_where_the_changelog_says(old, new):
    assert found(new) is not None
    assert found(old) is None
