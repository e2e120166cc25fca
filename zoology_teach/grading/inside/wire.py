"""Frames between the grader and student code: a bounded JSON header and raw array bytes.

A frame is a magic, two lengths, the header and the body. The header describes one value:
None, bools, ints, strings and lists as JSON has them, and `{"float": hex}`, `{"tuple": [...]}`,
`{"dict": [[key, value], ...]}`, `{"tensor": n}` and `{"other": name of a type}` for the rest.
Tensor n is the n-th stretch of the body. Nothing is unpickled. Whoever receives believes
nothing: anything that is not exactly such a frame within the `Bounds` is a `WireError`.
"""

import json
import math
import re
import struct
from typing import Any

import torch
from torch import Tensor

from zoology_teach.grading.inside.bounds import (
    DIGITS,
    INTEGER_LIMIT,
    LONGEST_SIDE,
    Bounds,
    WireError,
    need,
)

MAGIC = b"ZTW1"
HEAD = struct.Struct(">4sQQ")  # magic, bytes of header, bytes of body
DTYPES = {
    str(dtype).removeprefix("torch."): dtype
    for dtype in (
        *(torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64),
        *(torch.float16, torch.bfloat16, torch.float32, torch.float64),
        *(torch.complex64, torch.complex128),
    )
}
NAMES = {dtype: name for name, dtype in DTYPES.items()}


def stand_in(kind: str) -> Any:
    """An empty object whose type is named `kind`, so that a rung's message can name it."""
    name = re.sub(r"\W", "", kind, flags=re.ASCII)[:40] or "object"
    return type(name, (), {})()


def encode(value: Any, bounds: Bounds) -> bytes:
    """The frame of `value`. Raises WireError where it is beyond the bounds."""
    arrays: list[Tensor] = []
    items = 0

    def tree(value: Any, depth: int) -> Any:
        nonlocal items
        items += 1
        need(items <= bounds.items, f"more than {bounds.items:,} items")
        need(depth <= bounds.depth, f"something nested more than {bounds.depth} deep")
        match value:
            case Tensor():
                arrays.append(plain(value, bounds.body - sum(map(size, arrays))))
                need(len(arrays) <= bounds.tensors, f"more than {bounds.tensors} tensors")
                return {"tensor": len(arrays) - 1}
            case None | bool():
                return value
            case int():
                need(abs(value) < INTEGER_LIMIT, "an integer of more than 1,000 bits")
                return int(value)
            case float():
                return {"float": float(value).hex()}
            case str():
                return value.encode("utf-8", "replace").decode()
            case list():
                return [tree(v, depth + 1) for v in value]
            case tuple():
                return {"tuple": [tree(v, depth + 1) for v in value]}
            case dict():
                pairs = [[tree(k, depth + 1), tree(v, depth + 1)] for k, v in value.items()]
                plain_keys = all(isinstance(k, str | int | float | None) for k in value)
                need(plain_keys, "a dict with keys that do not travel")
                return {"dict": pairs}
            case _:
                return {"other": type(value).__name__}

    described = tree(value, 0)
    listed = [[NAMES[a.dtype], list(a.shape)] for a in arrays]
    header = json.dumps([described, listed], allow_nan=False).encode()
    need(len(header) <= bounds.header, f"a description of {len(header):,} bytes")
    parts = [a.reshape(-1).view(torch.uint8).numpy().tobytes() for a in arrays if a.numel()]
    return b"".join((HEAD.pack(MAGIC, len(header), sum(map(len, parts))), header, *parts))


def plain(tensor: Tensor, room: int) -> Tensor:
    """`tensor` as a dense contiguous torch.Tensor on the CPU, if its bytes fit into `room`."""
    with torch._C.DisableTorchFunctionSubclass(), torch.no_grad():
        need(tensor.layout == torch.strided, f"a {tensor.layout} tensor; only dense ones travel")
        tensor = tensor.as_subclass(Tensor).detach()
        need(tensor.dtype in NAMES, f"a tensor of dtype {tensor.dtype}")
        need(not tensor.is_meta, "a tensor without data (meta)")
        need(size(tensor) <= room, f"{size(tensor):,} bytes of tensors; at most {room:,} are read")
        return tensor.cpu().resolve_conj().resolve_neg().contiguous()


def size(tensor: Tensor) -> int:
    """Bytes of its elements."""
    return tensor.numel() * tensor.element_size()


def lengths(head: bytes, bounds: Bounds) -> tuple[int, int]:
    """Bytes of header and body that a frame's first bytes announce."""
    magic, header, body = HEAD.unpack(head)
    need(magic == MAGIC, f"bad magic {magic!r}")
    need(header <= bounds.header, f"a header of {header:,} bytes; at most {bounds.header:,}")
    need(body <= bounds.body, f"{body:,} bytes of tensors; at most {bounds.body:,} are read")
    return header, body


