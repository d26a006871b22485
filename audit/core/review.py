"""What people said of a run after it was measured: a log of decisions, sign-offs and reveals, each line chained to the one before.

A log is lines of JSON. Every line has a number, one more than the line before it, and in ``before`` the digest of the
bytes from the beginning of that line up to its own beginning. Bytes that are no line, such as a killed writer leaves, are set aside: they
stay where they are, and the next line's digest covers them, which shows that its writer found them there.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from typing import Any

from audit.core.identity import digest_of

MOST_COMMENT = 4_000
MOST_NAME = 200
_MOST_ABOUT = 1_000


class Action(StrEnum):
    """What somebody did: decided on a finding, signed the run off or refused to, or looked at sensitive content."""

    ACCEPT = "accept"
    REJECT = "reject"
    NEEDS_WORK = "needs work"
    APPROVE = "approve"
    REFUSE = "refuse"
    REVEAL = "reveal"


DECISIONS = (Action.ACCEPT, Action.REJECT, Action.NEEDS_WORK)
SIGN_OFFS = (Action.APPROVE, Action.REFUSE)
UNNAMED = "unnamed"


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a log: who did what, about which finding or content, when (ISO 8601, UTC), and why.

    ``record`` is the digest of the record that they saw, ``before`` that of the line before, ``digest`` that of this line.
    """

    number: int
    at: str
    who: str
    action: Action
    about: str
    comment: str
    run: str
    record: str
    before: str
    digest: str = ""

    def line(self) -> bytes:
        """Return the line, its end included."""
        said = {name: value for name, value in asdict(self).items() if name != "digest"}
        return json.dumps(said).encode("ascii") + b"\n"


@dataclass(frozen=True, slots=True)
class Review:
    """What a log says. ``faults`` are sentences about lines that were changed, removed or inserted after they were written.

    ``aside`` counts the pieces that killed writers left and that were set aside. ``unconfirmed`` says that the last line's
    writer may have been killed right after it.
    """

    entries: tuple[Entry, ...] = ()
    faults: tuple[str, ...] = ()
    aside: int = 0
    unconfirmed: bool = False

    @property
    def head(self) -> str:
        """The digest of the last line: a later log of the same run still has a line with it."""
        return self.entries[-1].digest if self.entries else ""

    def decisions(self) -> dict[str, Entry]:
        """Return the last decision on each finding that has one."""
        return {e.about: e for e in self.entries if e.action in DECISIONS}

    def sign_off(self) -> Entry | None:
        """Return the last sign-off, unless a finding was decided anew after it."""
        last = next((e for e in reversed(self.entries) if e.action is not Action.REVEAL), None)
        return last if last is not None and last.action in SIGN_OFFS else None

    def signed(self) -> bool:
        """Return whether anybody ever signed off, even where that no longer holds."""
        return any(e.action in SIGN_OFFS for e in self.entries)


@dataclass(frozen=True, slots=True)
class Head:
    """What is kept beside a log: the number and the digest of its last line, so that a removed end is noticed."""

    number: int
    digest: str


def parse(data: bytes, head: Head | None) -> Review:
    """Read a log, and compare every line with what the next one and the head say of it."""
    entries: list[Entry] = []
    faults: list[str] = []
    aside, begun, junk = 0, 0, 0
    for start, raw in _lines(data):
        entry = _entry(raw)
        if entry is None:
            junk += 1
            continue
        fault = _fault(entries[-1] if entries else None, entry, data[begun:start], junk)
        faults += [fault] if fault else []
        aside += 0 if fault else junk
        entries.append(entry)
        begun, junk = start, 0
    aside += junk
    faults += _end(entries, head)
    confirmed = head.number if head else 0
    late = bool(entries) and entries[-1].number > confirmed
    return Review(tuple(entries), tuple(faults), aside, late)


