"""What decides a result: frozen configurations, their identity, and how a table keeps them."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from functools import wraps
from typing import Any, dataclass_transform

from zoology_teach.checks import require


@dataclass_transform(frozen_default=True)
def config(cls: type) -> type:
    """A frozen dataclass in which an unknown field is a ValueError that lists the known ones."""
    cls = dataclass(frozen=True)(cls)
    known = [field.name for field in fields(cls)]
    plain_init = vars(cls)["__init__"]

    @wraps(plain_init)
    def init(self: Any, *values: Any, **named: Any) -> None:
        for name in named:
            require(name in known, f"field of {cls.__name__}", name, f"one of {known}")
        plain_init(self, *values, **named)

    cls.__init__ = init  # type: ignore[misc]  # a class, not an instance
    return cls


def fingerprint(configuration: Any) -> str:
    """Twelve hex digits of a configuration, a dataclass of dataclasses.

    Fields at their default do not enter, so a field added later leaves old ids alone.
    """
    changed = _json(_plain(configuration, defaults=False))
    return hashlib.sha256(changed.encode()).hexdigest()[:12]


def as_json(configuration: Any) -> str:
    """A configuration with all its fields."""
    return _json(_plain(configuration))


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def _plain(value: Any, *, defaults: bool = True) -> Any:
    """Dataclasses as dicts, with or without the fields at their default; tuples as lists."""
    if is_dataclass(value):
        kept = {f.name: getattr(value, f.name) for f in fields(value)}
        if not defaults:
            kept = {f.name: kept[f.name] for f in fields(value) if kept[f.name] != f.default}
        value = kept
    if isinstance(value, Mapping):
        return {str(k): _plain(v, defaults=defaults) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v, defaults=defaults) for v in value]
    return value
