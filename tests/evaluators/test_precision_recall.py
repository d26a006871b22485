"""Precision, recall, density and coverage against the published code, exact expectations, and a mode that was dropped."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from audit.core.capabilities import Capability
from audit.core.cases import CaseKind, detectable
from audit.core.errors import InputError, UndefinedError
from audit.core.identity import Digest
from audit.core.measurements import Interval, Measurement, Unquantified
from audit.core.references import DataRef, ExtractorRef, ModelRef
from audit.core.subjects import DataCard, ModelCard, Subject
from audit.evaluators.quality.precision_recall import PrecisionRecall
from audit.stats.neighbours import Balls, Nearest
from audit.stats.prdc import expected_coverage, scores_of
from audit.testing.evaluators import check_planted
from audit.testing.memory import HandedOut, Kitchen

D = 8
CENTRES = 4.0 * np.eye(4, D)


def modes(rng: np.random.Generator, n: int, kept: int = 4) -> np.ndarray:
    return CENTRES[rng.integers(0, kept, n)] + rng.normal(size=(n, D))


def as_rows(matrix: np.ndarray) -> Any:
    return pa.table({f"c{i}": column for i, column in enumerate(matrix.T)})


def as_matrix(rows: Any) -> np.ndarray:
    return np.column_stack([rows.column(i).to_numpy() for i in range(rows.num_columns)])


class Modal:
    """Draws from the first ``kept`` of four modes."""

    def __init__(self, kept: int) -> None:
        self.kept = kept

    def sample(self, n: int, rng: np.random.Generator, condition: Any = None) -> Any:
        return as_rows(modes(rng, n, self.kept))


def subject(samples: int = 800, holdout: int = 700, train: int | None = 900) -> Subject:
    splits = (("holdout", holdout), *((("train", train),) if train else ()))
    return Subject(
        model=ModelRef("fake", Digest("0" * 40)),
        card=ModelCard("fake", "table", 1),
        offers=frozenset({Capability.SAMPLE}),
        data=DataRef("fake", Digest("1" * 40)),
        data_card=DataCard("table", splits),
        extractors=(("features", ExtractorRef("columns", Digest("2" * 40), D, "table")),),
        sample_size=samples,
        seed=0,
        shard_size=128,
    )


def splits(holdout: int = 700, train: int = 900) -> dict[str, Any]:
    rng = np.random.default_rng(7)
    return {"holdout": as_rows(modes(rng, holdout)), "train": as_rows(modes(rng, train))}


def by_metric(outcomes: Any) -> dict[str, Measurement]:
    assert all(isinstance(o, Measurement) for o in outcomes)
    return {o.metric.removeprefix("quality.precision_recall."): o for o in outcomes}


@pytest.mark.parametrize(("n", "m", "k", "shift"), [(300, 250, 3, 0.0), (200, 400, 5, 1.0), (90, 90, 2, 0.3)])
def test_the_published_code_gives_the_same(n: int, m: int, k: int, shift: float) -> None:
    from prdc import compute_prdc

    rng = np.random.default_rng(n)
    fake, real = rng.normal(size=(n, 12)) + shift, rng.standard_t(3, size=(m, 12))
    published = compute_prdc(real_features=real, fake_features=fake, nearest_k=k)
    ours = scores_of(fake, real, k)
    for name, value in published.items():
        assert getattr(ours, name) == pytest.approx(value, rel=1e-6), name


def test_shards_change_no_value(ask: Any) -> None:
    model, data = Modal(4), splits()
    kitchen = Kitchen(bench=HandedOut(model, data, as_matrix))
    case = subject()
    x = np.concatenate(list(kitchen.shards(case.features(case.samples()))))
    whole = scores_of(x, as_matrix(data["holdout"]), 5)
    found = by_metric(ask(PrecisionRecall(), case, model=model, splits=data, extractor=as_matrix).outcomes)
    for name in ("precision", "recall", "density", "coverage"):
        assert found[name].value == pytest.approx(getattr(whole, name), rel=1e-12)


def test_a_model_that_dropped_a_mode_is_told_from_its_clean_twin(ask: Any) -> None:
    clean, dropped = (
        by_metric(
            ask(
                PrecisionRecall(), subject(), model=Modal(kept), splits=splits(), extractor=as_matrix
            ).outcomes
        )
        for kept in (4, 3)
    )
    for name in ("recall", "coverage"):
        interval, floor = dropped[name].uncertainty, dropped[name].noise_floor
        assert isinstance(interval, Interval)
        assert floor is not None
        assert interval.high < floor, (
            f"{name} of a model without a quarter of the data lies below its noise floor"
        )
        twin = clean[name].uncertainty
        assert isinstance(twin, Interval)
        assert twin.high > floor, f"{name} of the clean model does not"
    # What the lost quarter leaves is real: precision must not fall.
    assert dropped["precision"].value > clean["precision"].value - 0.03
    # A quarter of the balls, those of the lost mode, are all but empty.
    assert dropped["coverage"].value == pytest.approx(0.75, abs=0.03)


def test_a_mode_planted_in_real_rows_is_found_and_its_smallest_dose_said(ask: Any) -> None:
    case = replace(subject(), doses=(0.02, 0.1, 0.3))
    whole = ask(PrecisionRecall(), case, model=Modal(4), splits=splits(), extractor=as_matrix)
    planted = [c for c in whole.controls if c.kind is CaseKind.PLANTED and c.metric.endswith(".coverage")]
    assert [c.dose for c in planted] == [0.02, 0.1, 0.3]
    values = [c.value for c in planted]
    assert values == sorted(values, reverse=True)
    assert planted[-1].right
    place = ("quality.precision_recall.coverage", (), "dropped mode")
    assert detectable(whole.controls)[place] <= 0.3
    assert check_planted(
        PrecisionRecall(), subject(), 0.3, Kitchen(bench=HandedOut(Modal(4), splits(), as_matrix))
    )


def test_equal_distributions_have_the_exact_expected_coverage_and_density_one() -> None:
    rng = np.random.default_rng(0)
    found = [scores_of(rng.normal(size=(300, 3)), rng.normal(size=(200, 3)), 5) for _ in range(60)]
    coverage = np.array([s.coverage for s in found])
    error = coverage.std(ddof=1) / np.sqrt(len(coverage))
    assert abs(coverage.mean() - expected_coverage(300, 200, 5)) < 4 * error
    density = np.array([s.density for s in found])
    assert abs(density.mean() - 1) < 4 * density.std(ddof=1) / np.sqrt(len(density))


def test_clipped_coverage_is_the_share_of_good_samples() -> None:
    """Half of the samples far away leave it at a half on average; plain coverage hardly falls."""
    rng = np.random.default_rng(1)
    found = []
    for _ in range(40):
        samples = rng.normal(size=(400, 4))
        samples[::2] += 100
        found.append(scores_of(samples, rng.normal(size=(400, 4)), 5))
    clipped = np.array([s.clipped_coverage for s in found])
    assert abs(clipped.mean() - 0.5) < 4 * clipped.std(ddof=1) / np.sqrt(len(clipped)) + 0.01
    assert np.mean([s.coverage for s in found]) > 0.85
    assert np.mean([s.precision for s in found]) == pytest.approx(0.5, abs=0.02)


def test_copies_lie_at_distance_zero_and_no_row_is_its_own_neighbour() -> None:
    rng = np.random.default_rng(2)
    rows = 1e4 + rng.normal(size=(50, 768))
    copied = np.concatenate([rows, rows[:3]])
    found = Nearest.among(copied, [copied[:20], copied[20:]], 2)
    alone = Nearest.among(copied[20:], [copied[:20], copied[20:]], 2, own=1)
    assert (found.distances[:, 0] == 0).all(), "against another sample a row is found itself"
    assert found.numbers[:50, 0].tolist() == list(range(50))
    assert alone.numbers[-3:, 0].tolist() == [0, 1, 2]
    assert (alone.distances[-3:, 0] == 0).all(), (
        "an exact copy lies at exactly zero, whatever the product rounds"
    )
    assert (alone.distances[:-3, 0] > 1).all()


def test_neighbours_are_those_of_brute_force() -> None:
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(70, 5)), rng.normal(size=(90, 5))
    brute = np.square(x[:, None] - y[None]).sum(axis=2)
    order = np.argsort(brute, axis=1, kind="stable")[:, :4]
    found = Nearest.among(x, [y[:13], y[13:60], y[60:]], 4)
    np.testing.assert_array_equal(found.numbers, order)
    np.testing.assert_allclose(found.distances, np.take_along_axis(brute, order, axis=1), rtol=1e-9)
    few = Nearest.among(x, [y[:2]], 4)
    assert (few.numbers[:, 2:] == -1).all()
    assert np.isinf(few.distances[:, 2:]).all()


def test_identical_rows_have_a_reason_and_few_rows_no_interval(ask: Any) -> None:
    with pytest.raises(UndefinedError, match="copies of one another"):
        scores_of(np.random.default_rng(0).normal(size=(50, 2)), np.ones((50, 2)), 3)
    with pytest.raises(UndefinedError, match="more than 5 rows"):
        scores_of(np.zeros((5, 2)), np.zeros((50, 2)), 5)
    case = subject(samples=150, train=200)
    found = by_metric(
        ask(PrecisionRecall(), case, model=Modal(4), splits=splits(train=200), extractor=as_matrix).outcomes
    )
    assert found["recall"].uncertainty == Unquantified(
        "It takes 400 rows a side; there are 150 samples and 700 real rows."
    )
    with pytest.raises(InputError, match="'k'"):
        PrecisionRecall(k=1)


def test_balls_merge_to_the_whole() -> None:
    rng = np.random.default_rng(4)
    x, y = rng.normal(size=(60, 3)), rng.normal(size=(40, 3))
    theirs, ours = Nearest.among(y, [y], 3, 0).farthest, Nearest.among(x, [x], 3, 0).farthest
    whole = Balls.between(x, [y[:7], y[7:]], theirs, ours)
    parts = [Balls.between(x[s], [y], theirs, ours[s]) for s in (slice(0, 20), slice(20, 21), slice(21, 60))]
    merged = parts[0].merge(parts[1]).merge(parts[2])
    for name in ("inside", "inside_clipped", "held", "covered"):
        np.testing.assert_array_equal(getattr(merged, name), getattr(whole, name), err_msg=name)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("tails", "d", "shift"), [("normal", 2, 0.0), ("normal", 16, 0.5), ("normal", 64, 0.3), ("t4", 32, 0.2)]
)
def test_intervals_cover_the_expectation(tails: str, d: int, shift: float) -> None:
    """The truth is the mean of the score at this size over many pairs of samples; bounds are at 3 sigma of 300 replicates."""
    from dataclasses import fields

    from audit.stats.prdc import PARTS, Scores, part_of, parts_interval

    rng, n, names = np.random.default_rng(d), 800, [f.name for f in fields(Scores)]
    values, intervals = [], []
    for _ in range(300):
        draw = rng.normal if tails == "normal" else lambda size: rng.standard_t(4, size=size)
        x, y = draw(size=(n, d)), draw(size=(n, d))
        x[:, 0] += shift
        whole = scores_of(x, y, 5)
        parts = [scores_of(x[part_of(n, p)], y[part_of(n, p)], 5) for p in range(PARTS)]
        values.append([getattr(whole, name) for name in names])
        intervals.append(
            [parts_interval(getattr(whole, name), [getattr(p, name) for p in parts]) for name in names]
        )
    for j, name in enumerate(names):
        truth = float(np.mean([value[j] for value in values]))
        covered = np.mean([found[j].low <= truth <= found[j].high for found in intervals])
        assert covered > 0.91, f"{name}: {covered:.3f}"
