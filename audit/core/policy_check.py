"""Whether a policy can mean anything: its metrics exist, its bounds are on the side that matters, every threshold has a reason."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from audit.core.errors import InputError, nearest
from audit.core.measurements import Direction
from audit.core.metrics import Metric
from audit.core.policy import Criterion, Policy


def check_policy(policy: Policy, declared: Mapping[str, Metric], unknown: Iterable[str] = ()) -> None:
    """Raise InputError for a criterion that can never mean anything.

    ``declared`` has every metric that an installed evaluator, or one listed in the spec, reports.
    ``unknown`` names evaluators that cannot be loaded here: what they report nobody can say.
    """
    beginnings = tuple(unknown)
    for criterion in policy.criteria:
        where = f"Policy '{policy.name}', criterion on '{criterion.metric}'"
        metric = declared.get(criterion.metric)
        if metric is None:
            if any(criterion.metric == b or criterion.metric.startswith(f"{b}.") for b in beginnings):
                continue
            raise InputError(
                f"{where}: no evaluator reports this metric. {nearest(criterion.metric, declared)}"
            )
        if metric.direction is Direction.LOWER_IS_BETTER and criterion.at_least is not None:
            raise InputError(
                f"{where}: lower is better, so at_least = {criterion.at_least:g} asks for a bad value. Use at_most."
            )
        if metric.direction is Direction.HIGHER_IS_BETTER and criterion.at_most is not None:
            raise InputError(
                f"{where}: higher is better, so at_most = {criterion.at_most:g} asks for a bad value. Use at_least."
            )
        if metric.direction is Direction.NEITHER and not criterion.bounds:
            other = "the noise floor" if criterion.margin is None else "the baseline"
            raise InputError(
                f"{where}: neither direction is better, so nothing is worse than {other}. Use at_least and at_most."
            )
        if not criterion.why.strip():
            raise InputError(f"{where} has no 'why'. Say where the threshold comes from: why = \"…\".")
    seen: set[Criterion] = set()
    for criterion in policy.criteria:
        bare = replace(criterion, why="", family="", blocking=True, required=True)
        if bare in seen:
            raise InputError(
                f"Policy '{policy.name}' asks twice for the same bound on '{criterion.metric}'. Leave one of the two out."
            )
        seen.add(bare)
    asked = {criterion.metric for criterion in policy.criteria}
    for waiver in policy.waivers:
        if waiver.metric not in asked:
            raise InputError(
                f"Policy '{policy.name}' waives '{waiver.metric}', which none of its criteria asks for. "
                f"{nearest(waiver.metric, asked)}"
            )
