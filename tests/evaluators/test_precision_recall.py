"""Precision, recall, density and coverage against the published code, exact expectations, and a mode that was dropped."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from audit.core.capabilities import Capability
from audit.core.cases import CaseKind, detectable
from audit.core.errors import InputError
from audit.core.identity import Digest
from audit.core.measurements import Interval, Measurement
from audit.core.references import DataRef, ExtractorRef, ModelRef
from audit.core.subjects import DataCard, ModelCard, Subject
from audit.evaluators.quality.precision_recall import PrecisionRecall
from audit.recipes.neighbours import Neighbours, Pairs
from audit.stats.fidelity import Neighbourhoods, expected_coverage
from audit.stats.neighbours import Nearest
from audit.testing.evaluators import check_planted
from audit.testing.memory import HandedOut, Kitchen
from audit.testing.summaries import check_summary

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


@pytest.mark.parametrize(
    ("n", "m", "k", "shift"), [(300, 250, 3, 0.0), (200, 400, 5, 1.0), (120, 110, 2, 0.3)]
)
def test_the_published_code_gives_the_same(ask: Any, n: int, m: int, k: int, shift: float) -> None:
    from prdc import compute_prdc

    rng = np.random.default_rng(n)
    fake, real = rng.normal(size=(n, D)) + shift, rng.standard_t(3, size=(m, D))

    class Fixed:
        def sample_range(self, start: int, stop: int) -> Any:
            return as_rows(fake[start:stop])

    published = compute_prdc(real_features=real, fake_features=fake, nearest_k=k)
    case = subject(samples=n, holdout=m, train=None)
    found = by_metric(
        ask(
            PrecisionRecall(k=k), case, model=Fixed(), splits={"holdout": as_rows(real)}, extractor=as_matrix
        ).outcomes
    )
    for name, value in published.items():
        assert found[name].value == pytest.approx(value, rel=1e-6), name


def test_the_sharded_pipeline_is_the_whole_at_once(ask: Any) -> None:
    model, data = Modal(4), splits()
    kitchen = Kitchen(bench=HandedOut(model, data, as_matrix))
    case = subject()
    x = np.concatenate(list(kitchen.shards(case.features(case.samples()))))
    whole = Neighbourhoods.between(as_matrix(data["holdout"]), x, 5).metrics()
    found = by_metric(ask(PrecisionRecall(), case, model=model, splits=data, extractor=as_matrix).outcomes)
    for name, value in zip(("precision", "recall", "density", "coverage"), whole, strict=False):
        assert found[name].value == pytest.approx(value, rel=1e-12)
    assert found["coverage"].value == pytest.approx(expected_coverage(700, 800, 5), abs=0.03)


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


def test_the_recipe_is_brute_force_however_rows_are_cut(make_shards: Any) -> None:
    rng = np.random.default_rng(3)
    data = {"holdout": as_rows(rng.normal(size=(90, D))), "train": as_rows(rng.normal(size=(70, D)))}
    x, y = as_matrix(data["train"]), as_matrix(data["holdout"])
    for size in (7, 128):
        case = replace(subject(holdout=90, train=70), shard_size=size)
        ours, theirs = (case.features(case.real(split)) for split in ("train", "holdout"))
        for recipe, rows, others in ((Neighbours(ours, theirs, 4), x, y), (Neighbours(ours, ours, 4), x, x)):
            brute = np.sqrt(np.square(rows[:, None] - others[None]).sum(axis=2))
            if others is rows:
                np.fill_diagonal(brute, np.inf)
            order = np.argsort(brute, axis=1, kind="stable")[:, :4]
            found = make_shards(recipe, splits=data, extractor=as_matrix)
            np.testing.assert_array_equal(np.concatenate([s.indices for s in found]), order)
            distances = np.concatenate([s.distances for s in found])
            np.testing.assert_allclose(distances, np.take_along_axis(brute, order, 1), rtol=1e-12)


def test_no_row_is_its_own_neighbour_but_its_copy_is(make_shards: Any) -> None:
    rows = np.random.default_rng(2).normal(size=(40, D))
    copied = as_rows(np.concatenate([rows, rows[:3]]))
    case = replace(subject(holdout=43, train=None), shard_size=16)
    features = case.features(case.real("holdout"))
    found = make_shards(Neighbours(features, features, 2), splits={"holdout": copied}, extractor=as_matrix)
    indices = np.concatenate([s.indices for s in found])[:, 0]
    distances = np.concatenate([s.distances for s in found])[:, 0]
    assert indices[:3].tolist() == [40, 41, 42]
    assert indices[-3:].tolist() == [0, 1, 2]
    assert (distances[[0, 1, 2, 40, 41, 42]] == 0).all()
    assert (distances[3:40] > 0).all()
    assert (indices != np.arange(43)).all()


def test_near_pairs_merge_to_the_whole() -> None:
    rng = np.random.default_rng(4)
    x, y = rng.normal(size=(60, 3)), rng.normal(size=(40, 3))
    ours, theirs = Nearest.among(x, x, 3, own=True), Nearest.among(y, y, 3, own=True)

    def batch(span: slice) -> Any:
        return x[span], y, Nearest(ours.distances[span], ours.indices[span]), theirs

    check_summary(
        Pairs, [batch(s) for s in (slice(0, 20), slice(20, 21), slice(21, 60))], batch(slice(0, 60))
    )


def test_too_few_rows_or_a_k_that_says_nothing_is_refused() -> None:
    assert "at least 100 samples" in PrecisionRecall.about.needs.unmet(subject(samples=99))[0].need
    with pytest.raises(InputError, match="'k'"):
        PrecisionRecall(k=1)
