"""An audit as its readers see it: plain values, the shape of the JSON record.

``audit/schema/record.json`` is the JSON Schema of :func:`to_json`'s result;
both change only together with ``SCHEMA_VERSION``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from audit.core.cases import CaseKind, Control
from audit.core.errors import InputError
from audit.core.evaluators import Unmet
from audit.core.identity import Digest
from audit.core.measurements import (
    Direction,
    Evidence,
    Interval,
    Measurement,
    Undefined,
    Ungraded,
    Unquantified,
)
from audit.core.policy import Basis, Criterion, Judgement, Verdict, Waiver
from audit.core.review import Review, review_from_plain, review_to_plain
from audit.core.usage import Spending, Usage

SCHEMA_VERSION = "1.1"
READABLE = (1, SCHEMA_VERSION)
"""Versions that ``from_plain`` reads. Version 1 had no controls, called shards pieces and labels titles."""


class RecordError(InputError, ValueError):
    """A document is no record; to whatever keeps records, a value that is not as this tool writes it."""


@dataclass(frozen=True, slots=True)
class RecordedEvaluator:
    """An evaluator that this audit asked for: its parameters and the digest of its source.

    ``name`` is what the spec calls it and what its metrics begin with; ``evaluator`` is the plugin's name.
    ``metrics`` has a sentence for each metric, ``declared`` its whole declaration: ``meaning``, ``direction``, ``unit``,
    ``baseline``, ``null`` and ``question``. ``extractors`` names the feature extractors it was given, by role.
    """

    name: str
    dimension: str
    summary: str
    parameters: Mapping[str, Any]
    source: str
    metrics: Mapping[str, str]
    references: tuple[str, ...]
    status: str
    """``scored``, ``skipped``, ``failed`` or ``unfinished``."""
    evaluator: str = ""
    caveats: tuple[str, ...] = ()
    declared: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    extractors: Mapping[str, str] = field(default_factory=dict)

    def question(self, metric: str) -> str:
        """The question a metric answers, in plain words; empty where its declaration has none."""
        return str(self.declared.get(metric, {}).get("question", ""))


@dataclass(frozen=True, slots=True)
class RecordedSkip:
    """An evaluator that was skipped, and every need that was not met."""

    evaluator: str
    unmet: tuple[Unmet, ...]


@dataclass(frozen=True, slots=True)
class RecordedFailure:
    """A shard or a scoring that failed, and which evaluators have no result because of it."""

    what: str
    key: str
    shard: int
    error: str
    detail: str
    attempts: int
    evaluators: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RecordedArtifact:
    """One artifact: its key, how many shards it has, a digest over the shards' digests, and what it cost."""

    label: str
    key: str
    shards: int
    digest: str
    seconds: float


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """A finished or unfinished audit: what ran, what did not and why, and what it means.

    Times are ISO 8601 in UTC. ``finished`` is None for a run that did not get to its end.
    """

    run: str
    name: str
    began: str
    finished: str | None
    model: Mapping[str, Any]
    data: Mapping[str, Any]
    environment: Mapping[str, str]
    settings: Mapping[str, Any]
    policy: Mapping[str, Any]
    evaluators: tuple[RecordedEvaluator, ...]
    measurements: tuple[Measurement, ...]
    undefined: tuple[Undefined, ...]
    judgements: tuple[Judgement, ...]
    skipped: tuple[RecordedSkip, ...]
    failures: tuple[RecordedFailure, ...]
    artifacts: tuple[RecordedArtifact, ...]
    verdict: Verdict
    controls: tuple[Control, ...] = ()
    spending: tuple[Spending, ...] = ()
    """What served models counted and cost: how it came about, and no part of what was measured."""
    review: Review | None = None
    """What people said of it afterwards, for a report to show; the ledger's own record has none."""
    schema_version: int | str = field(default=SCHEMA_VERSION)


def to_json(record: AuditRecord) -> str:
    """Return the record as JSON, the same text for the same record."""
    return json.dumps(to_plain(record), indent=2, ensure_ascii=False, allow_nan=False)


def not_asked(record: AuditRecord) -> tuple[str, ...]:
    """Return the metrics of the policy's criteria that are about models of another kind than this one."""
    modality = record.model.get("modality")
    criteria = record.policy.get("criteria") or ()
    return tuple(
        dict.fromkeys(
            str(c.get("metric"))
            for c in criteria
            if c.get("modalities") and modality and modality not in c["modalities"]
        )
    )


