"""Watermarks in the starting noise: made from marked noise, would this model's pictures be found, and can others make such pictures?

Tree-Ring puts rings into the noise's Fourier transform, Gaussian Shading decides its signs. The model turns marked noise into pictures, and
its own inversion (encoding) turns pictures back into noise, in which the detector looks. Nothing is added to a picture, so there is no
quality to lose by an edit of pixels, and the mark outlives much of what happens to pixels. Only somebody with the model can read it.

Anyone who has the model, or one much like it, and a marked picture can read its noise, mix other noise in and make another picture that
is found too: a mark found is no proof of origin. Its absence proves nothing.

Formula: ``present`` is the share of the model's own outputs in which a mark that ``own`` names is found, ``power`` the share of pictures of marked noise with p <= 1/1000, ``after_jpeg`` the same after JPEG of quality 50,
``forged`` that of pictures made without the key from 0.8 of the noise read out of a marked one and 0.6 of fresh noise, ``false_alarms`` that share of tests with wrong keys. p-values are exact over random keys: a binomial tail, and a rank
among the rings of 4,999 other keys. Nothing is fitted, so no data are set apart.

Interval: Clopper-Pearson (exact) over pictures and over tests.

Gate: p-values under wrong keys must be uniform (Kolmogorov-Smirnov, at 1/10,000); where they are not, the shares have no value.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from audit.core.capabilities import Capability
from audit.core.cases import Case, CaseKind, Cases
from audit.core.errors import InputError, nearest
from audit.core.evaluators import About, Needs
from audit.core.measurements import Evidence, Outcome
from audit.core.metrics import HIGHER, LOWER, Metric
from audit.core.recipes import Shards
from audit.core.rows import Rows, concat
from audit.core.subjects import Subject
from audit.marks.image.latent import LATENT_MARKS
from audit.recipes.latent_images import (
    CASES,
    NO_FORM,
    LatentDetections,
    LatentPictures,
    OwnLatentDetections,
)
from audit.recipes.mark_readout import RATE, judged, presence
from audit.recipes.marked_images import named_marks, pooled

_OTHER = 0x5A5A5A5A
"""What makes another key of a key: the null case reads the outputs with it."""
_SHOWN = 8


@dataclass(frozen=True, slots=True)
class LatentWatermark:
    """Reads ``n`` outputs for each mark in ``own``, written name:key, which the provider says they carry; then makes ``n`` pictures of noise
    with each of ``marks``.

    ``key`` is that mark's key, and ``wrong_keys`` others read the same pictures.
    """

    marks: tuple[str, ...] = ("gaussian_shading", "tree_ring")
    n: int = 16
    key: int = 15485863
    wrong_keys: int = 80
    own: tuple[str, ...] = ()

    about: ClassVar[About] = About(
        name="provenance.latent_watermark",
        summary="Whether watermarks in the starting noise would be found.",
        metrics=(
            Metric(
                "present",
                "Share of the model's own outputs in which the detector of a mark in ``own`` finds its key at 1/1000",
                HIGHER,
                question="Do the outputs carry the provider's watermark?",
            ),
            Metric(
                "power",
                "Share of pictures of marked noise that the detector finds at a false-positive rate of 1/1000",
                HIGHER,
                question="Would a watermark in the model's noise be found in its pictures?",
            ),
            Metric(
                "after_jpeg",
                "Share of pictures of marked noise that are still found after JPEG of quality 50",
                HIGHER,
                question="Does the watermark outlive compression?",
            ),
            Metric(
                "forged",
                "Share of other pictures that the detector accepts although their maker knows no key: made by the model from the noise "
                "that it reads out of a marked one, mixed with fresh noise",
                LOWER,
                question="Can others who have the model put the watermark into pictures of their own?",
            ),
            Metric(
                "false_alarms",
                "Share of tests with a wrong key that come out at 1/1000",
                LOWER,
                null=RATE,
                question="How often does the detector accuse an image that it should not?",
            ),
        ),
        needs=Needs(
            capabilities=((Capability.SAMPLE,), (Capability.DECODE,), (Capability.ENCODE,)),
            modalities=("image",),
        ),
        references=(
            "Wen et al. 2023 (Tree-Ring)",
            "Yang et al. 2024 (Gaussian Shading)",
            "Müller et al. 2025 (forging marks of the noise by inversion)",
            "Yang et al. 2024 (averaging)",
        ),
        shards_matter=True,
        caveats=(
            "Pictures are marked here, for the test; no number says that the model's own service marks its outputs.",
            "Noise is taken to be standard normal, as the model's own sampling has it; a model with another kind makes poor pictures of it.",
            "A mark that is found proves that a key was used, not who used it.",
        ),
    )

    def __post_init__(self) -> None:
        for name in (*self.marks, *(mark for mark, _ in named_marks(self.about.name, self.own))):
            if name not in LATENT_MARKS:
                raise InputError(
                    f"provenance.latent_watermark: no mark is called '{name}'. {nearest(name, tuple(LATENT_MARKS))}"
                )
        if min(self.n, self.wrong_keys) < 1:
            raise InputError("provenance.latent_watermark: 'n' and 'wrong_keys' are at least 1.")

    def inputs(self, subject: Subject) -> Cases:
        pictures = {
            name: LatentPictures(subject.model, name, self.key, self.n, subject.seed) for name in self.marks
        }

        def asked(marked: bool) -> dict[str, object]:
            found = {
                name: LatentDetections(made, subject.model, name, self.key, self.wrong_keys, marked)
                for name, made in pictures.items()
            }
            own = {
                f"{name}:{key}": OwnLatentDetections(
                    subject.samples(self.n),
                    subject.model,
                    name,
                    key if marked else key ^ _OTHER,
                    self.wrong_keys,
                )
                for name, key in named_marks(self.about.name, self.own)
            }
            return {"found": found, "own": own, "shown": pictures if marked else {}, "marked": marked}

        return Cases(
            asked(True), Case(CaseKind.NULL, asked(False), "pictures of the same noise without a mark")
        )

    def measure(
        self,
        found: dict[str, Shards[Rows]],
        own: dict[str, Shards[Rows]],
        shown: dict[str, Shards[Rows]],
        marked: bool,
    ) -> Iterable[Outcome]:
        yield from presence(self.about, {name: pooled(shards) for name, shards in own.items()}, marked)
        for name, shards in found.items():
            seen = _pictures(name, shown[name]) if marked else ()
            yield from judged(
                self.about, name, pooled(shards), CASES if marked else {}, NO_FORM, NO_FORM, seen
            )


def _pictures(name: str, shards: Shards[Rows]) -> tuple[Evidence, ...]:
    rows = concat(list(shards)).slice(0, _SHOWN)
    if not rows.num_rows:
        return ()
    return (
        Evidence(
            "images", f"{name}: pictures of marked noise, beside the same noise without the mark", rows, False
        ),
    )
