"""What an audit would have caught, said beside the numbers of a record: the result of ``audit qualify``, kept as a file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from audit.core.errors import InputError
from audit.core.measurements import Measurement
from audit.core.policy import Judgement
from audit.core.records import AuditRecord

_SHAPE = "'audit qualify SPEC -o FILE' writes one"


def read_qualification(path: Path) -> dict[str, Any]:
    """Read what ``audit qualify -o`` wrote. Raise InputError for anything else."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        for one in found["qualified"]:
            _said(one)
            one["metric"], dict(one["group"])
    except OSError as error:
        raise InputError(f"The qualification {path} cannot be read: {error.strerror}.") from None
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise InputError(f"{path} is no qualification ({type(error).__name__}: {error}). {_SHAPE}.") from None
    qualification: dict[str, Any] = found
    return qualification


def with_caught(record: AuditRecord, qualification: Mapping[str, Any]) -> AuditRecord:
    """Return the record with a note on every number that says from which dose on its evaluator found a planted defect."""
    said: dict[tuple[str, tuple[tuple[str, str], ...]], list[str]] = {}
    for one in qualification["qualified"]:
        place = (one["metric"], tuple(one["group"].items()))
        said.setdefault(place, []).append(_said(one))

    def noted(m: Measurement) -> Measurement:
        return replace(m, notes=(*m.notes, *said.get((m.metric, m.group), ())))

    def judged(j: Judgement) -> Judgement:
        return replace(j, because=noted(j.because)) if isinstance(j.because, Measurement) else j

    return replace(
        record,
        measurements=tuple(noted(m) for m in record.measurements),
        judgements=tuple(judged(j) for j in record.judgements),
    )


def _said(one: Mapping[str, Any]) -> str:
    limit, quiet = one["limit_of_detection"], one["specificity"]
    doses = ", ".join(f"{s['found']} of {s['tried']} at {s['dose']:g}" for s in one["sensitivity"])
    if limit is None or limit["value"] is None:
        caught = f"Would have caught no planted defect '{one['defect']}' up to the largest dose"
    else:
        caught = f"Would have caught the planted defect '{one['defect']}' from dose {limit['value']:g} on"
    calm = f"; quiet on {quiet['found']} of {quiet['tried']} blanks" if quiet else ""
    return f"{caught} (found {doses}{calm}; 'audit qualify')."
