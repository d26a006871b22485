"""How many units would settle an inconclusive verdict: by the interval's own method, and no more than there are."""

from __future__ import annotations

from audit.core.measurements import Interval, Measurement
from audit.core.policy import Criterion
from audit.stats.planning import Needed, rows_for_interval, rows_for_rate


def deciding(criterion: Criterion, measurement: Measurement) -> tuple[int | None, str]:
    """Return how many units would put the interval on one side of its bound, were the estimate to stay, and a sentence.

    None where no number would, or where there are not so many.
    """
    interval = measurement.uncertainty
    if not isinstance(interval, Interval) or measurement.n < 1:
        return None, ""
    crossed = [bound for bound in criterion.bounds if interval.low <= bound <= interval.high]
    if not crossed:
        return None, ""
    found = max(
        (_needed(measurement, interval, bound) for bound in crossed),
        key=lambda needed: needed.wanted or 10**18,
    )
    return found.wanted if found.decides else None, found.sentence()


def _needed(measurement: Measurement, interval: Interval, bound: float) -> Needed:
    available = measurement.available
    if (
        interval.method.startswith(("Clopper-Pearson", "Wilson"))
        and 0 <= min(bound, measurement.value) <= max(bound, measurement.value) <= 1
    ):
        exact = interval.method.startswith("Clopper-Pearson")
        return rows_for_rate(measurement.value, bound, available, interval.level, exact=exact)
    return rows_for_interval(measurement.value, interval, measurement.n, bound, available)
