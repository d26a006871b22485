"""Nested mappings of NumPy arrays out of a pickle, and nothing else: for pinned files of others that come in no better form.

A pickle is a program. This reader lets it name three things, which build arrays of plain numbers, and refuses the file at
any other name before that name is looked up.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Iterator
from typing import Any

import numpy as np

from audit.formats.hostile import UnreadableError

_NAMES = ("_reconstruct", "ndarray", "dtype")
_MODULES = ("numpy", "numpy.core.multiarray", "numpy._core.multiarray")


class _Arrays(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if module not in _MODULES or name not in _NAMES:
            raise UnreadableError(f"asks for {module}.{name}, which is no array")
        if name == "_reconstruct":
            return _reconstructed
        return getattr(np, name)


def _reconstructed(*_: Any) -> Any:
    """Return an empty array, which the pickle then fills."""
    return np.ndarray.__new__(np.ndarray, (0,), "b")


def arrays_in(data: bytes) -> dict[str, np.ndarray[Any, Any]]:
    """Return the arrays of a pickle of nested mappings, by their keys joined with dots. Raise UnreadableError."""
    try:
        whole = _Arrays(io.BytesIO(data)).load()
    except UnreadableError:
        raise
    except Exception as error:  # a damaged pickle raises whatever its bytes come to
        raise UnreadableError(f"is no pickle of arrays ({type(error).__name__})") from None
    return dict(_flat(whole, ""))


def _flat(value: Any, name: str) -> Iterator[tuple[str, np.ndarray[Any, Any]]]:
    if isinstance(value, np.ndarray):
        if value.dtype.kind not in "fiu":
            raise UnreadableError(f"holds '{name}' of {value.dtype}, which is no number")
        yield name, value
    elif isinstance(value, dict) and all(isinstance(key, str) for key in value):
        for key, inner in value.items():
            yield from _flat(inner, f"{name}.{key}" if name else key)
    else:
        raise UnreadableError(f"holds {type(value).__name__} in place of arrays")
