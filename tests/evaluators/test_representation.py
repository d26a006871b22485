"""Representation: a model that shows too few of a group, its clean twin, targets of a user, small cells, fairlearn's values."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from audit.core.capabilities import Capability
from audit.core.cases import CaseKind
from audit.core.errors import InputError
from audit.core.identity import Digest
from audit.core.measurements import Interval, Measurement, Undefined
from audit.core.references import Attribute, DataRef, ExtractorRef, ModelRef
from audit.core.subjects import DataCard, ModelCard, Subject
from audit.evaluators.fairness.representation.evaluator import AttributeRepresentation
from audit.evaluators.fairness.representation.recipes import given_shares, within

ATTRIBUTES = (
    Attribute("tone", ("light", "middle", "dark"), ((180, 15, 5), (10, 180, 10), (5, 15, 180))),
    Attribute("look", ("feminine", "masculine"), ((190, 10), (8, 192))),
)
METRIC = "fairness.representation.distance"


def people(rng: np.random.Generator, n: int, light: float) -> Any:
    tone = rng.choice(3, n, p=[light, (1 - light) / 2, (1 - light) / 2])
    return pa.table({"tone": tone, "look": rng.integers(0, 2, n)})


def reads(rows: Any) -> np.ndarray:
    parts = []
    rng = np.random.default_rng(rows.num_rows + int(rows.column("look").to_numpy().sum()))
    for attribute in ATTRIBUTES:
        matrix = np.array(attribute.confusion, float)
        ends = np.cumsum(matrix / matrix.sum(axis=1, keepdims=True), axis=1)
        codes = rows.column(attribute.name).to_numpy()
        seen = (rng.random(len(codes))[:, None] >= ends[codes]).sum(axis=1)
        parts.append(np.where(np.eye(len(matrix))[seen] > 0, 0.98, 0.02 / (len(matrix) - 1)))
    return np.concatenate(parts, axis=1)


class Draws:
    def __init__(self, light: float) -> None:
        self.light = light

    def sample(self, n: int, rng: np.random.Generator, condition: Any = None) -> Any:
        return people(rng, n, self.light)


def subject() -> Subject:
    return Subject(
        model=ModelRef("fake", Digest("0" * 40)),
        card=ModelCard("fake", "image", 1),
        offers=frozenset({Capability.SAMPLE}),
        data=DataRef("fake", Digest("1" * 40)),
        data_card=DataCard("image", (("train", 3000), ("holdout", 1500))),
        extractors=(("attributes", ExtractorRef("eyes", Digest("2" * 40), 5, "image", ATTRIBUTES)),),
        sample_size=1000,
        seed=0,
        shard_size=500,
    )


def splits() -> dict[str, Any]:
    rng = np.random.default_rng(3)
    return {"train": people(rng, 3000, 1 / 3), "holdout": people(rng, 1500, 1 / 3)}


def asked(ask: Any, light: float, evaluator: Any = None, case: Any = None) -> tuple[dict[Any, Any], Any]:
    whole = ask(evaluator or AttributeRepresentation(), case or subject(), Draws(light), splits(), reads)
    return {dict(o.group).get("attribute", ""): o for o in whole.outcomes}, whole


def ends(found: Any) -> Interval:
    assert isinstance(found, Measurement), found
    assert isinstance(found.uncertainty, Interval)
    return found.uncertainty


def test_a_group_that_is_missing_is_found_and_the_clean_twin_is_not(ask: Any) -> None:
    lost, _ = asked(ask, 0.7)
    clean, _ = asked(ask, 1 / 3)
    assert ends(lost[""]).low <= 0.7 - 1 / 3 <= ends(lost[""]).high
    assert ends(lost[""]).low > 0.2 > ends(clean[""]).high
    assert ends(clean[""]).low == 0.0
    assert lost[""].noise_floor < 0.15
    assert ends(lost["look"]).low == 0.0
    (table,) = lost["tone"].evidence
    light = table.content.to_pylist()[0]
    assert light["low"] <= 0.7 <= light["high"]
    assert light["share as read"] < light["value"], "uncorrected beside corrected"
    assert "tone" in lost[""].notes[0]


def test_targets_that_a_user_names(ask: Any) -> None:
    shares = ("tone=light: 0.7", "tone=middle: 0.15", "tone=dark: 0.15")
    named, _ = asked(ask, 0.7, AttributeRepresentation(shares=shares))
    assert ends(named["tone"]).low == 0.0
    equal, _ = asked(ask, 0.7, AttributeRepresentation(target="uniform"))
    assert ends(equal["tone"]).low > 0.25
    for bad in ("tone=light 0.7", "tone=light: 2", "tone=pale: 0.1", "age=old: 1"):
        with pytest.raises(ValueError, match=r"form|need each of|no attribute"):
            given_shares(ATTRIBUTES, "data", (bad,))
    (unmet,) = AttributeRepresentation(shares=("tone=light: 0.7",)).unmet(subject())
    assert "need each of" in unmet.found


def test_a_share_planted_in_real_rows_is_found(ask: Any) -> None:
    _, whole = asked(ask, 1 / 3, case=replace(subject(), doses=(0.4,)))
    (planted,) = (
        c for c in whole.controls if c.kind is CaseKind.PLANTED and c.metric == METRIC and not c.group
    )
    assert planted.right, planted.because
    assert planted.value == pytest.approx(0.4 * 2 / 3, abs=0.06)


def test_one_attribute_within_another_is_fairlearns_with_our_intervals(ask: Any) -> None:
    evaluator = AttributeRepresentation(crossed=("tone", "look"))
    found, _ = asked(ask, 0.985, evaluator)
    (table,) = (e for e in found[""].evidence if e.kind == "heatmap")
    rows = table.content.to_pylist()
    assert len(rows) == 6
    assert all(row["low"] <= row["value"] <= row["high"] for row in rows if row["value"] is not None)
    codes = np.random.default_rng(1).integers(0, 3, (200, 2))
    shares = within(codes, 4, 3)
    for a in range(3):
        for b in range(3):
            assert shares[a, b] == pytest.approx((codes[codes[:, 0] == a, 1] == b).mean(), abs=1e-15)
    assert np.isnan(shares[3]).all(), "nobody there"


def test_a_group_within_a_group_that_is_missing_is_found_where_each_attribute_is_right(ask: Any) -> None:
    """Light people are all shown as feminine and dark ones as masculine; shares of tones and looks stay what they were."""

    class Segregates(Draws):
        def sample(self, n: int, rng: np.random.Generator, condition: Any = None) -> Any:
            rows = people(rng, n, self.light)
            tone = rows.column("tone").to_numpy()
            look = np.where(tone == 1, rng.integers(0, 2, n), tone // 2)
            return pa.table({"tone": tone, "look": look})

    evaluator = AttributeRepresentation(crossed=("tone", "look"))
    whole = ask(evaluator, subject(), Segregates(1 / 3), splits(), reads)
    found = {dict(o.group).get("attribute", ""): o for o in whole.outcomes}
    assert ends(found["tone"]).low == 0.0
    assert ends(found["look"]).low == 0.0
    assert ends(found["tone × look"]).low <= 1 / 3 <= ends(found["tone × look"]).high
    assert ends(found["tone × look"]).low > 0.2
    fair, _ = asked(ask, 1 / 3, evaluator)
    assert ends(fair["tone × look"]).low == 0.0
    named = replace(evaluator, shares=("tone=light: 0.2", "tone=middle: 0.4", "tone=dark: 0.4"))
    without, _ = asked(ask, 1 / 3, named)
    assert "tone × look" not in without
    assert any("nothing of pairs" in note for note in without[""].notes)


def test_fairlearns_interval_of_a_gap_leaves_out_zero_where_ours_holds_it() -> None:
    """Its ``difference_ci`` is of max - min, which chance alone makes larger than 0."""
    from fairlearn.metrics import MetricFrame, mean_prediction

    from audit.stats.simultaneous import rate_gaps

    rng = np.random.default_rng(0)
    groups, hits = np.repeat(np.arange(6), 200), (rng.random(1200) < 0.3).astype(float)
    frame = MetricFrame(
        metrics=mean_prediction,
        y_true=hits,
        y_pred=hits,
        sensitive_features=groups,
        n_boot=60,
        ci_quantiles=[0.025, 0.975],
        random_state=0,
    )
    successes = [int(hits[groups == g].sum()) for g in range(6)]
    np.testing.assert_array_equal(frame.by_group.to_numpy(), np.array(successes) / 200)
    assert float(frame.difference_ci()[0]) > 0
    assert rate_gaps(successes, [200] * 6, rng).spread.low == 0


def test_what_cannot_be_read_is_not_assessed(ask: Any) -> None:
    useless = tuple(
        replace(a, confusion=tuple(tuple(50 for _ in a.values) for _ in a.values)) for a in ATTRIBUTES
    )
    ref = ExtractorRef("eyes", Digest("2" * 40), 5, "image", useless)
    case = replace(subject(), extractors=(("attributes", ref),))
    found, _ = asked(ask, 0.5, case=case)
    assert isinstance(found[""], Undefined)
    assert "condition number" in found[""].reason


def test_bad_parameters_are_refused() -> None:
    for bad in ({"target": "census"}, {"crossed": ("tone",)}, {"max_rows": 5}, {"level": 1.0}):
        with pytest.raises(InputError):
            AttributeRepresentation(**bad)
    (unmet,) = AttributeRepresentation(attributes=("tones",)).unmet(subject())
    assert "tone" in unmet.remedy


@pytest.mark.slow
def test_the_intervals_of_ten_shares_hold_together() -> None:
    """At one level for each, one of ten would be missed in every third audit."""
    from audit.stats.misclassification import corrected_shares

    rng = np.random.default_rng(6)
    shares = np.array([0.02, 0.04, 0.06, 0.08, 0.1, 0.1, 0.12, 0.14, 0.16, 0.18])
    matrix = 0.85 * np.eye(10) + 0.15 / 9 * (1 - np.eye(10))
    held = 0
    for _ in range(200):
        counts = rng.multinomial(1500, shares @ matrix)
        labels = np.stack([rng.multinomial(200, row) for row in matrix])
        found = corrected_shares(counts, labels, rng, 1 - 0.05 / 10, draws=8000)
        held += bool(((found.low <= shares) & (shares <= found.high)).all())
    assert held / 200 >= 0.93
