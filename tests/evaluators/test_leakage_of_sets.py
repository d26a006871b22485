"""Dataset inference and leakage by group: what adds up is found, a leak in one group is found there, and blanks give no alarm."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from audit.core.capabilities import Capability
from audit.core.data_facts import Overlap
from audit.core.errors import InputError
from audit.core.identity import Digest
from audit.core.measurements import Interval, Measurement, Undefined
from audit.core.references import DataRef, ModelRef
from audit.core.subjects import DataCard, ModelCard, Subject
from audit.evaluators.privacy.dataset_inference import DatasetInference
from audit.evaluators.privacy.group_leakage import GroupLeakage, largest_gap
from audit.stats.ranking import roc_areas

N = 300


def subject(n: int = N, randomised: bool = True, **card: Any) -> Subject:
    return Subject(
        model=ModelRef("fake", Digest("0" * 40)),
        card=ModelCard("fake", "table", 1),
        offers=frozenset({Capability.LOG_LIKELIHOOD, Capability.LIKELIHOOD_BOUND}),
        data=DataRef("fake", Digest("1" * 40)),
        data_card=DataCard("table", (("train", n), ("holdout", n)), ("town",), randomised=randomised, **card),
        extractors=(),
        sample_size=10,
        seed=0,
        shard_size=64,
    )


TOWNS = ("Aachen", "Bern", "Cordoba")


def splits(rng: np.random.Generator, n: int = N) -> dict[str, Any]:
    """Rows with a number that the model's scores are made of, so that a row has the same score wherever it stands."""
    return {
        side: pa.table(
            {
                "town": rng.choice(TOWNS, n),
                "noise": rng.normal(size=n),
                "other": rng.normal(size=n),
            }
        )
        for side in ("train", "holdout")
    }


class Leaky:
    """Finds members of some towns more familiar; easy towns are more familiar, members or not."""

    def __init__(self, leak: dict[str, float], splits: dict[str, Any]) -> None:
        self.leak, self.members = leak, set(splits["train"].column("noise").to_pylist())

    def _score(self, rows: Any, column: str) -> Any:
        towns = rows.column("town").to_pylist()
        member = np.array([value in self.members for value in rows.column("noise").to_pylist()])
        shift = np.array([self.leak.get(town, 0.0) for town in towns]) * member
        easy = np.array([3.0 * len(town or "") for town in towns])
        return rows.column(column).to_numpy() + shift + easy

    def log_likelihood(self, rows: Any) -> Any:
        return self._score(rows, "noise")

    def likelihood_bound(self, rows: Any, rng: Any) -> Any:
        return self._score(rows, "other")


def by_metric(outcomes: Any, name: str) -> dict[Any, Any]:
    return {(o.metric.removeprefix(f"privacy.{name}."), o.group): o for o in outcomes}


def interval(outcome: Any) -> Interval:
    assert isinstance(outcome, Measurement), outcome
    assert isinstance(outcome.uncertainty, Interval)
    return outcome.uncertainty


QUICK = DatasetInference(permutations=199)


def test_what_hardly_shows_in_one_example_shows_in_the_set(score: Any) -> None:
    leak, rows = dict.fromkeys(TOWNS, 1.2), splits(np.random.default_rng(0))
    found = by_metric(
        score(QUICK, subject(), model=Leaky(leak, rows), splits=rows),
        "dataset_inference",
    )
    separation = found["separation", ()]
    assert separation.p_value == 1 / 200
    assert interval(separation).low > 0
    assert 0.5 < found["auc", ()].value < 0.75
    needed = found["examples_needed", ()]
    assert interval(needed).low < needed.value < interval(needed).high < 5000
    assert "2 attacks combined" in separation.notes[0]


def test_a_model_that_never_saw_the_set_gives_no_alarm(score: Any) -> None:
    alarms = held = 0
    for replicate in range(40):
        rows = splits(np.random.default_rng(50 + replicate), 80)
        found = by_metric(
            score(DatasetInference(permutations=99), subject(80), model=Leaky({}, rows), splits=rows),
            "dataset_inference",
        )
        alarms += found["separation", ()].p_value <= 0.05
        held += interval(found["separation", ()]).low <= 0 <= interval(found["separation", ()]).high
        held += interval(found["auc", ()]).low <= 0.5 <= interval(found["auc", ()]).high
    assert alarms <= 6  # P(more) is about 0.003
    assert held >= 72


def test_nothing_takes_no_number_of_examples(score: Any) -> None:
    rows = splits(np.random.default_rng(3))
    found = by_metric(score(QUICK, subject(), model=Leaky({}, rows), splits=rows), "dataset_inference")
    needed = found["examples_needed", ()]
    assert isinstance(needed, Undefined)
    assert "Not estimable" in needed.reason


