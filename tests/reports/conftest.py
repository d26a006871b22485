"""A rich record made by hand, with evidence of every kind, and hostile and unfinished variants of it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from audit.core.cases import CaseKind, Control
from audit.core.evaluators import Unmet
from audit.core.identity import Digest, digest_of
from audit.core.measurements import Direction, Evidence, Interval, Measurement, Undefined, Unquantified
from audit.core.policy import Criterion, Policy, overall
from audit.core.records import (
    AuditRecord,
    RecordedArtifact,
    RecordedEvaluator,
    RecordedFailure,
    RecordedSkip,
)
from audit.core.rows import image_rows, text_rows

HOSTILE = "<script>alert('x')</script>\u202etxt.exe\x00\x1b[31m\ud800 &amp; \"quoted\" ]]> --> </style>"
SECRET = "Ada Q. Sample, account 4711-0815"
LOWER, HIGHER, NEITHER = Direction.LOWER_IS_BETTER, Direction.HIGHER_IS_BETTER, Direction.NEITHER


@dataclass(frozen=True)
class Sample:
    """A record and what its evidence holds; ``read`` is called by renderers and remembers what was asked."""

    record: AuditRecord
    kept: dict[Digest, Any]
    asked: list[Digest]

    def read(self, digest: Digest) -> Any:
        self.asked.append(digest)
        return self.kept.get(digest)


def interval(low: float, high: float, method: str, level: float = 0.95) -> Interval:
    return Interval(low, high, level, method)


def keep(kept: dict[Digest, Any], kind: str, caption: str, rows: Any, sensitive: bool) -> Evidence:
    digest = digest_of(caption.encode("utf-8", "surrogatepass"))
    kept[digest] = rows
    return Evidence(kind, caption, digest, sensitive)


def glyphs(n: int, side: int = 8, channels: int = 1) -> np.ndarray:
    """Return small drawings: rings of growing size on a gradient."""
    yy, xx = np.mgrid[0:side, 0:side] / (side - 1) * 2 - 1
    radius = np.sqrt(xx**2 + yy**2)
    images = [255 * np.exp(-((radius - 0.2 - 0.7 * i / max(n - 1, 1)) ** 2) / 0.05) for i in range(n)]
    return np.repeat(np.stack(images)[..., None], channels, axis=3).astype(np.uint8)


def quality(kept: dict[Digest, Any]) -> list[Measurement]:
    samples = keep(
        kept,
        "images",
        "Samples of the model, in the order they were drawn",
        image_rows(glyphs(12), label=list("012345678901")),
        False,
    )
    steps = np.linspace(100, 2000, 20)
    curve = pa.table({"x": steps, "y": 8 + 2400 / steps, "low": 6 + 2000 / steps, "high": 10 + 2900 / steps})
    growth = keep(kept, "curve", "Fréchet distance by number of samples", curve, False)
    return [
        Measurement(
            "quality.frechet",
            9.231,
            interval(8.52, 9.94, "influence function, debiased"),
            2000,
            LOWER,
            baseline=71.4,
            noise_floor=1.93,
            evidence=(samples, growth),
            notes=("Features are pixels: a small value means that simple image statistics agree, no more.",),
        ),
        Measurement(
            "quality.kid",
            0.0214,
            interval(0.0189, 0.0239, "Hoeffding projection"),
            2000,
            LOWER,
            noise_floor=0.0002,
            baseline=0.0,
        ),
        Measurement("quality.precision", 0.873, interval(0.841, 0.902, "subsampling"), 1000, HIGHER),
        Measurement("quality.recall", 0.642, interval(0.601, 0.683, "subsampling"), 1000, HIGHER),
        Measurement(
            "quality.density",
            0.91,
            Unquantified("no interval is known for a shared neighbourhood radius"),
            1000,
            HIGHER,
        ),
    ]


def fairness() -> list[Measurement]:
    shares = {"women": (0.412, 0.386, 0.438), "men": (0.571, 0.545, 0.597), "neither": (0.017, 0.011, 0.026)}
    jobs = {
        "nurse": 2.31,
        "librarian": 1.12,
        "cashier": 0.61,
        "chef": -0.42,
        "carpenter": -1.63,
        "engineer": -1.88,
    }
    return [
        *(
            Measurement(
                "fairness.share",
                v,
                interval(a, b, "Wilson"),
                1450,
                NEITHER,
                group=(("gender", who),),
                baseline=1 / 3,
            )
            for who, (v, a, b) in shares.items()
        ),
        Measurement(
            "fairness.pronouns.gap",
            0.083,
            interval(0.071, 0.095, "cluster-robust t"),
            480,
            LOWER,
            p_value=0.00002,
        ),
        *(
            Measurement(
                "fairness.pronouns.log_odds",
                v,
                interval(v - 0.35, v + 0.31, "cluster-robust t"),
                40,
                NEITHER,
                group=(("occupation", job),),
                baseline=0.0,
                unit="nats",
            )
            for job, v in jobs.items()
        ),
    ]


def privacy(kept: dict[Digest, Any]) -> list[Measurement]:
    texts = keep(
        kept,
        "texts",
        "Members with the highest scores",
        text_rows(
            [f"My name is {SECRET}.", "The second one\nwith two lines"],
            prefix=["Begin: ", ""],
            score=[0.91234, 0.877],
        ),
        True,
    )
    x = np.linspace(0, 1, 50)
    roc = keep(
        kept,
        "curve",
        "Receiver operating characteristic of the loss attack",
        pa.table({"x": x, "y": x**0.8}),
        False,
    )
    return [
        Measurement(
            "privacy.membership.auc",
            0.573,
            interval(0.548, 0.598, "DeLong, logit scale"),
            1797,
            LOWER,
            baseline=0.5,
            noise_floor=0.503,
            evidence=(texts, roc),
        ),
        Measurement(
            "privacy.membership.zlib_auc",
            0.531,
            interval(0.505, 0.557, "DeLong, logit scale"),
            1797,
            LOWER,
            baseline=0.5,
        ),
        Measurement(
            "privacy.membership.tpr_at_1_percent_fpr",
            0.021,
            interval(0.012, 0.034, "Clopper–Pearson"),
            897,
            LOWER,
            baseline=0.01,
        ),
    ]


def provenance(kept: dict[Digest, Any]) -> list[Measurement]:
    rows = pa.table({"attack": ["strip", "tamper", "transplant"], "caught": [64, 64, 63], "of": [64, 64, 64]})
    table = keep(kept, "table", "What validation said about each attack", rows, False)
    gone = Evidence("images", "Outputs whose credentials were stripped", digest_of(b"lost"), False)
    return [
        Measurement(
            "provenance.validates",
            1.0,
            interval(0.944, 1.0, "Clopper–Pearson"),
            64,
            HIGHER,
            evidence=(table, gone),
        ),
        Measurement(
            "provenance.tampering_detected", 0.984, interval(0.916, 0.9996, "Clopper–Pearson"), 64, HIGHER
        ),
    ]


POLICY = Policy(
    "default",
    "1",
    (
        Criterion("quality.frechet", at_most=12.0, why="Half the distance of the previous release."),
        Criterion("quality.recall", at_least=0.62, why="Below this, the previous release lost two digits."),
        Criterion("quality.density", at_least=0.8, why="Agreed with the reviewers."),
        Criterion(
            "fairness.share",
            at_least=0.25,
            why="No group below three quarters of its even share.",
            every_group=True,
        ),
        Criterion("fairness.pronouns.gap", at_most=0.09, why="The gap in public labour statistics."),
        Criterion(
            "privacy.membership.auc", at_most=0.6, why="What a blind guess with side knowledge reaches."
        ),
        Criterion("privacy.extraction.rate", at_most=0.001, why="One text in a thousand."),
        Criterion("provenance.validates", at_least=0.9, why="Every output is meant to carry credentials."),
    ),
)


def evaluators() -> tuple[RecordedEvaluator, ...]:
    def one(
        name: str, summary: str, metrics: dict[str, str], status: str = "scored", **parameters: Any
    ) -> RecordedEvaluator:
        return RecordedEvaluator(
            name,
            name.split(".")[0],
            summary,
            parameters,
            digest_of(name.encode()),
            metrics,
            ("Heusel et al. 2017, GANs trained by a two time-scale update rule.",)
            if "frechet" in name
            else (),
            status,
            evaluator=name,
            caveats=("Comparable only with values of the same features.",) if "frechet" in name else (),
            declared={
                m: {
                    "meaning": meaning,
                    "direction": "lower",
                    "unit": "",
                    "baseline": None,
                    "null": 0.0,
                    "question": f"What about {m.rpartition('.')[2]}?",
                }
                for m, meaning in metrics.items()
            },
        )

    return (
        one(
            "quality.frechet",
            "How far the distribution of samples lies from that of real examples.",
            {
                "quality.frechet": "Squared 2-Wasserstein distance between Gaussians fitted to features; 0 is equal, lower is better."
            },
            debias=True,
            ridge={"$float": (1e-6).hex()},
        ),
        one(
            "quality.kid",
            "Kernel distance between samples and real examples.",
            {"quality.kid": "Unbiased squared maximum mean discrepancy."},
        ),
        one(
            "quality.prdc",
            "Fidelity and variety apart.",
            {
                f"quality.{m}": f"{m.capitalize()} of the samples, between 0 and 1."
                for m in ("precision", "recall", "density")
            },
            neighbours=5,
        ),
        one(
            "fairness.representation",
            "Who is represented, against a target.",
            {"fairness.share": "Share of samples in a group."},
        ),
        one(
            "fairness.pronouns",
            "Which pronoun the model expects in an occupation.",
            {
                "fairness.pronouns.gap": "Mean absolute difference from labour statistics.",
                "fairness.pronouns.log_odds": "Log odds of she over he.",
            },
        ),
        one(
            "privacy.membership",
            "Whether an attacker can tell the training examples.",
            {
                f"privacy.membership.{m}": "How well an attack tells members from others."
                for m in ("auc", "zlib_auc", "tpr_at_1_percent_fpr", "gap")
            },
        ),
        one(
            "privacy.extraction",
            "Whether training texts can be made to appear.",
            {"privacy.extraction.rate": "Share of texts extracted."},
            status="skipped",
        ),
        one(
            "provenance.credentials",
            "Whether content credentials survive and whether tampering shows.",
            {
                "provenance.validates": "Share that validates.",
                "provenance.tampering_detected": "Share of tampered outputs that fail to validate.",
            },
        ),
        one(
            "quality.bits_per_dimension",
            "How many bits the model needs per dimension.",
            {"quality.bits_per_dimension": "Bits per dimension; lower is better."},
            status="failed",
        ),
    )


GAP = Unmet(
    "a model that offers log_likelihood",
    "it offers reconstruct, sample",
    "use an adapter whose model implements log_likelihood",
)


CONTROLS = (
    Control(
        "quality.frechet", CaseKind.NULL, "900 rows of 'train' in place of the samples", 0.2,
        Interval(-0.3, 0.7, 0.95, "test"), True, "0 is what it should be, within chance",
    ),
    Control(
        "quality.frechet", CaseKind.PLANTED, "900 rows of 'train', a mode of them dropped", 9.5,
        Interval(8.1, 10.9, 0.95, "test"), True, "its whole interval lies beyond the noise floor 0.7",
        defect="dropped mode", dose=0.1,
    ),
)  # fmt: skip


def build() -> Sample:
    kept: dict[Digest, Any] = {}
    measurements = (*quality(kept), *fairness(), *privacy(kept), *provenance(kept))
    undefined = (
        Undefined("privacy.membership.gap", "the holdout has 12 rows; 30 are the least", (("class", "7"),)),
    )
    judgements = POLICY.judge((*measurements, *undefined), {"privacy.extraction.rate": (GAP,)})
    record = AuditRecord(
        run="20260301-093000-5f1c",
        name="digits-vae before 1.2",
        began="2026-03-01T09:30:00+00:00",
        finished="2026-03-01T09:31:42+00:00",
        model={
            "adapter": "included",
            "weights": digest_of(b"weights"),
            "options": {"use": "digits-vae"},
            "family": "variational autoencoder",
            "modality": "image",
            "parameters": 214_049,
            "deterministic": True,
            "offers": ["decode", "encode", "reconstruct", "sample"],
            "withheld": {},
            "notes": [],
        },
        data={
            "loader": "digits",
            "content": digest_of(b"digits"),
            "options": {},
            "splits": {"train": 898, "holdout": 899},
            "groups": ["label"],
            "randomised": True,
            "problems": ["Two near-duplicates lie in both splits."],
            "notes": [],
        },
        environment={"python": "3.11.2", "numpy": "2.4.0", "torch": "2.9.1", "platform": "linux-x86_64"},
        settings={
            "seed": 0,
            "samples": 2000,
            "shard_size": 256,
            "extractor": {"name": "pixels", "digest": digest_of(b"pixels")},
        },
        policy={
            "name": POLICY.name,
            "version": POLICY.version,
            "criteria": json.loads(json.dumps([dataclasses.asdict(c) for c in POLICY.criteria])),
        },
        evaluators=evaluators(),
        measurements=measurements,
        controls=CONTROLS,
        undefined=undefined,
        judgements=judgements,
        skipped=(RecordedSkip("privacy.extraction", (GAP,)),),
        failures=(
            RecordedFailure(
                "likelihood bound of holdout",
                digest_of(b"lost key"),
                3,
                "ValueError: the model returned NaN for 2 of 256 rows",
                "Traceback (most recent call last):\n  ...\nValueError: NaN",
                1,
                ("quality.bits_per_dimension",),
            ),
        ),
        artifacts=(
            RecordedArtifact("2,000 samples of digits-vae", digest_of(b"k1"), 8, digest_of(b"d1"), 6.42),
            RecordedArtifact("pixels features of samples", digest_of(b"k2"), 8, digest_of(b"d2"), 0.81),
            RecordedArtifact("reconstruction error of train", digest_of(b"k3"), 4, digest_of(b"d3"), 71.3),
        ),
        verdict=overall(judgements),
    )
    return Sample(record, kept, [])


def build_hostile() -> Sample:
    """Return the sample with a hostile string wherever a string from outside can stand."""
    kept: dict[Digest, Any] = {}
    text = "ab" + HOSTILE
    nasty = text.replace("\ud800", "")  # Arrow holds UTF-8, so a lone surrogate cannot reach it
    evidence = (
        keep(
            kept, "texts", f"texts {text}", text_rows([nasty, "x" * 90_000], **{nasty: [nasty, nasty]}), False
        ),
        keep(kept, "table", f"table {text}", pa.table({nasty: [nasty] * 3}), False),
        keep(kept, nasty, f"unknown kind {text}", pa.table({"y": [1.0]}), False),
        keep(kept, "images", f"images {text}", image_rows(glyphs(2, 5, 4), **{nasty: [nasty, nasty]}), False),
        keep(kept, "images", "images without pixels", pa.table({"path": [nasty]}), False),
        keep(
            kept,
            "curve",
            f"curve {text}",
            pa.table({"x": [0.0, float("nan"), None], "y": [1.0, 2.0, 3.0]}),
            False,
        ),
        keep(kept, "curve", "curve of words", pa.table({"x": [nasty], "y": [nasty]}), False),
        keep(kept, "table", "no rows", pa.table({"a": pa.array([], pa.string())}), False),
    )
    measurement = Measurement(
        text,
        0.5,
        interval(0.4, 0.6, text),
        10,
        HIGHER,
        ((text, text),),
        0.1,
        0.2,
        text,
        0.01,
        (text,),
        evidence,
    )
    bare = Measurement(text + "2", 0.5, Unquantified(text), 10, HIGHER)
    policy = Policy(
        text,
        text,
        (
            Criterion(text, at_least=0.5, why=text, every_group=True),
            Criterion(text + "3", at_most=1, why=text),
        ),
    )
    gap = Unmet(text, text, text)
    judgements = policy.judge((measurement, bare), {text + "3": (gap,)})
    sample = build()
    record = dataclasses.replace(
        sample.record,
        run="../../" + text,
        name=text * 40,
        began=text,
        model={text: text, "family": text, "splits": text},
        data={"loader": text, "splits": {text: text}, "problems": [text], text: {text: [text]}},
        environment={text: text, "GH_TOKEN": "hunter2"},
        settings={text: {text: [{text: text}]}, "endpoint": "https://user:hunter2@example.org/v1"},
        evaluators=(
            RecordedEvaluator(
                text,
                text,
                text,
                {text: text},
                text,
                {text: text},
                (text,),
                text,
                text,
                (text,),
                {text: {"question": text}},
                {text: text},
            ),
        ),
        measurements=(dataclasses.replace(measurement, void=text), bare),
        controls=(Control(text, CaseKind.NULL, text, 1.0, None, False, text, ((text, text),), text, 0.5),),
        undefined=(Undefined(text, text, ((text, text),)),),
        judgements=judgements,
        skipped=(RecordedSkip(text, (gap,)),),
        failures=(RecordedFailure(text, text, 0, text, text, 1, (text,)),),
        artifacts=(RecordedArtifact(text, text, 1, text, 1.0),),
        verdict=overall(judgements),
    )
    return Sample(record, kept, [])


@pytest.fixture
def sample() -> Sample:
    return build()


@pytest.fixture
def hostile() -> Sample:
    return build_hostile()


@pytest.fixture
def unfinished(sample: Sample) -> Sample:
    """A run that was killed before it measured anything."""
    record = dataclasses.replace(
        sample.record,
        finished=None,
        measurements=(),
        undefined=(),
        artifacts=(),
        failures=(),
        evaluators=tuple(dataclasses.replace(e, status="unfinished") for e in sample.record.evaluators),
        judgements=POLICY.judge((), {}),
    )
    record = dataclasses.replace(record, verdict=overall(record.judgements))
    return dataclasses.replace(sample, record=record)


Builder = Callable[[], Sample]
