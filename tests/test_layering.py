"""Data flows one way: no module imports one that stands to its right."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "zoology_teach"
ORDER = (
    "checks tasks recall kernels mixers cost model checkpoint train train_text results sweep "
    "presets text_corpus text_presets text_table text_passage text_documents plots text_page"
).split()
RIGHT_OF = {name: set(ORDER[i + 1 :]) | {"widgets", "grading"} for i, name in enumerate(ORDER)}
RIGHT_OF["grading"] = {"train", "sweep", "plots", "widgets"}
RIGHT_OF["widgets"] = {"grading"}
RIGHT_OF["constructions"] = {"train", "sweep", "presets", "plots", "widgets", "grading"}


def imported(path: Path) -> set[str]:
    """The parts of the package that a file imports."""
    parts = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        parts |= {n.split(".")[1] for n in names if n.startswith("zoology_teach.")}
    return parts


@pytest.mark.parametrize("part", sorted(RIGHT_OF))
def test_nothing_imports_to_its_right(part):
    files = [PACKAGE / f"{part}.py", *(PACKAGE / part).rglob("*.py")]
    files = [f for f in files if f.exists()]
    assert files
    for path in files:
        assert not imported(path) & RIGHT_OF[part], path
