"""JSON Lines of a log: an object on each line, each checked, none of them longer than a limit."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, BinaryIO

from audit.formats.hostile import UnreadableError
from audit.formats.texts import decoded

MOST_LINE = 32 * 2**20
"""Bytes of one line: beyond that a hostile file costs gigabytes, since an empty object takes 64 bytes."""


def lines(file: BinaryIO, most: int = MOST_LINE) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield number and object of each line that is not blank. Raise UnreadableError, naming the line, for a line that is no object.

    A log that ends in the middle of a line was cut short, and what is missing nobody can say: it is refused.
    """
    number = 0
    while line := file.readline(most + 1):
        number += 1
        if len(line) > most:
            raise UnreadableError(f"line {number:,} has over {most:,} bytes")
        if line.strip():
            yield number, _object(line, number)


def _object(line: bytes, number: int) -> dict[str, Any]:
    try:
        value = json.loads(decoded(line))
    except UnreadableError as error:
        raise UnreadableError(f"line {number:,}: {error}") from None
    except json.JSONDecodeError as error:
        cut = not line.endswith(b"\n")
        why = "it is cut short: bring the whole file" if cut else f"no JSON at character {error.pos + 1:,}"
        raise UnreadableError(f"line {number:,}: {why}") from None
    except RecursionError:
        raise UnreadableError(f"line {number:,} is nested too deep") from None
    except ValueError:  # Python reads no whole number of over 4,300 digits
        raise UnreadableError(f"line {number:,} holds a number of thousands of digits") from None
    if not isinstance(value, dict):
        raise UnreadableError(f"line {number:,} is no object")
    return value