def decode(header: bytes, body: bytes, bounds: Bounds) -> Any:
    """The value that a header and a body describe; its tensors are new, plain, contiguous."""
    try:
        found = json.loads(
            header.decode("utf-8"),
            parse_float=refuse("a bare float"),
            parse_constant=refuse("a bare NaN"),
            object_pairs_hook=one_entry,
        )
    except WireError:
        raise
    except (ValueError, RecursionError) as error:
        raise WireError(f"a header that is not JSON ({type(error).__name__})") from None
    need(isinstance(found, list) and len(found) == 2, "a header that is no description")
    described, listed = found
    arrays = rebuilt(listed, body, bounds)
    items, used = 0, set()

    def value(tree: Any, depth: int) -> Any:
        nonlocal items
        items += 1
        need(items <= bounds.items, f"more than {bounds.items:,} items")
        need(depth <= bounds.depth, f"something nested more than {bounds.depth} deep")
        match tree:
            case None | bool():
                return tree
            case int():
                need(abs(tree) < INTEGER_LIMIT, "an integer of more than 1,000 bits")
                return tree
            case str():
                need(not any("\ud800" <= c <= "\udfff" for c in tree), "a lone surrogate")
                return tree
            case list():
                return [value(t, depth + 1) for t in tree]
            case ("float", str(digits)):
                return real(digits)
            case ("tuple", list(trees)):
                return tuple(value(t, depth + 1) for t in trees)
            case ("dict", list(pairs)):
                return dictionary(pairs, depth)
            case ("tensor", int(n)) if not isinstance(n, bool):
                need(0 <= n < len(arrays) and n not in used, f"tensor {n}, not there or twice")
                used.add(n)
                return arrays[n]
            case ("other", str(kind)):
                return stand_in(kind)
        raise WireError("a description of no known kind")

    def dictionary(pairs: list, depth: int) -> dict:
        found = {}
        for pair in pairs:
            need(isinstance(pair, list) and len(pair) == 2, "a dict entry that is no pair")
            key = value(pair[0], depth + 1)
            need(isinstance(key, str | int | float | None), "a dict key that is no plain value")
            need(key not in found, "a dict key twice")
            found[key] = value(pair[1], depth + 1)
        return found

    return value(described, 0)


def rebuilt(listed: Any, body: bytes, bounds: Bounds) -> list[Tensor]:
    """The tensors of the body, in order; together they must be exactly the body."""
    need(isinstance(listed, list), "tensors that are no list")
    need(len(listed) <= bounds.tensors, f"more than {bounds.tensors} tensors")
    arrays, start = [], 0
    for entry in listed:
        need(isinstance(entry, list) and len(entry) == 2, "a tensor without dtype and shape")
        name, shape = entry
        need(isinstance(name, str) and name in DTYPES, "an unknown dtype")
        need(isinstance(shape, list) and len(shape) <= bounds.dimensions, "a shape that is none")
        is_side = [type(n) is int and 0 <= n <= LONGEST_SIDE for n in shape]
        need(all(is_side), "a shape with a side that is none")
        need(math.prod(n for n in shape if n) <= LONGEST_SIDE, "a shape beyond all bounds")
        end = start + math.prod(shape) * DTYPES[name].itemsize
        need(end <= len(body), f"a shape {shape} of {name} beyond the bytes sent")
        arrays.append(from_bytes(body[start:end], DTYPES[name], shape))
        start = end
    need(start == len(body), f"{len(body) - start:,} bytes that belong to no tensor")
    return arrays


def from_bytes(data: bytes, dtype: torch.dtype, shape: list[int]) -> Tensor:
    if not data:
        return torch.empty(shape, dtype=dtype)
    numbers = torch.frombuffer(bytearray(data), dtype=torch.uint8)
    need(dtype != torch.bool or bool((numbers <= 1).all()), "a bool that is neither 0 nor 1")
    return numbers.view(dtype).reshape(shape)


def real(digits: str) -> float:
    need(len(digits) <= DIGITS, "a float that is none")
    try:
        return float.fromhex(digits)
    except (ValueError, OverflowError):
        raise WireError("a float that is none") from None


def refuse(what: str) -> Any:
    def found(text: str) -> None:
        raise WireError(f"{what} in a header")

    return found


def one_entry(pairs: list[tuple[str, Any]]) -> tuple[str, Any]:
    """A JSON object stands for a tagged value and has one entry; it becomes a pair."""
    need(len(pairs) == 1, "an object with other than one entry")
    return pairs[0]
