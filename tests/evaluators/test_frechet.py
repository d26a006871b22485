"""Fréchet distance on a model whose defects are planted: none, a shift, a blur, a dropped mode."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from audit.core.artifacts import DrawnRows
from audit.core.capabilities import Capability
from audit.core.errors import InputError
from audit.core.identity import Digest
from audit.core.measurements import Interval, Measurement, Unquantified
from audit.core.references import DataRef, ExtractorRef, ModelRef
from audit.core.subjects import DataCard, ModelCard, Subject
from audit.evaluators.quality.frechet.distance import FrechetDistance
from audit.evaluators.quality.frechet.recipes import Quarters
from audit.stats.frechet import frechet_distance
from audit.stats.moments import Moments

D = 6
CENTRES = 2.0 * np.eye(3, D)


def world(
    rng: np.random.Generator, n: int, shift: float = 0.0, scale: float = 1.0, dropped: float = 0.0
) -> Any:
    """Three equal modes in six dimensions, the last of them constant; ``dropped`` of the first mode is lost."""
    weights = np.array([1 - dropped, 1, 1]) / (3 - dropped)
    rows = CENTRES[rng.choice(3, size=n, p=weights)] + scale * rng.normal(size=(n, D))
    rows[:, -1] = 0.5
    rows[:, 0] += shift
    return rows


def as_rows(matrix: Any) -> Any:
    return pa.table({f"c{i}": column for i, column in enumerate(matrix.T)})


def as_matrix(rows: Any) -> Any:
    return np.column_stack([rows.column(i).to_numpy() for i in range(rows.num_columns)])


class Planted:
    def __init__(self, **defect: float) -> None:
        self.defect = defect

    def sample(self, n: int, rng: np.random.Generator, condition: Any = None) -> Any:
        return as_rows(world(rng, n, **self.defect))


def subject(
    samples: int = 900, holdout: int = 700, train: int | None = 1500, d: int = D, seed: int = 0
) -> Subject:
    splits = (("holdout", holdout), *((("train", train),) if train else ()))
    return Subject(
        model=ModelRef("fake", Digest("0" * 40)),
        card=ModelCard("fake", "table", 1),
        offers=frozenset({Capability.SAMPLE}),
        data=DataRef("fake", Digest("1" * 40)),
        data_card=DataCard("table", splits),
        extractors=(("features", ExtractorRef("columns", Digest("2" * 40), d, "table")),),
        sample_size=samples,
        seed=seed,
        shard_size=256,
    )


def splits(seed: int = 0, holdout: int = 700, train: int = 1500) -> dict[str, Any]:
    rng = np.random.default_rng(1000 + seed)
    return {"holdout": as_rows(world(rng, holdout)), "train": as_rows(world(rng, train))}


def by_metric(outcomes: list[Any]) -> dict[str, Measurement]:
    assert all(isinstance(o, Measurement) for o in outcomes), outcomes
    return {o.metric: o for o in outcomes}


@pytest.mark.parametrize("defect", ["shift", "scale", "dropped"])
def test_planted_defects_rank_by_dose_and_the_largest_excludes_the_floor(score: Any, defect: str) -> None:
    doses = {"shift": (0, 0.4, 0.8, 1.6), "scale": (1, 1.2, 1.5, 2.0), "dropped": (0, 0.4, 0.7, 1.0)}[defect]
    found = [
        by_metric(
            score(
                FrechetDistance(),
                subject(),
                model=Planted(**{defect: dose}),
                splits=splits(),
                extractor=as_matrix,
            )
        )["quality.frechet"]
        for dose in doses
    ]
    values = [m.value for m in found]
    assert values == sorted(values)
    clean, worst = found[0], found[-1]
    assert isinstance(clean.uncertainty, Interval)
    assert isinstance(worst.uncertainty, Interval)
    assert clean.noise_floor is not None
    assert 0 < clean.noise_floor < found[1].value  # the smallest dose is beyond what chance reaches
    assert clean.uncertainty.low <= 0 <= clean.uncertainty.high
    assert worst.uncertainty.low > max(clean.noise_floor, 0.05)
    assert worst.unit == "FD[columns]"


def test_the_raw_distance_is_reported_without_an_interval(score: Any) -> None:
    found = by_metric(
        score(FrechetDistance(), subject(), model=Planted(), splits=splits(), extractor=as_matrix)
    )
    raw, headline = found["quality.frechet.raw"], found["quality.frechet"]
    assert isinstance(raw.uncertainty, Unquantified)
    assert raw.value > headline.value
    (table,) = headline.evidence
    assert not table.sensitive
    assert table.content.column("raw").to_pylist() == [raw.value]
    assert table.content.column("samples").to_pylist() == [900]


def test_too_few_rows_give_a_relative_number_without_an_interval(ask: Any) -> None:
    case = subject(samples=60, train=90)
    whole = ask(FrechetDistance(), case, model=Planted(), splits=splits(train=90), extractor=as_matrix)
    found = by_metric(list(whole.outcomes))
    m = found["quality.frechet"]
    assert isinstance(m.uncertainty, Unquantified)
    assert "60 rows are too few" in m.uncertainty.reason
    assert any(note.startswith("Relative only") for note in m.notes)
    assert m.noise_floor is None
    control = next(c for c in whole.controls if c.metric == "quality.frechet")
    assert control.right is None
    assert "60 rows are too few" in control.because


def test_without_a_second_real_split_there_is_no_floor_and_a_control_says_so(ask: Any) -> None:
    whole = ask(FrechetDistance(), subject(train=None), model=Planted(), splits=splits(), extractor=as_matrix)
    assert by_metric(list(whole.outcomes))["quality.frechet"].noise_floor is None
    assert {c.because for c in whole.controls} == {"the data has no second real split of enough rows"}


def test_what_cannot_be_compared_is_unmet() -> None:
    needs = FrechetDistance.about.needs
    assert needs.unmet(subject()) == ()
    assert "samples" in needs.unmet(subject(samples=5))[0].need
    assert "'test'" in needs.unmet(subject(), "test")[0].need
    with pytest.raises(InputError, match="level"):
        FrechetDistance(level=1.0)


def test_a_model_that_always_says_the_same_is_measured(score: Any) -> None:
    class Collapsed:
        def sample(self, n: int, rng: np.random.Generator, condition: Any = None) -> Any:
            return as_rows(np.tile(world(np.random.default_rng(0), 1), (n, 1)))

    found = by_metric(
        score(FrechetDistance(), subject(), model=Collapsed(), splits=splits(), extractor=as_matrix)
    )
    interval = found["quality.frechet"].uncertainty
    assert isinstance(interval, Interval)
    assert interval.low > 1.0


def test_a_model_that_always_says_the_mean_is_one_total_variance_away(score: Any) -> None:
    rows = splits()

    class Mean:
        def sample(self, n: int, rng: np.random.Generator, condition: Any = None) -> Any:
            return as_rows(np.tile(as_matrix(rows["holdout"]).mean(axis=0), (n, 1)))

    found = by_metric(score(FrechetDistance(), subject(), model=Mean(), splits=rows, extractor=as_matrix))
    relative = found["quality.frechet.relative"]
    assert relative.baseline == 1.0
    assert isinstance(relative.uncertainty, Interval)
    # The covariance of 700 rows is itself an estimate, which debiasing by halves leaves all but untouched.
    assert relative.value == pytest.approx(1.0, abs=0.02)
    assert relative.uncertainty.low <= 1.0 <= relative.uncertainty.high


def test_quarters_are_disjoint_and_together_the_whole(make_shards: Any) -> None:
    case = subject(samples=603)
    features = case.features(case.samples())
    quarters = make_shards(Quarters(features), model=Planted(), extractor=as_matrix)
    assert [q.n for q in quarters] == [151, 151, 151, 150]
    whole = Moments.of(np.vstack(make_shards(features, model=Planted(), extractor=as_matrix)))
    again = quarters[0].merge(quarters[1]).merge(quarters[2]).merge(quarters[3])
    np.testing.assert_allclose(again.mean, whole.mean, atol=1e-12)
    np.testing.assert_allclose(again.scatter, whole.scatter, atol=1e-9)
    assert abs(frechet_distance(again, whole)) < 1e-9


def test_drawn_rows_are_distinct_and_from_all_over_the_split(make_shards: Any) -> None:
    data = {"train": pa.table({"i": np.arange(1000)})}
    recipe = DrawnRows(DataRef("fake", Digest("1" * 40)), "train", 400, 1000, 0, 150)
    drawn = np.concatenate([piece.column("i").to_numpy() for piece in make_shards(recipe, splits=data)])
    assert len(np.unique(drawn)) == 400
    assert 400 < drawn.mean() < 600


@pytest.mark.slow
def test_the_clean_twin_holds_zero_at_the_nominal_rate(score: Any) -> None:
    held = 0
    for seed in range(300):
        found = by_metric(
            score(
                FrechetDistance(),
                subject(samples=400, holdout=300, train=None, seed=seed),
                model=Planted(),
                splits=splits(seed, holdout=300, train=10),
                extractor=as_matrix,
            )
        )
        interval = found["quality.frechet"].uncertainty
        assert isinstance(interval, Interval)
        held += interval.low <= 0 <= interval.high
    assert held >= 276  # P(fewer | 95 % coverage) is about 0.005
