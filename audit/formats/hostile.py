"""How much of an input may be unusable, and how its names are shown."""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from audit.core.errors import InputError

MAX_BAD = 0.05
"""Above this share an input is more likely the wrong one than a good one with some bad files."""
_REASONS = 5
_NAMES = 5
_SHOWN = 60
_PLACE = re.compile(r" at (byte|character) [\d,]+")
"""Where in a file or line something is wrong: a part of a reason that no two have in common."""


class Mark(enum.Enum):
    """Why a file or row is written down."""

    LEFT_OUT = "cannot be used"
    BESIDE = "is no example, such as a list of prompts beside pictures"
    NOTED = "was used, and there is something to say about it"


@dataclass(frozen=True, slots=True)
class Refused:
    """One file or row that was left out; or that stands beside the examples, or was used with a remark."""

    name: str
    reason: str
    mark: Mark = Mark.LEFT_OUT


class UnreadableError(Exception):
    """One file or row cannot be used; the message is the reason, without its name."""


def printable(text: str | Path) -> str:
    """Return text of somebody else on one line, without control or direction characters.

    >>> printable("a\\x1b[31m\\u202eb.png")
    'a?[31m?b.png'
    """
    return "".join(c if c.isprintable() else "?" for c in str(text))


def shown(name: str, most: int = _SHOWN) -> str:
    """Return a name that is safe to print, at most ``most`` characters of it."""
    plain = printable(name)
    return plain if len(plain) <= most else f"{plain[: most - 14]}…{plain[-13:]}"


def tolerate(
    refused: Sequence[Refused], total: int, what: str, where: str, advice: str = ""
) -> tuple[str, ...]:
    """Return sentences about what was written down. Raise InputError when over 5 % was left out.

    ``total`` counts good and bad, and may count entries that are neither;
    ``what`` is a plural noun. ``advice`` is added to the error.
    """
    bad = [entry for entry in refused if entry.mark is Mark.LEFT_OUT]
    total -= len(refused) - len(bad)
    said = []
    if bad:
        found = f"{len(bad):,} of {total:,} {what} in {printable(where)} cannot be used: {_grouped(bad)}."
        if len(bad) > MAX_BAD * total:
            remedy = f"More than {MAX_BAD:.0%} is too many: remove or repair them, then run again."
            raise InputError(" ".join(filter(None, (found, remedy, advice))))
        said.append(f"{found} {'It was' if len(bad) == 1 else 'They were'} left out.")
    if beside := [entry for entry in refused if entry.mark is Mark.BESIDE]:
        files = "1 other file was" if len(beside) == 1 else f"{len(beside):,} other files were"
        names = _named(entry.name for entry in beside)
        said.append(f"{files} found in {printable(where)} and not read: {names}.")
    noted: dict[str, int] = {}
    for entry in refused:
        if entry.mark is Mark.NOTED:
            noted[entry.reason] = noted.get(entry.reason, 0) + 1
    said += [f"{n:,} of {total:,} {what} in {printable(where)} {remark}." for remark, n in noted.items()]
    return tuple(said)


def _grouped(bad: Sequence[Refused]) -> str:
    """List names by reason, the reasons in the order in which they were met; those that differ in a place alone are one."""
    reasons: dict[str, list[Refused]] = {}
    for entry in bad:
        reasons.setdefault(_PLACE.sub("", entry.reason), []).append(entry)
    listed = []
    for why, entries in list(reasons.items())[:_REASONS]:
        same = len({entry.reason for entry in entries}) == 1
        listed.append(f"{_named(e.name for e in entries)} ({entries[0].reason if same else why})")
    if len(reasons) > _REASONS:
        rest = sum(len(entries) for entries in list(reasons.values())[_REASONS:])
        listed.append(f"{rest:,} more for other reasons")
    return "; ".join(listed)


def _named(names: Iterable[str]) -> str:
    every = list(names)
    listed = ", ".join(shown(name) for name in every[:_NAMES])
    return f"{listed} and {len(every) - _NAMES:,} more" if len(every) > _NAMES else listed
