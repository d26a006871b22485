"""Labels in metadata: do the files that are handed out say, for machines, that a model made them?

Two labels are read: the IPTC digital source type in XMP, which platforms and search engines show, and the AIGC label that GB 45438-2025 requires of
files for China. They are plain text: anyone can write, change or remove them, so a label informs and proves nothing. A signed manifest
beside it (C2PA) should say the same; where it does not, one of them is wrong.

Pixels that are no file yet, and formats without metadata, are not applicable: counted apart, in no rate. Texts carry no metadata and are not asked.

Formula: ``iptc`` and ``aigc`` are shares of outputs: with a digital source type of a trained model, and with an AIGC label of which all
seven entries are there; ``faulty`` is the share with a label that is incomplete, or that contradicts another label or a manifest that validates.

Interval: Clopper-Pearson (exact) over outputs.

Gate: outputs that the audit labels itself are read in the same way; where one is not found, the number is void.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import ClassVar

from audit.core.capabilities import Capability
from audit.core.cases import Case, CaseKind, Cases
from audit.core.errors import InputError
from audit.core.evaluators import About, Needs
from audit.core.measurements import Outcome
from audit.core.metrics import HIGHER, LOWER, Metric
from audit.core.recipes import Context, Recipe, Shards
from audit.core.rows import Rows, images_of
from audit.core.subjects import Subject
from audit.marks.labels import GENERATED, labelled, xmp
from audit.marks.manifests.carriers import picture
from audit.marks.manifests.reading import Held, Verifier
from audit.recipes.output_readings import PIXELS, OutputReading, OutputReadings, as_rows, readings_in
from audit.stats.proportions import clopper_pearson

_NO_FILES = (
    "the model returns pixels, and a label is part of a file: audit the files that are handed out "
    '([model] adapter = "samples_on_disk"), or have the model return the bytes of files'
)
_AIGC = {"Label": "1", "ContentProducer": "generative-audit", "ProduceID": "test"}


@dataclass(frozen=True)
class LabelledReadings(Recipe[Rows]):
    """Readings of outputs that were labelled for the test; a share ``unlabelled`` is left without."""

    kind: ClassVar[str] = "labelled-readings"
    version: ClassVar[int] = 2
    along: ClassVar[tuple[str, ...]] = ("source",)
    source: Recipe[Rows]
    unlabelled: float = 0.0

    def make(self, context: Context, source: Rows) -> Rows:
        return as_rows(self._readings(source, context.uniforms().tolist()))

    def _readings(self, source: Rows, shares: list[float]) -> Iterator[OutputReading]:
        verifier, packet = Verifier(), xmp(GENERATED, _AIGC)
        for pixels, share in zip(images_of(source), shares, strict=True):
            packed = xmp("digitalCapture") if share < self.unlabelled else packet
            yield OutputReading.of(Held("", labelled(picture(pixels), "png", packed)), verifier)


@dataclass(frozen=True, slots=True)
class MetadataLabels:
    """Reads the labels of ``n`` outputs."""

    n: int = 80

    about: ClassVar[About] = About(
        name="provenance.labels",
        summary="AI labels in metadata.",
        metrics=(
            Metric(
                "iptc",
                "Share of outputs whose metadata name a trained model as their source (IPTC digital source type)",
                HIGHER,
                null=1.0,
                question="Will platforms know that the outputs are generated?",
            ),
            Metric(
                "aigc",
                "Share of outputs with a complete AIGC label of GB 45438-2025",
                HIGHER,
                null=1.0,
                question="Do the outputs carry the label that China requires?",
            ),
            Metric(
                "faulty",
                "Share of outputs with a label that is incomplete or contradicts another label or a manifest",
                LOWER,
                null=0.0,
                question="Do labels contradict each other?",
            ),
        ),
        needs=Needs(capabilities=((Capability.SAMPLE,),), modalities=("image",)),
        references=("IPTC Digital Source Type NewsCodes", "GB 45438-2025, annex E"),
        caveats=("Labels are not signed: anyone can write, change or remove them.",),
    )

    def __post_init__(self) -> None:
        if self.n < 1:
            raise InputError("provenance.labels: 'n' is a number of outputs, at least 1.")

    def inputs(self, subject: Subject) -> Cases:
        samples = subject.samples(self.n)
        null = Case(CaseKind.NULL, {"readings": LabelledReadings(samples)}, "outputs, labelled for the test")
        planted = tuple(
            Case(
                CaseKind.PLANTED,
                {"readings": LabelledReadings(samples, dose)},
                "outputs labelled for the test, some of them as taken by a camera",
                "wrong label",
                dose,
            )
            for dose in subject.doses
        )
        return Cases({"readings": OutputReadings.of(subject, self.n, "")}, null, planted)

    def measure(self, readings: Shards[Rows]) -> Iterable[Outcome]:
        found = readings_in(readings)
        asked = [r for r in found if not r.inapplicable]
        if not asked:
            reason = (
                _NO_FILES if any(r.format == PIXELS for r in found) else "no output is a file with metadata"
            )
            yield self.about.undefined("iptc", reason)
            yield self.about.undefined("aigc", "as for 'iptc': no file")
            return
        apart = Counter(r.inapplicable for r in found if r.inapplicable)
        notes = [f"Not applicable to {n} of {len(found)} outputs: {why}." for why, n in apart.most_common()]
        faults = Counter(fault for r in asked for fault in faults_of(r))
        said = [f"{n} × {fault}." for fault, n in faults.most_common(5)]
        for metric, hits, lines in (
            ("iptc", sum(GENERATED in r.label_types for r in asked), notes),
            ("aigc", sum(r.aigc == "complete" for r in asked), []),
            ("faulty", sum(bool(faults_of(r)) for r in asked), said),
        ):
            n = len(asked)
            yield self.about.measurement(metric, hits / n, clopper_pearson(hits, n), n, notes=lines)


def faults_of(reading: OutputReading) -> list[str]:
    """Return what is wrong with an output's labels, in sentences without a full stop."""
    faults = list(reading.label_problems)
    generated, otherwise = reading.says_generated, reading.says_otherwise
    if generated and otherwise:
        faults.append("one label says that a model made it and another that it did not")
    if reading.answer in ("trusted", "valid"):
        if reading.declared and otherwise and not generated:
            faults.append("the manifest says that a model made it and the label that it did not")
        if generated and reading.source_types and not reading.declared:
            faults.append("the label says that a model made it and the manifest that it did not")
    if otherwise and not generated and not faults:
        faults.append("the label says that no model made it")
    return faults
