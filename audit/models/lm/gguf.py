"""Reads the header of a GGUF file, and refuses what it says before a library relies on it."""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from audit.core.errors import InputError
from audit.formats.files import require
from audit.formats.hostile import UnreadableError, shown

_MOST_HEADER = 1 << 26
_LEAST_ENTRY, _LEAST_TENSOR = 13, 24
"""Bytes that a metadata entry and the description of a tensor take at the least."""
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
_MOST_AXES, _MOST_SIDE = 4, 1 << 40
_LENGTH = struct.Struct("<Q")
_SPLIT_NAME = re.compile(r"-(\d{5})-of-(\d{5})\.gguf$")


@dataclass(frozen=True, slots=True)
class Stored:
    """One tensor as the file stores it: the library's number of its type, and its axes, the fastest first."""

    kind: int
    axes: tuple[int, ...]
    begin: int


@dataclass(frozen=True, slots=True)
class Header:
    """What a GGUF file says about itself: values by key, lists included, and its tensors by name."""

    values: Mapping[str, Any]
    tensors: Mapping[str, Stored]

    @property
    def architecture(self) -> str:
        return str(self.values["general.architecture"])

    @property
    def parameters(self) -> int:
        return sum(math.prod(tensor.axes) for tensor in self.tensors.values())


def read_header(path: Path) -> Header:
    """Return the header of a whole GGUF file. Raise InputError with the reason when it is damaged or cut short.

    Nothing in it is believed: every length is compared with the bytes that are there before it is used.
    """
    require(path)
    size = path.stat().st_size
    with path.open("rb") as file:
        cursor = _Cursor(file.read(min(size, _MOST_HEADER)), whole=size <= _MOST_HEADER)
    try:
        header, data = _parsed(cursor, size)
        _check_data(header, size - data)
    except UnreadableError as error:
        raise InputError(f"'{shown(path.name)}' {error}.") from None
    _refuse_parts(path, header.values)
    return header


class _Cursor:
    """Bytes, and how far they were read."""

    def __init__(self, data: bytes, *, whole: bool) -> None:
        self._data, self._whole, self.at = data, whole, 0

    @property
    def left(self) -> int:
        return len(self._data) - self.at

    def take(self, size: int) -> bytes:
        if size > self.left:
            raise UnreadableError(
                "is cut short or damaged: its header continues beyond the end of the file. Bring it again from where it "
                "came from"
                if self._whole
                else f"has a header of more than {_MOST_HEADER:,} bytes; no model has one that long"
            )
        self.at += size
        return self._data[self.at - size : self.at]

    def number(self, code: str) -> Any:
        return struct.unpack("<" + code, self.take(struct.calcsize("<" + code)))[0]

    def text(self) -> str:
        try:
            return self.take(self.number("Q")).decode("utf-8")
        except UnicodeDecodeError:
            raise UnreadableError("is damaged: a string in its header is not UTF-8. Bring it again") from None

    def _texts(self, count: int) -> list[str]:
        """Return many strings: as ``text`` does, without a call for each of a hundred thousand."""
        data, at, texts = self._data, self.at, []
        try:
            for _ in range(count):
                end = at + 8 + _LENGTH.unpack_from(data, at)[0]
                if end > len(data):
                    break
                texts.append(str(data[at + 8 : end], "utf-8"))
                at = end
        except (struct.error, UnicodeDecodeError):
            pass
        self.at = at
        return texts if len(texts) == count else [*texts, *(self.text() for _ in range(count - len(texts)))]

    def value(self, kind: int) -> Any:
        if kind == _STRING:
            return self.text()
        if kind in _SCALARS:
            return self.number(_SCALARS[kind])
        if kind != _ARRAY:
            raise UnreadableError(f"is damaged: its header has a value of type {kind}, and there is none")
        inner, length = self.number("I"), self.number("Q")
        least = 8 if inner == _STRING else struct.calcsize("<" + _SCALARS[inner]) if inner in _SCALARS else 0
        if not least:
            raise UnreadableError(f"is damaged: its header has a list of values of type {inner}")
        if length * least > self.left:
            self.take(length * least)
        if inner == _STRING:
            return self._texts(length)
        return list(struct.unpack(f"<{length}{_SCALARS[inner]}", self.take(length * least)))


