"""Watermarks in starting noise: exact p-values, models whose inversion is perfect, poor or formless, forgeries, and an included model."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

from audit.core.capabilities import Capability
from audit.core.cases import CaseKind
from audit.core.errors import InputError
from audit.core.identity import Digest
from audit.core.measurements import Undefined
from audit.core.references import DataRef, ModelRef
from audit.core.rows import image_rows, images_of
from audit.core.subjects import DataCard, ModelCard, Subject
from audit.evaluators.provenance.latent_watermark import LatentWatermark
from audit.marks.image.latent import LATENT_MARKS, GaussianShading, TreeRing
from audit.registry import catalogue
from audit.stats.uniformity import kolmogorov

SHAPE = (3, 32, 32)
VALUES = int(np.prod(SHAPE))


def _mark(name: str, key: int) -> Any:
    return LATENT_MARKS[name](key, VALUES, SHAPE)


NAMES = pytest.mark.parametrize("name", sorted(LATENT_MARKS))


class Pixels:
    """Its pictures are its noise: decoding scales it to pixels, encoding back, with ``blur`` of further noise."""

    def __init__(self, blur: float = 0.0, key: int = 0) -> None:
        self.blur, self.key = blur, key

    def sample(self, n: int, rng: Any, condition: Any = None) -> Any:
        noise = rng.standard_normal((n, VALUES))
        return self.decode(_mark("gaussian_shading", self.key).mark(noise, rng) if self.key else noise, rng)

    def decode(self, latents: Any, rng: Any) -> Any:
        pixels = (
            np.clip(128 + 40 * latents, 0, 255).astype(np.uint8).reshape(-1, *SHAPE).transpose(0, 2, 3, 1)
        )
        return image_rows(np.ascontiguousarray(pixels))

    def encode(self, rows: Any) -> Any:
        noise = (images_of(rows).transpose(0, 3, 1, 2).reshape(rows.num_rows, -1) - 127.5) / 40
        return noise + self.blur * np.random.default_rng(0).standard_normal(noise.shape)


class Vector(Pixels):
    """Its noise has no form: 40 numbers stand for a picture of 3,072."""

    def encode(self, rows: Any) -> Any:
        return super().encode(rows)[:, :40]

    def decode(self, latents: Any, rng: Any) -> Any:
        return super().decode(np.tile(latents, 77)[:, :VALUES], rng)


def _subject() -> Subject:
    offers = frozenset({Capability.SAMPLE, Capability.DECODE, Capability.ENCODE})
    model, data = ModelRef("fake", Digest("0" * 40)), DataRef("fake", Digest("1" * 40))
    card = ModelCard("fake", "image", 1)
    return Subject(model, card, offers, data, DataCard("image", ()), (), 10, 0, 10)


def _named(outcomes: Any) -> dict[tuple[str, str], Any]:
    return {(o.metric.rpartition(".")[2], dict(o.group).get("mark", "")): o for o in outcomes}


@NAMES
def test_the_right_key_is_found_and_wrong_keys_and_unmarked_noise_are_not(name: str) -> None:
    rng, mark = np.random.default_rng(0), _mark(name, 7)
    noise = rng.standard_normal((8, VALUES))
    marked = mark.mark(noise, rng)
    least = 1e-12 if name == "gaussian_shading" else 2e-4
    assert max(d.p_value for d in mark.detect(marked)) <= least
    assert min(d.p_value for d in mark.rekeyed(8).detect(marked)) > 1e-3
    assert min(d.p_value for d in mark.detect(noise)) > 1e-3
    assert mark.detect(marked[:0]) == []


@NAMES
def test_marked_noise_is_as_large_as_noise(name: str) -> None:
    rng = np.random.default_rng(1)
    spread = [_mark(name, key).mark(rng.standard_normal((4, VALUES)), rng).std() for key in range(40)]
    assert np.mean(spread) == pytest.approx(1.0, abs=0.03)


def test_shading_keeps_the_distribution_of_each_number() -> None:
    """Over keys, each value is standard normal: only its sign is chosen, and by a fair stream."""
    rng = np.random.default_rng(2)
    noise = np.concatenate(
        [_mark("gaussian_shading", k).mark(rng.standard_normal((1, VALUES)), rng) for k in range(60)]
    )
    assert stats.kstest(noise.ravel(), "norm").pvalue > 1e-3


@NAMES
def test_wrong_keys_give_uniform_p_values_and_the_promised_rate_of_false_alarms(name: str) -> None:
    rng, mark = np.random.default_rng(3), _mark(name, 7)
    noise = np.concatenate(
        [rng.standard_normal((15, VALUES)), mark.mark(rng.standard_normal((15, VALUES)), rng)]
    )
    noise[::3] = noise[::3] * 0.6 + 0.2  # what an inversion gives back is not standard
    found = [
        mark.rekeyed(int(rng.integers(100, 2**31))).detect(row[None])[0] for row in noise for _ in range(40)
    ]
    values = np.array([d.above + rng.random() * (d.p_value - d.above) for d in found])
    assert len(values) >= 1000
    assert kolmogorov(values) > 1e-3
    assert sum(d.p_value <= 1e-3 for d in found) <= stats.binom.ppf(0.9999, len(found), 1e-3)


def test_the_published_p_value_of_rings_is_not_uniform_and_the_rank_among_keys_is() -> None:
    """methods.md §9.9: the noncentral chi-squared of Tree-Ring's source takes mirrored coefficients for independent, their variance for known."""
    rng, mark = np.random.default_rng(4), TreeRing(7, (1, 32, 32), others=199)
    inside = mark.rings >= 0
    ring = mark.rings[inside]
    published, ours = [], []
    for key in range(2000):
        noise = rng.standard_normal((1, 32, 32))
        spectrum = np.fft.fft2(noise)[0][inside]
        drawn = np.fft.fft2(rng.standard_normal((32, 32)))[
            inside
        ]  # a ring has the value of one coefficient of other noise
        target = np.array([drawn[ring == r][0] for r in range(ring.max() + 1)])[ring]
        sigma = np.concatenate([spectrum.real, spectrum.imag]).std()
        central, apart = ((np.abs(v) ** 2).sum() / sigma**2 for v in (target, spectrum - target))
        published.append(stats.ncx2.cdf(apart, 2 * len(ring), central))
        (found,) = mark.rekeyed(key).detect(noise.reshape(1, -1))
        ours.append(found.above + rng.random() * (found.p_value - found.above))
    assert kolmogorov(np.array(published)) < 1e-4
    assert kolmogorov(np.array(ours)) > 1e-3


