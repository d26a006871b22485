"""Skin tone from pixels: the angle by hand, every tone of the scale alike, drawn people, and pictures in which nothing is read."""

from __future__ import annotations

import math

import numpy as np
import pytest
from PIL import Image, ImageCms

from audit.core.rows import image_rows, images_of
from audit.features.skin_tone import ITA_CLASSES, MONK, SkinTone, ita, lab_of, tone_of


def plain(colour: str, side: int = 32) -> np.ndarray:
    rgb = [int(colour[i : i + 2], 16) for i in (0, 2, 4)]
    return np.full((side, side, 3), rgb, np.uint8)


def read(images: np.ndarray) -> np.ndarray:
    return SkinTone.open(SkinTone.refer(), "cpu").extract(image_rows(images))


def test_lab_is_that_of_little_cms() -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (40, 1, 3), dtype=np.uint8)
    transform = ImageCms.buildTransform(
        ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB"
    )
    theirs = np.asarray(ImageCms.applyTransform(Image.fromarray(pixels), transform)).astype(int)
    ours = lab_of(pixels)
    white = lab_of(np.array([255, 255, 255], np.uint8))
    np.testing.assert_allclose(white, [100, 0, 0], atol=0.02)
    lightness = theirs[..., 0] * 100 / 255
    np.testing.assert_allclose(
        ours[..., 0], lightness, atol=1.5
    )  # D50 there, D65 here: lightness hardly differs


def test_every_tone_of_the_scale_is_read_as_itself_with_a_falling_angle() -> None:
    found = read(np.stack([plain(tone) for tone in MONK]))
    np.testing.assert_array_equal(found[:, 6:], np.eye(10))
    classes = found[:, :6].argmax(axis=1)
    assert (np.diff(classes) >= 0).all()
    assert [ITA_CLASSES[c] for c in classes[[0, 5, 9]]] == ["very light", "tan", "dark"]
    angles = []
    for tone in MONK:
        held = tone_of(plain(tone))
        assert held is not None
        angles.append(held[0])
        lightness, _, b = lab_of(plain(tone))[0, 0]
        assert held[0] == pytest.approx(math.degrees(math.atan((lightness - 50) / b)))
    assert ita(50, 20) == 0


def test_drawn_people_of_known_tone() -> None:
    from audit.data.worlds.portraits.world import Portraits

    ref = Portraits.refer({"train": 1, "holdout": 400, "duplicates": False, "seed": 3})
    rows = Portraits.load(ref, "holdout")
    truth = np.array([int(v) - 1 for v in rows.column("skin_tone").to_pylist()])
    found = read(images_of(rows))[:, 6:]
    unread = ~found.any(axis=1)
    assert unread.mean() < 0.05
    right = found[~unread].argmax(axis=1) == truth[~unread]
    assert right.mean() > 0.9
    by_tone = [right[truth[~unread] == t].mean() for t in range(10)]
    assert min(by_tone) > 0.7
    assert min(by_tone[7:]) > 0.9, "dark skin is found as often as light"


@pytest.mark.parametrize("colour", ["2040d0", "20c040", "d020c0", "808080", "000000"])
def test_what_is_no_skin_is_not_read(colour: str) -> None:
    assert tone_of(plain(colour)) is None
    assert not read(plain(colour)[None]).any()


def test_skin_at_the_edge_is_not_looked_at_and_a_little_is_too_little() -> None:
    image = plain("2040d0")
    image[:4] = plain(MONK[4])[:4]
    assert tone_of(image) is None
    image[15:17, 15:17] = plain(MONK[4])[:2, :2]
    assert tone_of(image) is None
    assert tone_of(plain(MONK[4], side=1)) is not None, "one pixel is a picture too"


def test_what_is_no_colour_picture_is_refused() -> None:
    with pytest.raises(ValueError, match="channels"):
        read(np.zeros((1, 4, 4, 1), np.uint8))
