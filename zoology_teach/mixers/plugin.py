"""Mixers from outside of the library: a file my_mixer.py is known by "my_mixer:Class"."""

import importlib
import inspect
import sys
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

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
    except (Exception, SystemExit) as error:
        raise ValueError(f"plugin = {str(path)!r}: {type(error).__name__}: {error}") from error
    mixers = [(key, x) for key, x in vars(module).items() if _is_mixer_of(module, key, x)]
    require(bool(mixers), "plugin", str(path), "a file with a subclass of Mixer")
    complete = [key for key, mixer in mixers if not inspect.isabstract(mixer)]
    lacking = sorted(set().union(*(mixer.__abstractmethods__ for _, mixer in mixers)))
    require(bool(complete), "plugin", str(path), f"complete: its mixer lacks {', '.join(lacking)}")
    for key in complete:
        needs = _needs(vars(module)[key])
        allowed = f"one whose mixers can be made of d_model; {key} needs {', '.join(needs)} too"
        require(not needs, "plugin", str(path), allowed)
    return [f"{name}:{key}" for key in complete]


def _needs(mixer: type[Mixer]) -> list[str]:
    """Options of a mixer without a value of their own, which a recipe cannot know."""
    options = list(inspect.signature(mixer).parameters.values())[1:]
    has_value = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    needs = [o.name for o in options if o.default is o.empty and o.kind not in has_value]
    return [name for name in needs if not (name == "max_len" and mixer.wants_max_len)]


def _is_mixer_of(module: ModuleType, key: str, value: object) -> bool:
    """Whether `value` is a mixer that the module itself defines, under its own name `key`."""
    is_mixer = isinstance(value, type) and issubclass(value, Mixer)
    return is_mixer and value.__module__ == module.__name__ and value.__name__ == key


def content(path: str | Path) -> str:
    """Name and content of a plugin's file, such as "my_mixer.py 0a1b2c3d4e5f"."""
    path = Path(path)
    return f"{path.name} {sha256(path.read_bytes()).hexdigest()[:12]}"