def to_plain(record: AuditRecord) -> dict[str, Any]:
    """Return the record as dictionaries, lists, strings and numbers."""
    return {
        "schema_version": record.schema_version,
        "run": record.run,
        "name": record.name,
        "began": record.began,
        "finished": record.finished,
        "verdict": record.verdict.value,
        "model": dict(record.model),
        "data": dict(record.data),
        "environment": dict(record.environment),
        "settings": dict(record.settings),
        "policy": dict(record.policy),
        "evaluators": [asdict(evaluator) for evaluator in record.evaluators],
        "measurements": [measurement_to_plain(m) for m in record.measurements],
        "undefined": [
            {"metric": u.metric, "reason": u.reason, "group": dict(u.group)} for u in record.undefined
        ],
        "judgements": [_judgement_to_plain(j) for j in record.judgements],
        "skipped": [asdict(skip) for skip in record.skipped],
        "failures": [asdict(failure) for failure in record.failures],
        "artifacts": [asdict(artifact) for artifact in record.artifacts],
        "controls": [_control_to_plain(control) for control in record.controls],
        **({"spending": [spending_to_plain(s) for s in record.spending]} if record.spending else {}),
        **({} if record.review is None else {"review": review_to_plain(record.review)}),
    }


def spending_to_plain(spending: Spending) -> dict[str, Any]:
    """Return tokens and cost as the JSON record spells them; no cost where no price was stated."""
    said = {"reused": spending.reused, **asdict(spending.usage)}
    return said if spending.usage.currency else {**said, "cost": None, "currency": None}


def _spending_from_plain(plain: Mapping[str, Any]) -> Spending:
    priced = {"cost": plain["cost"] or 0.0, "currency": plain["currency"] or ""}
    return Spending(bool(plain["reused"]), Usage.of({**plain, **priced}))


def measurement_to_plain(measurement: Measurement) -> dict[str, Any]:
    """Return one measurement as the JSON record spells it."""
    uncertainty = measurement.uncertainty
    quantified = isinstance(uncertainty, Interval)
    return {
        "metric": measurement.metric,
        "value": measurement.value,
        "interval": asdict(uncertainty) if quantified else None,
        "unquantified": uncertainty.reason if isinstance(uncertainty, Unquantified) else None,
        "n": measurement.n,
        "direction": measurement.direction.value,
        "group": dict(measurement.group),
        "baseline": measurement.baseline,
        "noise_floor": measurement.noise_floor,
        "unit": measurement.unit,
        "p_value": measurement.p_value,
        "notes": list(measurement.notes),
        "evidence": [
            {"kind": e.kind, "caption": e.caption, "digest": str(e.content), "sensitive": e.sensitive}
            for e in measurement.evidence
        ],
        "void": measurement.void,
        "available": measurement.available,
        **({} if measurement.ungraded is None else {"ungraded": asdict(measurement.ungraded)}),
    }


def measurement_from_plain(plain: Mapping[str, Any]) -> Measurement:
    """Return the measurement that :func:`measurement_to_plain` wrote."""
    interval = plain["interval"]
    return Measurement(
        metric=plain["metric"],
        value=plain["value"],
        uncertainty=Interval(**interval) if interval else Unquantified(plain["unquantified"]),
        n=plain["n"],
        direction=Direction(plain["direction"]),
        group=tuple(plain["group"].items()),
        baseline=plain["baseline"],
        noise_floor=plain["noise_floor"],
        unit=plain["unit"],
        p_value=plain["p_value"],
        notes=tuple(plain["notes"]),
        evidence=tuple(
            Evidence(e["kind"], e["caption"], Digest(e["digest"]), e["sensitive"]) for e in plain["evidence"]
        ),
        void=plain.get("void", ""),
        available=plain.get("available"),
        ungraded=Ungraded(**plain["ungraded"]) if plain.get("ungraded") else None,
    )


def _control_to_plain(control: Control) -> dict[str, Any]:
    return {
        "metric": control.metric,
        "group": dict(control.group),
        "kind": control.kind.value,
        "asked": control.asked,
        "defect": control.defect,
        "dose": control.dose,
        "value": control.value,
        "interval": None if control.interval is None else asdict(control.interval),
        "right": control.right,
        "because": control.because,
    }


def _control_from_plain(plain: Mapping[str, Any]) -> Control:
    return Control(
        metric=plain["metric"],
        kind=CaseKind(plain["kind"]),
        asked=plain["asked"],
        value=plain["value"],
        interval=Interval(**plain["interval"]) if plain["interval"] else None,
        right=plain["right"],
        because=plain["because"],
        group=tuple(plain["group"].items()),
        defect=plain["defect"],
        dose=plain["dose"],
    )


