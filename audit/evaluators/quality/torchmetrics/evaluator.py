"""Any metric of torchmetrics by its name, with an interval and its own state merged over shards.

``metric = "image.MultiScaleStructuralSimilarityIndexMeasure"``, ``as = "ms_ssim"``: a metric of predictions and targets is asked of
reconstructions and originals, one that tells real from made (``image.FrechetInceptionDistance``) of the features of real rows
and samples, one that takes pictures alone (``image.TotalVariation``) of samples. A metric of texts (``text.ROUGEScore``) is asked of continuations of
the beginnings of real texts, against what follows there. Options go on to its constructor.

Pictures are given as float32 from 0 to 1, shape (n, channels, height, width), and ``data_range = 1`` is always given where it is taken:
left out, torchmetrics takes the range of a batch, and the number depends on what else is in it. Metrics of distributions get the features of this
audit in place of their own network, so what they give is named after these and is not the published FID. Metrics of the domain
``regression`` get all levels in one row.

Formula: that of torchmetrics in the version that is installed; where it gives a mean and a spread, the mean.
Interval: delete-a-block jackknife over the metric's merged states, 10 to 20 blocks of rows a side, Student's t; sides independent.
Gate: skipped without a name. No interval below ten blocks. A metric whose states have no rule to merge them, that gives more than one number or refuses these
pictures gives torchmetrics' own reason.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from typing import ClassVar

from audit.core.capabilities import Capability
from audit.core.cases import Case, CaseKind, Cases
from audit.core.errors import InputError
from audit.core.evaluators import About, Needs, Unmet
from audit.core.measurements import Interval, Outcome, Unquantified
from audit.core.metrics import NEITHER, Metric
from audit.core.recipes import Inputs, Recipe, Shards
from audit.core.rows import Matrix, Rows
from audit.core.subjects import Subject
from audit.evaluators.quality.torchmetrics.catalogue import Known, known
from audit.evaluators.quality.torchmetrics.prompts import CutTexts
from audit.evaluators.quality.torchmetrics.recipes import (
    Chosen,
    MetricValue,
    PairStates,
    SampleStates,
    SideStates,
    TextStates,
    Value,
    parsed,
)
from audit.recipes.reconstructions import Reconstructed

LEAST, TEXTS = 30, ("texts", "references")
LIMITS = {
    "image.InceptionScore": "The inception score (Salimans et al. 2016) sees no real example: one good picture for each class of ImageNet, or training "
    "pictures given back, score best, and other kinds of pictures have no meaning in it (Barratt & Sharma 2018).",
}
"""What must be said beside the numbers of some metrics, by name."""
EXAMPLE = "image.StructuralSimilarityIndexMeasure"
"""What its page in the documentation shows it asking; without a name no audit gets so far."""
BLOCKS = {"pairs": 20, "samples": 20, "sides": 10}
"""Blocks of rows a side: states of two sides hold covariances, so there are fewer."""


@dataclass(frozen=True)
class TorchMetric:
    """Asks the metric ``metric``, such as ``image.PeakSignalNoiseRatio``, with ``options``, each written as in TOML: ``["reduction = 'sum'"]``.

    ``part`` names one number of a metric that gives several, such as "rougeL_fmeasure". The first ``prompt_words`` words of a text are its prompt, unless rows have prompts.
    ``reference`` is the split of originals or real rows, ``max_rows`` how many of them at most; ``level`` is that of the interval.
    """

    metric: str = ""
    options: tuple[str, ...] = ()
    reference: str = "holdout"
    max_rows: int = 10_000
    level: float = 0.95
    part: str = ""
    prompt_words: int = 20

    about: ClassVar[About] = About(
        name="quality.torchmetrics",
        summary="Any metric of torchmetrics by its name, with an interval.",
        metrics=(
            Metric("torchmetrics", "What the metric of torchmetrics that the spec names comes to", NEITHER),
        ),
        needs=Needs(modalities=("image", "text")),
        references=("torchmetrics (Detlefsen et al. 2022)",),
        caveats=(
            "Its meaning and its limits are those that torchmetrics documents: its Fréchet distance is biased upwards at every size, "
            "quality.frechet is not.",
        ),
        shards_matter=True,
    )

    def __post_init__(self) -> None:
        for option in self.options:
            parsed(option)
        if self.prompt_words < 1:
            raise InputError("quality.torchmetrics: give 'prompt_words' from 1.")
        if self.max_rows < LEAST or not 0.5 <= self.level < 1:
            raise InputError(
                f"quality.torchmetrics: give 'max_rows' from {LEAST} and 'level' from 0.5 to below 1."
            )
        if self.metric and _version():
            found = known(self.metric)
            meaning = f"{self.metric} as torchmetrics computes it"
            declared = replace(type(self).about.metrics[0], direction=found.direction, meaning=meaning)
            told = type(self).about
            about = replace(
                told,
                metrics=(declared,),
                distances=("torchmetrics",) if found.takes == "sides" else (),
                caveats=told.caveats + ((LIMITS[self.metric],) if self.metric in LIMITS else ()),
            )
            object.__setattr__(self, "about", about)

    def unmet(self, subject: Subject) -> tuple[Unmet, ...]:
        if not self.metric:
            remedy = 'write in its table: metric = "image.StructuralSimilarityIndexMeasure", as = "ssim"'
            return (Unmet("the name of a metric of torchmetrics", "none", remedy),)
        if not _version():
            return (Unmet("torchmetrics", "it is not installed", "pip install torchmetrics"),)
        found = known(self.metric)
        if found.takes in TEXTS and subject.card.most_samples is not None:
            drawn = "samples that were drawn before; none can be drawn for a prompt"
            return (Unmet("a model that can be prompted", drawn, "audit the model itself"),)
        return self._needs(found).unmet(subject, self.reference)

    def _needs(self, found: Known) -> Needs:
        if found.takes in TEXTS:
            return Needs(
                ((Capability.SAMPLE,),), splits=(self.reference,), modalities=("text",), min_rows=LEAST
            )
        if found.takes == "sides":
            return Needs(compares=True, features=True, modalities=("image",), min_rows=LEAST)
        if found.takes == "pairs":
            return Needs(
                ((Capability.RECONSTRUCT,),), splits=(self.reference,), modalities=("image",), min_rows=LEAST
            )
        return Needs(((Capability.SAMPLE,),), modalities=("image",))

    def inputs(self, subject: Subject) -> Cases:
        found = known(self.metric or EXAMPLE)
        chosen = Chosen(found.module, found.name.partition(".")[2], self.options, found.accepts, _version())
        if found.takes == "sides":
            cases = subject.compared(
                self.reference,
                lambda x, y: self._sides(x, y, chosen, subject),
                max_rows=self.max_rows,
                min_rows=LEAST,
            )
            return cases.also(what=f"features '{subject.extractor().name}' of samples and '{self.reference}'")
        if found.takes == "pairs":
            rows = subject.drawn(self.reference, self.max_rows)
            what = f"reconstructions and originals of '{self.reference}'"
            return self._pairs(rows, Reconstructed(rows, subject.model), chosen, what)
        if found.takes in TEXTS:
            rows = subject.drawn(self.reference, min(self.max_rows, subject.sample_count))
            prompts, references = (CutTexts(rows, self.prompt_words, prompts) for prompts in (True, False))
            return self._texts(references, subject.prompted(prompts), chosen, found.takes == "references")
        samples = subject.samples()
        states = SampleStates(samples, chosen, _block(samples, "samples"))
        return Cases(
            {"found": MetricValue((states,), chosen, 0, self.level), "what": "samples alone"},
            no_null="a metric of samples alone has nothing to compare with",
        )

    def _sides(self, x: Recipe[Matrix], y: Recipe[Matrix], chosen: Chosen, subject: Subject) -> Inputs:
        sides = tuple(
            SideStates(side, chosen, real, _block(side, "sides")) for side, real in ((x, False), (y, True))
        )
        return {"found": MetricValue(sides, chosen, subject.extractor().dimensions, self.level)}

    def _pairs(self, rows: Recipe[Rows], made: Recipe[Rows], chosen: Chosen, what: str) -> Cases:
        flat = self.metric.startswith("regression.")

        def asked(pictures: Recipe[Rows]) -> Inputs:
            states = PairStates(pictures, rows, chosen, flat, _block(rows, "pairs"))
            return {"found": MetricValue((states,), chosen, 0, self.level), "what": what}

        return Cases(
            asked(made), Case(CaseKind.NULL, asked(rows), "the originals in place of reconstructions")
        )

    def _texts(self, references: Recipe[Rows], made: Recipe[Rows], chosen: Chosen, nested: bool) -> Cases:
        def asked(texts: Recipe[Rows]) -> Inputs:
            states = TextStates(texts, references, chosen, nested, _block(references, "pairs"))
            what = f"continuations and what follows in '{self.reference}'"
            return {"found": MetricValue((states,), chosen, 0, self.level, self.part), "what": what}

        return Cases(
            asked(made), Case(CaseKind.NULL, asked(references), "the references in place of continuations")
        )

    def measure(self, found: Shards[Value], what: str) -> Iterable[Outcome]:
        value = found[0]
        if value.value is None:
            yield self.about.undefined("torchmetrics", value.reason)
            return
        uncertainty: Interval | Unquantified = Unquantified(value.reason)
        if value.half is not None:
            low, high = value.value - value.half, value.value + value.half
            uncertainty = Interval(low, high, self.level, "delete-a-block jackknife")
        note = f"{self.metric} of torchmetrics {_version()} over {what}" + (
            f", {'; '.join(self.options)}." if self.options else "."
        )
        yield self.about.measurement("torchmetrics", value.value, uncertainty, value.rows, notes=(note,))


def _version() -> str:
    try:
        return version("torchmetrics")
    except PackageNotFoundError:
        return ""


def _block(rows: Recipe[object], takes: str) -> int:
    """Return how many rows a block has."""
    total = sum(map(rows.examples, range(rows.shards)))
    return max(1, -(-total // BLOCKS[takes]))
