"""Make text from outside safe to print on a terminal."""

from __future__ import annotations

import sys

import click

_LONGEST = 1 << 16
"""Bytes after which a line that does not end is shown in parts."""


def visible(text: str) -> str:
    """Return text that a terminal prints and does not obey: control and direction characters are shown, not sent.

    >>> print(visible("red: \\x1b[31m"))
    red: \\x1b[31m
    """
    return text if text.isprintable() else "".join(c if c.isprintable() else _shown(c) for c in text)


def say(text: str, *, err: bool = False) -> None:
    """Print a line to standard output, or to standard error.

    The stream's own encoding is kept, and what it cannot spell is shown as an escape.
    """
    click.echo(text, file=sys.stderr if err else sys.stdout)


def _shown(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


class VisibleLines:
    """What a program prints, cut into visible lines as it arrives.

    Of a line that is written over by carriage returns, as progress bars do, the last state is kept.

    >>> lines = VisibleLines()
    >>> lines.of(b"10 %\\r20 %"), lines.of(b"\\r100 %\\ndone"), lines.rest()
    ([], ['100 %'], ['done'])
    """

    def __init__(self) -> None:
        self._begun = b""

    def of(self, chunk: bytes) -> list[str]:
        """Return the lines that end in this chunk."""
        *whole, self._begun = (self._begun + chunk).split(b"\n")
        if len(self._begun) > _LONGEST:
            whole.append(self._begun)
            self._begun = b""
        return [_visible_line(line) for line in whole]

    def rest(self) -> list[str]:
        """Return the line that has begun and will not end."""
        rest, self._begun = self._begun, b""
        return [_visible_line(rest)] if rest else []


def _visible_line(line: bytes) -> str:
    text = line.decode("utf-8", "backslashreplace").rstrip("\r").rpartition("\r")[2]
    return visible(text.expandtabs())
