"""Read a TOML table key by key; an error names the key, the value found, what is accepted and the nearest name."""

from __future__ import annotations

import difflib
import math
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any

from audit.core.errors import InputError, nearest
from audit.core.options import as_written, belongs
from audit.formats.hostile import UnreadableError, printable
from audit.formats.texts import read_whole

_MOST_CHARACTERS = 10_000_000
_WORDS = {bool: "true or false", int: "a whole number", float: "a number", str: "a string"}


def kind_of(value: object) -> str:
    """Say in TOML's words what a value is."""
    match value:
        case bool():
            return "a boolean"
        case int():
            return "a whole number"
        case float():
            return "a number"
        case str():
            return "a string"
        case list():
            return "an array"
        case dict():
            return "a table"
    return type(value).__name__


@dataclass
class Table:
    """One table of a spec. Take what is known, then :meth:`close` refuses what is left."""

    where: str
    values: Mapping[str, Any]
    taken: set[str] = field(default_factory=set)

    def _take(self, key: str) -> Any:
        self.taken.add(key)
        return self.values.get(key)

    def name(self, key: str) -> str:
        return f"{self.where}.{key}" if self.where else key

    def refuse(self, key: str, accepted: str) -> InputError:
        value = self.values.get(key)
        shown = _shown(value)
        return InputError(f"{self.name(key)} is {shown} ({kind_of(value)}). Accepted: {accepted}.")

    def missing(self, key: str, accepted: str) -> InputError:
        """Say that a key is missing, and which key found here may have been meant."""
        close = difflib.get_close_matches(key, [name for name in self.values if name not in self.taken], n=1)
        found = f" There is a key '{close[0]}'. Did you mean '{key}'?" if close else ""
        return InputError(f"{self.name(key)} is missing.{found} Accepted: {accepted}.")

    def text(self, key: str, default: str | None = None, *, most: int | None = None) -> str:
        value = self._take(key)
        if value is None:
            if default is None:
                raise self.missing(key, "a string")
            return default
        if not isinstance(value, str) or not value.strip():
            raise self.refuse(key, "a string that is not empty")
        if most is not None and len(value) > most:
            raise InputError(
                f"{self.name(key)} has {len(value):,} characters. Accepted: a string of at most {most:,}."
            )
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        value = self._take(key)
        if value is None:
            return ()
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self.refuse(key, "an array of strings")
        return tuple(value)

    def integer(self, key: str, default: int, *, least: int = 0, most: int | None = None) -> int:
        value = self._take(key)
        if value is None:
            return default
        bounds = f"a whole number of at least {least}" + (f" and at most {most}" if most is not None else "")
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.refuse(key, bounds)
        if value < least or (most is not None and value > most):
            raise self.refuse(key, bounds)
        return value

    def number(self, key: str) -> float | None:
        value = self._take(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not _is_finite(value):
            raise self.refuse(key, "a finite number")
        return float(value)

    def boolean(self, key: str, default: bool) -> bool:
        value = self._take(key)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise self.refuse(key, "true or false")
        return value

    def table(self, key: str) -> Table | None:
        value = self._take(key)
        if value is None:
            return None
        if not isinstance(value, dict):
            raise self.refuse(key, f"a table, written [{self.name(key)}]")
        return Table(self.name(key), value)

    def tables(self, key: str) -> list[Table] | None:
        value = self._take(key)
        if value is None:
            return None
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise self.refuse(key, f"an array of tables, each written [[{self.name(key)}]]")
        return [Table(f"{self.name(key)}[{position}]", item) for position, item in enumerate(value)]

    def day(self, key: str) -> str:
        """Take a date, written with or without quotes; return it as ISO 8601."""
        value = self._take(key)
        if value is None:
            raise self.missing(key, "a date such as 2027-01-31")
        if isinstance(value, datetime):
            raise self.refuse(key, "a date without a time, such as 2027-01-31")
        if not isinstance(value, (str, date)):
            raise self.refuse(key, "a date such as 2027-01-31")
        return str(value)

    def rest(self) -> dict[str, Any]:
        """Take every key not yet taken, checking that each value is a plain one."""
        left = {key: value for key, value in self.values.items() if key not in self.taken}
        for key, value in left.items():
            names = isinstance(value, list) and all(isinstance(item, str) for item in value)
            if not names and not isinstance(value, (str, int, float, bool)):
                raise self.refuse(key, "a string, a number, true or false, an array of strings")
        self.taken.update(left)
        return left

    def close(self) -> None:
        """Refuse keys that nobody took."""
        for key in self.values:
            if key not in self.taken:
                misplaced = belongs(key, f"[{self.where}]")
                raise InputError(f"There is no key '{self.name(key)}'. {misplaced}{nearest(key, self.taken)}")


def _shown(value: object) -> str:
    """Return a value as a message shows it; Python itself refuses to print integers of thousands of digits."""
    try:
        text = as_written(value)
    except ValueError:
        return "a number of thousands of digits"
    return text if len(text) <= 60 else f"{text[:57]}..."


def _is_finite(value: float) -> bool:
    """Whether a number of TOML, whose integers have no bound, is a finite float."""
    try:
        return math.isfinite(float(value))
    except OverflowError:
        return False


def parameters(kind: type[Any], table: Table) -> Any:
    """Return ``kind(**values)`` with each value checked against the dataclass field it fills."""
    import dataclasses
    import typing

    hints = typing.get_type_hints(kind)
    given: dict[str, Any] = {}
    for spec in dataclasses.fields(kind):
        if spec.name in table.values:
            given[spec.name] = _fit(table, spec.name, hints[spec.name])
    table.taken.update(f.name for f in dataclasses.fields(kind))
    table.close()
    try:
        return kind(**given)
    except ValueError as error:
        raise InputError(f"{table.where}: {error}") from error


def _fit(table: Table, key: str, hint: Any) -> Any:
    """Return a value of the type a field asks for: bool, int, float, str or a tuple of one of them."""
    import typing

    value = table._take(key)
    if typing.get_origin(hint) is tuple:
        inner = typing.get_args(hint)[0]
        if not isinstance(value, list):
            raise table.refuse(key, f"an array, each item {_WORDS.get(inner, 'a value')}")
        return tuple(_scalar(table, key, item, inner) for item in value)
    options = [arg for arg in typing.get_args(hint) if arg is not type(None)] or [hint]
    return _scalar(table, key, value, options[0])


def _scalar(table: Table, key: str, value: Any, kind: Any) -> Any:
    if kind is float and isinstance(value, (int, float)) and not isinstance(value, bool):
        if not _is_finite(value):
            raise table.refuse(key, "a finite number")
        return float(value)
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise table.refuse(key, _WORDS.get(kind, str(kind)))
    return value


def read_toml(path: Path, what: str, remedy: str) -> dict[str, Any]:
    """Read a TOML file, with or without a byte-order mark. Raise InputError."""
    try:
        text = read_whole(path, _MOST_CHARACTERS)
    except UnreadableError as error:
        if isinstance(error.__cause__, FileNotFoundError) and not path.is_symlink():
            raise InputError(
                f"There is no {what} at {printable(path)}. {remedy[:1].upper() + remedy[1:]}"
            ) from None
        raise InputError(
            f"{printable(path)} cannot be read: {error}. A {what} is a TOML file; {remedy}"
        ) from None
    if "\r" in text and "\n" not in text:
        raise InputError(
            f"{printable(path)} is not valid TOML: its lines end in CR alone, as on old Macs. "
            "Convert the line ends to LF."
        )
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise InputError(f"{printable(path)} is not valid TOML: it is nested too deep.") from None
    except ValueError as error:  # TOMLDecodeError is one; so is what Python says of a number too long to read
        raise InputError(f"{printable(path)} is not valid TOML: {printable(str(error))}.") from None


def absolute(path: str, base: Path) -> Path:
    """Return a path that a file in ``base`` names. Raise InputError where it cannot be a path."""
    if not path.strip():
        raise InputError('A path is empty, and would be the folder of the spec itself. Write a name, or ".".')
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", path):
        raise InputError(
            f"'{printable(path)}' is an address, and files are read from this machine. Bring the file here."
        )
    try:
        return (base / Path(path).expanduser()).resolve()
    except (ValueError, RuntimeError, OSError) as error:  # a NUL, an unknown user's home, a loop of links
        raise InputError(f"'{path}' is not a path: {str(error).rstrip('.')}.") from None
