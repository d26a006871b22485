"""Reconstruction scores against closed forms and torchmetrics, remembered pictures, and pictures that have no score."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from audit.core.capabilities import Capability
from audit.core.cases import CaseKind
from audit.core.errors import InputError
from audit.core.identity import Digest
from audit.core.measurements import Undefined
from audit.core.references import ExtractorRef
from audit.core.rows import OTHER, Images, image_rows, images_of
from audit.evaluators.quality.reconstruction import Reconstruction, _student, _welch
from audit.recipes.reconstructions import PairScores, ScoredPairs
from audit.testing.memory import Kitchen
from audit.testing.summaries import check_summary
from tests.evaluators.test_kid import subject


def pictures(n: int, side: int, seed: int) -> Images:
    """Random ramps, so that there is structure to lose."""
    rng = np.random.default_rng(seed)
    slopes, axis = rng.uniform(-2, 2, (n, 2, 1, 1)), np.linspace(-1, 1, side)
    levels = 127 + 40 * (slopes[:, 0] * axis[:, None] + slopes[:, 1] * axis)
    return np.clip(levels, 0, 255).astype(np.uint8)[..., None]


class Noisy:
    """Gives pictures back with noise; those it has ``seen`` with less."""

    def __init__(self, deviation: float, seen: Any = (), recalled: float = 1.0) -> None:
        self.deviation, self.recalled = deviation, recalled
        self.seen = {image.tobytes() for image in seen}

    def reconstruct(self, rows: Any, rng: np.random.Generator) -> Any:
        images = images_of(rows)
        scale = np.array([self.recalled if i.tobytes() in self.seen else 1.0 for i in images])
        noise = rng.normal(size=images.shape) * self.deviation * scale[:, None, None, None]
        return image_rows(np.clip(images + noise, 0, 255).astype(np.uint8))


def case(n: int = 200) -> Any:
    plain = subject(samples=50, holdout=n, train=n)
    card = replace(plain.card, modality="image")
    return replace(plain, card=card, offers=frozenset({Capability.RECONSTRUCT}))


def splits(side: int = 16, n: int = 200) -> dict[str, Any]:
    return {"holdout": image_rows(pictures(n, side, 1)), "train": image_rows(pictures(n, side, 2))}


def by_metric(outcomes: Any) -> dict[str, Any]:
    return {o.metric.removeprefix("quality.reconstruction."): o for o in outcomes}


def test_psnr_and_ssim_are_those_of_torchmetrics(score: Any) -> None:
    import torch
    from torchmetrics.image import PeakSignalNoiseRatio, StructuralSimilarityIndexMeasure

    data = splits(n=60)
    fixed = images_of(Noisy(12.0).reconstruct(data["holdout"], np.random.default_rng(3)))
    made = dict(zip((i.tobytes() for i in images_of(data["holdout"])), fixed, strict=True))

    class Fixed:
        def reconstruct(self, rows: Any, rng: Any) -> Any:
            return image_rows(np.stack([made[i.tobytes()] for i in images_of(rows)]))

    plain = case(n=60)
    alone = replace(plain, data_card=replace(plain.data_card, splits=(("holdout", 60),)))
    found = by_metric(score(Reconstruction(), alone, model=Fixed(), splits=data))
    pair = [torch.from_numpy(i.transpose(0, 3, 1, 2) / 255.0) for i in (fixed, images_of(data["holdout"]))]
    each = PeakSignalNoiseRatio(data_range=1.0, reduction="elementwise_mean", dim=(1, 2, 3))
    assert found["psnr"].value == pytest.approx(float(each(*pair)), rel=1e-6)
    assert found["psnr_pooled"].value == pytest.approx(
        float(PeakSignalNoiseRatio(data_range=1.0)(*pair)), rel=1e-6
    )
    assert found["ssim"].value == pytest.approx(
        float(StructuralSimilarityIndexMeasure(data_range=1.0)(*pair)), abs=1e-5
    )
    assert found["psnr_pooled"].value < found["psnr"].value
    assert "176 pixels a side; these pictures have 16" in found["ms_ssim"].reason
    assert "not known" in found["gap"].reason


def test_remembered_pictures_make_a_gap_and_the_clean_twin_has_none(ask: Any) -> None:
    data = splits()
    clean = ask(Reconstruction(), case(), model=Noisy(12.0), splits=data)
    overfit = ask(Reconstruction(), case(), model=Noisy(12.0, images_of(data["train"]), 0.7), splits=data)
    gap, twin = (by_metric(found.outcomes)["gap"] for found in (overfit, clean))
    assert gap.uncertainty.low < -20 * np.log10(0.7) < gap.uncertainty.high
    assert gap.uncertainty.low > gap.noise_floor > 0
    assert twin.uncertainty.low < twin.noise_floor
    assert not gap.void


def test_planted_memory_is_found(ask: Any) -> None:
    whole = ask(Reconstruction(), replace(case(), doses=(0.02, 0.3)), model=Noisy(12.0), splits=splits())
    planted = [c for c in whole.controls if c.kind is CaseKind.PLANTED and c.metric.endswith(".gap")]
    assert planted[0].value < planted[1].value
    assert planted[1].right


def test_exact_copies_have_no_psnr_and_tiny_pictures_no_ssim(score: Any) -> None:
    found = by_metric(score(Reconstruction(), case(), model=Noisy(0.0), splits=splits(8)))
    for name, reason in (
        ("psnr", "200 of 200 pictures come out exactly"),
        ("psnr_pooled", "all pictures"),
        ("ssim", "11 pixels a side; these pictures have 8"),
        ("gap", "infinite"),
    ):
        assert isinstance(found[name], Undefined)
        assert reason in found[name].reason


def test_large_pictures_have_ms_ssim(make_shards: Any) -> None:
    data = {"holdout": image_rows(pictures(2, 180, 1)), "train": image_rows(pictures(2, 180, 2))}
    small = replace(case(), data_card=replace(case().data_card, splits=(("holdout", 2), ("train", 2))))
    one, two = (small.real(split) for split in ("holdout", "train"))
    (equal,) = make_shards(ScoredPairs(one, one), splits=data)
    (other,) = make_shards(ScoredPairs(two, one), splits=data)
    np.testing.assert_allclose(equal.ms_ssim, 1.0, atol=1e-5)
    assert (other.ms_ssim < 0.99).all()


def test_scores_merge_to_the_whole() -> None:
    rows = image_rows(pictures(9, 16, 1))
    made = Noisy(9.0).reconstruct(rows, np.random.default_rng(0))
    parts = [(made.slice(a, b - a), rows.slice(a, b - a)) for a, b in ((0, 2), (2, 3), (3, 9))]
    check_summary(PairScores, parts, (made, rows), tolerance=1e-6)


def test_the_intervals_cover() -> None:
    rng, kept = np.random.default_rng(1), np.zeros(2)
    for _ in range(400):
        x, y = 20 + rng.standard_t(5, 60), 21 + 2 * rng.standard_t(5, 80)
        value = float(y.mean() - x.mean())
        for place, (interval, truth) in enumerate(((_student(x, 0.95), 20), (_welch(value, y, x, 0.95), 1))):
            kept[place] += interval.low <= truth <= interval.high
    assert ((kept / 400 >= 0.92) & (kept / 400 <= 0.98)).all()


def test_what_it_needs() -> None:
    with pytest.raises(InputError, match="max_rows"):
        Reconstruction(max_rows=5)
    few = replace(case(), data_card=replace(case().data_card, splits=(("holdout", 9),)))
    assert Reconstruction().unmet(few)[0].found == "9 rows"


def test_triples_show_the_picture_what_came_back_and_the_error(score: Any) -> None:
    held = splits(n=60)
    found = by_metric(score(Reconstruction(), case(60), model=Noisy(20.0), splits=held))["psnr_pooled"]
    shown, worst = (e.content for e in found.evidence)
    assert not any(e.sensitive for e in found.evidence)
    for rows in (shown, worst):
        before, after = images_of(rows).astype(int), images_of(rows, "output").astype(int)
        loud = np.minimum(4 * np.abs(before - after).max(axis=3, keepdims=True), 255)
        assert np.array_equal(images_of(rows, "error ×4"), loud)
        errors = np.sqrt(np.square(before - after).mean(axis=(1, 2, 3)))
        assert rows.column("root mean square error").to_pylist() == pytest.approx(errors.tolist())
    listed = worst.column("root mean square error").to_pylist()
    assert listed == sorted(listed, reverse=True)
    assert {i.tobytes() for i in images_of(shown)} <= {i.tobytes() for i in images_of(held["holdout"])}


class Eyes:
    """A bench whose extractor of pairs gives two parts of a distance: how far mean levels and how far pixels are apart."""

    def __init__(self, model: Any, least: int = 0) -> None:
        self.opened, self.least = model, least

    def model(self, ref: Any) -> Any:
        return self.opened

    def split(self, ref: Any, split: str) -> Any:
        return splits(n=60)[split]

    def extract(self, ref: Any, rows: Any) -> Any:
        ours, theirs = (images_of(rows, name).astype(float) / 255 for name in ("image", OTHER))
        if ours.shape[1] < self.least:
            raise ValueError(f"pictures of {self.least} pixels and more")
        gap = ours - theirs
        return np.column_stack([abs(gap.mean(axis=(1, 2, 3))), np.square(gap).mean(axis=(1, 2, 3))])


def test_a_perceptual_distance_is_asked_where_the_audit_has_one() -> None:
    eyes = ExtractorRef("eyes", Digest("4" * 40), 2, "image")
    seeing = replace(case(n=60), extractors=(*case().extractors, ("perceptual", eyes)), shard_size=25)
    found, worse, blind, none = (
        by_metric(Kitchen(bench=bench).ask(Reconstruction(), subject).outcomes)["lpips"]
        for bench, subject in (
            (Eyes(Noisy(4.0)), seeing),
            (Eyes(Noisy(40.0)), seeing),
            (Eyes(Noisy(4.0), least=31), seeing),
            (Eyes(Noisy(4.0)), case(n=60)),
        )
    )
    assert found.n == 60
    assert found.uncertainty.low < found.value < found.uncertainty.high < worse.uncertainty.low
    assert blind.reason == "pictures of 31 pixels and more"
    assert 'perceptual = "lpips-alex"' in none.reason
    assert "audit fetch lpips-alex --from FOLDER" in none.reason