def next_entry(data: bytes, review: Review, said: Mapping[str, str]) -> tuple[bytes, Entry]:
    """Return what is to be added to a log for one more line, and the line; ``said`` has the texts of an entry."""
    ending = b"" if not data or data.endswith(b"\n") else b"\n"
    whole = data + ending
    last = review.entries[-1] if review.entries else None
    begun = _place(whole, last) if last else 0
    before = digest_of(whole[begun:]) if whole else ""
    entry = Entry(
        number=last.number + 1 if last else 1,
        at=said["at"],
        who=_clean(said["who"], MOST_NAME) or UNNAMED,
        action=Action(said["action"]),
        about=_clean(said["about"], _MOST_ABOUT),
        comment=_clean(said["comment"], MOST_COMMENT),
        run=said["run"],
        record=said["record"],
        before=before,
    )
    line = entry.line()
    return ending + line, _entry(line.rstrip(b"\n")) or entry


def review_to_plain(review: Review) -> dict[str, Any]:
    """Return a review as the JSON record spells it."""
    return {
        "entries": [asdict(entry) for entry in review.entries],
        "faults": list(review.faults),
        "aside": review.aside,
        "unconfirmed": review.unconfirmed,
    }


def review_from_plain(plain: Mapping[str, Any]) -> Review:
    """Return the review that :func:`review_to_plain` wrote."""
    return Review(
        tuple(Entry(**{**e, "action": Action(e["action"])}) for e in plain["entries"]),
        tuple(plain["faults"]),
        int(plain["aside"]),
        bool(plain["unconfirmed"]),
    )


def _clean(text: str, most: int) -> str:
    return text.encode("utf-8", "replace").decode("utf-8").strip()[:most]


def _lines(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield where each line begins, and the line without its end; an end without a line end is one too."""
    start = 0
    for raw in data.split(b"\n"):
        if raw:
            yield start, raw
        start += len(raw) + 1


def _place(whole: bytes, last: Entry) -> int:
    """Return where the last line that is an entry begins."""
    return max(start for start, raw in _lines(whole) if _digest(raw) == last.digest)


def _digest(raw: bytes) -> str:
    return digest_of(raw + b"\n")


_TEXTS = tuple(f.name for f in fields(Entry) if f.name not in ("number", "action", "digest"))


def _entry(raw: bytes) -> Entry | None:
    """Return the entry that a line holds; None for anything else."""
    try:
        said = json.loads(raw)
        if type(said["number"]) is not int or set(said) != {"number", "action", *_TEXTS}:
            return None
        if not all(isinstance(said[name], str) for name in _TEXTS):
            return None
        return Entry(**{**said, "action": Action(said["action"])}, digest=_digest(raw))
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


def _fault(last: Entry | None, entry: Entry, between: bytes, junk: int) -> str:
    """Return what is wrong with the bytes from the last line up to this one; empty when nothing is."""
    if entry.before == (digest_of(between) if between else ""):
        expected = last.number + 1 if last else 1
        return (
            "" if entry.number == expected else f"Line {entry.number} stands where line {expected} belongs."
        )
    number = last.number if last else 0
    if entry.number <= number:
        return f"Line {entry.number} stands after line {number}: one of the two was inserted or moved."
    if entry.number > number + 1:
        gone = _span(number + 1, entry.number - 1)
        return f"{gone} changed beyond reading." if junk else f"{gone} removed."
    if junk and entry.before == (last.digest if last else ""):
        return f"Something that is no line was inserted before line {entry.number}."
    if last is None:
        return f"Line {entry.number} was changed, or what stood before it was removed."
    return f"Line {number} was changed: line {entry.number} holds another digest of it."


def _end(entries: list[Entry], head: Head | None) -> list[str]:
    """Return what is wrong with the end of a log, by the last line that its writer confirmed."""
    if head is None:
        return []
    known = {entry.number: entry.digest for entry in entries}
    if known.get(head.number) == head.digest:
        return []
    if head.number in known:
        return [f"Line {head.number} was changed: its writer confirmed another digest of it."]
    last = entries[-1].number if entries else 0
    if last < head.number:
        return [f"{_span(last + 1, head.number)} removed from the end."]
    return []  # said where the lines around it are


def _span(first: int, last: int) -> str:
    return f"Line {first} was" if first == last else f"Lines {first} to {last} were"
