"""Fitting a JSON skeleton to the type a reader expects."""

from __future__ import annotations

import dataclasses
import enum
import types
import typing
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, TypeVar

import numpy as np

from audit.core.rows import Rows

Segment = Callable[[str, Any], Any]
"""Reads the part of a value that a tag and an index name."""

_TAGS = ("$array", "$rows", "$bytes")
_SEVERAL = (tuple, list, set, frozenset)
_SCALARS = (bool, int, float, str, type(None))


class MisfitError(Exception):
    """A skeleton is not of the type that was expected; the message says where."""


def name_of_hint(hint: Any) -> str:
    """Return a few characters that name a type in a message."""
    return getattr(hint, "__name__", None) or str(hint)


def shaped(hint: Any, plain: Any, segment: Segment, where: str) -> Any:
    """Return the value of type ``hint`` that a skeleton spells. Raises MisfitError."""
    hint = _bare(hint)
    origin = typing.get_origin(hint)
    if hint is Any or hint is object or hint is Rows or isinstance(hint, TypeVar):
        return _untyped(plain, segment, where)
    if origin in (typing.Union, types.UnionType):
        return _one_of(typing.get_args(hint), plain, segment, where)
    if origin is typing.Literal:
        if plain in typing.get_args(hint):
            return plain
        raise _misfit(hint, plain, where)
    kind = origin or hint
    if not isinstance(kind, type):
        raise MisfitError(f"{where} is declared as {name_of_hint(hint)}, which no reader can fill")
    if dataclasses.is_dataclass(kind):
        return _record(hint, kind, plain, segment, where)
    if issubclass(kind, enum.Enum):
        return _member(kind, plain, where)
    if kind in _SCALARS:
        return _scalar(kind, plain, where)
    if issubclass(kind, np.generic) and type(plain) in _SCALARS:
        return kind(plain)
    if isinstance(plain, dict) and len(plain) == 1 and (tag := next(iter(plain))) in _TAGS:
        return _part(hint, kind, plain, segment, where, tag)
    if issubclass(kind, Mapping) or kind is dict:
        return _mapping(hint, plain, segment, where)
    if kind in _SEVERAL or kind.__module__ == "collections.abc":
        return _several(hint, kind, plain, segment, where)
    raise _misfit(hint, plain, where)


def _bare(hint: Any) -> Any:
    """Strip what wraps a type without changing how it is read."""
    while True:
        if typing.get_origin(hint) is typing.Annotated:
            hint = typing.get_args(hint)[0]
        elif (inner := getattr(hint, "__supertype__", None)) is not None:
            hint = inner
        elif hint is None:
            return type(None)
        else:
            return hint


def _misfit(hint: Any, plain: Any, where: str) -> MisfitError:
    return MisfitError(f"{where} should be {name_of_hint(hint)} and is {str(plain)[:80]!r}")


def _untyped(plain: Any, segment: Segment, where: str) -> Any:
    """Read what spells its own type: numbers, strings, arrays, rows, tuples and mappings of them."""
    match plain:
        case list():
            return tuple(_untyped(item, segment, f"{where}[{i}]") for i, item in enumerate(plain))
        case {"$map": pairs}:
            return {_key(_untyped(k, segment, where)): _untyped(v, segment, where) for k, v in pairs}
        case {"$fields": _}:
            raise MisfitError(f"{where} is a dataclass, but its declaration does not say which")
        case dict():
            tag = next(iter(plain), "")
            if tag not in _TAGS or len(plain) != 1:
                raise _misfit(Any, plain, where)
            return segment(tag, plain[tag])
    return plain


def _key(name: Any) -> Any:
    try:
        hash(name)
    except TypeError:
        raise MisfitError(f"{name!r} names an entry of a mapping") from None
    return name


def _scalar(kind: Any, plain: Any, where: str) -> Any:
    if type(plain) is kind:
        return plain
    if kind is float and type(plain) is int:
        return float(plain)
    raise _misfit(kind, plain, where)


def _member(kind: type[enum.Enum], plain: Any, where: str) -> enum.Enum:
    try:
        return kind(tuple(plain) if isinstance(plain, list) else plain)
    except ValueError:
        raise _misfit(kind, plain, where) from None


