"""Names by content: a key for what was asked, a digest for what came out."""

from __future__ import annotations

import dataclasses
import enum
import hashlib
import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NewType

Key = NewType("Key", str)
"""Names a description: what was asked for."""

Digest = NewType("Digest", str)
"""Names bytes: what was produced."""

_SIZE = 20
_BLOCK = 1 << 20


def digest_of(data: bytes | memoryview) -> Digest:
    """Return the digest of some bytes: 160-bit blake2b, in hexadecimal.

    >>> digest_of(b"")
    '3345524abf6bbe1809449224b5972c41790b6cf2'
    """
    return Digest(hashlib.blake2b(data, digest_size=_SIZE).hexdigest())


def digest_file(path: Path) -> Digest:
    """Return the digest of a file's bytes, read in blocks."""
    state = hashlib.blake2b(digest_size=_SIZE)
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            state.update(block)
    return Digest(state.hexdigest())


def digest_files(files: Mapping[str, Path], read: Callable[[Path], Digest] = digest_file) -> Digest:
    """Return one digest for named files: of their names and bytes, not of where they lie. ``read`` gives that of one file."""
    return digest_of(canonical({name: read(path) for name, path in files.items()}))


def identity(default: Any = dataclasses.MISSING) -> Any:
    """Declare a dataclass field that says where to look, not what it is: it is left out of every key."""
    return dataclasses.field(default=default, compare=False, metadata={"identity": False})


def layout(default: Any = dataclasses.MISSING) -> Any:
    """Declare a dataclass field that says how work is cut up: part of a recipe's key, but not of what seeds it."""
    return dataclasses.field(default=default, metadata={"layout": True})


def _plain(value: Any) -> Any:
    """Return a form of ``value`` that JSON spells in exactly one way, or raise TypeError."""
    match value:
        case None | bool() | str():
            return value.value if isinstance(value, enum.Enum) else value
        case enum.Enum():
            return value.value
        case int():
            return value
        case float():
            if not math.isfinite(value):
                raise TypeError(f"{value!r} has no canonical form: a key takes finite numbers")
            return {"$float": (value + 0.0).hex()}
        case tuple() | list():
            return [_plain(item) for item in value]
        case Mapping():
            if not all(isinstance(name, str) for name in value):
                raise TypeError("a mapping in a key needs string names")
            return {name: _plain(value[name]) for name in sorted(value)}
        case frozenset() | set():
            return sorted(_plain(item) for item in value)
        case type():
            return {"$type": name_of(value)}
    if isinstance(key := getattr(value, "key", None), str):
        return {"$key": key}
    if dataclasses.is_dataclass(value):
        return {"$kind": name_of(type(value)), **fields_of(value)}
    raise TypeError(f"{type(value).__name__} has no canonical form, so it cannot be part of a key")


def fields_of(value: Any) -> dict[str, Any]:
    """Return the fields that make up a dataclass's identity, in canonical form."""
    return {
        f.name: _plain(getattr(value, f.name))
        for f in dataclasses.fields(value)
        if f.metadata.get("identity", True)
    }


def name_of(kind: type) -> str:
    """Return the stable name of a class: its own ``kind`` if it declares one, else where it is defined."""
    declared = vars(kind).get("kind")
    return declared if isinstance(declared, str) else f"{kind.__module__}:{kind.__qualname__}"


def canonical(value: Any) -> bytes:
    """Return the one JSON spelling of a value; what has none raises TypeError.

    >>> canonical({"b": 1, "a": (True, "x")})
    b'{"a":[true,"x"],"b":1}'
    """
    return json.dumps(_plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


def key_of(kind: str, version: int, fields: Mapping[str, Any]) -> Key:
    """Return the key of a description: equal descriptions, equal keys."""
    return Key(digest_of(canonical({"kind": kind, "version": version, "fields": fields})))
