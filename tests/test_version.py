"""Which code made a table: the commit, whether it was edited, or a hash where there is no git."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import zoology_teach
from zoology_teach import version

FILES = ("__init__.py", "version.py")


def code(folder: Path, **environment: str) -> str:
    """What another process says that imports the package of this folder."""
    command = [sys.executable, "-c", "from zoology_teach.version import code; print(code())"]
    found = subprocess.run(
        command,
        env={**os.environ, "PYTHONPATH": str(folder), **environment},
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    return found.stdout.strip()


def git(folder: Path, *words: str) -> str:
    who = ["-c", "user.name=a", "-c", "user.email=a@b"]
    done = subprocess.run(
        ["git", *who, *words], cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.fixture
def package(tmp_path):
    """The package without a repository: two of its files."""
    folder = tmp_path / "installed"
    (folder / "zoology_teach").mkdir(parents=True)
    for name in FILES:
        shutil.copy(Path(version.__file__).with_name(name), folder / "zoology_teach")
    return folder


@pytest.fixture
def clone(package, tmp_path):
    """A clone of a repository that holds it."""
    (package / ".gitignore").write_text("__pycache__/\n")
    git(package, "init", "-q")
    git(package, "add", "-A")
    git(package, "commit", "-qm", "first")
    git(tmp_path, "clone", "-q", "installed", "clone")
    return tmp_path / "clone"


def test_a_clone_is_known_by_its_commit(clone):
    commit = git(clone, "rev-parse", "--short=12", "HEAD")
    assert code(clone) == f"{zoology_teach.__version__}+{commit}"
    (clone / "notes.txt").write_text("beside the package")
    assert code(clone) == f"{zoology_teach.__version__}+{commit}"
    git(clone, "commit", "-q", "--allow-empty", "-m", "another")
    assert code(clone) != f"{zoology_teach.__version__}+{commit}"


def test_a_clone_that_was_edited_says_so_and_by_what(clone):
    clean, seen = code(clone), set()
    path = clone / "zoology_teach" / "version.py"
    original = path.read_text()
    for more in ("# one\n", "# two\n"):
        path.write_text(original + more)
        seen.add(code(clone))
    path.write_text(original)
    assert code(clone) == clean
    (clone / "zoology_teach" / "new.py").write_text("")
    seen.add(code(clone))
    assert len(seen) == 3 and all(x.startswith(f"{clean}.changed.") for x in seen)


def test_without_a_repository_or_git_the_content_is_the_version(package, clone, tmp_path):
    there = package / ".git"
    there.rename(tmp_path / "moved")
    plain = code(package)
    assert plain.startswith(f"{zoology_teach.__version__}+") and ".changed" not in plain
    assert code(clone, PATH=str(tmp_path)) == plain, "the same text, and no git to ask"
    (package / "zoology_teach" / "new.py").write_text("")
    assert code(package) != plain


def test_a_package_installed_inside_another_repository_is_not_that_repository(package, clone):
    inside = clone / ".venv"
    shutil.copytree(package / "zoology_teach", inside / "zoology_teach")
    (clone / ".gitignore").write_text(".venv/\n")
    (package / ".git").rename(package / "gone")
    assert code(inside) == code(package)


def test_a_hook_of_another_repository_does_not_confuse_it(clone, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    git(other, "init", "-q")
    assert code(clone, GIT_DIR=str(other / ".git")) == code(clone)


def test_here_it_is_one_of_both():
    assert version.code().startswith(f"{zoology_teach.__version__}+")
