"""All that enters the sandbox stands alone: it imports nothing else of grading."""

import ast
from pathlib import Path

import pytest

from zoology_teach.grading import inside

MODULES = sorted(Path(inside.__file__).parent.rglob("*.py"))
NAME = inside.__name__


def imported(path: Path) -> set[str]:
    """All modules of ours that a file imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "a relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in found if name.startswith("zoology_teach")}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_it_imports_itself_alone(path):
    assert all(name.startswith(f"{NAME}.") for name in imported(path)), imported(path)


def test_it_is_all_there():
    assert {"wire", "confine", "runner", "worker"} <= {path.stem for path in MODULES}
