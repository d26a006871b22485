"""The JSON files of a model, read as hostile input."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from audit.core.errors import InputError
from audit.formats.files import require
from audit.formats.hostile import shown

_MOST_BYTES = 1 << 28


def read_json(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file. Raise InputError when it holds none, or says one thing twice."""
    require(path)
    where = f"{path.name} of '{shown(path.parent.name)}'"
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise InputError(f"{where} has {path.stat().st_size:,} bytes; no such file is that long.")
        text = path.read_text(encoding="utf-8")
        if text.startswith("\ufeff"):  # the libraries that read it next cannot
            raise InputError(f"{where} begins with a byte-order mark. Save it as UTF-8 without one.")
        value = json.loads(text, object_pairs_hook=_without_repeats)
    except RecursionError:
        raise InputError(f"{where} is nested too deeply to be one of a model.") from None
    except _RepeatedError as error:
        raise InputError(f"{where} sets '{shown(str(error))}' twice. Keep the one that is meant.") from None
    except ValueError as error:  # also of the decoder of UTF-8
        raise InputError(f"{where} is not JSON ({error}). Bring it again from where it came from.") from None
    if not isinstance(value, dict):
        raise InputError(f"{where} is not a JSON object but {shown(json.dumps(value, ensure_ascii=True))}.")
    return value


class _RepeatedError(Exception):
    """A name stands twice in one object."""


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise _RepeatedError(name)
        found[name] = value
    return found
