"""Restored pictures: the ratio as torchmetrics has it, a model that knows its members, and triples to look at."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from audit.core.capabilities import Capability
from audit.core.errors import InputError
from audit.core.identity import Digest
from audit.core.measurements import Interval, Measurement, Undefined
from audit.core.references import DataRef, ModelRef
from audit.core.rows import image_rows, images_of
from audit.core.subjects import DataCard, ModelCard, Subject
from audit.evaluators.quality.reconstruction import Reconstruction, ratios

DATA = DataRef("fake", Digest("1" * 40))


class Blurs:
    """Gives pictures back with noise of σ = 20; those it knows with noise of ``known``."""

    def __init__(self, known: float = 20.0, members: Any = None) -> None:
        self._known = known
        self._members = set() if members is None else {i.tobytes() for i in images_of(members)}

    def reconstruct(self, rows: Any, rng: np.random.Generator) -> Any:
        images = images_of(rows)
        spread = [self._known if i.tobytes() in self._members else 20.0 for i in images]
        noise = rng.normal(size=images.shape) * np.array(spread)[:, None, None, None]
        return image_rows(np.clip(np.rint(images + noise), 0, 255).astype(np.uint8))


def pictures(n: int, seed: int) -> Any:
    return image_rows(np.random.default_rng(seed).integers(60, 200, (n, 8, 8, 3)).astype(np.uint8))


def subject(*, trained_on: DataRef | None = None, **splits: int) -> Subject:
    return Subject(
        model=ModelRef("fake", Digest("0" * 40)),
        card=ModelCard("fake", "image", 1, trained_on=trained_on),
        offers=frozenset({Capability.RECONSTRUCT}),
        data=DATA,
        data_card=DataCard("image", tuple(splits.items())),
        extractors=(),
        sample_size=10,
        seed=0,
        shard_size=32,
    )


def scored(score: Any, model: Any, case: Subject | None = None, **splits: Any) -> dict[str, Any]:
    case = case or subject(**{name: rows.num_rows for name, rows in splits.items()})
    found = score(Reconstruction(), case, model=model, splits=splits)
    return {o.metric.rpartition(".")[2]: o for o in found}


def test_the_ratio_is_that_of_torchmetrics() -> None:
    import torch
    from torchmetrics.image import PeakSignalNoiseRatio

    rng = np.random.default_rng(0)
    a, b = (rng.integers(0, 256, (20, 3, 8, 8)).astype(np.float64) for _ in range(2))
    theirs = PeakSignalNoiseRatio(data_range=255.0, reduction="elementwise_mean", dim=(1, 2, 3))
    published = float(theirs(torch.tensor(a), torch.tensor(b)))
    assert ratios(np.square(a - b).mean(axis=(1, 2, 3))).mean() == pytest.approx(published, rel=1e-6)
    assert ratios(np.zeros(1)).tolist() == pytest.approx([78.13], abs=0.01)


def test_a_model_that_knows_its_members_is_told_from_its_clean_twin(score: Any) -> None:
    holdout, train = pictures(120, 0), pictures(150, 1)
    leaky = scored(score, Blurs(10.0, train), holdout=holdout, train=train)
    clean = scored(score, Blurs(), holdout=holdout, train=train)
    gap, none = leaky["train_gap"], clean["train_gap"]
    assert gap.value == pytest.approx(20 * np.log10(2), abs=0.2)
    assert gap.uncertainty.low > 5
    assert none.uncertainty.low <= 0 <= none.uncertainty.high
    assert clean["psnr"].value == pytest.approx(20 * np.log10(255 / 20), abs=0.2)
    assert clean["psnr"].n == 120


def test_triples_show_the_picture_what_came_back_and_the_error(score: Any) -> None:
    holdout = pictures(60, 2)
    found = scored(score, Blurs(), holdout=holdout)["psnr"]
    shown, worst = (e.content for e in found.evidence)
    assert not any(e.sensitive for e in found.evidence)
    for rows in (shown, worst):
        before, after = images_of(rows).astype(int), images_of(rows, "restored").astype(int)
        loud = np.minimum(4 * np.abs(before - after).max(axis=3, keepdims=True), 255)
        assert np.array_equal(images_of(rows, "error ×4"), loud)
        errors = np.sqrt(np.square(before - after).mean(axis=(1, 2, 3)))
        assert rows.column("root mean square error").to_pylist() == pytest.approx(errors.tolist())
    assert worst.column("root mean square error").to_pylist() == sorted(
        worst.column("root mean square error").to_pylist(), reverse=True
    )
    assert {i.tobytes() for i in images_of(shown)} <= {i.tobytes() for i in images_of(holdout)}


def test_without_known_members_there_is_no_gap(score: Any) -> None:
    splits = {"holdout": pictures(40, 0), "train": pictures(40, 1)}
    other = DataRef("other", Digest("3" * 40))
    found = scored(score, Blurs(), subject(trained_on=other, holdout=40, train=40), **splits)
    assert isinstance(found["train_gap"], Undefined)
    assert isinstance(found["psnr"], Measurement)


def test_one_picture_has_a_value_and_no_interval(score: Any) -> None:
    found = scored(score, Blurs(), holdout=pictures(1, 0))["psnr"]
    assert not isinstance(found.uncertainty, Interval)


def test_pictures_of_another_size_are_refused(make_shards: Any) -> None:
    class Halves:
        def reconstruct(self, rows: Any, rng: Any) -> Any:
            return image_rows(images_of(rows)[:, ::2])

    recipe = Reconstruction().inputs(subject(holdout=4))["errors"]
    with pytest.raises(Exception, match="turned pictures of shape"):
        make_shards(recipe, model=Halves(), splits={"holdout": pictures(4, 0)})


def test_the_interval_of_the_gap_covers_nothing_where_there_is_nothing(score: Any) -> None:
    covered = 0
    for seed in range(60):
        found = scored(score, Blurs(), holdout=pictures(40, 2 * seed), train=pictures(40, 2 * seed + 1))
        gap = found["train_gap"].uncertainty
        covered += gap.low <= 0 <= gap.high
    assert covered >= 53


@pytest.mark.parametrize("wrong", [{"max_rows": 1}, {"level": 0.2}])
def test_what_cannot_be_asked_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"quality\.reconstruction"):
        Reconstruction(**wrong)
