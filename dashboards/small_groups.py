"""The numbers of small groups, withheld: which they are, and a record without them.

A page that shows numbers of groups takes them from here, so that what one withholds no other shows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

from audit.core.evaluators import Unmet
from audit.core.measurements import Group, Measurement
from audit.core.policy import Judgement
from audit.core.records import AuditRecord
from audit.stats.shrinkage import LEAST, suppressed
from reports.sections import group_name

Named: TypeAlias = tuple[str, Group]
"""A metric and a group of it."""

REASON = f"fewer than {LEAST} examples, or needed to hide such a group"


def too_few(sizes: Sequence[int | None]) -> list[bool]:
    """Return which groups of one family to withhold by how many examples each has; one whose size is not known stays.

    >>> too_few([120, 4, None, 60])
    [False, True, False, True]
    """
    known = [place for place, n in enumerate(sizes) if n is not None]
    hidden = suppressed([sizes[place] or 0 for place in known])
    withheld = {place for place, hide in zip(known, hidden, strict=True) if hide}
    return [place in withheld for place in range(len(sizes))]


def families(record: AuditRecord) -> Mapping[tuple[str, tuple[str, ...]], list[Measurement]]:
    """Return the measurements of groups that belong together: those of one metric by the same attributes."""
    found: dict[tuple[str, tuple[str, ...]], list[Measurement]] = {}
    for m in record.measurements:
        if m.group:
            found.setdefault((m.metric, tuple(name for name, _ in m.group)), []).append(m)
    return found


def withheld(record: AuditRecord) -> frozenset[Named]:
    """Return the metrics and groups of a record whose numbers are not shown."""
    return frozenset(
        (m.metric, m.group)
        for family in families(record).values()
        for m, hide in zip(family, too_few([m.n for m in family]), strict=True)
        if hide
    )


def without(record: AuditRecord) -> AuditRecord:
    """Return a record without those numbers: measurements and controls are gone, verdicts stay without what they rest on."""
    hidden = withheld(record)
    if not hidden:
        return record
    return replace(
        record,
        measurements=tuple(m for m in record.measurements if (m.metric, m.group) not in hidden),
        controls=tuple(c for c in record.controls if (c.metric, c.group) not in hidden),
        judgements=tuple(_covered(j, hidden) for j in record.judgements),
    )


def said(number: int) -> str:
    """Return the sentence that stands where numbers are withheld; empty where none are."""
    return f"Numbers of groups not shown: {number} ({REASON})." if number else ""


def _covered(judgement: Judgement, hidden: frozenset[Named]) -> Judgement:
    m = judgement.because
    if not isinstance(m, Measurement) or (m.metric, m.group) not in hidden:
        return judgement
    gap = Unmet(
        f"{LEAST} or more examples of {group_name(m.group)} to show its numbers", REASON, "Draw more samples"
    )
    return replace(judgement, because=(gap,), basis=None, n_to_decide=None, to_decide="")
