"""Criteria of one family: worked examples, and that the error of all together is what one interval promises."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from scipy import stats

from audit.core.measurements import Direction, Interval, Measurement, Unquantified
from audit.core.policy import Criterion, Judgement, Policy, Verdict
from audit.engine.deciding import deciding
from audit.engine.families import corrected
from audit.stats.permutation import holm
from audit.stats.proportions import clopper_pearson

Z = float(stats.norm.ppf(0.975))


def normal(metric: str, value: float, error: float = 1.0) -> Measurement:
    interval = Interval(value - Z * error, value + Z * error, 0.95, "z")
    return Measurement(metric, value, interval, 100, Direction.LOWER_IS_BETTER)


def judged(
    zs: Sequence[float], *, blocking: bool = True, family: str = "leaks", more: Sequence[Measurement] = ()
) -> tuple[Judgement, ...]:
    """Judge numbers that are so many standard errors above their bound of 0."""
    found = [normal(f"m{i}", z) for i, z in enumerate(zs)] + list(more)
    criteria = tuple(Criterion(m.metric, at_most=0.0, family=family, blocking=blocking) for m in found)
    return corrected(Policy("p", "1", criteria).judge(found, {}, deciding=deciding), deciding)


def verdicts(judgements: Sequence[Judgement]) -> str:
    return "".join(
        {"pass": "p", "fail": "f", "inconclusive": "i", "not assessed": "n"}[j.verdict] for j in judgements
    )


def test_holm_steps_down() -> None:
    """p = .0124, .0207, .0443, .3173 by hand: times 4 .0496, times 3 .0621, and from there on nothing is decided."""
    assert verdicts(judged([2.5, 2.313, 2.01, 1.0])) == "fiii"
    assert verdicts(judged([2.5, 2.45, 2.3, 2.0])) == "ffff"
    assert verdicts(judged([-2.5, 2.45, 2.3, -2.0])) == "pffp", (
        "a pass is a verdict too, and a family corrects it alike"
    )


def test_benjamini_and_hochberg_step_up() -> None:
    """p = .0124, .0207, .0375, .3173: times 4/3 the third is .05, and takes the first two with it."""
    assert verdicts(judged([2.5, 2.313, 2.0805, 1.0], blocking=False)) == "fffi"
    assert verdicts(judged([2.5, 2.313, 2.0, 1.0], blocking=False)) == "ffii"


def test_the_adjusted_p_values_are_holms() -> None:
    zs = [3.1, 2.9, 2.2, 2.0, 1.99]
    adjusted = holm([2 * float(stats.norm.sf(z)) for z in zs])
    assert [j.verdict is Verdict.FAIL for j in judged(zs)] == [p <= 0.05 for p in adjusted]


def test_what_is_said_names_the_family_its_size_and_the_interval_that_decides() -> None:
    first, second, *_ = judged([2.5, 2.313, 2.01, 1.0])
    assert first.basis is not None
    assert second.basis is not None
    assert "Holm's correction for the 4 blocking criteria of the family 'leaks'" in first.standing
    assert first.basis.interval.level == pytest.approx(1 - 0.05 / 4)
    assert first.basis.interval.low == pytest.approx(2.5 - stats.norm.ppf(1 - 0.05 / 8), abs=1e-6)
    assert second.basis.interval.level == pytest.approx(1 - 0.05 / 3)
    assert "by itself it would fail" in second.standing
    assert second.basis.interval.low < 0 < second.basis.interval.high
    assert second.n_to_decide == math.ceil(100 * (stats.norm.ppf(1 - 0.05 / 6) / 2.313) ** 2)
    (advice, *_) = judged([2.5, 2.313, 2.0805, 1.0], blocking=False)
    assert advice.basis is not None
    assert advice.basis.interval.level == pytest.approx(1 - 0.05 * 3 / 4), (
        "false coverage rate, three selected of four"
    )
    assert "Benjamini-Hochberg's correction for the 4 criteria that are advice" in advice.standing


def test_exact_intervals_are_carried_to_the_adjusted_level_exactly() -> None:
    """0 of 100 against 3.7 %: by itself it passes (at most 3.62 %), as one of two it does not (4.29 %)."""
    rates = [Measurement(m, 0.0, clopper_pearson(0, 100), 100, Direction.LOWER_IS_BETTER) for m in ("a", "b")]
    policy = Policy("p", "1", tuple(Criterion(m, at_most=0.037, family="f") for m in ("a", "b")))
    alone = policy.judge(rates, {})
    assert verdicts(alone) == "pp"
    together = corrected(alone, deciding)
    assert verdicts(together) == "ii"
    assert together[0].basis is not None
    assert together[0].basis.interval.high == pytest.approx(1 - 0.0125 ** (1 / 100))
    assert together[0].n_to_decide == math.ceil(math.log(0.0125) / math.log(1 - 0.037))


def test_what_was_not_assessed_counts_as_a_question() -> None:
    bare = Measurement("bare", 0.0, Unquantified("one shard"), 5, Direction.LOWER_IS_BETTER)
    assert verdicts(judged([2.2], more=[bare])) == "in"
    assert verdicts(judged([2.25], more=[bare])) == "fn"


def test_other_families_and_criteria_of_none_are_left_alone() -> None:
    found = [normal("a", 2.0), normal("b", 2.0), normal("c", 2.0), normal("d", 2.0)]
    criteria = (
        Criterion("a", at_most=0.0, family="one"),
        Criterion("b", at_most=0.0, family="two"),
        Criterion("c", at_most=0.0, family="one", blocking=False),
        Criterion("d", at_most=0.0),
    )
    before = Policy("p", "1", criteria).judge(found, {})
    assert corrected(before) == before


@pytest.mark.parametrize(("upper", "said"), [(2.2, "ii"), (2.3, "pp")])
def test_the_nearer_side_of_a_band_counts(upper: float, said: str) -> None:
    """p = .0278 and .0278, or .0278 and .0214: of two the smaller must be below .025."""
    found = [normal("a", 0.0), normal("b", 0.0)]
    criteria = (
        Criterion("a", at_least=-2.2, at_most=9.0, family="f"),
        Criterion("b", at_least=-9.0, at_most=upper, family="f"),
    )
    assert verdicts(corrected(Policy("p", "1", criteria).judge(found, {}))) == said


def _errors(
    rng: np.random.Generator, runs: int, truths: np.ndarray, rho: float, blocking: bool
) -> tuple[float, float]:
    """Return how often some verdict of a family is wrong, and which share of its verdicts is wrong on average."""
    some, shares = 0, 0.0
    for _ in range(runs):
        common = rng.normal() * math.sqrt(rho)
        zs = truths + common + rng.normal(size=len(truths)) * math.sqrt(1 - rho)
        found = judged(list(zs), blocking=blocking)
        reached = [
            (j.verdict, truth)
            for j, truth in zip(found, truths, strict=True)
            if j.verdict in (Verdict.PASS, Verdict.FAIL)
        ]
        wrong = sum((verdict is Verdict.FAIL) != (truth > 0) or truth == 0 for verdict, truth in reached)
        some += wrong > 0
        shares += wrong / max(1, len(reached))
    return some / runs, shares / runs


def _limit(runs: int, level: float = 0.05) -> float:
    """What an error rate of ``level`` stays below in all but one simulation of a thousand."""
    return float(stats.binom.ppf(0.999, runs, level)) / runs


TRUTHS = {
    "all at the bound": np.zeros(10),
    "half far off": np.array([0.0] * 5 + [4.0] * 5),
    "both sides": np.array([0.0] * 4 + [3.0] * 3 + [-3.0] * 3),
}


@pytest.mark.parametrize("truths", TRUTHS)
def test_the_chance_of_any_wrong_verdict_is_held(truths: str) -> None:
    some, _ = _errors(np.random.default_rng(1), 300, TRUTHS[truths], 0.0, True)
    assert some <= _limit(300)


def test_without_a_family_some_verdict_of_ten_is_wrong_in_two_audits_of_five() -> None:
    rng, wrong = np.random.default_rng(1), 0
    for _ in range(300):
        wrong += any(abs(z) > Z for z in rng.normal(size=10))
    assert wrong / 300 > 0.3, "so the test above can fail"


def test_the_share_of_wrong_verdicts_is_held_for_advice() -> None:
    some, share = _errors(np.random.default_rng(2), 300, TRUTHS["half far off"], 0.0, False)
    assert share <= 0.05
    assert some > 0.06, "more than one verdict in twenty audits is wrong: it is their share that is bounded"


@pytest.mark.slow
@pytest.mark.parametrize("truths", TRUTHS)
@pytest.mark.parametrize("rho", [0.0, 0.5, 0.9])
def test_both_errors_are_held_in_many_audits_and_where_numbers_depend_on_each_other(
    truths: str, rho: float
) -> None:
    runs = 2000
    some, _ = _errors(np.random.default_rng(3), runs, TRUTHS[truths], rho, True)
    assert some <= _limit(runs)
    _, share = _errors(np.random.default_rng(4), runs, TRUTHS[truths], rho, False)
    assert share <= _limit(runs)
