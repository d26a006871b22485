"""Reconstruction parity: a group that comes out worse, a harder group that is nobody's fault, fairlearn's means, small groups."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from audit.core.capabilities import Capability
from audit.core.cases import CaseKind
from audit.core.errors import InputError
from audit.core.identity import Digest
from audit.core.measurements import Interval, Measurement, Undefined
from audit.core.references import DataRef, ModelRef
from audit.core.rows import image_rows, images_of
from audit.core.subjects import DataCard, ModelCard, Subject
from audit.evaluators.fairness.reconstruction_parity import ReconstructionParity, compared
from audit.testing.evaluators import check_evaluator
from audit.testing.memory import HandedOut, Kitchen

SIDE, N = 16, 400
METRICS = [f"fairness.reconstruction_parity.{m}" for m in ("psnr", "ssim", "adjusted")]


def pictures(rng: np.random.Generator, n: int, busy: float = 1.0) -> Any:
    """Draw noise around a colour; pictures of the tone 'dark' have ``busy`` times as much detail."""
    tone = np.array(["dark", "light"])[rng.integers(0, 2, n)]
    look = np.array(["a", "b", "c"])[rng.integers(0, 3, n)]
    amount = 12 * rng.uniform(0.7, 1.3, n) * np.where(tone == "dark", busy, 1.0)
    noise = amount[:, None, None, None] * rng.normal(size=(n, SIDE, SIDE, 3))
    return image_rows(np.clip(128 + noise, 0, 255).astype(np.uint8), tone=tone.tolist(), look=look.tolist())


class Restores:
    """Adds noise to a picture, in proportion to its detail; to pictures of one group ``worse`` times as much."""

    def __init__(self, worse: float = 1.0) -> None:
        self.worse = worse

    def reconstruct(self, rows: Any, rng: np.random.Generator) -> Any:
        images = images_of(rows).astype(float)
        hit = np.array(rows.column("tone").to_pylist()) == "dark"
        amount = 0.5 * images.std(axis=(1, 2, 3)) * np.where(hit, self.worse, 1.0)
        made = images + amount[:, None, None, None] * rng.normal(size=images.shape)
        return image_rows(np.clip(np.rint(made), 0, 255).astype(np.uint8))


def subject(**changes: Any) -> Subject:
    given: dict[str, Any] = {
        "model": ModelRef("fake", Digest("0" * 40)),
        "card": ModelCard("fake", "image", 1),
        "offers": frozenset({Capability.RECONSTRUCT}),
        "data": DataRef("fake", Digest("1" * 40)),
        "data_card": DataCard("image", (("holdout", N),), groups=("tone", "look")),
        "extractors": (),
        "sample_size": 10,
        "seed": 0,
        "shard_size": 150,
    }
    return Subject(**{**given, **changes})


def asked(ask: Any, worse: float, busy: float = 1.0, case: Any = None, rows: Any = None) -> Any:
    held = pictures(np.random.default_rng(4), N, busy) if rows is None else rows
    return ask(ReconstructionParity(), case or subject(), Restores(worse), {"holdout": held})


def overall(found: Any) -> dict[str, Any]:
    return {o.metric: o for o in found.outcomes if not o.group}


def spread(outcome: Any) -> Interval:
    assert isinstance(outcome, Measurement), outcome
    assert isinstance(outcome.uncertainty, Interval)
    return outcome.uncertainty


def test_a_group_that_comes_out_worse_is_found_with_the_planted_size(ask: Any) -> None:
    found = overall(asked(ask, 1.5))
    planted = 20 * np.log10(1.5)
    for metric in (METRICS[0], METRICS[2]):
        assert spread(found[metric]).low <= planted <= spread(found[metric]).high
        assert spread(found[metric]).low > 2
        assert found[metric].noise_floor < 1.5
        assert "tone, dark worse than light" in found[metric].notes[0]
    assert spread(found[METRICS[1]]).low > 0


def test_a_fair_model_is_not_accused(ask: Any) -> None:
    found = overall(asked(ask, 1.0))
    for metric in METRICS:
        assert spread(found[metric]).low == 0
        assert not found[metric].void


def test_detail_explains_a_group_that_is_harder(ask: Any) -> None:
    """Pictures with twice the detail get twice the error from this model, whoever is in them."""
    found = overall(asked(ask, 1.0, busy=2.0))
    assert spread(found[METRICS[0]]).low > 4
    assert spread(found[METRICS[2]]).low < 0.5


def test_a_planted_group_is_found_and_the_null_is_right(ask: Any) -> None:
    whole = asked(ask, 1.0, case=subject(doses=(0.5,)))
    planted = [c for c in whole.controls if c.kind is CaseKind.PLANTED and not c.group]
    assert len(planted) == 3
    assert all(c.right for c in planted), planted
    assert all(c.right for c in whole.controls if c.kind is CaseKind.NULL)


def test_small_groups_and_exact_copies_give_reasons(ask: Any) -> None:
    held = pictures(np.random.default_rng(2), N)
    tone = ["dark"] * 5 + ["light"] * (N - 5)
    held = held.set_column(held.column_names.index("tone"), "tone", [tone])
    found = asked(ask, 1.0, rows=held)
    assert any("'tone' is left out" in note for note in overall(found)[METRICS[0]].notes)

    class Copies(Restores):
        def reconstruct(self, rows: Any, rng: np.random.Generator) -> Any:
            return image_rows(images_of(rows))

    case = replace(subject(), data_card=DataCard("image", (("holdout", N),), groups=("look",)))
    outcomes = overall(ask(ReconstructionParity(), case, Copies(), {"holdout": held}))
    assert isinstance(outcomes[METRICS[0]], Undefined)
    assert "come out exactly" in outcomes[METRICS[0]].reason
    assert "standard error" in outcomes[METRICS[1]].reason, "equal scores have no spread"


def test_means_are_fairlearns_and_adjusted_ones_those_of_least_squares() -> None:
    from fairlearn.metrics import MetricFrame, mean_prediction

    rng = np.random.default_rng(0)
    codes, detail = rng.integers(0, 3, 200), rng.normal(size=200)
    values = codes + 2 * detail + rng.normal(size=200)
    plain = compared("psnr", values, codes, rng, 0.95)
    frame = MetricFrame(metrics=mean_prediction, y_true=values, y_pred=values, sensitive_features=codes)
    np.testing.assert_array_equal(plain.values, frame.by_group.to_numpy())
    assert plain.largest == frame.difference()
    adjusted = compared("adjusted", values, codes, rng, 0.95, detail)
    design = np.column_stack([codes == 0, codes == 1, codes == 2, detail]).astype(float)
    fitted = np.linalg.lstsq(design, values, rcond=None)[0]
    np.testing.assert_allclose(np.diff(adjusted.values), np.diff(fitted[:3]), atol=1e-10)


def _covered(runs: int) -> float:
    """The share of simulated audits in which all three true gaps of 0, 0.5 and 0.5 leave the interval of the largest right."""
    rng = np.random.default_rng(5)
    held = 0
    for _ in range(runs):
        codes = np.repeat([0, 1, 2], (40, 100, 300))
        detail = rng.normal(size=440) + 0.3 * codes
        values = 0.5 * (codes == 2) + detail + rng.standard_t(5, 440)
        interval = compared("adjusted", values, codes, rng, 0.95, detail).spread
        held += interval.low <= 0.5 <= interval.high
    return held / runs


@pytest.mark.slow
def test_the_interval_of_the_largest_gap_holds_it() -> None:
    assert _covered(60) >= 0.9


@pytest.mark.slow
def test_the_interval_of_the_largest_gap_covers_as_often_as_it_says() -> None:
    assert 0.94 <= _covered(1000) <= 1.0


def test_bad_parameters_are_refused() -> None:
    for bad in ({"max_rows": 10}, {"level": 0.2}):
        with pytest.raises(InputError):
            ReconstructionParity(**bad)
    (unmet,) = ReconstructionParity(attributes=("tones",)).unmet(subject())
    assert "tone" in unmet.remedy


def test_the_contract_is_kept() -> None:
    held = pictures(np.random.default_rng(4), N)
    kitchen = Kitchen(bench=HandedOut(Restores(), {"holdout": held}))
    assert check_evaluator(ReconstructionParity(), subject(), kitchen)
