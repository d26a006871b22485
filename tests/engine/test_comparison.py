"""Runs are compared in pairs where they share units, and runs that have nothing in common are refused."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from audit.core.errors import InputError
from audit.core.identity import Digest
from audit.core.measurements import Direction, Interval, Measurement
from audit.core.policy import Criterion, Judgement, Verdict, Waiver, overall
from audit.core.units import unit_names, units_evidence
from audit.engine.comparison import Change, compare
from audit.stats.ratios import ratio_of_sums


class Kept:
    """Evidence by digest."""

    def __init__(self) -> None:
        self.rows: dict[str, Any] = {}

    def __call__(self, digest: Digest) -> Any:
        return self.rows.get(digest)


def measurement(bits: np.ndarray, size: np.ndarray, names: list[str], kept: Kept, key: str) -> Measurement:
    found = ratio_of_sums(bits, size)
    units = units_evidence(names, numerator=bits, denominator=size)
    kept.rows[key] = units.content
    return Measurement(
        "quality.bits_per_byte", found.value, found.interval(), len(bits), Direction.LOWER_IS_BETTER,
        evidence=(replace(units, content=Digest(key)),),
    )  # fmt: skip


def runs(sample: Any, gain: float) -> tuple[Any, Any, Kept]:
    """Two models on the same documents: which are hard is shared, and the second needs ``gain`` bits a byte more."""
    rng, kept = np.random.default_rng(0), Kept()
    size = rng.integers(200, 2000, 300).astype(float)
    hard = rng.normal(1.0, 0.4, 300)
    names = unit_names(str(i) for i in range(300))
    one = measurement(size * (hard + rng.normal(0, 0.01, 300)), size, names, kept, "a")
    order = rng.permutation(300)
    other = size * (hard + gain + rng.normal(0, 0.01, 300))
    two = measurement(other[order], size[order], [names[i] for i in order], kept, "b")
    bare = replace(sample.record, judgements=(), undefined=(), controls=())
    return replace(bare, measurements=(one,)), replace(bare, run="second", measurements=(two,)), kept


def test_shared_units_are_compared_in_pairs_whatever_their_order(sample: Any) -> None:
    first, second, kept = runs(sample, 0.004)
    (paired,) = compare(first, second, kept).differences
    (alone,) = compare(first, second).differences
    assert paired.shared == 300
    assert paired.uncertainty.low < 0.004 < paired.uncertainty.high  # type: ignore[union-attr]
    assert paired.change is Change.WORSE
    assert alone.change is Change.WITHIN_NOISE, "taken as strangers the runs hide a difference that is there"
    width = alone.uncertainty.half_width / paired.uncertainty.half_width  # type: ignore[union-attr]
    assert width > 10


def test_a_difference_that_is_not_there_is_not_found(sample: Any) -> None:
    first, second, kept = runs(sample, 0.0)
    (paired,) = compare(first, second, kept).differences
    assert paired.change is Change.WITHIN_NOISE


def test_units_that_are_gone_or_not_shared_fall_back_to_independent_runs(sample: Any) -> None:
    first, second, kept = runs(sample, 0.004)
    del kept.rows["b"]
    assert compare(first, second, kept).differences[0].shared == 0
    first, second, kept = runs(sample, 0.004)
    table = kept.rows["b"]
    kept.rows["b"] = table.set_column(0, "unit", [[f"other {i}" for i in range(300)]])
    assert compare(first, second, kept).differences[0].shared == 0


def test_runs_of_different_modalities_are_refused(sample: Any) -> None:
    text = replace(sample.record, model={**sample.record.model, "modality": "text"})
    with pytest.raises(InputError, match="nothing in them compares"):
        compare(sample.record, text)


def test_of_many_differences_only_those_beyond_chance_are_called_so(sample: Any) -> None:
    """Two runs of one model: 5 % of 95 % intervals miss 0, and Holm's correction lets none of 400 stand in most draws."""
    rng = np.random.default_rng(1)
    sure = chance = 0
    for _ in range(40):
        shift = rng.normal(0, 2**0.5, 200)
        one = [normal(f"m{i}", 0.0) for i in range(200)]
        other = [normal(f"m{i}", shift[i]) for i in range(200)]
        found = compare(*(bare(sample, m) for m in (one, other)))
        sure += any(d.beyond_chance for d in found.differences)
        chance += sum(d.change is not Change.WITHIN_NOISE for d in found.differences)
        assert found.by_chance == pytest.approx(10.0)
    assert 0.03 < chance / 8_000 < 0.07
    assert sure <= 6  # 5 % of 40 is 2; P(more than 6) is below 1 %
    planted = [normal("real", 8.0), *other]
    found = compare(bare(sample, [normal("real", 0.0), *one]), bare(sample, planted))
    assert found.of(Change.WORSE)[0].metric == "real"
    assert found.of(Change.WORSE)[0].beyond_chance


