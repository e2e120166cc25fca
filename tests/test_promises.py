"""What users rely on without a look: every default and limit, and values that do not change.

`defaults.csv` lists the defaults of all public functions, methods and fields, `numbers.csv` the
numbers that have a name in a module: limits, budgets, grids, codes of the system. Where one is
meant to change: `python tests/test_promises.py` writes the tables, and the changelog says so.
"""

import ast
import csv
import dataclasses
import importlib
import inspect
import io
import pkgutil
import re
from datetime import timedelta
from pathlib import Path

import zoology_teach

HOME = Path(zoology_teach.__file__).parent
DEFAULTS, NUMBERS = (Path(__file__).parent / f"{name}.csv" for name in ("defaults", "numbers"))
LEFT_OUT = ("widgets", "grading.ladders", "cli")
CHANGED_WHILE_IT_LIVES = {
    "zoology_teach.training.history.History",
    "zoology_teach.tasks.documents.Reading",
    "zoology_teach.grading.manual_rows.Row",
    "zoology_teach.grading.release.Released",
    "zoology_teach.grading.versions.Choice",
    "zoology_teach.grading.ladder.Exercise",
    "zoology_teach.kernels.trace.Trace",
}


def modules():
    """All modules of the library but the parts that are left out."""
    for info in pkgutil.walk_packages(zoology_teach.__path__, "zoology_teach."):
        if not info.name.removeprefix("zoology_teach.").startswith(LEFT_OUT):
            yield importlib.import_module(info.name)


def public(holder, module: str):
    """(name, value) of what is defined in a module, or in a class of it."""
    for name, value in vars(holder).items():
        defined = getattr(value, "__module__", module) == module
        if defined and (not name.startswith("_") or name == "__init__"):
            yield name, value


def written(default) -> str:
    """A default, the same from run to run."""
    if isinstance(default, set | frozenset):
        default = sorted(default)
    if isinstance(default, Path):
        return default.relative_to(HOME).as_posix()
    text = getattr(default, "__name__", None) or repr(default)
    return re.sub(r" at 0x[0-9a-f]+", "", text)


def rows():
    """(callable, parameter, default) of everything public."""
    for module in modules():
        of = module.__name__
        if of.startswith("zoology_teach.grading.inside"):  # called by us alone
            continue
        for name, value in public(module, of):
            callables = [(f"{of}.{name}", value)]
            if inspect.isclass(value):
                callables = [(f"{of}.{name}.{n}", v) for n, v in public(value, of)]
            for path, function in callables:
                function = getattr(function, "__func__", function)  # of a class or static method
                if inspect.isfunction(function):
                    for parameter in inspect.signature(function).parameters.values():
                        if parameter.default is not parameter.empty:
                            yield path, parameter.name, written(parameter.default)


def is_number(value) -> bool:
    """Whether it is a number, or made of numbers alone."""
    if isinstance(value, dict):
        value = tuple(value.values())
    if isinstance(value, tuple | list | range):
        return len(value) > 0 and all(map(is_number, value))
    return isinstance(value, int | float | timedelta) and not isinstance(value, bool)


def numbers():
    """(module, name, value) of each number that stands in its module under a public name."""
    for module in modules():
        for name in assigned(ast.parse(Path(module.__file__).read_bytes())):
            value = getattr(module, name)
            if name.isupper() and not name.startswith("_") and is_number(value):
                yield module.__name__, name, repr(value)


def assigned(module: ast.Module):
    """The names of a module's constants, but for those that are asked of the machine."""
    for node in module.body:
        asks = any(isinstance(part, ast.Attribute) for part in ast.walk(node))
        if isinstance(node, ast.Assign) and not asks:
            names = (part for target in node.targets for part in ast.walk(target))
            yield from (name.id for name in names if isinstance(name, ast.Name))


def table(heading, rows) -> str:
    """`defaults.csv` or `numbers.csv`."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([heading, *sorted(set(rows))])
    return text.getvalue()


def tables():
    """The file of each table, and what it should hold."""
    return {
        DEFAULTS: table(("callable", "parameter", "default"), rows()),
        NUMBERS: table(("module", "name", "value"), numbers()),
    }


def test_no_default_and_no_number_has_changed():
    for path, found in tables().items():
        promised = path.read_text().splitlines()
        assert len(promised) > 90
        assert sorted(set(found.splitlines()) ^ set(promised)) == []


def test_values_do_not_change():
    """A configuration, a row or an answer that is passed around stays what it was."""
    changeable = set()
    for module in modules():
        for name, value in public(module, module.__name__):
            if dataclasses.is_dataclass(value) and not value.__dataclass_params__.frozen:
                changeable.add(f"{module.__name__}.{name}")
    assert changeable == CHANGED_WHILE_IT_LIVES


if __name__ == "__main__":
    for path, found in tables().items():
        path.write_text(found)
