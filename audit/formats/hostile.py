"""How much of an input may be unusable, and how its names are shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from audit.core.errors import InputError

MOST_BAD = 0.05
"""Above this share an input is more likely the wrong one than a good one with some bad files."""
_LISTED = 5
_SHOWN = 60


@dataclass(frozen=True, slots=True)
class Refused:
    """One file or row that was left out."""

    name: str
    reason: str


class UnreadableError(Exception):
    """One file or row cannot be used; the message is the reason, without its name."""


def shown(name: str, most: int = _SHOWN) -> str:
    """Return a name that is safe to print: one line, no control or direction characters, at most ``most`` of them.

    >>> shown("a\\x1b[31m\\u202eb.png")
    'a?[31m?b.png'
    """
    plain = "".join(c if c.isprintable() else "?" for c in name)
    return plain if len(plain) <= most else f"{plain[: most - 14]}…{plain[-13:]}"


def tolerate(refused: Sequence[Refused], total: int, what: str, where: str) -> tuple[str, ...]:
    """Return sentences about what was left out. Raise InputError when it is everything or over 5 %.

    ``total`` counts good and bad; ``what`` is a plural noun.
    """
    if not refused:
        return ()
    listing = "; ".join(f"{shown(r.name)} ({r.reason})" for r in refused[:_LISTED])
    more = f"; and {len(refused) - _LISTED:,} more" if len(refused) > _LISTED else ""
    found = f"{len(refused):,} of {total:,} {what} in {where} cannot be used: {listing}{more}."
    if len(refused) > MOST_BAD * total:
        raise InputError(
            f"{found} More than {MOST_BAD:.0%} is too many: remove or repair them, then run again."
        )
    return (f"{found} They were left out.",)
