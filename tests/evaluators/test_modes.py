"""Dropped kinds: found, named and counted, and none where all are there; columns that nobody can read."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from audit.core.cases import CaseKind
from audit.core.errors import InputError, UndefinedError
from audit.core.identity import Digest
from audit.core.measurements import Interval, Measurement
from audit.core.references import ExtractorRef
from audit.evaluators.quality.modes import Modes
from audit.testing.evaluators import check_planted
from audit.testing.memory import HandedOut, Kitchen
from tests.evaluators.test_kid import as_rows, subject

KINDS = 8
COLUMNS = ("kind", "noise", "number", "same")
case = replace(
    subject(samples=800, holdout=1500, train=1500),
    extractors=(("features", ExtractorRef("columns", Digest("2" * 40), KINDS, "table")),),
    data_card=replace(subject().data_card, splits=(("holdout", 1500), ("train", 1500)), groups=COLUMNS),
)


def world(rng: np.random.Generator, n: int, kept: int = KINDS, labelled: bool = True) -> Any:
    kinds = rng.integers(0, kept, n)
    rows = as_rows(6 * np.eye(KINDS)[kinds] + rng.normal(size=(n, KINDS)))
    if labelled:
        columns = {
            "kind": [f"kind {k}" for k in kinds],
            "noise": rng.choice(["a", "b"], n).tolist(),
            "number": [str(i) for i in range(n)],
            "same": ["one"] * n,
        }
        for name, values in columns.items():
            rows = rows.append_column(name, [values])
    return rows


def features(rows: Any) -> Any:
    return np.column_stack([rows.column(f"c{i}").to_numpy() for i in range(KINDS)])


class Drops:
    def __init__(self, kept: int) -> None:
        self.kept = kept

    def sample(self, n: int, rng: np.random.Generator, condition: Any = None) -> Any:
        return world(rng, n, self.kept, labelled=False)


def splits() -> dict[str, Any]:
    rng = np.random.default_rng(5)
    return {"holdout": world(rng, 1500), "train": world(rng, 1500)}


def by_metric(outcomes: Any) -> dict[Any, Measurement]:
    return {(o.metric.removeprefix("quality.modes."), *[v for _, v in o.group]): o for o in outcomes}


def test_dropped_kinds_are_counted_and_named_and_the_clean_twin_has_none(score: Any) -> None:
    clean, worst = (
        by_metric(score(Modes(), case, model=Drops(kept), splits=splits(), extractor=features))
        for kept in (KINDS, 5)
    )
    lost, kept = worst["dropped",], clean["dropped",]
    assert lost.value == 3
    assert (lost.uncertainty.low, lost.uncertainty.high) == (3, 3)
    assert (kept.value, kept.uncertainty.low, kept.uncertainty.high) == (0, 0, 0)
    assert "kind kind 5, kind kind 6, kind kind 7" in lost.notes[1]
    table = lost.evidence[0].content.to_pylist()
    assert {row["kind"] for row in table[:3]} == {"kind kind 5", "kind kind 6", "kind kind 7"}
    assert table[0]["at most"] < 0.1 < table[3]["at least"]
    # Three of eight equal kinds are gone: that share of the samples would have to be another.
    interval = worst["tv", "kind"].uncertainty
    assert isinstance(interval, Interval)
    assert interval.low < 3 / 8 < interval.high
    assert worst["tv",].uncertainty.low > worst["tv",].noise_floor > clean["tv",].value
    assert clean["tv",].uncertainty.low <= 0


def test_columns_that_cannot_be_read_are_left_out_with_the_reason(score: Any) -> None:
    found = by_metric(score(Modes(), case, model=Drops(8), splits=splits(), extractor=features))
    notes = " ".join(found["dropped",].notes)
    assert "'noise' is left out: the kinds are hardly told apart" in notes
    assert "'number' is left out: 1500 values" in notes
    assert "'same' is left out: 1 values, of which 1 with 20 rows" in notes
    assert ("tv", "noise") not in found
    with pytest.raises(UndefinedError, match="no group column can be used: 'noise'"):
        score(Modes(columns=("noise",)), case, model=Drops(8), splits=splits(), extractor=features)


def test_few_samples_say_that_they_cannot_tell(score: Any) -> None:
    few = by_metric(
        score(Modes(), replace(case, sample_size=100), model=Drops(5), splits=splits(), extractor=features)
    )
    interval = few["dropped",].uncertainty
    assert few["dropped",].value == 3
    assert (interval.low, interval.high) == (0, 3)


def test_planted_losses_are_found(ask: Any) -> None:
    whole = ask(
        Modes(), replace(case, doses=(0.02, 0.3)), model=Drops(8), splits=splits(), extractor=features
    )
    planted = [c for c in whole.controls if c.kind is CaseKind.PLANTED and c.metric.endswith(".dropped")]
    assert [c.value for c in planted] == [1, 3]
    assert all(c.right for c in planted)
    assert check_planted(Modes(), case, 0.3, Kitchen(bench=HandedOut(Drops(8), splits(), features)))


def test_bad_parameters_are_refused() -> None:
    with pytest.raises(InputError, match="'threshold'"):
        Modes(threshold=0.9)
    with pytest.raises(InputError, match="'columns' names 'size'; the group columns of the data are kind"):
        Modes(columns=("size",)).inputs(case)
    without = replace(case, data_card=replace(case.data_card, groups=()))
    assert "group columns" in Modes.about.needs.unmet(without)[0].need
