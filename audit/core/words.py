"""Counts in words, the same wherever a sentence is made."""

from __future__ import annotations


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """Return a count with its noun.

    >>> counted(1, "criterion", "criteria"), counted(1200, "shard")
    ('1 criterion', '1,200 shards')
    """
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"
