"""Target shares of attributes from a file: a TOML table an attribute, or a CSV line a value."""

from __future__ import annotations

import csv
import io
import math
import tomllib
from pathlib import Path
from typing import Any

from audit.core.errors import InputError
from audit.formats.hostile import UnreadableError, printable, shown
from audit.formats.texts import read_whole

_MOST_CHARACTERS = 10_000_000
_COLUMNS = ["attribute", "value", "share"]


def read_shares(path: Path) -> list[str]:
    """Return lines "attribute=value: share" from a .toml file (``[tone]``, ``light = 0.4``) or a .csv file (attribute, value, share).

    Raises InputError, with the line or key that is wrong.
    """
    try:
        text = read_whole(path, _MOST_CHARACTERS)
    except UnreadableError as error:
        raise InputError(f"The target shares {printable(path)} cannot be read: {error}.") from error
    match path.suffix.lower():
        case ".toml":
            found = _toml(text, path)
        case ".csv":
            found = _csv(text, path)
        case _:
            raise InputError(f"The target shares {printable(path)} are neither .toml nor .csv.")
    if not found:
        raise InputError(f"The target shares {printable(path)} are empty.")
    seen: set[tuple[str, str]] = set()
    for where, attribute, value, share in found:
        if not attribute or not value or "=" in attribute:
            raise InputError(
                f"{where} of {printable(path)} lacks an attribute or a value, or has = in a name."
            )
        if (attribute, value) in seen:
            raise InputError(
                f"{where} of {printable(path)} names '{shown(value)}' of '{shown(attribute)}' twice."
            )
        if not (math.isfinite(share) and 0 <= share <= 1):
            raise InputError(
                f"{where} of {printable(path)} has the share {share:g} of '{shown(value)}'; give a number from 0 to 1."
            )
        seen.add((attribute, value))
    return [f"{attribute}={value}: {share!r}" for _, attribute, value, share in found]


def _toml(text: str, path: Path) -> list[tuple[str, str, str, float]]:
    try:
        tables = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"The target shares {printable(path)} are not valid TOML: {error}.") from None
    found = []
    for attribute, values in tables.items():
        if not isinstance(values, dict):
            raise InputError(
                f"The target shares {printable(path)} have '{shown(attribute)}' outside a table; write [{shown(attribute)}] and a "
                "line for each value."
            )
        found += [
            (f"[{shown(attribute)}]", attribute, value, _number(share)) for value, share in values.items()
        ]
    return found


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan


def _csv(text: str, path: Path) -> list[tuple[str, str, str, float]]:
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    found = []
    header: list[str] = []
    try:
        for cells in rows:
            cells = [cell.strip() for cell in cells]
            if not any(cells):
                continue
            if not header:
                header = cells
                if sorted(header) != sorted(_COLUMNS):
                    raise InputError(
                        f"The target shares {printable(path)} need the columns {', '.join(_COLUMNS)}; they have "
                        f"{', '.join(map(shown, header[:6]))}."
                    )
                continue
            where = f"Line {rows.line_num}"
            if len(cells) != len(header):
                raise InputError(
                    f"{where} of {printable(path)} has {len(cells)} values for {len(header)} columns."
                )
            row = dict(zip(header, cells, strict=True))
            try:
                share = float(row["share"])
            except ValueError:
                raise InputError(
                    f"{where} of {printable(path)} has the share '{shown(row['share'])}'."
                ) from None
            found.append((where, row["attribute"], row["value"], share))
    except csv.Error as error:
        raise InputError(f"{printable(path)} cannot be read: line {rows.line_num}: {error}.") from error
    return found