def normal(metric: str, value: float) -> Measurement:
    spread = Interval(value - 1.959964, value + 1.959964, 0.95, "z")
    return Measurement(metric, value, spread, 100, Direction.LOWER_IS_BETTER)


def bare(sample: Any, measurements: list[Measurement], **more: Any) -> Any:
    return replace(
        sample.record, judgements=(), undefined=(), controls=(), measurements=tuple(measurements), **more
    )


def test_verdicts_that_changed_come_gravest_first(sample: Any) -> None:
    def judged(*verdicts: Verdict) -> Any:
        judgements = tuple(
            Judgement(Criterion(f"m{i}", at_most=1.0, why="x"), verdict, normal(f"m{i}", 0.0))
            for i, verdict in enumerate(verdicts)
        )
        return replace(bare(sample, []), judgements=judgements)

    before = judged(Verdict.FAIL, Verdict.PASS, Verdict.PASS, Verdict.PASS, Verdict.NOT_ASSESSED)
    after = judged(Verdict.PASS, Verdict.INCONCLUSIVE, Verdict.FAIL, Verdict.PASS)
    found = compare(before, after)
    assert [(v.metric, v.graver) for v in found.verdicts] == [
        ("m2", True),
        ("m1", True),
        ("m0", False),
        ("m4", False),
    ]
    assert found.verdicts[-1].second is None
    assert found.kept == 1


def test_a_waiver_that_is_gone_changes_the_verdict_of_the_audit_and_is_said_first(
    sample: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    from audit.cli.compare import _plain, _print, exit_code
    from audit.cli.scorecard import Terminal

    waiver = Waiver("m0", "The board", "a new encoder comes", "2099-01-01")
    failed = Judgement(Criterion("m0", at_most=1.0, why="x"), Verdict.FAIL, normal("m0", 9.0))

    def run(judgement: Judgement) -> Any:
        return replace(bare(sample, []), judgements=(judgement,), verdict=overall([judgement]))

    held, bare_fail = run(replace(failed, waiver=waiver)), run(failed)
    expired = run(replace(failed, waiver=waiver, expired=True))
    gone, new, same, over = (
        compare(a, b) for a, b in ((held, bare_fail), (bare_fail, held), (held, held), (held, expired))
    )
    assert gone.verdicts == ()
    assert gone.overall == (Verdict.PASS, Verdict.FAIL)
    assert [exit_code(c, "verdict") for c in (gone, new, same, over)] == [1, 0, 0, 1]
    assert exit_code(gone, None) == 0
    assert [len(c.standings) for c in (gone, new, same, over)] == [1, 1, 0, 1]
    assert "expired" in over.standings[0].second
    plain = json.loads(json.dumps(_plain(gone)))
    assert plain["overall"] == {"first": "pass", "second": "fail", "graver": True}
    assert plain["standings"][0]["first"].startswith("waived by The board until 2099-01-01")
    _print(gone, Terminal(width=200, highlight=False), everything=False)
    said = capsys.readouterr().out
    assert said.startswith("The audit's verdict changed from PASS to FAIL: it is graver\n")
    assert "m0 <= 1: FAIL; in the first run waived by The board until 2099-01-01" in said


def test_continuous_integration_stops_at_what_is_worse_and_not_at_chance(sample: Any) -> None:
    from audit.cli.compare import exit_code

    quiet = [normal(f"m{i}", 0.0) for i in range(50)]
    before = bare(sample, [*quiet, normal("moved", 0.0)])
    by_chance = compare(before, bare(sample, [*quiet, normal("moved", 3.0)]))
    assert [d.metric for d in by_chance.of(Change.WORSE)] == ["moved"]
    worse = compare(before, bare(sample, [*quiet, normal("moved", 9.0)]))
    better = compare(before, bare(sample, [*quiet, normal("moved", -9.0)]))
    assert [exit_code(c, "worse") for c in (by_chance, worse, better)] == [0, 1, 0]
    assert [exit_code(worse, None), exit_code(worse, "verdict")] == [0, 0]

    def judged(verdict: Verdict) -> Any:
        criterion = Criterion("moved", at_most=1.0, why="x")
        return replace(before, judgements=(Judgement(criterion, verdict, normal("moved", 0.0)),))

    graver = compare(judged(Verdict.PASS), judged(Verdict.INCONCLUSIVE))
    assert [exit_code(graver, name) for name in ("worse", "verdict", None)] == [1, 1, 0]
    assert exit_code(compare(judged(Verdict.FAIL), judged(Verdict.PASS)), "verdict") == 0
