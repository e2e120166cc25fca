"""Sequence mixers by name. A new one is a class of its own file and a line here.

A mixer that lives outside this package is named "module:Class"; see `find`.
"""

import inspect
from importlib import import_module

from zoology_teach.checks import require
from zoology_teach.mixers.attention import Attention
from zoology_teach.mixers.base_conv import BaseConv
from zoology_teach.mixers.base_conv_autocorrelation import AutocorrelationBaseConv
from zoology_teach.mixers.h3 import H3
from zoology_teach.mixers.hyena import Hyena
from zoology_teach.mixers.linear_attention import LinearAttention
from zoology_teach.mixers.long_conv import LongConv
from zoology_teach.mixers.mamba import Mamba
from zoology_teach.mixers.mixer import Mixer
from zoology_teach.mixers.rwkv import RWKV
from zoology_teach.mixers.s4d import S4D
from zoology_teach.mixers.sliding_window import SlidingWindow
from zoology_teach.mixers.sparse_attention import SparseAttention

MIXERS: dict[str, type[Mixer]] = {
    "attention": Attention,
    "sliding_window": SlidingWindow,
    "sparse_attention": SparseAttention,
    "base_conv": BaseConv,
    "base_conv_autocorrelation": AutocorrelationBaseConv,
    "long_conv": LongConv,
    "s4d": S4D,
    "h3": H3,
    "hyena": Hyena,
    "rwkv": RWKV,
    "mamba": Mamba,
    "linear_attention": LinearAttention,
}


def find(name: str) -> type[Mixer]:
    """The class of a mixer: by its name in `MIXERS`, or by "module:Class", which is imported.

    Every process of a sweep finds the mixer by this name, so the class has to stand in a file.
    Raises ValueError for an unknown name, for a class of a notebook, and for one that is no
    complete `Mixer`.
    """
    if isinstance(name, type):
        name = f"{name.__module__}:{name.__qualname__}"
        require(
            name.startswith("__main__:"),
            "mixer",
            name,
            "given by this name, not as the class itself",
        )
    require(isinstance(name, str), "mixer", name, 'a name, or "module:Class"')
    if name in MIXERS:
        return MIXERS[name]
    module, _, kind = name.partition(":")
    by_name = f'one of {sorted(MIXERS)}, or "module:Class" for a mixer of your own'
    require(bool(module and kind), "mixer", name, by_name)
    in_a_file = f'in a file: put the class into my_mixer.py and name it "my_mixer:{kind}"'
    in_a_file += " (on the command line: --plugin my_mixer.py)"
    require(module != "__main__", "mixer", name, in_a_file)
    return _imported(name, module, kind)


def _imported(name: str, module: str, kind: str) -> type[Mixer]:
    try:
        found = getattr(import_module(module), kind, None)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise  # the module is there, and misses one itself
        there = f"found: no module {module} (on the command line: --plugin {module}.py)"
        raise ValueError(f"mixer = {name!r}: must be {there}") from None
    if not (isinstance(found, type) and issubclass(found, Mixer)):
        derived = f"a class derived from {Mixer.__module__}.{Mixer.__name__}"
        raise ValueError(f"mixer = {name!r}: must be {derived}")
    missing = sorted(found.__abstractmethods__)
    require(not missing, "mixer", name, f"complete: it lacks {', '.join(missing)}")
    if found.wants_max_len:
        parameters = inspect.signature(found).parameters.values()
        has = any(p.name == "max_len" or p.kind is p.VAR_KEYWORD for p in parameters)
        require(has, "mixer", name, "one with the option max_len, as its wants_max_len says")
    return found
