"""Strings from outside as Markdown and YAML: they read as they are and never become markup, a link or a second value."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from reports.redact import shortened, visible

_MOST = 1_000
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_./:-]{1,200}")
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "\\": "&#92;", "$": "&#36;", "|": "&#124;"}
_BACKSLASHED = frozenset("`*_[]~#!")
_LINK = re.compile(r"(?i)(?<=[a-z])(?=://)|(?<=www)(?=\.)|(?<=mailto)(?=:)|(?<=xmpp)(?=:)|(?<=@)")
_BLOCK_START = re.compile(r"^([-+=:])|^(\d{1,9})([.)])(?=\s|$)")
_BREAK = "<!-- -->"
"""An empty comment: it stands where a renderer would else see an address and make a link of it."""


def text(value: object, most: int = _MOST) -> str:
    """Return a string as one line of Markdown that shows it literally.

    >>> text("a|b <b> *c*\\n# d")
    'a&#124;b &lt;b&gt; \\\\*c\\\\* \\\\# d'
    >>> text("https://example.org"), text("1. me@example.org")
    ('https<!-- -->://example.org', '1\\\\. me@<!-- -->example.org')
    """
    line = " ".join(visible(shortened(str(value), most)).split())
    parts = (_escaped(part) for part in _LINK.split(line))
    return _BLOCK_START.sub(r"\2\\\1\3", _BREAK.join(parts))


def _escaped(part: str) -> str:
    return "".join(_ENTITIES.get(c, f"\\{c}" if c in _BACKSLASHED else c) for c in part)


def name(value: object) -> str:
    """Return a name as code where it holds nothing but letters, digits and ``_./:-``, else as text.

    >>> name("quality.bits_per_byte"), name("a`b")
    ('`quality.bits_per_byte`', 'a\\\\`b')
    """
    return f"`{value}`" if _PLAIN_NAME.fullmatch(str(value)) else text(value, 200)


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table whose cells are Markdown already; a column whose title ends with ``:`` is aligned to the right."""
    right = [column.endswith(":") for column in columns]
    lines = [" | ".join(column.removesuffix(":") for column in columns)]
    lines.append("|".join("--:" if aligned else "---" for aligned in right))
    lines += [" | ".join(row) for row in rows]
    return "\n".join([f"| {lines[0]} |", f"|{lines[1]}|", *(f"| {line} |" for line in lines[2:])])


def front_matter(values: Mapping[str, Any]) -> str:
    """Return values as the YAML block that begins a document; a string is always quoted, on one line.

    >>> print(front_matter({"tags": ["a: b"], "index": [{"value": 1e-05, "name": "x"}]}))
    ---
    tags:
    - "a: b"
    index:
    - value: 1.0e-05
      name: "x"
    ---
    """
    return "\n".join(["---", *_yaml(values), "---"])


def _yaml(value: Any) -> list[str]:
    match value:
        case Mapping():
            return [line for key, inner in value.items() for line in _entry(f"{_key(key)}:", inner)]
        case list() | tuple():
            return [f"{'  ' if i else '- '}{line}" for item in value for i, line in enumerate(_yaml(item))]
        case _:
            return [_scalar(value)]


def _entry(key: str, inner: Any) -> list[str]:
    lines = _yaml(inner)
    if isinstance(inner, Mapping) and inner:
        return [key, *(f"  {line}" for line in lines)]
    if isinstance(inner, list | tuple) and inner:
        return [key, *lines]
    return [f"{key} {lines[0] if lines else '[]' if isinstance(inner, list | tuple) else '{}'}"]


def _key(key: str) -> str:
    return key if re.fullmatch(r"[a-z][a-z_-]*", key) and key not in _WORDS else _scalar(key)


_WORDS = frozenset(("y", "n", "yes", "no", "on", "off", "true", "false", "null"))
"""What YAML takes for something other than a string."""


def _scalar(value: object) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float() if math.isfinite(value):
            written = repr(value)
            return written if "." in written else written.replace("e", ".0e")
        case _:
            return json.dumps(visible(shortened(str(value), 500)), ensure_ascii=False)
