"""Dialects: a planted cost in bits, a script that only takes more bytes, a standard that is not known, and pairs from a file."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from audit.core.errors import InputError
from audit.core.measurements import Interval, Measurement, Undefined
from audit.data.text import TextFiles
from audit.evaluators.fairness.dialect.evaluator import DialectParity
from audit.evaluators.fairness.dialect.own import COLUMNS, own_pairs
from audit.stats.clusters import clustered_mean
from audit.testing.evaluators import check_evaluator, check_planted
from tests.evaluators.conftest import kitchen
from tests.evaluators.fake_language import FakeLM, language_subject, noise

OWN = [dict(zip(COLUMNS, row, strict=True)) for row in zip(*(v for _, v in own_pairs().columns), strict=True)]
DIALECT = {r["text"] for r in OWN}
STANDARD = {r["standard"] for r in OWN}


class Reader(FakeLM):
    """Gives every standard text 40 bits and every text of a dialect some more, whatever its words."""

    def __init__(
        self,
        extra: float,
        spread: float = 0.0,
        *,
        knows: bool = True,
        dialect: set[str] = DIALECT,
        standard: set[str] = STANDARD,
    ) -> None:
        super().__init__(lambda p, t: 0.0)
        self.extra, self.spread, self.knows, self.dialect, self.standard = (
            extra,
            spread,
            knows,
            dialect,
            standard,
        )

    def score(self, prefix: str, text: str, seen: set[str]) -> list[float]:
        bits = 40.0 + self.spread * noise(text)
        if text in self.dialect:
            bits += self.extra
        elif text not in self.standard:
            bits += 5.0 if self.knows else noise(text)
        return [-bits * math.log(2) / 4] * 4


def by_metric(outcomes: Any) -> dict[str, Any]:
    return {o.metric.removeprefix("fairness.dialect."): o for o in outcomes if not o.group}


def interval(outcome: Any) -> Interval:
    assert isinstance(outcome, Measurement), outcome
    assert isinstance(outcome.uncertainty, Interval)
    return outcome.uncertainty


def test_a_planted_cost_is_recovered_in_bits_per_byte_and_tokens(score: Any) -> None:
    outcomes = score(DialectParity(), language_subject(), model=Reader(6.0, spread=2.0))
    found = by_metric(outcomes)
    assert set(found) == {m.name for m in DialectParity.about.metrics}
    assert interval(found["extra_bits"]).low <= 6.0 <= interval(found["extra_bits"]).high
    assert interval(found["extra_bits"]).low > 4
    assert found["relative"].value == pytest.approx(6 / 40, abs=0.03)
    assert found["extra_tokens"].value == 0.0
    assert {o.group[0][1] for o in outcomes if o.group} == {r["dialect"] for r in OWN}
    table, units = found["extra_bits"].evidence
    assert table.content.num_rows == 10
    assert np.mean(units.content.column("value").to_pylist()) == pytest.approx(found["extra_bits"].value)
    plain = by_metric(score(DialectParity(), language_subject(), model=Reader(6.0)))
    sizes = [sum(len(r[c].encode()) for r in OWN) for c in ("text", "standard")]
    n = len(OWN)
    assert plain["extra_per_byte"].value == pytest.approx(46 * n / sizes[0] - 40 * n / sizes[1])
    assert plain["extra_bits"].value == pytest.approx(6.0)


def test_a_script_that_takes_more_bytes_costs_no_more_bits(score: Any, tmp_path: Path) -> None:
    lines = [f"ελληνικά,κείμενο αριθμός {i},text with number {i}" for i in range(30)]
    (tmp_path / "texts.txt").write_text("one\n\ntwo\n", encoding="utf-8")
    file = tmp_path / "dialects.csv"
    file.write_text("dialect,text,standard\n" + "\n".join(lines) + "\n", encoding="utf-8")
    rows = TextFiles.load(
        TextFiles.refer({"path": str(tmp_path / "texts.txt"), "dialects": str(file)}), "dialects"
    )
    splits = {"dialects": rows}
    texts, standards = (set(rows.column(c).to_pylist()) for c in ("text", "standard"))
    model = Reader(0.0, spread=1.0, dialect=texts, standard=standards)
    found = by_metric(score(DialectParity(), language_subject(splits), model=model, splits=splits))
    assert interval(found["extra_bits"]).low <= 0 <= interval(found["extra_bits"]).high
    assert interval(found["extra_per_byte"]).high < 0, "per byte the longer script looks better served"
    file.write_text("dialect,text\na,b\n", encoding="utf-8")
    with pytest.raises(InputError, match="no field 'standard'"):
        TextFiles.refer({"path": str(tmp_path / "texts.txt"), "dialects": str(file)})


def test_a_model_that_does_not_know_the_standard_is_not_called_fair(score: Any) -> None:
    found = by_metric(score(DialectParity(), language_subject(), model=Reader(0.0, spread=2.0, knows=False)))
    assert found.pop("competence").value < 0.9
    assert len(found) == 4
    assert all(isinstance(o, Undefined) and "does not know the language" in o.reason for o in found.values())


def test_the_null_case_is_right_and_a_planted_cost_is_found() -> None:
    made = kitchen(Reader(1.0, spread=1.5))
    assert check_evaluator(DialectParity(), language_subject(), made)
    (control,) = check_planted(DialectParity(), language_subject(), 4.0, made)
    assert control.right


def test_few_pairs_have_no_value(score: Any, tmp_path: Path) -> None:
    import pyarrow as pa

    rows = pa.table(
        {
            "dialect": ["x"] * 6,
            "text": [f"a b c {i}" for i in range(6)],
            "standard": [f"d e f {i}" for i in range(6)],
            "feature": ["", None] * 3,
        }
    )
    splits = {"dialects": rows}
    model = Reader(1.0, standard=set(rows.column("standard").to_pylist()))
    found = by_metric(score(DialectParity(), language_subject(splits), model=model, splits=splits))
    assert "6 pairs in 6 clusters; it takes 10" in found["extra_bits"].reason


def test_pairs_of_one_are_the_paired_t_interval() -> None:
    rng = np.random.default_rng(2)
    extra = rng.normal(size=40)
    extra = np.r_[extra, -extra] + 0.3
    value, found = clustered_mean(extra, np.array([f"x: pair {i}" for i in range(80)]))
    wanted = stats.ttest_1samp(extra, 0).confidence_interval(0.95)
    assert value == pytest.approx(extra.mean())
    assert (found.low, found.high) == (pytest.approx(wanted.low), pytest.approx(wanted.high))


def covered(repeats: int, clusters: int) -> float:
    """Return how often the interval of extra bits holds 2: features and pairs both vary, and bits are skewed."""
    rng, held = np.random.default_rng(9), 0
    which = np.repeat(np.arange(clusters), 3)
    for _ in range(repeats):
        extra = 2 + rng.normal(size=clusters)[which] + rng.gamma(4, 0.7, size=3 * clusters) - 2.8
        _, found = clustered_mean(extra, which)
        held += found.low <= 2 <= found.high
    return held / repeats


def test_the_interval_of_the_extra_bits_covers() -> None:
    assert covered(200, 24) >= 0.9


@pytest.mark.slow
@pytest.mark.parametrize("clusters", [6, 24, 100])
def test_the_interval_of_the_extra_bits_covers_at_its_level(clusters: int) -> None:
    assert 0.925 <= covered(2000, clusters) <= 0.985


def test_the_own_pairs_are_what_they_say() -> None:
    assert len({r["dialect"] for r in OWN}) == 4
    for name in {r["dialect"] for r in OWN}:
        own = [r for r in OWN if r["dialect"] == name]
        assert len(own) >= 18
        assert len({r["feature"] for r in own}) == 6
    assert all(r["text"] != r["standard"] for r in OWN)
    assert len({r["text"] for r in OWN}) == len(OWN)
    for bad in ({"probes": "x"}, {"level": 0.0}):
        with pytest.raises(InputError, match="dialect"):
            DialectParity(**bad)
    assert len(DialectParity(probes="data").unmet(language_subject())) == 1
