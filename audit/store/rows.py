"""How outcomes, measurements and judgements become rows of the ledger, and come back from them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Table

from audit.core.identity import Digest
from audit.core.measurements import Measurement, Outcome, Undefined
from audit.core.records import measurement_from_plain, measurement_to_plain
from audit.store import schema


def evidence_of(outcomes: Iterable[Outcome]) -> list[Digest]:
    """Return the digests of the evidence of some outcomes as the store keeps them."""
    return [
        Digest(str(evidence.content))
        for outcome in outcomes
        if isinstance(outcome, Measurement)
        for evidence in outcome.evidence
    ]


def text_of(words: str) -> str:
    """Return text that every database can hold: without the character NUL and half surrogate pairs."""
    return words.encode("utf-8", "backslashreplace").decode().replace("\x00", "\\x00")


def outcome_to_plain(outcome: Outcome) -> dict[str, Any]:
    """Return an outcome as plain values; :func:`outcomes_of` reads it again."""
    match outcome:
        case Measurement():
            return measurement_to_plain(outcome)
        case Undefined():
            return {"metric": outcome.metric, "undefined": outcome.reason, "group": dict(outcome.group)}


def outcomes_of(stored: str) -> tuple[Outcome, ...]:
    """Return the outcomes that were kept as JSON."""
    return tuple(
        Undefined(plain["metric"], plain["undefined"], tuple(plain["group"].items()))
        if "undefined" in plain
        else measurement_from_plain(plain)
        for plain in json.loads(stored)
    )


def measurement_rows(run: str, measurements: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return one row for each measurement of a run, plain as records hold them."""
    nothing = {"low": None, "high": None, "level": None, "method": None}
    same = ("value", "n", "direction", "baseline", "noise_floor", "p_value")
    return [
        {
            "run": run,
            "position": position,
            "metric": text_of(m["metric"]),
            "subgroup": json.dumps(m["group"]),
            "unquantified": m["unquantified"] and text_of(m["unquantified"]),
            "unit": text_of(m["unit"]),
            "void": text_of(m.get("void") or "") or None,
            **(m["interval"] or nothing),
            **{name: m[name] for name in same},
        }
        for position, m in enumerate(measurements)
    ]


def judgement_rows(run: str, judgements: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return one row for each judgement of a run, plain as records hold them."""
    return [
        {
            "run": run,
            "position": position,
            "metric": text_of(j["criterion"]["metric"]),
            "at_most": j["criterion"]["at_most"],
            "at_least": j["criterion"]["at_least"],
            "within_floor": j["criterion"]["within_floor"],
            "every_group": j["criterion"]["every_group"],
            "verdict": j["verdict"],
            "value": (j["because"]["measurement"] or {}).get("value"),
            "n_to_decide": j["n_to_decide"],
        }
        for position, j in enumerate(judgements)
    ]


def add_row(connection: Connection, table: Table, row: Mapping[str, Any]) -> bool:
    """Insert a row unless one with its key is there; say whether it was."""
    return connection.execute(schema.insertion(table, connection.dialect.name), row).first() is not None
