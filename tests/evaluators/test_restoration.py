"""Displacement of restored pictures and their agreement with what they were made from, against known truth."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from audit.core.capabilities import Capability
from audit.core.cases import CaseKind
from audit.core.errors import InputError
from audit.core.measurements import Undefined
from audit.core.rows import Images, image_rows, images_of
from audit.evaluators.quality.restoration import Restoration, length_of_mean
from audit.recipes.restorations import shrunk
from tests.evaluators.test_kid import subject
from tests.stats.test_shifts import waves


def pictures(n: int = 120, side: int = 32, seed: int = 1) -> Images:
    return np.clip(np.rint(waves(n, side, seed=seed)), 0, 255).astype(np.uint8)[..., None]


class Enlarger:
    """Makes pictures half as large by the mean of 2×2 pixels, and large again, from corners or from centres."""

    def __init__(self, corners: bool = False, brighter: int = 0) -> None:
        self.corners, self.brighter = corners, brighter

    def degrade(self, rows: Any) -> Any:
        images = images_of(rows).astype(np.float64)
        n, h, w, c = images.shape
        mean = images.reshape(n, h // 2, 2, w // 2, 2, c).mean(axis=(2, 4))
        return image_rows(np.rint(mean).astype(np.uint8))

    def reconstruct(self, rows: Any, rng: Any) -> Any:
        from scipy import ndimage

        small = images_of(self.degrade(rows)).astype(np.float64)
        centres = (np.arange(32) + 0.5) / 2 - 0.5
        if self.corners:  # what counts from corners takes the small pixel i for the large pixel 2 i
            centres = np.arange(32) / 2
        grid = np.meshgrid(centres, centres, indexing="ij")
        large = np.stack(
            [ndimage.map_coordinates(one[..., 0], grid, order=3, mode="nearest") for one in small]
        )
        return image_rows(np.clip(np.rint(large + self.brighter), 0, 255).astype(np.uint8)[..., None])


def case(n: int = 120, degrade: bool = True) -> Any:
    plain = subject(samples=50, holdout=n, train=n)
    offers = {Capability.RECONSTRUCT, *([Capability.DEGRADE] if degrade else [])}
    return replace(plain, card=replace(plain.card, modality="image"), offers=frozenset(offers))


def splits(n: int = 120, side: int = 32) -> dict[str, Any]:
    return {"holdout": image_rows(pictures(n, side)), "train": image_rows(pictures(n, side, 2))}


def by_metric(outcomes: Any) -> dict[str, Any]:
    return {o.metric.removeprefix("quality.restoration."): o for o in outcomes}


def test_half_a_pixel_is_found_and_its_clean_twin_has_none(ask: Any) -> None:
    clean = by_metric(ask(Restoration(), case(), model=Enlarger(), splits=splits()).outcomes)
    shifted = by_metric(ask(Restoration(), case(), model=Enlarger(corners=True), splits=splits()).outcomes)
    assert shifted["shift"].uncertainty.low > 0.4
    for name in ("right", "down"):  # the large pixel 0 shows what lies half a pixel to its right and below
        assert shifted[name].value == pytest.approx(-0.5, abs=0.03)
        assert abs(clean[name].value) < 0.01
    assert shifted["shift"].value == pytest.approx(np.hypot(shifted["right"].value, shifted["down"].value))
    assert shifted["shift"].uncertainty.low > shifted["shift"].noise_floor
    assert clean["shift"].value < 0.01
    assert not shifted["shift"].void
    listed = shifted["shift"].evidence[0].content
    assert listed.column_names == ["pixels to the right", "pixels down"]


def test_planted_displacement_is_found(ask: Any) -> None:
    found = ask(Restoration(), replace(case(), doses=(0.05, 0.5)), model=Enlarger(), splits=splits())
    planted = [c for c in found.controls if c.kind is CaseKind.PLANTED and c.metric.endswith(".shift")]
    assert [round(c.value, 1) for c in planted] == [0.1, 0.7]
    assert planted[1].right
    nulls = [c for c in found.controls if c.kind is CaseKind.NULL and c.metric.endswith(".shift")]
    assert nulls[0].right


def test_consistency_is_the_psnr_of_what_is_made_small_again(score: Any) -> None:
    found = by_metric(score(Restoration(), case(), model=Enlarger(brighter=3), splits=splits()))
    model, real = Enlarger(brighter=3), splits()["holdout"]
    again, given = (
        images_of(model.degrade(rows)).astype(float) for rows in (model.reconstruct(real, None), real)
    )
    by_hand = 10 * np.log10(255**2 / np.square(again - given).mean())
    assert found["consistency"].value == pytest.approx(by_hand, rel=1e-9)
    assert found["consistency"].uncertainty.low < by_hand < found["consistency"].uncertainty.high
    better = by_metric(score(Restoration(), case(), model=Enlarger(), splits=splits()))["consistency"]
    assert better.uncertainty.low > found["consistency"].uncertainty.high


@pytest.mark.parametrize("name", ["bicubic", "box"])
def test_a_factor_makes_pictures_small_as_pillow_does(score: Any, name: str) -> None:
    plain = case(degrade=False)
    found = by_metric(score(Restoration(factor=2, filter=name), plain, model=Enlarger(), splits=splits()))
    real = splits()["holdout"]
    pair = (images_of(rows)[..., 0] for rows in (Enlarger().reconstruct(real, None), real))
    small = [
        np.stack(
            [
                np.asarray(Image.fromarray(one).resize((16, 16), Image.Resampling[name.upper()]))
                for one in side
            ]
        )
        for side in pair
    ]
    by_hand = 10 * np.log10(255**2 / np.square(small[0].astype(float) - small[1]).mean())
    assert found["consistency"].value == pytest.approx(by_hand, rel=1e-9)
    with pytest.raises(ValueError, match="3 times smaller"):
        shrunk(pictures(1), 3, name)


def test_without_a_way_to_degrade_there_is_a_reason_and_the_rest_goes_on(score: Any) -> None:
    found = by_metric(score(Restoration(), case(degrade=False), model=Enlarger(), splits=splits()))
    assert "set factor" in found["consistency"].reason
    assert found["shift"].n == 120


class Same:
    def reconstruct(self, rows: Any, rng: Any) -> Any:
        return rows

    def degrade(self, rows: Any) -> Any:
        return rows


def test_exact_tiny_and_flat_pictures(score: Any) -> None:
    exact = by_metric(score(Restoration(), case(), model=Same(), splits=splits()))
    assert "all 120 pictures agree exactly" in exact["consistency"].reason
    assert exact["shift"].value == pytest.approx(0, abs=1e-9)
    flat = {name: image_rows(np.full((120, 32, 32, 3), 9, np.uint8)) for name in ("holdout", "train")}
    for data in (splits(side=8), flat):
        found = by_metric(score(Restoration(), case(), model=Same(), splits=data))
        for name in ("shift", "right", "down"):
            assert isinstance(found[name], Undefined)
            assert "0 of 120 pictures have a displacement" in found[name].reason


def test_what_it_needs() -> None:
    for wrong in ({"max_rows": 5}, {"factor": 1}, {"factor": 65}, {"filter": "lanczos"}, {"level": 1.0}):
        with pytest.raises(InputError, match=r"quality\.restoration"):
            Restoration(**wrong)
    few = replace(case(), data_card=replace(case().data_card, splits=(("holdout", 9),)))
    assert Restoration().unmet(few)[0].found == "9 rows"


@pytest.mark.parametrize("length", [0.0, 0.1, 0.5])
@pytest.mark.parametrize("spread", [(1.0, 1.0), (1.0, 0.3)])
def test_the_interval_of_the_length_covers(length: float, spread: tuple[float, float]) -> None:
    rng, kept = np.random.default_rng(3), 0
    angle = rng.uniform(0, 2 * np.pi, 600)
    for at in angle:
        mean = length * np.array([np.cos(at), np.sin(at)])
        noise = rng.standard_t(8, (60, 2)) / np.sqrt(8 / 6) * np.array(spread)
        _, interval = length_of_mean(mean + noise, 0.95)
        kept += interval.low <= length <= interval.high
    assert kept / 600 >= 0.93, (length, spread, kept / 600)
    if spread == (1.0, 1.0):
        assert kept / 600 <= 0.99


def test_the_included_enhancer_agrees_with_its_input(ask: Any) -> None:
    from audit.data.worlds.portraits.world import Portraits
    from audit.models.included import Included

    ref = Included.refer({"use": "portraits-superres"})
    model = Included.open(ref, "cpu")
    rows = Portraits.load(Portraits.refer({"train": 32, "holdout": 60, "duplicates": False}), "holdout")
    data = {"holdout": rows, "train": rows}
    found = by_metric(ask(Restoration(), case(60), model=model, splits=data).outcomes)
    assert found["shift"].uncertainty.high < 0.1
    assert found["consistency"].value > 30


@pytest.mark.slow
def test_intervals_of_displaced_noisy_pictures_cover() -> None:
    """150 draws of 60 pictures, each displaced by its own amount around a quarter of a pixel, with noise: known truth."""
    from audit.stats.shifts import displacements

    rng, repeats, n = np.random.default_rng(5), 150, 60
    kept = {"shift": 0, "right": 0, "down": 0}
    evaluator, truth = Restoration(), {"shift": np.hypot(0.25, 0.1), "right": 0.25, "down": -0.1}
    for repeat in range(repeats):
        before = waves(n, 16, seed=1000 + repeat)
        own = rng.normal([0.25, -0.1], 0.1, (n, 2))
        moved = waves(n, 16, own[:, 0, None, None], own[:, 1, None, None], seed=1000 + repeat)
        found = displacements(before, moved + rng.normal(0, 4, before.shape))
        for outcome in evaluator._displacement(found):
            name = outcome.metric.rpartition(".")[2]
            kept[name] += outcome.uncertainty.low <= truth[name] <= outcome.uncertainty.high
    shares = {name: count / repeats for name, count in kept.items()}
    assert all(0.90 <= share <= 0.99 for share in shares.values()), shares
