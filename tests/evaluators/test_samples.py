"""Samples to look at: which rows are shown, beside which, what stays hidden, and how often a model repeats itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pytest

from audit.core.artifacts import RealRows
from audit.core.capabilities import Capability
from audit.core.errors import InputError
from audit.core.identity import Digest
from audit.core.measurements import Evidence, Interval, Measurement, Unquantified
from audit.core.recipes import Recipe
from audit.core.references import DataRef, ExtractorRef, ModelRef
from audit.core.rows import image_rows, images_of, text_rows
from audit.core.subjects import DataCard, ModelCard, Subject
from audit.evaluators.quality.samples import SamplesShown
from audit.recipes.shown import CHARACTERS, EDGE, SIDE, Matched, Picked, presentable, rows_at, thumbnails
from audit.stats.neighbours import Nearest

DATA = DataRef("fake", Digest("1" * 40))


def shades(values: Any, **columns: Any) -> Any:
    """Return images of one grey each, so that distance is difference of shade."""
    return image_rows(np.repeat(np.asarray(values, np.uint8), 16).reshape(-1, 4, 4, 1), **columns)


def first_pixel(rows: Any, name: str = "image") -> list[int]:
    return images_of(rows, name)[:, 0, 0, 0].tolist()


def as_features(rows: Any) -> np.ndarray:
    return images_of(rows)[:, 0, 0, :].astype(float)


class Kept:
    """Gives rows that were made before, in order."""

    def __init__(self, rows: Any) -> None:
        self.rows = rows

    def sample_range(self, start: int, stop: int) -> Any:
        return self.rows.slice(start, stop - start)


def subject(samples: int, modality: str = "image", **splits: int) -> Subject:
    return Subject(
        model=ModelRef("fake", Digest("0" * 40)),
        card=ModelCard("fake", modality, 1),
        offers=frozenset({Capability.SAMPLE}),
        data=DATA,
        data_card=DataCard(modality, tuple(splits.items()), groups=("kind",)),
        extractors=(("features", ExtractorRef("shade", Digest("2" * 40), 1, modality)),),
        sample_size=samples,
        seed=0,
        shard_size=7,
    )


@dataclass(frozen=True)
class Fake(Recipe[Nearest]):
    kind: ClassVar[str] = "fake-nearest"

    def make(self, context: Any) -> Nearest:
        return Nearest(np.array([[3.0], [1.0], [2.0]]), np.array([[0], [1], [0]]))


def shown(outcomes: Any) -> tuple[Measurement, dict[str, Evidence]]:
    (found,) = outcomes
    assert isinstance(found, Measurement)
    return found, {e.caption.partition(",")[0].partition(":")[0]: e for e in found.evidence}


def kinds(n: int, share: float = 0.25) -> Any:
    """Return real rows: three quarters of shades below 60, and a mode of shades about 200."""
    rng = np.random.default_rng(1)
    far = rng.random(n) < share
    return shades(
        np.where(far, rng.integers(190, 211, n), rng.integers(0, 60, n)), kind=np.where(far, "b", "a")
    )


def test_a_dropped_mode_is_what_is_shown_as_missing_and_odd_samples_as_the_worst(score: Any) -> None:
    rng = np.random.default_rng(0)
    values = rng.integers(0, 60, 200)
    values[[3, 50]] = (120, 110)
    model, data = Kept(shades(values)), {"holdout": kinds(300), "train": kinds(400)}
    found, evidence = shown(
        score(
            SamplesShown(),
            subject(200, holdout=300, train=400),
            model=model,
            splits=data,
            extractor=as_features,
        )
    )
    missing = evidence["Most likely missing"].content
    assert missing.column("kind").to_pylist() == ["b"] * 12
    assert min(missing.column("relative distance").to_pylist()) > 1
    assert max(first_pixel(missing, "nearest sample")) == 120
    worst = evidence["The worst"].content
    assert first_pixel(worst)[:2] == [120, 110]
    distances = worst.column("distance").to_pylist()
    assert distances == sorted(distances, reverse=True)
    best = evidence["The best"].content
    assert first_pixel(best) == first_pixel(best, "nearest real")
    assert [name for name, e in evidence.items() if e.sensitive] == [
        "Samples nearest to any of 400 training examples by their pixels"
    ]
    assert set(first_pixel(evidence["Samples"].content)) <= set(values.tolist())
    assert found.value > 0.6  # 60 shades in 200 samples


def test_a_model_without_a_fault_misses_no_mode(score: Any) -> None:
    model, data = Kept(kinds(300).select(["image"])), {"holdout": kinds(300)}
    _, evidence = shown(
        score(SamplesShown(), subject(300, holdout=300), model=model, splits=data, extractor=as_features)
    )
    assert set(evidence["Most likely missing"].content.column("kind").to_pylist()) != {"b"}
    assert max(evidence["Most likely missing"].content.column("relative distance").to_pylist()) <= 1


def test_copies_of_training_examples_are_beside_what_they_copy(score: Any) -> None:
    rng = np.random.default_rng(3)
    train = rng.integers(0, 256, (200, 16, 16, 3)).astype(np.uint8)
    ours = rng.integers(0, 256, (60, 16, 16, 3)).astype(np.uint8)
    ours[[5, 30, 31, 59]] = np.clip(
        train[[7, 150, 150, 199]].astype(int) + rng.integers(-2, 3, (4, 16, 16, 3)), 0, 255
    )
    data = {"train": image_rows(train)}
    _, evidence = shown(
        score(SamplesShown(), subject(60, train=200), model=Kept(image_rows(ours)), splits=data)
    )
    (copies,) = (e.content for e in evidence.values() if e.sensitive)
    assert {i.tobytes() for i in images_of(copies, "nearest training example")[:3]} == {
        train[i].tobytes() for i in (7, 150, 199)
    }
    apart = copies.column("levels apart").to_pylist()
    assert max(apart[:3]) < 2 < 20 < min(apart[3:])
    assert len(apart) == 8


def test_thumbnails_do_not_depend_on_size_or_channels() -> None:
    grey = np.random.default_rng(0).integers(0, 256, (3, EDGE, EDGE, 1)).astype(np.uint8)
    coloured = np.repeat(grey.repeat(4, axis=1).repeat(4, axis=2), 3, axis=3)
    alpha = np.concatenate([coloured, coloured[..., :1]], axis=3)
    assert np.array_equal(thumbnails(grey), thumbnails(coloured))
    assert np.array_equal(thumbnails(grey), thumbnails(alpha))
    assert thumbnails(grey[:0]).shape == (0, 3 * EDGE**2)


def distinct(n: int, among: int, seed: int) -> Any:
    return text_rows([f"text {i}" for i in np.random.default_rng(seed).integers(0, among, n)])


def test_repetition_is_the_chance_that_a_sample_is_one_of_those_before_and_its_interval_covers_it(
    score: Any,
) -> None:
    covered, rounds, n, among = 0, 60, 200, 300
    for seed in range(rounds):
        rows = distinct(n, among, seed)
        found, _ = shown(score(SamplesShown(), subject(n, "text"), model=Kept(rows)))
        true = len(set(rows.column("text").to_pylist()[: n // 2])) / among
        assert isinstance(found.uncertainty, Interval)
        assert found.n == n // 2
        covered += found.uncertainty.low <= true <= found.uncertainty.high
    assert covered >= 0.93 * rounds


def test_a_model_that_never_repeats_itself_has_none_and_a_bound(score: Any) -> None:
    rows = text_rows([f"text {i}" for i in range(200)])
    found, evidence = shown(
        score(SamplesShown(), subject(200, "text", holdout=5), model=Kept(rows), splits={"holdout": rows})
    )
    assert found.value == 0
    assert isinstance(found.uncertainty, Interval)
    assert found.uncertainty.high == pytest.approx(1 - 0.025 ** (1 / 100))
    assert [e.kind for e in evidence.values()] == ["texts", "texts"]


def test_one_sample_is_shown_without_an_interval(score: Any) -> None:
    found, evidence = shown(score(SamplesShown(), subject(1), model=Kept(shades([9]))))
    assert isinstance(found.uncertainty, Unquantified)
    assert first_pixel(evidence["Samples"].content) == [9]


def test_training_examples_as_the_reference_are_hidden(score: Any) -> None:
    data = {"train": kinds(60)}
    case = subject(40, train=60)
    _, evidence = shown(
        score(
            SamplesShown(reference="train"), case, model=Kept(kinds(40)), splits=data, extractor=as_features
        )
    )
    assert all(e.sensitive for name, e in evidence.items() if name != "Samples")


def test_rows_come_in_the_order_asked_for_from_whichever_shard(make_shards: Any) -> None:
    source = RealRows(DATA, "holdout", 20, 6)
    shards = make_shards(source, splits={"holdout": shades(range(20))})
    assert first_pixel(rows_at(source, shards, np.array([19, 0, 6, 5, 19]))) == [19, 0, 6, 5, 19]
    assert rows_at(source, shards, np.array([], int)).num_rows == 0
    (picked,) = make_shards(Picked(source, 50), splits={"holdout": shades(range(20))})
    assert sorted(first_pixel(picked)) == list(range(20))


def test_large_pictures_and_long_texts_are_made_smaller() -> None:
    big = np.zeros((2, 4 * SIDE, 2 * SIDE, 3), np.uint8)
    big[1, ::2] = 200
    small = images_of(presentable(image_rows(big), ()))
    assert small.shape == (2, SIDE, SIDE // 2, 3)
    assert small[1].mean() == pytest.approx(100, abs=1)
    assert len(presentable(text_rows(["x" * 9_999]), ()).column("text")[0].as_py()) == CHARACTERS
    assert presentable(pa.table({"a": [1]}), ()).column_names == ["a"]


@pytest.mark.parametrize("wrong", [{"shown": 0}, {"shown": 61}, {"level": 1.0}])
def test_what_cannot_be_shown_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"quality\.samples"):
        SamplesShown(**wrong)


def test_pictures_of_two_sizes_stand_side_by_side(make_shards: Any) -> None:
    ours, theirs = RealRows(DATA, "a", 3, 3), RealRows(DATA, "b", 2, 3)
    splits = {"a": shades([1, 2, 3]), "b": image_rows(np.full((2, 6, 5, 3), 7, np.uint8))}

    (rows,) = make_shards(Matched(ours, theirs, Fake(), 2, 2, farthest=True, beside="other"), splits=splits)
    assert first_pixel(rows) == [1, 3]
    assert images_of(rows, "other").shape == (2, 6, 5, 3)
    assert rows.column("distance").to_pylist() == [3.0, 2.0]