def test_the_threshold_of_shading_counts_the_edge_itself() -> None:
    """methods.md §9.9: the published threshold takes P(> i) for a rule that accepts >= i."""
    mark = GaussianShading(1, 256, streams=1)
    noise = mark.signs[:1].astype(np.float64).copy()
    noise[0, : 256 - 166] *= -1  # 166 of 256 agree
    (found,) = mark.detect(noise)
    assert found.p_value == pytest.approx(1.18e-6, rel=0.01)
    assert found.p_value > 1e-6 > stats.binom.sf(166, 256, 0.5)  # that threshold would let it pass
    several = GaussianShading(1, 256, streams=64)
    (paid,) = several.detect(several.signs[:1].astype(np.float64) * np.where(np.arange(256) < 90, -1, 1))
    assert paid.p_value == pytest.approx(64 * found.p_value, rel=1e-3)


def test_a_model_that_inverts_itself_is_found_survives_jpeg_and_can_be_forged(ask: Any) -> None:
    answer = ask(LatentWatermark(n=16, wrong_keys=20), _subject(), Pixels(0.5))
    found = _named(answer.outcomes)
    for mark in LATENT_MARKS:
        assert found["power", mark].value == 1.0
        assert found["forged", mark].value >= 0.8
        assert found["false_alarms", mark].n == 16 * 20
        assert found["false_alarms", mark].uncertainty.low <= 1e-3
        table, pictures = found["power", mark].evidence
        cases = table.content.column("attack").to_pylist()
        assert {"forged by averaging 4", "removed by averaging 4", "forged by inversion", "crop 90"} <= set(
            cases
        )
        assert pictures.content.column_names == ["image", "unmarked"]
    assert isinstance(found["present", ""], Undefined)
    nulls = [c for c in answer.controls if c.kind is CaseKind.NULL and c.metric.endswith("false_alarms")]
    assert all(c.right for c in nulls)


