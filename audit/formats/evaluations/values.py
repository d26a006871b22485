"""Values of a log as what they should be: names that can be shown, numbers that can be averaged, settings of bounded size."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from audit.core.identity import Digest
from audit.core.imported import Origin
from audit.core.rows import Vector
from audit.core.units import unit_names
from audit.formats.hostile import UnreadableError, printable, shown

MOST_ATTEMPTS = 20_000_000
"""Scores of all metrics of a log together; each takes about a hundred bytes."""
MOST_METRICS = 10_000
_LONGEST = 160
_LONGEST_SETTING = 300
_MOST_SETTINGS = 100
_DEEPEST = 4


def mapping(value: Any, what: str) -> Mapping[str, Any]:
    """Return an object of the log; null counts as an empty one. Raise UnreadableError that names it for anything else."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise UnreadableError(f"'{what}' is {_kind(value)} where an object is wanted")
    return value


def listed(value: Any, what: str) -> list[Any]:
    """Return a list of the log; null counts as an empty one. Raise UnreadableError that names it for anything else."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise UnreadableError(f"'{what}' is {_kind(value)} where a list is wanted")
    return value


def named(value: Any, what: str) -> str:
    """Return a name that is safe to show, and not longer than a line. Raise UnreadableError for anything but text or a number."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise UnreadableError(f"'{what}' is {_kind(value)} where a name is wanted")
    name = printable(str(value)).strip()
    if not name:
        raise UnreadableError(f"'{what}' is an empty name")
    return shown(name, _LONGEST)


def unit(value: Any, what: str) -> str:
    """Return the identity of a sample: its id, or a digest of one that is too long to keep. Raise UnreadableError for what cannot be an id."""
    if isinstance(value, str) and len(value) > _LONGEST:
        return unit_names([value])[0]
    return named(value, what)


def said(value: Any) -> str:
    """Return a word that the log may leave out: empty where it does."""
    text = value if isinstance(value, str) else str(value) if isinstance(value, int | float) else ""
    return shown(text.strip(), _LONGEST)


def number(value: Any) -> float | None:
    """Return a number that can be averaged, None for NaN, infinity and whatever is no number."""
    if not isinstance(value, bool | int | float):
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if math.isfinite(found) and abs(found) < 1e150 else None


def count(value: Any) -> int:
    """Return a count, 0 for anything that is no count."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53 else 0


def settings(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings as a record keeps them: what is not null, long texts cut, no more than fit on a page."""
    kept = {named(k, "a setting"): _setting(v, 0) for k, v in values.items() if v not in (None, "", [], {})}
    return dict(list(kept.items())[:_MOST_SETTINGS])


def _setting(value: Any, depth: int) -> Any:
    match value:
        case bool() | None:
            return value
        case int():
            return value if abs(value) < 2**53 else str(value)[:_LONGEST]
        case float():
            return value if math.isfinite(value) else str(value)
        case str():
            return shown(value, _LONGEST_SETTING)
    if depth >= _DEEPEST:
        return "…"
    if isinstance(value, dict):
        return {shown(str(k)): _setting(v, depth + 1) for k, v in list(value.items())[:_MOST_SETTINGS]}
    return [_setting(v, depth + 1) for v in list(value)[:_MOST_SETTINGS]]


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a text", bool: "a truth value", type(None): "null"}
    return names.get(type(value), "a number")


class Budget:
    """How many scores a log may still hold. ``take`` raises UnreadableError when there are more."""

    def __init__(self, most: int = MOST_ATTEMPTS) -> None:
        self._most, self._left = most, most

    def take(self, number: int = 1) -> None:
        self._left -= number
        if self._left < 0:
            raise UnreadableError(f"it holds more than {self._most:,} scores")


class Gathered:
    """The attempts of one metric, as they are read: the sample of each and its score, or that it has none."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self.units: list[str] = []
        self._values = array("d")
        self.errored = 0

    def add(self, unit: str, value: float | None, *, errored: bool = False) -> None:
        self._budget.take()
        self.units.append(unit)
        self._values.append(math.nan if value is None else value)
        self.errored += errored and value is None

    @property
    def values(self) -> Vector:
        return np.array(self._values, dtype=np.float64)


def differing(units: Iterable[str]) -> int:
    """Return how many different samples there are."""
    return len(set(units))


def origin(tool: str, file: str, digest: Digest, size: int, **about: Any) -> Origin:
    """Return where a log comes from, its words made safe to show."""
    return Origin(
        tool, file=shown(file, _LONGEST), digest=digest, size=size, **{k: said(v) for k, v in about.items()}
    )
