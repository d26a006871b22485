"""What a reader must not be shown, or must not be fooled by: secrets, control characters, endless strings."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from typing import Any

MOST_CHARACTERS = 4_000

_SECRET_NAME = re.compile(
    r"(^|[._-])(password|passwd|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|authorization)$",
    re.IGNORECASE,
)
_URL_LOGIN = re.compile(r"(?<=://)[^/\s@]+@")
_BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_KEPT = frozenset("\n\t")
_JOINERS = frozenset("\u200c\u200d")
"""Needed to write Persian and Indic words and many emoji; they cannot reorder a line."""
HIDDEN = "(hidden)"


def visible(text: str) -> str:
    """Return text in which nothing is invisible or reorders its surroundings.

    Control characters, direction overrides, lone surrogates and other
    characters without a glyph become their code point in brackets; line breaks
    and tabs stay.

    >>> visible("abc\\x00\\u202egpj.exe")
    'abc⟦U+0000⟧⟦U+202E⟧gpj.exe'
    """
    if text.isprintable():
        return text
    text = text.replace("\r\n", "\n")
    return "".join(c if _harmless(c) else f"⟦U+{ord(c):04X}⟧" for c in text)


def _harmless(character: str) -> bool:
    if character in _KEPT or character in _JOINERS:
        return True
    if character in _BIDI:
        return False
    # Cc control, Cf format, Cs surrogate, Cn unassigned, Zl and Zp line and paragraph separators
    return unicodedata.category(character) not in {"Cc", "Cf", "Cs", "Cn", "Zl", "Zp"}


def shortened(text: str, most: int = MOST_CHARACTERS) -> str:
    """Return the beginning of a long text, and how much is left out.

    >>> shortened("abcdef", 4)
    'abcd… (2 more characters)'
    """
    left_out = len(text) - most
    if left_out <= 0:
        return text
    return f"{text[:most]}… ({left_out:,} more character{'' if left_out == 1 else 's'})"


def masked(name: str, value: Any) -> Any:
    """Return a setting's value, or a placeholder when its name or shape says that it is a secret.

    >>> masked("endpoint.api_key", "sk-1"), masked("max_tokens", 5), masked("url", "http://me:pw@host/x")
    ('(hidden)', 5, 'http://(hidden)@host/x')
    """
    if not isinstance(value, str):
        return value
    if _SECRET_NAME.search(name) and value:
        return HIDDEN
    return _URL_LOGIN.sub(f"{HIDDEN}@", value)


def flattened(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Return nested settings as (dotted name, text), secrets masked, in the order they came.

    >>> flattened({"a": {"b": 1, "c": []}, "d": ["x", 2], "e": {"$float": "0x1.0p-1"}, "f": None})
    [('a.b', '1'), ('a.c', 'none'), ('d', 'x, 2'), ('e', '0.5'), ('f', 'none')]
    >>> flattened({"notes": ["It is small.", "It is a twin."]})
    [('notes.1', 'It is small.'), ('notes.2', 'It is a twin.')]
    """
    found: list[tuple[str, str]] = []
    for name, value in values.items():
        path = f"{prefix}{name}"
        value = _decoded(value)
        if isinstance(value, Mapping) and value:
            found += flattened(value, f"{path}.")
        elif isinstance(value, list | tuple) and any(_stands_alone(_decoded(item)) for item in value):
            found += flattened({str(i + 1): v for i, v in enumerate(value)}, f"{path}.")
        else:
            found.append((path, shortened(_text(masked(path, value), path), 600)))
    return found


def _stands_alone(value: Any) -> bool:
    """Return whether an item of a list deserves a row of its own: a group of settings, or a sentence."""
    return isinstance(value, Mapping | list) or (isinstance(value, str) and value.endswith("."))


def _decoded(value: Any) -> Any:
    """Return a float that canonical JSON spelled in hexadecimal as a float again."""
    if isinstance(value, Mapping) and set(value) == {"$float"}:
        try:
            return float.fromhex(str(value["$float"]))
        except (ValueError, OverflowError):
            return value
    return value


def _text(value: Any, path: str) -> str:
    match value:
        case None:
            return "none"
        case True | False:
            return "yes" if value else "no"
        case float():
            return f"{value:.10g}"
        case list() | tuple():
            return _listed(_text(masked(path, _decoded(item)), path) for item in value)
        case Mapping():
            return "none"
        case _:
            return str(value)


def _listed(items: Iterable[str]) -> str:
    return ", ".join(items) or "none"