def test_a_model_that_inverts_nothing_is_not_found(ask: Any) -> None:
    found = _named(ask(LatentWatermark(n=8, wrong_keys=20), _subject(), Pixels(60.0)).outcomes)
    assert found["power", "gaussian_shading"].value <= 0.3
    assert found["power", "tree_ring"].value <= 0.3


def test_noise_without_a_form_holds_no_rings_and_says_so(ask: Any) -> None:
    found = _named(ask(LatentWatermark(n=8, wrong_keys=20), _subject(), Vector()).outcomes)
    for metric in ("power", "after_jpeg", "forged", "false_alarms"):
        assert isinstance(found[metric, "tree_ring"], Undefined)
        assert "no form" in found[metric, "tree_ring"].reason
    assert found["power", "gaussian_shading"].n == 8


@pytest.mark.parametrize(("key", "value"), [(99, 1.0), (98, 0.0)])
def test_the_providers_own_mark_is_found_in_its_outputs_and_one_with_another_key_is_not(
    ask: Any, key: int, value: float
) -> None:
    evaluator = LatentWatermark((), n=10, wrong_keys=20, own=(f"gaussian_shading:{key}",))
    answer = ask(evaluator, _subject(), Pixels(0.3, key=99))
    (present,) = answer.outcomes
    assert (present.value, present.n) == (value, 10)
    (null,) = [c for c in answer.controls if c.kind is CaseKind.NULL]
    assert null.value == 0.0


def test_bad_settings_are_refused() -> None:
    for settings, said in (
        ({"marks": ("tree_rings",)}, "Did you mean 'tree_ring'"),
        ({"own": ("tree_ring",)}, "not name:key"),
        ({"own": ("dwt_dct:3",)}, "no mark is called 'dwt_dct'"),
        ({"n": 0}, "at least 1"),
    ):
        with pytest.raises(InputError, match=said):
            LatentWatermark(**settings)
    with pytest.raises(ValueError, match="16 a side"):
        TreeRing(1, (3, 8, 8))


def _included(name: str, **options: Any) -> tuple[Subject, Any]:
    from dataclasses import replace

    adapter = catalogue("models").load("included")
    ref = adapter.refer({"use": name, **options})
    card, offers = adapter.describe(ref)
    return replace(_subject(), model=ref, card=card, offers=offers), adapter.open(ref, "cpu")


def test_the_included_autoencoder_carries_shading_in_96_numbers(ask: Any) -> None:
    subject, model = _included("portraits-vae")
    found = _named(ask(LatentWatermark(n=16, wrong_keys=70), subject, model).outcomes)
    assert found["power", "gaussian_shading"].value >= 0.8
    assert "no form" in found["power", "tree_ring"].reason


@pytest.mark.slow
def test_the_included_diffusion_model_carries_both(ask: Any) -> None:
    subject, model = _included("portraits-ddpm", path_steps=25)
    found = _named(ask(LatentWatermark(n=8, wrong_keys=3_000), subject, model).outcomes)
    for mark in LATENT_MARKS:
        assert found["power", mark].value == 1.0
        assert found["false_alarms", mark].uncertainty.low <= 1e-3
    # 32 pixels a side leave little after JPEG of quality 50, and the audit says so.
    assert found["after_jpeg", "gaussian_shading"].value < found["power", "gaussian_shading"].value
