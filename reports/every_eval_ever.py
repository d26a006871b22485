"""A record as results in the format Every Eval Ever, version 0.3, in which evaluations of many tools are collected."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar

from audit.core.measurements import Direction, Interval, Measurement, Unquantified
from audit.core.policy import gravest
from audit.core.records import AuditRecord, RecordedEvaluator
from audit.core.renderers import EvidenceReader
from reports.failures import failed
from reports.findings import bound_of
from reports.judged import Judged, lacking
from reports.redact import shortened
from reports.sections import group_name, owners
from reports.view import model_name

VERSION = "0.3.0"
_LIBRARY = "generative-audit"


class EveryEvalEverReport:
    """Renders a record as one JSON document of Every Eval Ever: a result for each measurement, with its interval.

    No score_type is said: the format wants a range with a continuous one, and records do not keep it. It has no place for a metric of which neither direction is better, for a number without an interval and the reason,
    for a verdict, or for a criterion without a number: they stand in its free details. A void measurement is left out, since readers of the format take a
    score for one. The document holds no evidence, so ``show_sensitive`` changes nothing.
    """

    media_type: ClassVar[str] = "application/json"
    suffix: ClassVar[str] = ".eee.json"

    def render(self, record: AuditRecord, evidence: EvidenceReader, *, show_sensitive: bool = False) -> bytes:
        """Return the document. Pure: same record, same bytes."""
        text = json.dumps(document(record), indent=2, ensure_ascii=False, allow_nan=False)
        return (text + "\n").encode("utf-8", errors="backslashreplace")


def document(record: AuditRecord) -> dict[str, Any]:
    """Return the document as plain values."""
    owned, judged = owners(record), Judged.of(record.judgements)
    shown = [m for m in record.measurements if not m.void]
    model, made = model_name(record.model) or "unknown", _seconds(record.finished or record.began)
    void = [m.metric for m in record.measurements if m.void]
    return {
        "schema_version": VERSION,
        "evaluation_id": f"{record.name or record.run}/{model}/{made}",
        "evaluation_timestamp": record.began,
        "retrieved_timestamp": made,
        "source_metadata": {
            "source_name": record.name or record.run,
            "source_type": "evaluation_run",
            "source_organization_name": "unknown",
            "evaluator_relationship": "other",
            "additional_details": _details(
                {
                    "run": record.run,
                    "verdict": record.verdict.value,
                    "policy": f"{record.policy.get('name', '')} {record.policy.get('version', '')}".strip(),
                    "left_out": f"void, because a control misbehaved: {', '.join(void)}" if void else "",
                    "failed": "; ".join(dict.fromkeys(failed(f) for f in record.failures)),
                    "failed_evaluators": ", ".join(
                        dict.fromkeys(name for f in record.failures for name in f.evaluators)
                    ),
                    "without_a_result": _without_a_result(record, judged, shown),
                }
            ),
        },
        "eval_library": {
            "name": _LIBRARY,
            "version": str(record.environment.get(_LIBRARY, "unknown")),
            "additional_details": _details({"imported": _imported(record)}),
        },
        "model_info": _model(record, model),
        "evaluation_results": [_result(record, m, owned.get(m.metric), judged) for m in shown],
    }


def _without_a_result(record: AuditRecord, judged: Judged, shown: Sequence[Measurement]) -> str:
    """Name the criteria that no result of the document stands for, with the reason."""
    void = [j for m in record.measurements if m.void for j in judged.on(m)]
    return "; ".join(
        f"{shortened(j.criterion.metric, 200)} {bound_of(j)}: {j.verdict.value}"
        + (f", {why}" if (why := lacking(j)) else ", its number is void")
        for j in [*judged.left(shown), *void]
    )


def _seconds(moment: str) -> str:
    """Return a time of the record in seconds since 1970, as the format wants it."""
    try:
        found = datetime.fromisoformat(moment)
    except ValueError:
        return "0"
    return str(int((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()))


def _model(record: AuditRecord, name: str) -> dict[str, Any]:
    model = record.model
    details = {key: model.get(key) for key in ("adapter", "weights", "family", "modality", "parameters")}
    return {
        "name": name,
        "id": name,
        "additional_details": {
            "deployment_type": "unknown",
            "model_availability": "unknown",
            **_details(details),
        },
    }


def _imported(record: AuditRecord) -> str:
    """Say which tools measured what was imported; empty for an audit of our own."""
    files = record.settings.get("imported") or ()
    tools = [
        f"{one.get('tool')} {one.get('version')}"
        for one in files
        if isinstance(one, Mapping) and one.get("tool")
    ]
    return ", ".join(dict.fromkeys(tools))


def _result(
    record: AuditRecord, m: Measurement, owner: RecordedEvaluator | None, judged: Judged
) -> dict[str, Any]:
    group, named = group_name(m.group), owner.name if owner else m.metric
    about = judged.about(m)
    return {
        "evaluation_result_id": f"{record.run}/{m.metric}" + (f"/{group}" if group else ""),
        "evaluation_name": named,
        "source_data": {
            "dataset_name": str(record.data.get("loader") or "unknown"),
            "source_type": "other",
            "additional_details": _details({"content": record.data.get("content")}),
        },
        "metric_config": {
            **({"evaluation_description": owner.metrics[m.metric]} if owner else {}),
            "metric_id": m.metric,
            "metric_name": f"{m.metric} ({group})" if group else m.metric,
            **({"metric_unit": m.unit} if m.unit else {}),
            "lower_is_better": m.direction is Direction.LOWER_IS_BETTER,
            "additional_details": _details(
                {
                    "direction": m.direction.value,
                    "dimension": owner.dimension if owner else None,
                    "baseline": m.baseline,
                    "noise_floor": m.noise_floor,
                }
            ),
        },
        "score_details": {
            "score": m.value,
            "details": _details(
                {
                    "group": group,
                    "verdict": gravest(j.verdict for j in about).value if about else None,
                    "not_judged": "; ".join(dict.fromkeys(why for j in about if (why := lacking(j)))),
                    "p_value": m.p_value,
                    "notes": " ".join(m.notes),
                    "no_interval": m.uncertainty.reason if isinstance(m.uncertainty, Unquantified) else None,
                    "without_a_score": m.ungraded.count if m.ungraded else None,
                    "worst_to_best": f"{m.ungraded.low:g} to {m.ungraded.high:g}"
                    if m.ungraded and m.ungraded.low is not None and m.ungraded.high is not None
                    else None,
                }
            ),
            "uncertainty": _uncertainty(m),
        },
    }


def _uncertainty(m: Measurement) -> dict[str, Any]:
    if not isinstance(m.uncertainty, Interval):
        return {"num_samples": m.n}
    interval = m.uncertainty
    return {
        "confidence_interval": {
            "lower": interval.low,
            "upper": interval.high,
            "confidence_level": interval.level,
            "method": interval.method,
        },
        "num_samples": m.n,
    }


def _details(values: Mapping[str, Any]) -> dict[str, str]:
    """Return what is known as texts, which is all that the format takes there."""
    return {
        key: shortened(str(value), 2_000)
        for key, value in values.items()
        if value is not None and value != ""
    }