def _part(hint: Any, kind: type, plain: Any, segment: Segment, where: str, tag: str) -> Any:
    value = segment(tag, plain[tag])
    if not isinstance(value, kind):
        raise MisfitError(f"{where} should be {name_of_hint(hint)} and is {type(value).__name__}")
    return value


def _one_of(members: tuple[Any, ...], plain: Any, segment: Segment, where: str) -> Any:
    """Read as the member of a union that fits; a number or string of the very type comes first."""
    bare = [_bare(member) for member in members]
    if type(plain) in _SCALARS and type(plain) in bare:
        return plain
    for member in bare:
        try:
            return shaped(member, plain, segment, where)
        except MisfitError:
            continue
    raise _misfit(" or ".join(name_of_hint(member) for member in bare), plain, where)


def _mapping(hint: Any, plain: Any, segment: Segment, where: str) -> dict[Any, Any]:
    names, values = typing.get_args(hint) or (Any, Any)
    match plain:
        case {"$map": list() as pairs} if all(isinstance(p, list) and len(p) == 2 for p in pairs):
            return {
                _key(shaped(names, k, segment, f"a name in {where}")): shaped(
                    values, v, segment, f"{where}[{k!r}]"
                )
                for k, v in pairs
            }
    raise _misfit(hint, plain, where)


def _several(hint: Any, kind: type, plain: Any, segment: Segment, where: str) -> Any:
    if not isinstance(plain, list):
        raise _misfit(hint, plain, where)
    arguments = typing.get_args(hint)
    fixed = kind is tuple and arguments and arguments[-1] is not Ellipsis
    if fixed and arguments == ((),):
        arguments = ()
    if fixed and len(arguments) != len(plain):
        raise _misfit(hint, plain, where)
    hints = arguments if fixed else [arguments[0] if arguments else Any] * len(plain)
    items = [
        shaped(h, item, segment, f"{where}[{i}]")
        for i, (h, item) in enumerate(zip(hints, plain, strict=True))
    ]
    return kind(items) if kind in _SEVERAL else tuple(items)


def _record(hint: Any, kind: Any, plain: Any, segment: Segment, where: str) -> Any:
    match plain:
        case {"$fields": dict() as found}:
            pass
        case _:
            raise _misfit(hint, plain, where)
    expected = _fields(hint)
    if found.keys() != expected.keys():
        raise MisfitError(
            f"{where} has the fields {', '.join(found) or 'none'}, not {', '.join(expected) or 'none'}"
        )
    values = {name: shaped(expected[name], found[name], segment, f"{where}.{name}") for name in expected}
    try:
        return kind(**values)
    except (ValueError, TypeError, ArithmeticError) as error:
        raise MisfitError(f"{where} holds what {kind.__name__} does not accept ({error})") from error


@cache
def _fields(hint: Any) -> dict[str, Any]:
    """Return each field's type, with the arguments of a generic dataclass in place of its parameters."""
    kind = typing.get_origin(hint) or hint
    try:
        hints = typing.get_type_hints(kind)
    except NameError as error:
        raise MisfitError(
            f"{kind.__name__} declares a field of a type that is not imported ({error})"
        ) from None
    bound = _bound(kind, typing.get_args(hint))
    return {
        f.name: _filled(kind if hints[f.name] is typing.Self else hints[f.name], bound)
        for f in dataclasses.fields(kind)
        if f.init
    }


def _bound(kind: type, arguments: tuple[Any, ...]) -> dict[Any, Any]:
    """Return what stands for each type parameter of a class and of the generic classes it extends."""
    bound = dict(zip(getattr(kind, "__parameters__", ()), arguments, strict=False))
    for base in getattr(kind, "__orig_bases__", ()):
        if isinstance(origin := typing.get_origin(base), type) and origin is not typing.Generic:
            given = tuple(_filled(argument, bound) for argument in typing.get_args(base))
            bound = {**_bound(origin, given), **bound}
    return bound


def _filled(hint: Any, bound: Mapping[Any, Any]) -> Any:
    if isinstance(hint, TypeVar):
        return bound.get(hint, hint)
    parameters = getattr(hint, "__parameters__", ())
    if parameters and typing.get_origin(hint) is not None:
        return hint[tuple(bound.get(p, p) for p in parameters)]
    return hint
