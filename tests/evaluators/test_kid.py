"""Kernel distance on a model whose defects are planted: none, a shift, a blur, a dropped mode."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from audit.core.capabilities import Capability
from audit.core.errors import InputError, UndefinedError
from audit.core.identity import Digest
from audit.core.measurements import Interval, Measurement, Unquantified
from audit.core.references import DataRef, ExtractorRef, ModelRef
from audit.core.subjects import DataCard, ModelCard, Subject
from audit.evaluators.quality.kid import KernelDistance
from audit.recipes.drawn_features import DrawnFeatures

D = 8
CENTRES = 2.0 * np.eye(3, D)


def world(
    rng: np.random.Generator, n: int, shift: float = 0.0, scale: float = 1.0, dropped: float = 0.0
) -> Any:
    """Three equal modes, the last column constant; ``dropped`` of the first mode is lost."""
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


def subject(samples: int = 700, holdout: int = 600, train: int | None = 900, seed: int = 0) -> Subject:
    splits = (("holdout", holdout), *((("train", train),) if train else ()))
    return Subject(
        model=ModelRef("fake", Digest("0" * 40)),
        card=ModelCard("fake", "table", 1),
        offers=frozenset({Capability.SAMPLE}),
        data=DataRef("fake", Digest("1" * 40)),
        data_card=DataCard("table", splits),
        extractors=(("features", ExtractorRef("columns", Digest("2" * 40), D, "table")),),
        sample_size=samples,
        seed=seed,
        shard_size=128,
    )


def splits(seed: int = 0, holdout: int = 600, train: int = 900) -> dict[str, Any]:
    rng = np.random.default_rng(1000 + seed)
    return {"holdout": as_rows(world(rng, holdout)), "train": as_rows(world(rng, train))}


def only(outcomes: list[Any]) -> Measurement:
    (found,) = outcomes
    assert isinstance(found, Measurement)
    assert found.metric == "quality.kid"
    return found


@pytest.mark.parametrize("defect", ["shift", "scale", "dropped"])
def test_planted_defects_rank_by_dose_and_the_largest_excludes_the_floor(score: Any, defect: str) -> None:
    doses = {"shift": (0, 0.4, 0.8, 1.6), "scale": (1, 1.2, 1.5, 2.0), "dropped": (0, 0.5, 1.0)}[defect]
    found = [
        only(
            score(
                KernelDistance(),
                subject(),
                model=Planted(**{defect: dose}),
                splits=splits(),
                extractor=as_matrix,
            )
        )
        for dose in doses
    ]
    values = [m.value for m in found]
    assert values == sorted(values)
    clean, worst = found[0], found[-1]
    assert isinstance(clean.uncertainty, Interval)
    assert isinstance(worst.uncertainty, Interval)
    assert clean.noise_floor is not None
    assert clean.uncertainty.low <= 0 <= clean.uncertainty.high
    assert 0 < clean.noise_floor < found[1].value  # the smallest dose is beyond what chance reaches
    assert worst.uncertainty.low > max(clean.noise_floor, 0)
    assert worst.p_value is not None
    assert worst.p_value < 0.001
    assert clean.p_value is not None
    assert clean.p_value > 0.01
    assert any("neither a standard error nor an interval" in said for said in KernelDistance.about.caveats)


def test_it_is_what_the_field_calls_kid(make_shards: Any, score: Any) -> None:
    """torchmetrics' statistic of one subset of all rows; the value does not depend on shards or on which half a row is in."""
    import torch
    from torchmetrics.image.kid import poly_mmd

    case = subject()
    x = np.vstack(make_shards(case.features(case.samples()), model=Planted(shift=0.5), extractor=as_matrix))
    y = as_matrix(splits()["holdout"])
    equal = min(len(x), len(y))  # theirs takes equally many rows a side
    data = {"holdout": as_rows(y[:equal]), "train": splits()["train"]}

    class Fixed:
        def sample_range(self, start: int, stop: int) -> Any:
            return as_rows(x[start:stop])

    same = subject(samples=equal, holdout=equal)
    found = only(score(KernelDistance(), same, model=Fixed(), splits=data, extractor=as_matrix))
    theirs = float(poly_mmd(torch.from_numpy(x[:equal]), torch.from_numpy(y[:equal])))
    assert found.value == pytest.approx(theirs, rel=1e-9)


def test_real_rows_that_are_all_alike_give_a_reason(score: Any) -> None:
    flat = {"holdout": as_rows(np.full((600, D), 0.5)), "train": splits()["train"]}
    with pytest.raises(UndefinedError, match="all alike"):
        score(KernelDistance(), subject(), model=Planted(), splits=flat, extractor=as_matrix)


def test_too_few_rows_give_a_value_without_interval_p_value_or_floor(ask: Any) -> None:
    case = subject(samples=200, train=100)
    whole = ask(KernelDistance(), case, model=Planted(), splits=splits(train=100), extractor=as_matrix)
    found = only(list(whole.outcomes))
    assert found.uncertainty == Unquantified(
        "It takes 500 rows a side; there are 200 samples and 600 real rows."
    )
    assert found.p_value is None
    assert found.noise_floor is None
    (control,) = whole.controls
    assert control.right is None
    assert "It takes 500 rows a side; there are 100 samples" in control.because


def test_the_cap_draws_rows_of_every_shard_and_the_same_however_they_are_cut(
    make_shards: Any, score: Any
) -> None:
    case = subject(holdout=2000, train=None)
    data = splits(holdout=2000)
    recipe = DrawnFeatures(case.features(case.real("holdout")), 501)
    shards = make_shards(recipe, splits=data, extractor=as_matrix)
    assert sum(len(shard) for shard in shards) == 501
    assert [len(shard) for shard in shards] == [recipe.examples(i) for i in range(recipe.shards)]
    assert min(len(shard) for shard in shards[:-1]) > 15, "of 128 rows a shard about 32 are drawn"
    other = replace(case, shard_size=300)
    again = make_shards(
        DrawnFeatures(other.features(other.real("holdout")), 501), splits=data, extractor=as_matrix
    )
    drawn, drawn_again = (np.sort(np.vstack(found), axis=0) for found in (shards, again))
    np.testing.assert_array_equal(drawn, drawn_again)
    found = only(score(KernelDistance(max_rows=501), case, model=Planted(), splits=data, extractor=as_matrix))
    assert found.n == 501
    assert "against 501 rows" in found.notes[0]


def test_what_cannot_be_compared_is_unmet_and_bad_parameters_refused() -> None:
    assert KernelDistance.about.needs.unmet(subject()) == ()
    assert "samples" in KernelDistance.about.needs.unmet(subject(samples=9))[0].need
    with pytest.raises(InputError, match="max_rows"):
        KernelDistance(max_rows=10)
    with pytest.raises(InputError, match="level"):
        KernelDistance(level=0.0)
