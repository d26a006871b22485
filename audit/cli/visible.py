"""Make text from outside safe to print on a terminal."""

from __future__ import annotations


def visible(text: str) -> str:
    """Return text that a terminal prints and does not obey: control and direction characters are shown, not sent.

    >>> print(visible("red: \\x1b[31m"))
    red: \\x1b[31m
    """
    return "".join(c if c.isprintable() else _shown(c) for c in text)


def _shown(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