def test_a_leak_in_one_group_is_found_there_and_the_gap_with_it(score: Any) -> None:
    rows = splits(np.random.default_rng(1), 600)
    outcomes = score(GroupLeakage(), subject(600), model=Leaky({"Bern": 1.5}, rows), splits=rows)
    found = by_metric(outcomes, "group_leakage")
    areas = {town: found["auc", (("town", town),)] for town in TOWNS}
    assert interval(areas["Bern"]).low > 0.7
    for town in ("Aachen", "Cordoba"):
        assert interval(areas[town]).low < 0.5 < interval(areas[town]).high, "easy is not leaked"
    gap = found["gap", (("column", "town"),)]
    assert interval(gap).low > 0.1
    assert gap.p_value < 0.001
    assert "('Bern')" in gap.notes[0]
    rate = found["tpr_at_fpr_1pct", (("town", "Bern"),)]
    assert rate.value > 0.05
    assert "Bonferroni" in interval(areas["Bern"]).method


def test_equal_groups_have_no_gap_and_their_intervals_hold_together(score: Any) -> None:
    together = alarms = 0
    for replicate in range(40):
        rows = splits(np.random.default_rng(200 + replicate), 150)
        outcomes = score(GroupLeakage(), subject(150), model=Leaky({}, rows), splits=rows)
        found = by_metric(outcomes, "group_leakage")
        spans = [interval(found["auc", (("town", town),)]) for town in TOWNS]
        together += all(span.low <= 0.5 <= span.high for span in spans)
        alarms += interval(found["gap", (("column", "town"),)]).low > 0
    assert together >= 35
    assert alarms <= 6


@pytest.mark.slow
@pytest.mark.parametrize("shifts", [(0.0, 0.0, 0.0, 0.0), (0.0, 0.5, 0.5, 1.5)])
def test_the_gap_is_covered(shifts: tuple[float, ...]) -> None:
    from scipy import stats

    truth = stats.norm.cdf(max(shifts) / np.sqrt(2)) - stats.norm.cdf(min(shifts) / np.sqrt(2))
    rng, kept = np.random.default_rng(0), 0
    for _ in range(1000):
        areas = [roc_areas(rng.normal(shift, 1, 60), rng.normal(size=80)) for shift in shifts]
        _, span, _ = largest_gap(areas)
        kept += span.low <= truth <= span.high
    assert kept >= 935


def test_gaps_by_hand() -> None:
    apart = roc_areas(np.arange(40.0) + 100, np.arange(40.0))
    equal = roc_areas(np.arange(40.0), np.arange(40.0))
    value, span, p = largest_gap([apart, equal])
    assert value == 0.5
    assert span.low > 0.3
    assert p < 1e-6
    value, span, p = largest_gap([apart, apart])
    assert (value, span.low, p) == (0.0, 0.0, 1.0)


def test_groups_that_are_too_small_are_said(score: Any) -> None:
    rng = np.random.default_rng(4)
    rows = splits(rng, 80)
    rows["train"] = rows["train"].set_column(0, "town", pa.array(["Aachen"] * 78 + ["Bern", None]))
    outcomes = score(GroupLeakage(), subject(80), model=Leaky({}, rows), splits=rows)
    (only,) = outcomes
    assert isinstance(only, Undefined)
    assert only.group == (("column", "town"),)
    assert "0 of 3 groups" in only.reason or "1 of 3 groups" in only.reason


@pytest.mark.parametrize("evaluator", [QUICK, GroupLeakage()])
def test_splits_that_differ_by_themselves_and_shared_rows_are_refused(score: Any, evaluator: Any) -> None:
    rng = np.random.default_rng(5)
    rows = splits(rng)
    rows["train"] = rows["train"].set_column(2, "other", pa.array(rng.normal(4, 1, N)))
    outcomes = score(evaluator, subject(randomised=False), model=Leaky({}, rows), splits=rows)
    assert all(isinstance(outcome, Undefined) and "Inconclusive" in outcome.reason for outcome in outcomes)
    many = Overlap("train", "holdout", tuple(range(60)), (), N, N)
    (gap,) = evaluator.unmet(subject(overlaps=(many,)))
    assert "60 of 300 rows of 'holdout' also stand in 'train'" in gap.found


def test_bad_parameters_are_refused() -> None:
    with pytest.raises(InputError, match="permutations"):
        DatasetInference(permutations=5)
    with pytest.raises(InputError, match="max_rows"):
        GroupLeakage(max_rows=10)
    assert replace(QUICK, max_rows=60).max_rows == 60
