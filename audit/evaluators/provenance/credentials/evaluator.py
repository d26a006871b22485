"""Content credentials (C2PA): do this model's outputs carry one, does it validate, and who signed it?

The outputs are read as they are handed over: files in a folder, files that the model returns, texts. A credential is a signed
manifest inside the file (or beside it); presence proves that the holder of a key said something, absence proves nothing. What a format
cannot hold, an empty output and pixels that are no file yet are not applicable: counted apart, in no rate.

Beside it stands what signing would give: ``signed`` outputs are signed in every format by an authority made for the test, then
altered, given another's manifest, cut short and signed by signers nobody should trust. It is a test of outputs and verifier, not of the
model, and none of its numbers says that outputs are marked.

Formula: each metric is a share of outputs: ``carried`` and ``broken`` of all that can carry a credential, ``trusted``, ``declared`` and
``time_stamped`` of those that carry one; ``signable`` of outputs of which every trial in every format came to what it should.

Interval: Clopper-Pearson (exact) over outputs.

Gate: outputs that the audit signs itself are read in the same way; where one of them is not found, valid and trusted, the
number is void. ``trusted`` has no value without a list of authorities.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from audit.core.capabilities import Capability
from audit.core.cases import Case, CaseKind, Cases
from audit.core.errors import InputError
from audit.core.evaluators import About, Needs
from audit.core.measurements import Evidence, Outcome
from audit.core.metrics import HIGHER, LOWER, Metric
from audit.core.recipes import Shards
from audit.core.rows import Rows
from audit.core.subjects import Subject
from audit.evaluators.provenance.credentials.bench import CredentialTrials, libraries
from audit.evaluators.provenance.credentials.signed import SignedReadings
from audit.evaluators.provenance.credentials.tally import Tally, block
from audit.marks.manifests.carriers import IMAGE_FORMATS
from audit.recipes.output_readings import PIXELS, OutputReading, OutputReadings, readings_in
from audit.stats.proportions import clopper_pearson

_ACCEPTED = ("trusted", "valid")
_PEM = "-----BEGIN CERTIFICATE-----"
_NO_FILES = (
    "the model returns pixels, and a credential is part of a file: audit the files that are handed out "
    '([model] adapter = "samples_on_disk"), or have the model return the bytes of files'
)
_NO_ANCHORS = (
    "whether the signers are known cannot be said, because no list of authorities was given: write "
    'trust = "c2pa-trust-lists" for the official ones (audit fetch c2pa-trust-lists), or trust = "file.pem"'
)

METRICS = (
    Metric(
        "carried",
        "Share of outputs that carry a credential, sound or not",
        HIGHER,
        null=1.0,
        question="Do the outputs say where they come from?",
    ),
    Metric(
        "broken",
        "Share of outputs whose credential does not validate: altered after signing, damaged, or another output's",
        LOWER,
        null=0.0,
        question="Do outputs carry credentials that a verifier will reject?",
    ),
    Metric(
        "trusted",
        "Share of credentials whose signer an authority of the trust list vouches for",
        HIGHER,
        null=1.0,
        question="Can a reader know who signed?",
    ),
    Metric(
        "declared",
        "Share of credentials that validate and say that a trained model created the output",
        HIGHER,
        null=1.0,
        question="Do the credentials say that the output was generated?",
    ),
    Metric(
        "time_stamped",
        "Share of credentials with a time stamp, which hold after the certificate has expired",
        HIGHER,
        question="Will the credentials still validate in some years?",
    ),
    Metric(
        "signable",
        "Share of outputs that could be signed in every format so that every tampering and false signer is recognised; it says "
        "what signing would give, not that outputs are signed",
        HIGHER,
        question="Would signing work for these outputs?",
    ),
)


@dataclass(frozen=True, slots=True)
class ContentCredentials:
    """Reads the credentials of ``n`` outputs, and signs ``signed`` of them on the bench.

    ``anchors`` are the authorities that vouch for signers and ``time_stamps`` those that stamp times, as certificates in PEM one after
    another. In a spec, ``trust`` names a file of them, or ``c2pa-trust-lists``, the official ones. The default ``n`` puts the
    exact lower bound of an all-success rate above 0.95.
    """

    n: int = 80
    signed: int = 16
    anchors: str = ""
    time_stamps: str = ""

    about: ClassVar[About] = About(
        name="provenance.credentials",
        summary="C2PA credentials of outputs.",
        metrics=METRICS,
        needs=Needs(capabilities=((Capability.SAMPLE,),), modalities=("image", "text")),
        references=(
            "Coalition for Content Provenance and Authenticity, Technical Specification 2.4",
            "Clopper & Pearson (1934), The use of confidence or fiducial limits",
        ),
        shards_matter=True,
        caveats=(
            "Presence of a credential proves that the holder of a key signed an assertion; absence proves nothing.",
            "A credential that is valid and not trusted was signed by somebody unknown; accepting it means accepting anyone.",
            "Nothing is asked over the network: no revocation is checked, and no manifest is fetched that is kept elsewhere.",
        ),
    )

    def __post_init__(self) -> None:
        if self.n < 1 or self.signed < 1:
            raise InputError(
                f"provenance.credentials: n is {self.n} and signed is {self.signed}; both are numbers of outputs, at least 1."
            )
        for name in ("anchors", "time_stamps"):
            if (pem := getattr(self, name)) and _PEM not in pem:
                raise InputError(
                    f"provenance.credentials: '{name}' holds no certificate. Name the file of a trust list, trust = \"file.pem\", or "
                    f'paste its certificates: {name} = """{_PEM} …"""'
                )

    def inputs(self, subject: Subject) -> Cases:
        used, trusting = libraries(), bool(self.anchors)
        samples, asked = subject.samples(self.n), {"trusting": True, "trials": None, "touched": ()}
        null = Case(
            CaseKind.NULL,
            {**asked, "readings": SignedReadings(samples, used)},
            "the model's outputs, signed for the test by an authority that the reader trusts",
        )
        planted = tuple(
            Case(
                CaseKind.PLANTED,
                {**asked, "readings": SignedReadings(samples, used, **{what: dose}), "touched": touched},
                f"outputs signed for the test, some of them {what} after it",
                f"credentials {what}",
                dose,
            )
            for dose in subject.doses
            for what, touched in (("stripped", ("carried",)), ("altered", ("broken", "trusted", "declared")))
        )
        return Cases(
            {
                "readings": OutputReadings.of(subject, self.n, self.anchors, self.time_stamps),
                "trusting": trusting,
                "trials": CredentialTrials(samples, subject.seed, used, self.signed),
                "touched": (),
            },
            null,
            planted,
        )

    def measure(
        self,
        readings: Shards[Rows],
        trusting: bool,
        trials: Shards[Rows] | None,
        touched: tuple[str, ...],
    ) -> Iterable[Outcome]:
        found = readings_in(readings)
        asked = [r for r in found if not r.inapplicable]
        carriers = [r for r in asked if r.answer != "absent"]
        outcomes = [*self._of_outputs(found, asked, carriers), *self._of_carriers(carriers, trusting)]
        if trials is not None:
            outcomes.append(self._signable(Tally.of(trials)))
        names = [self.about.full(name) for name in touched]
        return [outcome for outcome in outcomes if not names or outcome.metric in names]

    def _of_outputs(
        self,
        found: Sequence[OutputReading],
        asked: Sequence[OutputReading],
        carriers: Sequence[OutputReading],
    ) -> Iterator[Outcome]:
        if not asked:
            pixels = any(r.format == PIXELS for r in found)
            reason = _NO_FILES if pixels else " ".join(_apart(found)) or "there are no outputs"
            yield self.about.undefined("carried", reason)
            return
        table = (Evidence("table", "What the outputs carry", _table(carriers), sensitive=False),)
        yield self._share("carried", len(carriers), len(asked), _apart(found), table if carriers else ())
        broken = [r for r in carriers if r.answer not in _ACCEPTED]
        if carriers:
            yield self._share("broken", len(broken), len(asked), _codes(broken))

    def _of_carriers(self, carriers: Sequence[OutputReading], trusting: bool) -> Iterator[Outcome]:
        if not carriers:
            for metric in ("trusted", "declared", "time_stamped"):
                yield self.about.undefined(metric, "no output carries a credential")
            return
        n = len(carriers)
        if trusting:
            yield self._share("trusted", sum(r.answer == "trusted" for r in carriers), n)
        else:
            yield self.about.undefined("trusted", _NO_ANCHORS)
        yield self._share("declared", sum(r.declared for r in carriers), n)
        stamped = sum(r.time_stamped for r in carriers)
        known = sum(r.time_stamp_trusted for r in carriers)
        notes = (
            (f"An authority that is trusted here made {known} of {stamped} time stamps.",) if stamped else ()
        )
        yield self._share("time_stamped", stamped, n, notes)

    def _share(
        self,
        metric: str,
        successes: int,
        n: int,
        notes: Iterable[str] = (),
        evidence: tuple[Evidence, ...] = (),
    ) -> Outcome:
        interval = clopper_pearson(successes, n)
        return self.about.measurement(metric, successes / n, interval, n, notes=notes, evidence=evidence)

    def _signable(self, tally: Tally) -> Outcome:
        units, apart = tally.sound, tally.inapplicable()
        if tally.void or not units:
            return self.about.undefined("signable", tally.void or " ".join(apart) or "nothing could be tried")
        table = Evidence("table", "What signing would give, case by case", block(tally), sensitive=False)
        return self._share("signable", sum(units.values()), len(units), [*_bench(tally), *apart], (table,))


def _apart(found: Sequence[OutputReading]) -> list[str]:
    """Say how many outputs the question does not arise for, and why."""
    counted = Counter(r.inapplicable for r in found if r.inapplicable)
    return [
        f"Not applicable to {count} of {len(found)} outputs, and left out: {why}."
        for why, count in counted.most_common()
    ]


def _codes(broken: Sequence[OutputReading]) -> list[str]:
    counted = Counter(", ".join(r.codes) or r.answer for r in broken)
    return [f"{count} × {code}." for code, count in counted.most_common(5)]


def _table(carriers: Sequence[OutputReading]) -> Rows:
    """Return one row per way in which credentials of these outputs look alike."""
    import pyarrow as pa

    counted = Counter(
        (
            r.format,
            r.answer,
            ", ".join(r.codes),
            r.signer,
            ", ".join(r.source_types),
            "trusted" if r.time_stamp_trusted else "yes" if r.time_stamped else "no",
            r.ingredients,
            ", ".join(r.soft_bindings),
        )
        for r in carriers
    )
    names = (
        "format",
        "answer",
        "codes",
        "signer",
        "source type",
        "time stamp",
        "ingredients",
        "soft bindings",
    )
    kept = counted.most_common(20)
    columns = {name: [key[i] for key, _ in kept] for i, name in enumerate(names)}
    return pa.table({"outputs": [count for _, count in kept], **columns})


def _bench(tally: Tally) -> Iterator[str]:
    yield f"Formats: {', '.join(tally.formats)}."
    if "text" in tally.formats:
        yield (
            "A text is signed with a sidecar, bound to every byte of its UTF-8 form: any edit breaks it, and the text alone "
            "does not show that there ever was one."
        )
    elif missing := [f.name for f in IMAGE_FORMATS if f.name not in tally.formats]:
        yield f"Not tried, because a library here cannot write them: {', '.join(missing)}."
    added = tally.mean_added()
    if added is not None:
        yield f"A credential adds {added:,.0f} bytes on average, without thumbnails."
    yield (
        "The signer is an authority made for this test and thrown away; a manifest that was taken off "
        "cannot be found again, because no watermark points to it."
    )
