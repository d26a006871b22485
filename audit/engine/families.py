"""Criteria of one family, judged together: many questions asked at once bring some verdicts by chance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from audit.core.measurements import Interval, Measurement
from audit.core.policy import Basis, Criterion, Deciding, Judgement, Verdict
from audit.stats.levels import at_level, p_value_against
from audit.stats.permutation import benjamini_hochberg, holm

_SLACK = 1e-9


def corrected(judgements: Sequence[Judgement], deciding: Deciding | None = None) -> tuple[Judgement, ...]:
    """Return judgements with those of each family judged for as many questions as the family asks.

    Holm's method for its blocking criteria: all their verdicts are right at once as often as one interval holds (95 %).
    Benjamini and Hochberg's for its advice: of the verdicts reached, passes and fails, so many are right on average.
    A verdict's p-value is 1 minus the greatest level at which the interval still decides; what decides nothing, or was not
    assessed, counts as a question too. A verdict that does not outlast the correction is inconclusive. ``basis`` has the interval at
    the level that the correction leaves: for Benjamini and Hochberg that is the one Benjamini and Yekutieli (2005) give
    of what was selected, so the ones that decide are those that leave the bound out.
    """
    found = list(judgements)
    families: dict[tuple[str, bool], list[int]] = {}
    for place, judgement in enumerate(found):
        if family := judgement.criterion.family:
            families.setdefault((family, judgement.criterion.blocking), []).append(place)
    for (family, blocking), places in families.items():
        if len(places) > 1:
            together = _together(family, blocking, [found[place] for place in places], deciding)
            for place, judgement in zip(places, together, strict=True):
                found[place] = judgement
    return tuple(found)


@dataclass(frozen=True, slots=True)
class _Asked:
    """A question that has an interval: the bound in numbers, and the number held against it."""

    criterion: Criterion
    number: Measurement
    interval: Interval
    p: float


def _together(
    family: str, blocking: bool, judgements: Sequence[Judgement], deciding: Deciding | None
) -> list[Judgement]:
    asked = [_asked(judgement) for judgement in judgements]
    p = [1.0 if one is None else one.p for one in asked]
    adjusted = holm(p) if blocking else benjamini_hochberg(p)
    kept = [
        one is not None and q <= (1 - one.interval.level) * (1 + _SLACK)
        for one, q in zip(asked, adjusted, strict=True)
    ]
    method = "Holm" if blocking else "Benjamini-Hochberg"
    kind = "blocking criteria" if blocking else "criteria that are advice"
    for_whom = f"{method}'s correction for the {len(p)} {kind} of the family '{family}'"
    shares = _shares(p, kept, blocking)
    return [
        judgement if one is None else _judged(judgement, one, right, share, for_whom, deciding)
        for judgement, one, right, share in zip(judgements, asked, kept, shares, strict=True)
    ]


def _shares(p: Sequence[float], kept: Sequence[bool], blocking: bool) -> list[float]:
    """Return the share of the error that is allowed in all which each question may use: its step's."""
    many, settled = len(p), sum(kept)
    if not blocking:
        return [max(1, settled) / many] * many
    order = sorted(range(many), key=lambda i: (not kept[i], p[i]))
    steps = {place: min(step, settled) for step, place in enumerate(order)}
    return [1 / max(1, many - steps[place]) for place in range(many)]


def _asked(judgement: Judgement) -> _Asked | None:
    """Return the question of a judgement with its p-value; None where no interval answers it."""
    held = judgement.held
    if held is None or judgement.verdict is Verdict.NOT_ASSESSED:
        return None
    criterion, number = held
    interval = number.uncertainty
    assert isinstance(interval, Interval), "what was assessed has an interval"
    return _Asked(criterion, number, interval, _p_value(judgement.verdict, criterion, number, interval))


def _p_value(verdict: Verdict, criterion: Criterion, number: Measurement, interval: Interval) -> float:
    against = [p_value_against(number.value, interval, number.n, bound) for bound in criterion.bounds]
    match verdict:
        case Verdict.PASS:  # every bound is left out, so the nearest counts
            return max(against)
        case Verdict.FAIL:  # the bound that the whole interval is beyond
            broken = [
                p
                for p, bound in zip(against, criterion.bounds, strict=True)
                if (bound == criterion.at_most and interval.low > bound)
                or (bound == criterion.at_least and interval.high < bound)
            ]
            return min(broken)
        case _:
            return 1.0


def _judged(
    judgement: Judgement, one: _Asked, right: bool, share: float, for_whom: str, deciding: Deciding | None
) -> Judgement:
    """Return a judgement with the interval at the level that is left to it, and its verdict where that is kept."""
    level = 1 - (1 - one.interval.level) * share
    wide = at_level(one.number.value, one.interval, one.number.n, level)
    said = f"judged by its {100 * level:.4g} % interval, {wide.low:.4g} to {wide.high:.4g}, by {for_whom}"
    lost = not right and judgement.verdict is not Verdict.INCONCLUSIVE
    if lost:
        said += f"; by itself it would {judgement.verdict.value}"
    before = judgement.basis.said if judgement.basis else ""
    basis = Basis(one.number.value, wide, "; ".join(part for part in (before, said) if part))
    if right:
        return replace(judgement, basis=basis)
    number = replace(one.number, uncertainty=wide)
    n, todo = (None, "") if deciding is None else deciding(one.criterion, number)
    return replace(judgement, verdict=Verdict.INCONCLUSIVE, basis=basis, n_to_decide=n, to_decide=todo)
