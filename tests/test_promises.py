"""What users rely on without a look: every default of the library, and values that do not change.

`defaults.csv` lists the defaults of all public functions, methods and fields. Where one is meant
to change: `python tests/test_promises.py` writes the table, and the changelog says so.
"""

import csv
import dataclasses
import importlib
import inspect
import io
import pkgutil
import re
from pathlib import Path

import zoology_teach

HOME = Path(zoology_teach.__file__).parent
TABLE = Path(__file__).parent / "defaults.csv"
LEFT_OUT = ("widgets", "grading.ladders", "grading.inside", "cli")
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


def table() -> str:
    """`defaults.csv`."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([("callable", "parameter", "default"), *sorted(set(rows()))])
    return text.getvalue()


def test_no_default_has_changed():
    found, promised = table().splitlines(), TABLE.read_text().splitlines()
    assert len(promised) > 200
    assert sorted(set(found) ^ set(promised)) == []


def test_values_do_not_change():
    """A configuration, a row or an answer that is passed around stays what it was."""
    changeable = set()
    for module in modules():
        for name, value in public(module, module.__name__):
            if dataclasses.is_dataclass(value) and not value.__dataclass_params__.frozen:
                changeable.add(f"{module.__name__}.{name}")
    assert changeable == CHANGED_WHILE_IT_LIVES


if __name__ == "__main__":
    TABLE.write_text(table())
