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
from audit.core.references import Attribute, ExtractorRef
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
    (unmet,) = Modes().unmet(without)
    assert "group columns, or an attribute classifier" in unmet.need


def test_coverage_finds_a_kind_that_lost_its_variety(score: Any) -> None:
    """All kinds come as often as they should, but one of them is always the same picture."""

    class Repeats(Drops):
        def sample(self, n: int, rng: np.random.Generator, condition: Any = None) -> Any:
            rows = features(world(rng, n, labelled=False))
            rows[rows.argmax(axis=1) == 3] = 6 * np.eye(KINDS)[3]
            return as_rows(rows)

    poor, rich = (
        by_metric(score(Modes(columns=("kind",)), case, model=model, splits=splits(), extractor=features))
        for model in (Repeats(KINDS), Drops(KINDS))
    )
    assert poor["dropped",].value == 0, "no share shows it"
    assert "kind kind 3" in poor["coverage",].notes[0]
    assert poor["coverage",].uncertainty.high < 0.5 < rich["coverage",].uncertainty.low
    assert rich["coverage",].uncertainty.high >= 1 > 0.9 > poor["coverage",].value
    rows = poor["coverage",].evidence[0].content.to_pylist()
    assert len(rows) == KINDS
    assert rows[0]["label"] == "kind kind 3"
    assert all(row["low"] <= 1.02 and row["high"] >= 0.98 for row in rows[1:])
    assert rich["coverage",].noise_floor is not None


ATTRIBUTES = (
    Attribute(
        "kind",
        tuple(f"kind {k}" for k in range(KINDS)),
        tuple(map(tuple, (400 * np.eye(KINDS) + 1).astype(int).tolist())),
    ),
    Attribute("size", ("small", "large")),
)


def reads(rows: Any) -> Any:
    """Read the kind with the errors that the confusion matrix counts, and a size that is always small."""
    values = features(rows)
    kinds, rng = values.argmax(axis=1), np.random.default_rng(int(abs(values).sum() * 1000))
    wrong = rng.random(len(kinds)) < KINDS / (400 + KINDS)
    kinds[wrong] = rng.integers(0, KINDS, int(wrong.sum()))
    return np.concatenate(
        [np.where(np.eye(KINDS)[kinds] > 0, 0.93, 0.01), np.tile([0.9, 0.1], (len(kinds), 1))], axis=1
    )


class Both:
    """A bench whose extractors differ by role."""

    def __init__(self, model: Any) -> None:
        self.opened = model

    def model(self, ref: Any) -> Any:
        return self.opened

    def split(self, ref: Any, split: str) -> Any:
        return unlabelled()[split]

    def extract(self, ref: ExtractorRef, rows: Any) -> Any:
        return reads(rows) if ref.name == "eyes" else features(rows)


def unlabelled() -> dict[str, Any]:
    rng = np.random.default_rng(5)
    return {name: world(rng, 1500, labelled=False) for name in ("holdout", "train")}


def test_an_attribute_classifier_stands_in_for_labels() -> None:
    eyes = ExtractorRef("eyes", Digest("3" * 40), KINDS + 2, "table", ATTRIBUTES)
    bare = replace(
        case,
        data_card=replace(case.data_card, groups=()),
        extractors=(*case.extractors, ("attributes", eyes)),
    )
    assert Modes().unmet(bare) == ()
    clean, worst = (
        by_metric(Kitchen(bench=Both(Drops(kept))).ask(Modes(), bare).outcomes) for kept in (KINDS, 5)
    )
    assert (clean["dropped",].value, clean["dropped",].uncertainty.low) == (0, 0)
    assert worst["dropped",].value == 3, (
        "the errors of the classifier, which reads the lost kinds now and then, are taken off"
    )
    assert worst["dropped",].uncertainty.low >= 1
    assert "'size' is left out: 1 of its values" in " ".join(worst["dropped",].notes)
    interval = worst["tv", "kind"].uncertainty
    assert interval.low < 3 / 8 < interval.high
    assert clean["tv",].uncertainty.low <= 0
    assert clean["coverage",].uncertainty.low > 0.5
    (lack,) = Modes(columns=("sizes",)).unmet(bare)
    assert "size" in lack.remedy
    planted = Kitchen(bench=Both(Drops(KINDS))).ask(Modes(), replace(bare, doses=(0.3,))).controls
    assert [c.right for c in planted if c.kind is CaseKind.PLANTED and c.metric.endswith(".dropped")] == [
        True
    ]


def test_samples_that_look_like_nothing_have_no_kinds() -> None:
    class Marked(Drops):
        def sample(self, n: int, rng: np.random.Generator, condition: Any = None) -> Any:
            return super().sample(n, rng).append_column("drawn", [[1] * n])

    class Grey(Both):
        def extract(self, ref: ExtractorRef, rows: Any) -> Any:
            found = super().extract(ref, rows)
            if ref.name == "eyes" and "drawn" in rows.column_names:
                found[:, :KINDS] = 1 / KINDS
            return found

    eyes = ExtractorRef("eyes", Digest("3" * 40), KINDS + 2, "table", ATTRIBUTES)
    bare = replace(
        case,
        data_card=replace(case.data_card, groups=()),
        extractors=(*case.extractors, ("attributes", eyes)),
    )
    with pytest.raises(UndefinedError, match="look like nothing"):
        Kitchen(bench=Grey(Marked(KINDS))).ask(Modes(), bare)


def coverage_held(repeats: int, kept: int) -> tuple[float, float]:
    """Return how often intervals hold the mean coverage of a kind, and of the least covered kind bounds hold the least mean."""
    from audit.recipes.group_coverage import _covered
    from audit.stats.fidelity import Neighbourhoods

    rng = np.random.default_rng(0)
    found = []
    for _ in range(repeats):
        kinds, drawn = rng.integers(0, 2, 300), rng.integers(0, kept, 300)
        x, y = (np.column_stack([4.0 * k, rng.normal(size=(300, 3))]) for k in (kinds, drawn))
        members = {"a": kinds == 0, "b": kinds == 1}
        found.append(_covered(Neighbourhoods.between(x, y), members, rng, 0.95))
    truth = np.mean([f.values for f in found], axis=0)
    held = np.mean([(f.low <= truth + 1e-9) & (truth <= f.high + 1e-9) for f in found])
    least = np.mean(
        [f.lowest_low <= truth.min() + 1e-9 and truth.min() <= f.lowest_high + 1e-9 for f in found]
    )
    return float(held), float(least)


def test_intervals_of_coverage_cover() -> None:
    assert min(coverage_held(25, 2)) >= 0.84


@pytest.mark.slow
@pytest.mark.parametrize("kept", [1, 2])
def test_intervals_of_coverage_cover_thoroughly(kept: int) -> None:
    assert min(coverage_held(200, kept)) >= 0.9
