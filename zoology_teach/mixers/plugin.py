"""Mixers from outside of the library: a file my_mixer.py is known by "my_mixer:Class"."""

import importlib
import sys
from importlib.util import find_spec
from pathlib import Path

from zoology_teach.checks import require
from zoology_teach.mixers.mixer import Mixer


def load(path: str | Path) -> list[str]:
    """Make the mixers of a file importable, here and in processes started from here.

    Returns their names for `Layer`, "file:Class". Raises ValueError naming `plugin` where the
    file is none, holds no mixer, or has the name of a module that is there already.
    """
    path = Path(path).resolve()
    wanted = "a Python file, such as my_mixer.py"
    require(path.suffix == ".py" and path.is_file(), "plugin", str(path), wanted)
    name = path.stem
    require(name.isidentifier(), "plugin", str(path), "a file whose name is a Python name")
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))
    importlib.invalidate_caches()
    found = find_spec(name)
    own = found is not None and found.origin is not None and Path(found.origin).resolve() == path
    require(own, "plugin", str(path), f"renamed: another module is called {name}")
    try:
        module = importlib.import_module(name)
    except Exception as error:
        raise ValueError(f"plugin = {str(path)!r}: {type(error).__name__}: {error}") from error
    classes = [x for x in vars(module).values() if isinstance(x, type) and issubclass(x, Mixer)]
    names = [f"{name}:{c.__name__}" for c in classes if c.__module__ == name]
    require(bool(names), "plugin", str(path), "a file with a subclass of Mixer")
    return names
