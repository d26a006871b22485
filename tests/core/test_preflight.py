"""Pre-flight: an audit too small to pass, or one that cannot fail, is told so before anything runs."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest

from audit.core.capabilities import Capability
from audit.core.cases import Cases
from audit.core.data_facts import Overlap
from audit.core.evaluators import About, Needs
from audit.core.identity import Digest
from audit.core.metrics import LOWER, Metric
from audit.core.plan import Asked, AuditPlan, Planned, plan
from audit.core.policy import Criterion, Policy
from audit.core.preflight import Foreseen, exchangeable, forecasts
from audit.core.references import DataRef, ModelRef
from audit.core.subjects import DataCard, ModelCard, Subject
from audit.stats.copying import excess_closer, excess_half_width
from audit.stats.low_fpr import tpr_at_fpr, tpr_half_width
from audit.stats.ranking import area_half_width, area_interval, roc_areas


class Attack:
    """Foresees an AUC from ``n`` members and as many others."""

    about = About(
        "privacy.attack", "An attack.", (Metric("auc", "Area", LOWER),), Needs(splits=("train", "holdout"))
    )

    def __init__(self, n: int) -> None:
        self.n = n

    def inputs(self, subject: Subject) -> Any:
        return {}

    def measure(self) -> Any:
        return ()

    def foreseen(self, subject: Subject) -> tuple[Foreseen, ...]:
        return (Foreseen("auc", 0.5, 1.0, partial(area_half_width, self.n, self.n), f"{self.n} a side"),)


def planned(n: int, *criteria: Criterion, **card: Any) -> AuditPlan:
    data = DataCard("table", (("train", 500), ("holdout", 500)), **{"randomised": True, **card})
    subject = Subject(
        ModelRef("fake", Digest("0" * 40)), ModelCard("fake", "table", 1), frozenset({Capability.SAMPLE}),
        DataRef("fake", Digest("1" * 40)), data, (), 100, 0, 100,
    )  # fmt: skip
    attack: Any = Attack(n)
    audit = plan("a", subject, (), Policy("p", "1", criteria))
    return replace(audit, steps=(Planned(Asked(attack), Cases({})),))


@pytest.mark.parametrize(
    ("modality", "lines"),
    [
        ("table", ('[data] groups = "column, another"',)),
        ("image", ('[data] metadata = "groups.csv"', 'groups = "column, another"')),
    ],
)
def test_who_lacks_groups_is_told_which_lines_of_a_spec_bring_them(
    modality: str, lines: tuple[str, ...]
) -> None:
    subject = replace(planned(10).subject, data_card=DataCard(modality, (("holdout", 500),)))
    (gap,) = (one for one in Needs(groups=True).unmet(subject) if one.need == "data with group columns")
    assert all(line in gap.remedy for line in lines)
    assert ("metadata" in gap.remedy) == (modality == "image")


def test_an_audit_too_small_to_pass_is_told_so_and_from_which_value_it_fails() -> None:
    bound = Criterion("privacy.attack.auc", at_most=0.6)
    (small,), (large,) = (forecasts(planned(n, bound)) for n in (25, 1000))
    assert not small.passes_clean
    assert not small.can_decide
    assert "too few for a pass" in small.sentence()
    assert large.can_decide
    assert large.fails_from is not None
    assert 0.6 < large.fails_from < 0.65
    assert "from 0.63" in large.sentence()


def test_an_audit_that_cannot_fail_is_told_so() -> None:
    (never,) = forecasts(planned(1000, Criterion("privacy.attack.auc", at_most=1.0)))
    assert never.fails_from is None
    assert "no value that it can have would fail" in never.sentence()
    (floor,) = forecasts(planned(1000, Criterion("privacy.attack.auc", within_floor=0.05)))
    assert floor.passes_clean
    assert floor.fails_from is not None


def test_what_speaks_against_comparing_members_with_others_is_said() -> None:
    assert exchangeable(planned(100)) == ()
    shared = Overlap("train", "holdout", (1, 2), (), 300, 500)
    coin, copies, compared = exchangeable(planned(100, randomised=False, overlaps=(shared,)))
    assert "No coin decided" in coin
    assert "2 of 500" in copies
    assert "Only 300 of 500" in compared


@pytest.mark.parametrize("area", [0.5, 0.65, 0.9])
def test_the_foreseen_width_of_an_area_is_about_that_of_its_interval(area: float) -> None:
    rng = np.random.default_rng(0)
    shift = float(np.sqrt(2) * {0.5: 0.0, 0.65: 0.3853, 0.9: 1.2816}[area])
    found = [
        area_interval(roc_areas(rng.normal(shift, 1, 300), rng.normal(size=400))).half_width
        for _ in range(20)
    ]
    assert np.mean(found) == pytest.approx(area_half_width(300, 400, area), rel=0.15)


def test_the_foreseen_widths_of_shares_are_about_those_of_their_intervals() -> None:
    rng = np.random.default_rng(1)
    found = [
        excess_closer(
            rng.random(2000), rng.random(5000), rng.random(2000), rng.random(5000), 0.01
        ).interval.half_width
        for _ in range(20)
    ]
    assert np.mean(found) == pytest.approx(excess_half_width(0.01, 2000, 5000, 0.0), rel=0.15)
    found = [
        tpr_at_fpr(
            rng.normal(size=2000), rng.normal(size=5000), rng.random(2000), rng.random(5000), 0.01
        ).interval.half_width
        for _ in range(20)
    ]
    assert np.mean(found) == pytest.approx(tpr_half_width(0.01, 2000, 5000, 0.01), rel=0.25)
    points = [
        tpr_at_fpr(rng.normal(1, 1, 2000), rng.normal(size=5000), rng.random(2000), rng.random(5000), 0.01)
        for _ in range(20)
    ]
    expected = tpr_half_width(0.01, 2000, 5000, float(np.mean([p.value for p in points])))
    assert np.mean([p.interval.half_width for p in points]) == pytest.approx(expected, rel=0.25)