def _parsed(cursor: _Cursor, size: int) -> tuple[Header, int]:
    """Return the header and where the data begin."""
    magic = cursor.take(4) if cursor.left >= 4 else b""
    if magic != b"GGUF":
        raise UnreadableError("is not a GGUF file: it does not begin with 'GGUF'")
    version = cursor.number("I")
    if version not in (2, 3):
        swapped = int.from_bytes(version.to_bytes(4, "little"), "big")
        told = (
            "is written for big-endian processors" if swapped in (2, 3) else f"has GGUF version {version:,}"
        )
        raise UnreadableError(
            f"{told}; versions 2 and 3, little-endian, can be read. Convert the model again"
        )
    tensors, entries = cursor.number("Q"), cursor.number("Q")
    if tensors * _LEAST_TENSOR + entries * _LEAST_ENTRY > size:
        raise UnreadableError(
            f"is damaged: its header claims {tensors:,} tensors and {entries:,} entries, more than its {size:,} bytes can "
            "describe. Bring it again from where it came from"
        )
    values: dict[str, Any] = {}
    for _ in range(entries):
        key = cursor.text()
        if key in values:
            raise UnreadableError(f"is damaged: its header sets '{shown(key)}' twice")
        values[key] = cursor.value(cursor.number("I"))
    found: dict[str, Stored] = {}
    for _ in range(tensors):
        name = cursor.text()
        if name in found:
            raise UnreadableError(f"is damaged: it describes the tensor '{shown(name)}' twice")
        found[name] = _stored(cursor, name)
    if not isinstance(values.get("general.architecture"), str):
        raise UnreadableError(
            "does not say which architecture it is (general.architecture). Convert the model again"
        )
    alignment = values.get("general.alignment", 32)
    if (
        not isinstance(alignment, int)
        or isinstance(alignment, bool)
        or alignment < 8
        or alignment & (alignment - 1)
    ):
        raise UnreadableError(
            f"is damaged: general.alignment is {shown(repr(alignment))}, not a power of two from 8"
        )
    return Header(values, found), -(-cursor.at // alignment) * alignment


def _stored(cursor: _Cursor, name: str) -> Stored:
    axes = cursor.number("I")
    if axes > _MOST_AXES:
        raise UnreadableError(f"is damaged: the tensor '{shown(name)}' has {axes:,} axes")
    sides = tuple(cursor.number("Q") for _ in range(axes))
    if not all(0 < side <= _MOST_SIDE for side in sides):
        raise UnreadableError(f"is damaged: the tensor '{shown(name)}' is {' × '.join(map(str, sides))}")
    return Stored(cursor.number("I"), sides, cursor.number("Q"))


def _check_data(header: Header, held: int) -> None:
    from gguf.constants import GGML_QUANT_SIZES

    blocks = {int(kind): sizes for kind, sizes in GGML_QUANT_SIZES.items()}
    end = 0
    for name, tensor in header.tensors.items():
        if tensor.kind not in blocks:
            raise UnreadableError(
                f"holds the tensor '{shown(name)}' in a form that is not known here (type {tensor.kind}). Install a newer "
                "'gguf', or convert the model to Q8_0 or F16"
            )
        numbers, size = blocks[tensor.kind]
        if tensor.axes and tensor.axes[0] % numbers:
            raise UnreadableError(
                f"is damaged: the tensor '{shown(name)}' does not divide into blocks of {numbers}"
            )
        end = max(end, tensor.begin + math.prod(tensor.axes) // numbers * size)
    if end > held:
        raise UnreadableError(
            f"is cut short: its tensors need {end:,} bytes, and {max(held, 0):,} are there. Bring it again from where it "
            "came from"
        )
    if held - end > header.values.get("general.alignment", 32):  # the last tensor may be filled up to it
        raise UnreadableError(
            f"has {held - end:,} bytes that belong to no tensor, so its header leaves something out. Bring it again from where "
            "it came from"
        )


def _refuse_parts(path: Path, values: Mapping[str, Any]) -> None:
    """Raise InputError for a file that is a part of a model: a shard, an adapter, a projector."""
    named = _SPLIT_NAME.search(path.name)
    parts = values.get("split.count", int(named[2]) if named else 1)
    if isinstance(parts, int) and parts > 1:
        raise InputError(
            f"'{shown(path.name)}' is one of {parts:,} shards of a model, and shards of a GGUF file are not read together. "
            "Merge them: llama-gguf-split --merge FIRST-SHARD.gguf whole.gguf."
        )
    kind = values.get("general.type", "model")
    if kind != "model":
        raise InputError(
            f"'{shown(path.name)}' is not a whole model but of the type {shown(repr(kind))} (general.type). "
            "Name the file of the model itself; merge an adapter into it first."
        )
