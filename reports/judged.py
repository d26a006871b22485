"""Which judgements rest on which measurement."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from audit.core.measurements import Group, Measurement
from audit.core.policy import Judgement, Verdict, gravest
from reports.figures import Bounds


@dataclass(frozen=True, slots=True)
class Judged:
    """The judgements of a record, found by the measurement they rest on."""

    _by_name: dict[tuple[str, Group], list[Judgement]] = field(default_factory=dict)

    @classmethod
    def of(cls, judgements: Iterable[Judgement]) -> Judged:
        found: dict[tuple[str, Group], list[Judgement]] = {}
        for judgement in judgements:
            if isinstance(judgement.because, Measurement):
                found.setdefault((judgement.because.metric, judgement.because.group), []).append(judgement)
        return cls(found)

    def on(self, measurement: Measurement) -> list[Judgement]:
        """Return the judgements that rest on a measurement; none when no criterion asks for it."""
        candidates = self._by_name.get((measurement.metric, measurement.group), [])
        return [j for j in candidates if j.because == measurement]

    def bounds(self, measurement: Measurement) -> Bounds:
        """Return the bounds a measurement was judged against; of several, the tightest."""
        criteria = [c for j in self.on(measurement) if (c := j.criterion.on(measurement)) is not None]
        floors = [c.at_least for c in criteria if c.at_least is not None]
        ceilings = [c.at_most for c in criteria if c.at_most is not None]
        return Bounds(max(floors, default=None), min(ceilings, default=None))

    def verdict(self, measurement: Measurement) -> Verdict | None:
        """Return the worst verdict that rests on a measurement, or None when no criterion asks for it."""
        resting = self.on(measurement)
        return gravest(j.verdict for j in resting) if resting else None
