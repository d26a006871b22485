"""Image watermarks: exact transforms, keys that are wrong, attacks in floats, and any pair of functions of a user's."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest
from scipy import stats
from scipy.fft import dctn

from audit.marks.image.attacks import ATTACKS, noise, psnr
from audit.marks.image.blocks import Places, changed, coefficients, haar, resized, unhaar
from audit.marks.image.catalogue import IMAGE_MARKS, image_mark
from audit.marks.image.detection import Codec, message
from audit.stats.uniformity import kolmogorov

NAMES = pytest.mark.parametrize("name", sorted(IMAGE_MARKS))


def pictures(n: int, side: int = 128, channels: int = 3, seed: int = 0) -> np.ndarray:
    """Return smooth random pictures with some grain."""
    rng = np.random.default_rng(seed)
    smooth = resized(rng.integers(0, 256, (n, 8, 8, channels), dtype=np.uint8), side).astype(float)
    return np.clip(smooth + rng.normal(0, 5, smooth.shape), 0, 255).astype(np.uint8)


def test_wavelets_are_undone_with_every_band_in_its_place() -> None:
    """methods.md §9.10: a published mark takes the bands apart as (h, v, d) and puts them together as (v, h, d)."""
    values = np.random.default_rng(0).standard_normal((2, 8, 6)).astype(np.float32)
    coarse, horizontal, vertical, diagonal = haar(values)
    assert unhaar(coarse, horizontal, vertical, diagonal) == pytest.approx(values, abs=1e-5)
    assert np.abs(unhaar(coarse, vertical, horizontal, diagonal) - values).max() > 0.5
    stripes = np.zeros((1, 4, 4), np.float32)
    stripes[:, ::2] = 2  # rows differ, columns do not
    assert np.abs(haar(stripes)[1]).min() == 2 > np.abs(haar(stripes)[2]).max() == 0


def test_coefficients_are_the_cosine_transform_of_the_coarse_band() -> None:
    images, places = pictures(1, 16, 1), Places((0, 1, 2), (1, 1, 0))
    coarse = haar(images[..., 0].astype(np.float32))[0][0]
    wanted = [
        dctn(coarse[r : r + 4, c : c + 4], norm="ortho")[(0, 1, 2), (1, 1, 0)] for r in (0, 4) for c in (0, 4)
    ]
    assert coefficients(images, places)[0] == pytest.approx(np.concatenate(wanted), abs=1e-2)
    by = np.full((1, 12), 20.0, np.float32)
    moved = coefficients(changed(images, places, by), places) - coefficients(images, places)
    assert moved.mean() == pytest.approx(20, abs=2)  # whole brightness, and nothing below 0 or above 255


@NAMES
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_the_right_key_is_found_and_wrong_keys_and_unmarked_images_are_not(name: str, channels: int) -> None:
    mark, images = image_mark(name)(7, 128), pictures(6, 128, channels)
    marked = mark.embed(images)
    assert marked.shape == images.shape
    assert max(d.p_value for d in mark.detect(marked)) < 1e-6
    for unmarked in (mark.rekeyed(8).detect(marked), mark.detect(images)):
        assert min(d.p_value for d in unmarked) > 1e-4
    assert min(psnr(a, b) for a, b in zip(images, marked, strict=True)) > 35
    if channels == 4:
        assert (marked[..., 3] == images[..., 3]).all()


@NAMES
def test_larger_images_are_marked_and_survive_what_keeps_the_frame(name: str) -> None:
    mark, images = image_mark(name)(7, 128), pictures(4, 200)
    marked, rng = mark.embed(images), np.random.default_rng(0)
    for attack, strength in (("jpeg", 70), ("resize", 75), ("noise", 5), ("screenshot", 0)):
        after = [ATTACKS[attack][0](image, strength, rng) for image in marked]
        assert max(mark.detect(image[None])[0].p_value for image in after) < 1e-3, attack
    cropped = [ATTACKS["crop"][0](image, 90, rng) for image in marked]
    assert np.mean([mark.detect(image[None])[0].p_value < 1e-3 for image in cropped]) < 1


@NAMES
def test_wrong_keys_give_uniform_p_values_and_the_promised_rate_of_false_alarms(name: str) -> None:
    mark, rng = image_mark(name)(7, 64), np.random.default_rng(2)
    images = np.concatenate([pictures(10, 64), mark.embed(pictures(10, 64, seed=1))])
    found = [  # a key of its own for each test: smooth pictures read alike, so tests of one key are not independent
        mark.rekeyed(int(rng.integers(100, 2**31))).detect(image[None])[0]
        for image in images
        for _ in range(60)
    ]
    values = np.array([d.above + rng.random() * (d.p_value - d.above) for d in found])
    assert len(values) >= 1000
    assert kolmogorov(values) > 1e-3
    assert sum(d.p_value <= 1e-3 for d in found) <= stats.binom.ppf(0.9999, len(found), 1e-3)


def test_noise_is_added_in_floats_and_cut_off_not_wrapped() -> None:
    """methods.md §9.9: noise cast to bytes and added to bytes wraps twice, and leaves no picture to detect anything in."""
    bright = np.full((64, 64, 3), 250, np.uint8)
    noisy = noise(bright, 25, np.random.default_rng(0)).astype(float)
    assert 235 < noisy.mean() < 250
    assert noisy.std() < 25
    wrapped = bright + np.random.default_rng(0).normal(0, 25, bright.shape).astype(np.uint8)
    assert wrapped.astype(float).std() > 2 * noisy.std()


def test_thresholds_of_a_message_are_those_of_the_table() -> None:
    """methods.md W8: how many of k bits it takes; and W9: '>= i' is not '> i' (Gaussian Shading)."""
    from audit.marks.text.exact import binomial_tail

    for bits, at_1000, at_million in (
        (32, 26, 30),
        (48, 36, 41),
        (64, 45, 51),
        (100, 66, 74),
        (256, 154, 167),
    ):
        for rate, least in ((1e-3, at_1000), (1e-6, at_million)):
            assert binomial_tail(least, bits, 0.5) <= rate < binomial_tail(least - 1, bits, 0.5)


def test_any_pair_of_functions_is_a_mark() -> None:
    def write(image: np.ndarray, bits: np.ndarray) -> np.ndarray:
        out = image.copy()
        out[0, : len(bits), 0] = out[0, : len(bits), 0] & 0xFE | bits
        return out

    codec = Codec("lowest_bits", 5, 48, write, lambda image: image[0, :48, 0] & 1)
    images = pictures(5, 64)
    marked = codec.embed(images)
    assert max(d.p_value for d in codec.detect(marked)) == pytest.approx(2.0**-48)
    assert min(d.p_value for d in codec.rekeyed(6).detect(marked)) > 1e-4
    with pytest.raises(ValueError, match="48 were declared"):
        Codec("short", 5, 48, write, lambda image: [0] * 4).detect(images)
    with pytest.raises(ValueError, match="same shape"):
        Codec("cuts", 5, 48, lambda image, bits: image[1:], lambda image: [0]).embed(images)


@NAMES
@pytest.mark.parametrize("size", [0, 12, 8])
def test_sizes_without_whole_blocks_are_refused(name: str, size: int) -> None:
    with pytest.raises(ValueError, match="multiple of 8"):
        image_mark(name)(1, size)


def test_a_mark_that_nothing_offers_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        image_mark("no such mark")


def test_a_pair_of_functions_is_asked_once_for_each_image() -> None:
    asked = []

    def read(image: np.ndarray) -> np.ndarray:
        asked.append(image.shape)
        return image[0, :48, 0] & 1

    codec, images = Codec("counting", 5, 48, lambda image, bits: image, read), pictures(2, 64)
    first = [codec.rekeyed(key).detect(images[:1])[0].score for key in range(5)]
    assert (len(asked), len(set(first))) == (1, len(set(first)))
    assert (
        codec.detect(images[1:])[0].score
        == Codec("fresh", 5, 48, lambda i, b: i, read).detect(images[1:])[0].score
    )


def test_without_its_extra_the_neural_mark_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    from audit.core.errors import InputError
    from audit.marks.image import rivagan

    monkeypatch.setattr(rivagan, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"generative-audit\[rivagan\]"):
        image_mark("rivagan")


needs_rivagan = pytest.mark.skipif(
    find_spec("imwatermark") is None or find_spec("onnxruntime") is None,
    reason="the extra 'rivagan' is not installed",
)


@needs_rivagan
def test_the_neural_mark_is_found_in_large_pictures_and_wrong_keys_are_not() -> None:
    mark, images = image_mark("rivagan")(7, 256), pictures(2, 256, 4)
    marked = mark.embed(images)
    assert (marked[..., 3] == images[..., 3]).all()
    assert min(psnr(a, b) for a, b in zip(images[..., :3], marked[..., :3], strict=True)) > 38
    assert np.median([d.p_value for d in mark.detect(marked)]) <= 1e-3
    rng = np.random.default_rng(0)
    found = [
        mark.rekeyed(int(k)).detect(marked[i : i + 1])[0]
        for i in range(2)
        for k in rng.integers(0, 2**31, 550)
    ]
    values = np.array([d.above + rng.random() * (d.p_value - d.above) for d in found])
    assert kolmogorov(values) > 1e-3
    assert mark.detect(images[:0]) == []
    with pytest.raises(ValueError, match="at least 16"):
        image_mark("rivagan")(1, 8)


@needs_rivagan
def test_the_neural_mark_is_that_of_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parity with ``imwatermark``, which cuts pixels down to whole numbers where we round."""
    import sys
    import types

    for name in ("cv2", "pywt"):  # its other marks need them
        if find_spec(name) is None:
            monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    from imwatermark.rivaGan import RivaWatermark

    RivaWatermark.loadModel()
    mark, (image,) = image_mark("rivagan")(7, 128), pictures(1, 128)
    bits = message(7, 32)
    theirs = RivaWatermark(bits.astype(int).tolist()).encode(image)
    ours = mark.embed(image[None])[0]
    assert np.abs(ours.astype(int) - theirs).max() <= 1
    read = RivaWatermark(bits.astype(int).tolist()).decode(theirs)
    assert mark.detect(theirs[None])[0].score == np.mean(read == bits)
