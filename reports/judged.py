"""Which judgements rest on which measurement."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from audit.core.measurements import Group, Measurement, Outcome
from audit.core.policy import Judgement, Verdict, gravest
from reports.figures import Bounds
from reports.redact import shortened


@dataclass(frozen=True, slots=True)
class Judged:
    """The judgements of a record, found by the measurement they rest on, and those that rest on none."""

    _by_name: dict[tuple[str, Group], list[Judgement]] = field(default_factory=dict)
    _bare: dict[str, list[Judgement]] = field(default_factory=dict)

    @classmethod
    def of(cls, judgements: Iterable[Judgement]) -> Judged:
        found: dict[tuple[str, Group], list[Judgement]] = {}
        bare: dict[str, list[Judgement]] = {}
        for judgement in judgements:
            if isinstance(judgement.because, Measurement):
                found.setdefault((judgement.because.metric, judgement.because.group), []).append(judgement)
            elif judgement not in (same := bare.setdefault(judgement.criterion.metric, [])):
                same.append(judgement)  # once, however many groups a criterion is on
        return cls(found, bare)

    def on(self, measurement: Measurement) -> list[Judgement]:
        """Return the judgements that rest on a measurement; none when no criterion asks for it."""
        candidates = self._by_name.get((measurement.metric, measurement.group), [])
        return [j for j in candidates if j.because == measurement]

    def about(self, outcome: Outcome) -> list[Judgement]:
        """Return the judgements that rest on an outcome and those that could not be made of it."""
        resting = self.on(outcome) if isinstance(outcome, Measurement) else []
        made = [j.criterion for j in resting]
        bare = self._bare.get(outcome.metric, [])
        return resting + [j for j in bare if j.criterion not in made and _concerns(j, outcome)]

    def left(self, outcomes: Iterable[Outcome]) -> list[Judgement]:
        """Return the judgements that are about none of these outcomes."""
        said = [j for outcome in outcomes if outcome.metric in self._bare for j in self.about(outcome)]
        return [j for bare in self._bare.values() for j in bare if j not in said]

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


def lacking(judgement: Judgement) -> str:
    """Return in words why a verdict rests on no number; empty where it rests on one."""
    if isinstance(judgement.because, Measurement):
        return ""
    return "; ".join(
        f"needs {shortened(gap.need, 300)}, found {shortened(gap.found, 300)}" for gap in judgement.because
    )


def _concerns(judgement: Judgement, outcome: Outcome) -> bool:
    """Say whether a judgement without a number may be about an outcome of its metric."""
    because = judgement.because
    if judgement.criterion.every_group != bool(outcome.group) or isinstance(because, Measurement):
        return False
    return isinstance(outcome, Measurement) or any(gap.found == outcome.reason for gap in because)
