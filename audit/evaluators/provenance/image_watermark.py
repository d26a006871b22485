"""Watermarks in images: put into this model's outputs after they were made, would a mark be found, and what does it cost?

Each mark is put into the outputs' pixels with a key and read back, as they are and after what usually happens to pictures: JPEG, scaling,
cropping, noise, a screenshot. A detector gives an exact p-value. What it proves is that the key was used; anyone with the key, or with many
marked pictures to average, can put the mark into pictures of their own, so a mark found is no proof of origin. Its absence proves nothing.

Marks are ``dwt_dct``, ``spread_spectrum``, ``rivagan`` (a neural one, with the extra of that name) and any that an installed package offers under the entry point ``audit.image_marks``: a callable of a key
and a size that returns something with ``embed`` and ``detect`` (``audit.marks.image.detection.Codec`` makes one of any pair of functions).

Formula: ``present`` is the share of the model's own outputs in which a mark that ``own`` names is found, ``power`` the share of marked outputs with p <= 1/1000, ``after_jpeg`` the same after JPEG of quality 50, ``false_alarms`` that share of
tests with wrong keys, ``forged`` that of unmarked outputs to which the difference of the means of marked and of other outputs was added, ``psnr`` the mean of 10 log10(255² / mean squared change). Nothing is fitted, so no data are set apart.

Interval: Clopper-Pearson (exact) over outputs and over tests; Student's t for ``psnr``.

Gate: p-values under wrong keys must be uniform (Kolmogorov-Smirnov, at 1/10,000); where they are not, ``power`` and ``after_jpeg`` have no value.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from audit.core.capabilities import Capability
from audit.core.cases import Case, CaseKind, Cases
from audit.core.errors import InputError, nearest
from audit.core.evaluators import About, Needs
from audit.core.measurements import Outcome
from audit.core.metrics import HIGHER, LOWER, Metric
from audit.core.recipes import Shards
from audit.core.rows import Rows
from audit.core.subjects import Subject
from audit.marks.image.catalogue import IMAGE_MARKS, NEURAL, image_mark
from audit.recipes.mark_readout import RATE, judged, presence, quality
from audit.recipes.marked_images import FORGED, MARKED, TOO_SMALL, ImageDetections, named_marks, pooled

SHARES = {"power": (MARKED, 0), "after_jpeg": ("jpeg", 50), "forged": (FORGED, 0)}
"""The case and strength that each share is of."""
_OTHER = 0x5A5A5A5A
"""What makes another key of a key: the null case reads the outputs with it."""


@dataclass(frozen=True, slots=True)
class ImageWatermark:
    """Reads ``n`` outputs for each mark in ``own``, written name:key, which the provider says they carry; then marks them itself.

    Each of ``marks`` is put in with ``key``, and ``wrong_keys`` others read the same outputs.
    """

    marks: tuple[str, ...] = ("dwt_dct", "spread_spectrum")
    n: int = 80
    key: int = 15485863
    wrong_keys: int = 20
    own: tuple[str, ...] = ()

    about: ClassVar[About] = About(
        name="provenance.image_watermark",
        summary="Whether image watermarks would be found.",
        metrics=(
            Metric(
                "present",
                "Share of the model's own outputs in which the detector of a mark in ``own`` finds its key at 1/1000",
                HIGHER,
                question="Do the outputs carry the provider's watermark?",
            ),
            Metric(
                "power",
                "Share of marked outputs that the detector finds at a false-positive rate of 1/1000",
                HIGHER,
                question="Would a watermark in these images be found?",
            ),
            Metric(
                "after_jpeg",
                "Share of marked outputs that are still found after JPEG of quality 50",
                HIGHER,
                question="Does the watermark outlive compression?",
            ),
            Metric(
                "forged",
                "Share of unmarked outputs that the detector accepts after a pattern was added that is the mean of marked "
                "outputs minus the mean of others",
                LOWER,
                question="Can others put the watermark into their own pictures, knowing no key?",
            ),
            Metric(
                "false_alarms",
                "Share of tests with a wrong key that come out at 1/1000",
                LOWER,
                null=RATE,
                question="How often does the detector accuse an image that it should not?",
            ),
            Metric(
                "psnr",
                "Mean peak signal-to-noise ratio of marked outputs against unmarked ones",
                HIGHER,
                unit="dB",
                question="What does the watermark do to the picture?",
            ),
        ),
        needs=Needs(capabilities=((Capability.SAMPLE,),), modalities=("image",)),
        references=(
            "Chen & Wornell 2001 (quantisation index modulation)",
            "Cox et al. 1997 (spread spectrum)",
            "Zhang et al. 2019 (RivaGAN)",
            "An et al. 2024 (WAVES: attacks)",
            "Yang et al. 2024 (averaging)",
        ),
        shards_matter=True,
        caveats=(
            "Outputs are marked here, for the test; no number says that the model's own service marks its outputs.",
            "A mark that is found proves that a key was used, not who used it.",
        ),
    )

    def __post_init__(self) -> None:
        for name in (*self.marks, *(mark for mark, _ in self.named)):
            try:
                image_mark(name)
            except KeyError:
                raise InputError(
                    f"provenance.image_watermark: no mark is called '{name}'. {nearest(name, (*IMAGE_MARKS, NEURAL))}"
                ) from None
        if min(self.n, self.wrong_keys) < 1:
            raise InputError("provenance.image_watermark: 'n' and 'wrong_keys' are at least 1.")

    @property
    def named(self) -> tuple[tuple[str, int], ...]:
        """The marks in ``own`` with their keys. Raise InputError for one that is not name:key."""
        return named_marks(self.about.name, self.own)

    def inputs(self, subject: Subject) -> Cases:
        def asked(marked: bool) -> dict[str, object]:
            samples = subject.samples(self.n)
            own = {
                f"{name}:{key}": ImageDetections(
                    samples, name, key if marked else key ^ _OTHER, self.wrong_keys, False
                )
                for name, key in self.named
            }
            found = {
                name: ImageDetections(samples, name, self.key, self.wrong_keys, marked) for name in self.marks
            }
            return {"found": found, "own": own, "marked": marked}

        return Cases(asked(True), Case(CaseKind.NULL, asked(False), "outputs without a mark"))

    def measure(
        self, found: dict[str, Shards[Rows]], own: dict[str, Shards[Rows]], marked: bool
    ) -> Iterable[Outcome]:
        yield from presence(self.about, {name: pooled(shards) for name, shards in own.items()}, marked)
        lacking = "it takes eight outputs to average some of them"
        for name, shards in found.items():
            rows = pooled(shards)
            yield from judged(self.about, name, rows, SHARES if marked else {}, TOO_SMALL, lacking)
            if marked:
                yield quality(self.about, name, rows)