def _judgement_to_plain(judgement: Judgement) -> dict[str, Any]:
    because = judgement.because
    return {
        "criterion": asdict(judgement.criterion),
        "verdict": judgement.verdict.value,
        "because": (
            {"measurement": measurement_to_plain(because), "unmet": []}
            if isinstance(because, Measurement)
            else {"measurement": None, "unmet": [asdict(gap) for gap in because]}
        ),
        "n_to_decide": judgement.n_to_decide,
        "to_decide": judgement.to_decide,
        "basis": None if judgement.basis is None else asdict(judgement.basis),
        "waiver": None if judgement.waiver is None else waiver_to_plain(judgement.waiver, judgement.expired),
    }


def waiver_to_plain(waiver: Waiver, expired: bool) -> dict[str, Any]:
    """Return one waiver as the JSON record spells it."""
    return {**asdict(waiver), "group": dict(waiver.group), "expired": expired}


def _judgement_from_plain(plain: Mapping[str, Any]) -> Judgement:
    because = plain["because"]
    return Judgement(
        criterion=Criterion(**{**plain["criterion"], "modalities": tuple(plain["criterion"]["modalities"])}),
        verdict=Verdict(plain["verdict"]),
        because=(
            measurement_from_plain(because["measurement"])
            if because["measurement"]
            else tuple(Unmet(**gap) for gap in because["unmet"])
        ),
        n_to_decide=plain["n_to_decide"],
        to_decide=plain.get("to_decide", ""),
        waiver=_waiver_from_plain(plain["waiver"]) if plain.get("waiver") else None,
        expired=bool(plain.get("waiver") and plain["waiver"]["expired"]),
        basis=_basis_from_plain(plain["basis"]) if plain.get("basis") else None,
    )


def _basis_from_plain(plain: Mapping[str, Any]) -> Basis:
    return Basis(plain["value"], Interval(**plain["interval"]), plain["said"])


def _waiver_from_plain(plain: Mapping[str, Any]) -> Waiver:
    said = {name: plain[name] for name in ("metric", "owner", "reason", "expires")}
    return Waiver(**said, group=tuple(plain["group"].items()))


def from_plain(plain: Mapping[str, Any]) -> AuditRecord:
    """Return the record that :func:`to_plain` wrote, now or in version 1. Raise InputError for anything else."""
    try:
        version = plain["schema_version"]
        if version in READABLE:
            return _from_plain(plain)
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError) as error:
        raise RecordError(
            f"This is no record of an audit, or a damaged one ({type(error).__name__}: {str(error)[:200]}). "
            "'audit report --format json' writes one."
        ) from error
    raise InputError(
        f"This record has schema version {str(version)[:40]!r}; this installation reads "
        f"{' and '.join(str(v) for v in READABLE)}. Install the version of generative-audit that wrote it, or run the audit again."
    )


def _from_plain(plain: Mapping[str, Any]) -> AuditRecord:
    return AuditRecord(
        schema_version=plain["schema_version"],
        run=plain["run"],
        name=plain["name"],
        began=plain["began"],
        finished=plain["finished"],
        verdict=Verdict(plain["verdict"]),
        model=plain["model"],
        data=plain["data"],
        environment=plain["environment"],
        settings=plain["settings"],
        policy=plain["policy"],
        evaluators=tuple(
            RecordedEvaluator(
                **{**e, "references": tuple(e["references"]), "caveats": tuple(e.get("caveats", ()))}
            )
            for e in plain["evaluators"]
        ),
        measurements=tuple(measurement_from_plain(m) for m in plain["measurements"]),
        undefined=tuple(
            Undefined(u["metric"], u["reason"], tuple(u["group"].items())) for u in plain["undefined"]
        ),
        judgements=tuple(_judgement_from_plain(j) for j in plain["judgements"]),
        skipped=tuple(
            RecordedSkip(s["evaluator"], tuple(Unmet(**gap) for gap in s["unmet"])) for s in plain["skipped"]
        ),
        failures=tuple(
            RecordedFailure(**{**f, "evaluators": tuple(f["evaluators"])}) for f in plain["failures"]
        ),
        artifacts=tuple(_artifact_from_plain(artifact) for artifact in plain["artifacts"]),
        controls=tuple(_control_from_plain(control) for control in plain.get("controls", ())),
        spending=tuple(_spending_from_plain(s) for s in plain.get("spending", ())),
        review=review_from_plain(plain["review"]) if plain.get("review") else None,
    )


def _artifact_from_plain(plain: Mapping[str, Any]) -> RecordedArtifact:
    return RecordedArtifact(
        label=plain.get("label", plain.get("title", "")),
        key=plain["key"],
        shards=plain.get("shards", plain.get("pieces", 0)),
        digest=plain["digest"],
        seconds=plain["seconds"],
    )
