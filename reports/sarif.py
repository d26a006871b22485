"""A record as SARIF 2.1.0, which code hosts show as alerts: one result for each criterion that did not pass."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from audit.core.identity import digest_of
from audit.core.policy import Verdict
from audit.core.records import AuditRecord, RecordedFailure
from audit.core.renderers import EvidenceReader
from reports.failures import failed, without
from reports.findings import Finding, findings
from reports.redact import shortened, visible
from reports.sections import owners

_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_PLACE = "audit.toml"
"""The file that results are shown at: hosts show none without a file, and a record names none but its bytes."""
_LEVELS: Mapping[Verdict, str] = {
    Verdict.FAIL: "error",
    Verdict.INCONCLUSIVE: "warning",
    Verdict.NOT_ASSESSED: "warning",
}
_FAILED = "audit.part-failed"


class SarifReport:
    """Renders a record as SARIF. A rule is a metric; a passed criterion is no result.

    A failed criterion is an ``error``; one that is inconclusive or not assessed, and a part of the audit that failed,
    is a ``warning``. Advice is a ``note``, and what is waived is suppressed with the reason. ``partialFingerprints`` names metric, group and bound, so that a host sees the same finding of the
    next run as the same. The report holds no evidence, so ``show_sensitive`` changes nothing.
    """

    media_type: ClassVar[str] = "application/sarif+json"
    suffix: ClassVar[str] = ".sarif"

    def render(self, record: AuditRecord, evidence: EvidenceReader, *, show_sensitive: bool = False) -> bytes:
        """Return the document. Pure: same record, same bytes."""
        found = [f for f in findings(record) if f.verdict is not Verdict.PASS]
        rules = list(_rules(record, found))
        places = {
            name: number for number, name in enumerate([*dict.fromkeys(f.metric for f in found), _FAILED])
        }
        run = {
            "tool": {
                "driver": {
                    "name": "generative-audit",
                    "version": _text(record.environment.get("generative-audit", "unknown")),
                    "rules": rules,
                }
            },
            "automationDetails": {
                "id": f"generative-audit/{_text(record.name, 200)}/{_text(record.run, 100)}"
            },
            "invocations": [_invocation(record)],
            "results": [_result(f, places[f.metric]) for f in found]
            + [_broken(failure, places[_FAILED]) for failure in record.failures],
        }
        document = {"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}
        return (json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode("utf-8")


def _rules(record: AuditRecord, found: Iterable[Finding]) -> Iterable[dict[str, Any]]:
    owned = owners(record)
    for name in dict.fromkeys(f.metric for f in found):
        owner = owned.get(name)
        meaning = owner.metrics.get(name, "") if owner else ""
        question = owner.question(name) if owner else ""
        yield {
            "id": _text(name, 200),
            "shortDescription": {"text": _text(question or meaning or name)},
            "fullDescription": {"text": _text(meaning or question or name)},
            "properties": {"tags": [_text(owner.dimension if owner else "other", 100)]},
        }
    if record.failures:
        yield {
            "id": _FAILED,
            "shortDescription": {"text": "A part of the audit failed, so its numbers are missing."},
        }


def _result(finding: Finding, rule: int) -> dict[str, Any]:
    level = _LEVELS[finding.verdict] if finding.decides or finding.waived else "note"
    said = f"{finding.verdict.value}: {finding.message}"
    result = _at_place(finding.metric, rule, level, said, finding.name)
    if finding.waived:
        accepted = {"kind": "external", "status": "accepted", "justification": _text(finding.standing)}
        result["suppressions"] = [accepted]
    return result


def _broken(failure: RecordedFailure, rule: int) -> dict[str, Any]:
    said = f"{failed(failure)}. {without(failure)}".strip()
    return _at_place(_FAILED, rule, "warning", said, f"{failure.key} {failure.shard}")


def _at_place(rule: str, number: int, level: str, message: str, identity: str) -> dict[str, Any]:
    place = {"artifactLocation": {"uri": _PLACE}, "region": {"startLine": 1}}
    return {
        "ruleId": _text(rule, 200),
        "ruleIndex": number,
        "level": level,
        "message": {"text": _text(message)},
        "locations": [{"physicalLocation": place}],
        "partialFingerprints": {"finding/v1": digest_of(identity.encode("utf-8", "surrogatepass"))},
    }


def _invocation(record: AuditRecord) -> dict[str, Any]:
    finished = {"endTimeUtc": _utc(record.finished)} if record.finished else {}
    return {
        "executionSuccessful": record.finished is not None and not record.failures,
        "startTimeUtc": _utc(record.began),
        **finished,
    }


def _utc(moment: str) -> str:
    return _text(moment, 40).replace("+00:00", "Z")


def _text(value: str, most: int = 4_000) -> str:
    return visible(shortened(str(value), most))
