"""What a safetensors file says it holds, from its header alone; nothing in it is believed."""

from __future__ import annotations

import json
import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from audit.formats.files import objection
from audit.formats.hostile import UnreadableError

_MOST_HEADER = 1 << 24
_MOST_AXES, _MOST_SIDE = 16, 1 << 48
_BITS = {
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E4M3", "F8_E5M2", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ"), 8),
    **dict.fromkeys(("U16", "I16", "F16", "BF16"), 16),
    **dict.fromkeys(("U32", "I32", "F32"), 32),
    **dict.fromkeys(("U64", "I64", "F64", "C64"), 64),
    "F4": 4,
    "F6_E2M3": 6,
    "F6_E3M2": 6,
}


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor: its type as the format spells it (``F16``, ``I64``, …) and the length of each axis."""

    dtype: str
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def holds_numbers(self) -> bool:
        """Say whether it holds floating-point numbers, as weights do."""
        return "F" in self.dtype


def tensors_in(path: Path, most_header: int = _MOST_HEADER) -> dict[str, Tensor]:
    """Return the tensors that a file's header lists, unless the header is longer than ``most_header`` bytes.

    The header must agree with the file: every tensor has the bytes its shape needs, they lie one behind the other without
    gaps or shared bytes, and the file ends where the last one does. Raise UnreadableError with the reason, OSError when
    there is no file.
    """
    size = path.stat().st_size
    if reason := objection(path):
        raise UnreadableError(reason)
    with path.open("rb") as file:
        start = file.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else most_header + 1
        if length > most_header:
            raise UnreadableError("is not a safetensors file")
        if 8 + length > size:
            raise UnreadableError(_cut(size, 8 + length))
        text = file.read(length)
    try:
        header = json.loads(text, object_pairs_hook=_without_repeats)
        entries = {name: entry for name, entry in header.items() if name != "__metadata__"}
        found = {name: _tensor(entry) for name, entry in entries.items()}
        end = 0
        for begin, stop in sorted(_span(entry, found[name]) for name, entry in entries.items()):
            if begin != end:
                raise ValueError("tensors lie one behind the other")
            end = stop
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise UnreadableError("has a damaged safetensors header") from None
    if 8 + length + end > size:
        raise UnreadableError(_cut(size, 8 + length + end))
    if 8 + length + end < size:
        raise UnreadableError(
            f"has {size - 8 - length - end:,} bytes that belong to no tensor. Bring it again from where it came from"
        )
    return found


def _tensor(entry: Any) -> Tensor:
    shape = tuple(entry["shape"])
    whole = all(
        isinstance(side, int) and not isinstance(side, bool) and 0 <= side <= _MOST_SIDE for side in shape
    )
    if not whole or len(shape) > _MOST_AXES:
        raise ValueError("a shape is a few whole numbers")
    return Tensor(str(entry["dtype"]), shape)


def _span(entry: Any, tensor: Tensor) -> tuple[int, int]:
    """Return where a tensor's bytes begin and end. Raise ValueError unless they are as many as its shape needs."""
    begin, end = entry["data_offsets"]
    if not isinstance(begin, int) or not isinstance(end, int) or not 0 <= begin <= end:
        raise ValueError("offsets are whole numbers in order")
    bits = _BITS.get(tensor.dtype)
    if bits is not None and (end - begin) * 8 != tensor.size * bits:
        raise ValueError("a tensor has another number of bytes than its shape needs")
    return begin, end


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name is listed twice")
    return found


def _cut(size: int, wanted: int) -> str:
    return (
        f"is cut short: {size:,} bytes are there, and its header needs {wanted:,}. Bring it again from where it came "
        "from"
    )
