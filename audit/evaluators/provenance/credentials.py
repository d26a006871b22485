"""Content credentials (C2PA): can this model's outputs carry one, and does it show tampering and false signers?

Every output is signed in every format that can carry a manifest, by an authority made for the test. Then the signed files are
altered, given the manifest of another output, cut off, signed by signers that nobody should trust, and changed as files are
changed in passing; a verifier reads each of them. It is a test of the outputs and the verifier, not of a signing service.

Formula: each metric is a share of outputs. An output counts as a success only if it is one in every format and every
case; it counts towards ``false_trust`` if a false signer is trusted in any. ``overhead_bytes`` is the mean size of what a
credential adds.

Interval: Clopper-Pearson (exact) over outputs; ``overhead_bytes`` by Student's t over outputs, whose formats are one cluster.

Gate: where the verifier accepts an output that carries no credential, or where no output can be signed so that its intact
credential is trusted, every metric but ``sign_success`` has no value.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

from audit.core.capabilities import Capability
from audit.core.errors import InputError, UndefinedError
from audit.core.evaluators import About, Needs
from audit.core.measurements import Evidence, Group, Outcome
from audit.core.metrics import HIGHER, LOWER, Metric
from audit.core.recipes import Inputs, Shards
from audit.core.rows import Rows
from audit.core.subjects import Subject
from audit.evaluators.provenance.carriers import IMAGE_FORMATS
from audit.evaluators.provenance.signers import UNTRUSTED
from audit.evaluators.provenance.tallies import Tally, Unit, cell_table
from audit.evaluators.provenance.tampering import STRIPS, TAMPERS
from audit.evaluators.provenance.trials import (
    FAILED,
    INAPPLICABLE,
    INERT,
    INTACT,
    REFUSAL,
    SIGNER,
    STRIP,
    TAMPER,
    UNSIGNED,
    CredentialTrials,
    libraries,
)
from audit.stats.clusters import clustered_mean
from audit.stats.proportions import clopper_pearson

_ACCEPTED = frozenset({"trusted", "valid"})
_EXPIRY = (
    "Nothing is asked over the network, so there is no time stamp and no revocation check: "
    "a certificate that has expired is judged by the time of reading."
)
_SIDECAR = (
    "A text carries its manifest in a sidecar, bound to every byte of its UTF-8 form and to nothing else: "
    "any edit breaks it, and the text alone does not show that there ever was one."
)


_ABOUT = About(
    name="provenance.credentials",
    summary="Signs outputs with C2PA content credentials, then tampers, strips, transplants and forges.",
    metrics=(
        Metric(
            "sign_success",
            "Share of outputs that can be signed, and whose credential then reads as trusted, in every format",
            HIGHER,
            question="Can the outputs carry a credential that says where they come from?",
        ),
        Metric(
            "tamper_detection",
            "Share of signed outputs whose credential is no longer accepted after tampering, in every format and for every "
            "kind of tampering",
            HIGHER,
            question="Does the credential give away that an output was changed?",
        ),
        Metric(
            "false_trust",
            "Share of outputs for which a signer that must not be trusted is trusted, in any format",
            LOWER,
            question="Can somebody else sign in the provider's place?",
        ),
        Metric(
            "strip_survival",
            "Share of signed outputs whose credential is still trusted after a change in passing, such as saving again, in "
            "every format",
            HIGHER,
            question="Does the credential outlive what usually happens to a file?",
        ),
        Metric(
            "action_declared",
            "Share of signed outputs whose validated manifest says that a trained model created them, in every format",
            HIGHER,
            question="Does the credential say that the output was generated?",
        ),
        Metric(
            "overhead_bytes",
            "Mean number of bytes that the credential adds to an output",
            LOWER,
            unit="bytes",
            question="What does a credential cost?",
        ),
    ),
    needs=Needs(capabilities=((Capability.SAMPLE,),), modalities=("image", "text")),
    references=(
        "Coalition for Content Provenance and Authenticity, Technical Specification 2.x",
        "Clopper & Pearson (1934), The use of confidence or fiducial limits",
    ),
    shards_matter=True,
    caveats=(
        "Presence of a credential proves that the holder of a key signed an assertion; absence proves nothing.",
        "The signer is an authority made for this test and thrown away: what is tested is whether the outputs can "
        "carry credentials and a verifier can rely on them, not the signing service that will be used.",
    ),
)


@dataclass(frozen=True, slots=True)
class ContentCredentials:
    """Signs ``n`` outputs in every format that can carry a manifest, then attacks each signed file.

    The unit is the output: it counts as a success only if it is one in every
    format. Every tamper, false signer and change in passing is tried on every
    output whose intact credential reads as trusted. The default ``n`` puts the
    exact lower bound of an all-success rate above 0.95.
    """

    n: int = 80

    about: ClassVar[About] = _ABOUT

    def __post_init__(self) -> None:
        if self.n < 1:
            raise InputError(
                f"provenance.credentials: n is {self.n}; it is the number of outputs to sign, at least 1."
            )

    def inputs(self, subject: Subject) -> Inputs:
        return {"trials": CredentialTrials(subject.samples(self.n), subject.seed, libraries())}

    def measure(self, trials: Shards[Rows]) -> Iterable[Outcome]:
        everything = Tally.of(trials)
        tally = everything.without(INAPPLICABLE)
        yield from _sign_success(tally, _left_out(everything))
        if void := _void(tally):
            for metric in self.about.metrics[1:]:
                yield _ABOUT.undefined(metric.name, void)
            return
        yield from _tamper_detection(tally)
        yield from _false_trust(tally)
        yield from _strip_survival(tally)
        yield _action_declared(tally)
        yield from _overhead(tally)


def _left_out(tally: Tally) -> list[str]:
    """Say how many outputs make no file: they are no failure to sign, and belong to no rate."""
    intact = [t for t in tally.trials if t.kind == INTACT]
    lacking = Counter((t.format, t.code) for t in intact if t.outcome == INAPPLICABLE)
    outputs = len({t.output for t in intact})
    return [
        f"Not applicable to {count} of {outputs} outputs as {name}, and left out: {code}."
        for (name, code), count in lacking.most_common()
    ]


def _void(tally: Tally) -> str:
    """Say why attacks on these credentials would show nothing; empty when they do."""
    blanks = tally.outcomes(UNSIGNED)
    accepted = sum(outcome in _ACCEPTED for outcome in blanks)
    if accepted:
        return f"void: the verifier accepted {accepted} of {len(blanks)} outputs that carry no credential"
    if "trusted" not in tally.outcomes(INTACT):
        return "no output could be signed so that its intact credential is trusted"
    return ""


def _share(
    metric: str,
    units: Mapping[Unit, bool],
    group: Group = (),
    notes: Iterable[str] = (),
    evidence: tuple[Evidence, ...] = (),
    without: str = "",
) -> Outcome:
    if not units:
        return _ABOUT.undefined(metric, without or "no trial of this kind could be made", group)
    n, successes = len(units), sum(units.values())
    interval = clopper_pearson(successes, n)
    return _ABOUT.measurement(metric, successes / n, interval, n, group=group, notes=notes, evidence=evidence)


def _table(tally: Tally, kinds: tuple[str, ...], caption: str) -> tuple[Evidence, ...]:
    return (Evidence("table", caption, cell_table(tally, kinds), sensitive=False),)


def _sign_success(tally: Tally, left_out: list[str]) -> Iterator[Outcome]:
    def good(outcome: str) -> bool:
        return outcome == "trusted"

    messages = tally.codes(INTACT, FAILED)
    notes = [*_about_formats(tally.formats), *left_out]
    notes += [f"{count} × {message}" for message, count in messages.most_common(5)]
    yield _share(
        "sign_success",
        tally.every(INTACT, good),
        notes=tuple(notes),
        evidence=_table(tally, (INTACT, UNSIGNED), "Outputs signed, and the same outputs unsigned"),
        without=" ".join(left_out),
    )
    for name in tally.formats:
        yield _share(
            "sign_success",
            tally.every(INTACT, good, carrier=name),
            (("format", name),),
        )


def _about_formats(formats: tuple[str, ...]) -> Iterator[str]:
    yield f"Formats: {', '.join(formats)}."
    if "text" in formats:
        yield _SIDECAR
    elif missing := [f.name for f in IMAGE_FORMATS if f.name not in formats]:
        yield f"Not tried, because a library here cannot write them: {', '.join(missing)}."


def _tamper_detection(tally: Tally) -> Iterator[Outcome]:
    def caught(outcome: str) -> bool:
        return outcome not in _ACCEPTED

    tried = tally.without(FAILED, INERT)
    inert = tally.outcomes(TAMPER).count(INERT)
    absent = tally.outcomes(TAMPER).count("absent")
    notes: list[str] = []
    if inert:
        notes.append(
            f"{inert} trials with random bytes are left out: they fell on padding outside the signature "
            "and changed neither what the output shows nor what the manifest says."
        )
    if absent:
        notes.append(f"In {absent} trials the credential was lost with the damage and reads as absent.")
    yield _share(
        "tamper_detection",
        tried.every(TAMPER, caught),
        notes=tuple(notes),
        evidence=_table(tally, (TAMPER,), "Signed outputs that were tampered with"),
    )
    for name, meaning in TAMPERS.items():
        yield _share(
            "tamper_detection",
            tried.every(TAMPER, caught, case=name),
            (("tamper", name),),
            notes=(f"Here {meaning}.",),
        )


def _false_trust(tally: Tally) -> Iterator[Outcome]:
    def trusted(outcome: str) -> bool:
        return outcome == "trusted"

    tried = tally.without(FAILED)
    refused = tally.outcomes(REFUSAL)
    notes = [
        _EXPIRY,
        "A credential that reads as valid and not as trusted was signed by somebody unknown: "
        "a validator that accepts it accepts anyone.",
        f"Asked openly, the signing library refused {refused.count('refused')} of {len(refused)} times to use a "
        "certificate that is out of its time or made for another purpose; the trials use forged ones.",
    ]
    yield _share(
        "false_trust",
        tried.some(SIGNER, trusted),
        notes=tuple(notes),
        evidence=_table(tally, (SIGNER, REFUSAL), "Outputs signed by somebody who must not be trusted"),
    )
    for name, meaning in UNTRUSTED.items():
        yield _share(
            "false_trust",
            tried.some(SIGNER, trusted, case=name),
            (("signer", name),),
            notes=(f"The signer has {meaning}.",),
        )


def _strip_survival(tally: Tally) -> Iterator[Outcome]:
    def survives(outcome: str) -> bool:
        return outcome == "trusted"

    tried = tally.without(FAILED)
    yield _share(
        "strip_survival",
        tried.every(STRIP, survives),
        notes=(
            "An output counts only if it survives every change. No soft binding (watermark) is claimed, "
            "so a manifest that was taken off cannot be found again.",
        ),
        evidence=_table(tally, (STRIP,), "Signed outputs that were changed in passing"),
    )
    for name in tried.cases(STRIP):
        yield _share(
            "strip_survival",
            tried.every(STRIP, survives, case=name),
            (("transform", name),),
            notes=(f"Change: {STRIPS[name]}.",),
        )


def _action_declared(tally: Tally) -> Outcome:
    return _share(
        "action_declared",
        tally.without(FAILED).declared(),
        notes=("The assertion is c2pa.created with the IPTC source type trainedAlgorithmicMedia.",),
    )


def _overhead(tally: Tally) -> Iterator[Outcome]:
    signed = tally.without(FAILED)
    yield _mean_bytes(signed, ())
    for name in signed.formats:
        yield _mean_bytes(signed, (("format", name),), name)


def _mean_bytes(tally: Tally, group: Group, carrier: str | None = None) -> Outcome:
    added = tally.added(carrier)
    try:
        value, interval = clustered_mean([size for _, size in added], [unit for unit, _ in added])
    except UndefinedError as reason:
        return _ABOUT.undefined("overhead_bytes", str(reason), group)
    notes = ["Thumbnails are off; the certificate chain is that of the test authority."]
    if interval.half_width == 0:
        notes.append("Every output grew by the same number of bytes, so the interval has no width.")
    n = len({unit for unit, _ in added})
    return _ABOUT.measurement("overhead_bytes", value, interval, n, group=group, notes=notes)
