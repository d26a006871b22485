"""What a safetensors file says it holds, from its header alone; nothing in it is believed."""

from __future__ import annotations

import json
import math
import struct
from dataclasses import dataclass
from pathlib import Path

from audit.formats.hostile import UnreadableError

_MOST_HEADER = 1 << 24


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

    Raise UnreadableError with the reason, OSError when there is no file.
    """
    with path.open("rb") as file:
        start = file.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else most_header + 1
        if length > most_header:
            raise UnreadableError("is not a safetensors file")
        try:
            header = json.loads(file.read(length))
            found = {
                name: Tensor(str(entry["dtype"]), tuple(entry["shape"]))
                for name, entry in header.items()
                if name != "__metadata__"
            }
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise UnreadableError("has a damaged safetensors header") from None
    if not all(isinstance(side, int) and side >= 0 for tensor in found.values() for side in tensor.shape):
        raise UnreadableError("has a damaged safetensors header")
    return found
