"""Which measurements speak to which clause of which framework: a table as data, and what a record has for each clause."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from audit.core.measurements import Measurement
from audit.core.policy import Judgement, Verdict, gravest, in_order
from audit.core.records import AuditRecord
from reports.redact import shortened

ORDER = ("eu-ai-act", "nist-ai-600-1", "iso-42001", "gdpr")
"""The files under ``reports/clauses``, as a reader meets them."""
_NAMED_AT_MOST = 4


@dataclass(frozen=True, slots=True)
class Clause:
    """One clause: what speaks to it, what people have to do themselves, and where this was read.

    ``evidence`` names metrics by their beginnings. A clause that is not ``verified`` was not read at its source: it is shown
    as such, and no verdict stands beside it. ``modalities`` limits it to models of these; empty means all.
    """

    id: str
    title: str
    evidence: tuple[str, ...]
    manual: str
    source: str
    verified: bool
    role: str = ""
    applies_from: str = ""
    applies_until: str = ""
    modalities: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Framework:
    """A framework with the clauses that measurements can speak to; ``as_of`` is the day it was read."""

    name: str
    full: str
    as_of: str
    note: str
    clauses: tuple[Clause, ...]


@dataclass(frozen=True, slots=True)
class Spoken:
    """What a record has for one clause.

    ``verdict`` is the gravest of the judgements that speak to it, empty where none does, where the clause was not read at
    its source, or where it is not about this kind of model. ``gap`` says what is missing or failed; empty where nothing is.
    """

    clause: Clause
    verdict: str
    judgements: tuple[Judgement, ...]
    measured: tuple[Measurement, ...]
    gap: str


@cache
def frameworks() -> tuple[Framework, ...]:
    """Return the frameworks that ship with the package."""
    return tuple(_framework(name) for name in ORDER)


def _framework(name: str) -> Framework:
    plain = tomllib.loads(files("reports").joinpath(f"clauses/{name}.toml").read_text(encoding="utf-8"))
    clauses = tuple(_clause(one) for one in plain["clauses"])
    return Framework(plain["framework"], plain["full"], plain["as_of"], plain["note"], clauses)


def _clause(plain: dict[str, Any]) -> Clause:
    lists = {key: tuple(plain.get(key, ())) for key in ("evidence", "modalities")}
    return Clause(**{**plain, **lists})


def spoken(record: AuditRecord, framework: Framework) -> tuple[Spoken, ...]:
    """Return what a record has for each clause of a framework, in the framework's order."""
    return tuple(_spoken(record, clause) for clause in framework.clauses)


def _spoken(record: AuditRecord, clause: Clause) -> Spoken:
    modality = str(record.model.get("modality", ""))
    if clause.modalities and modality not in clause.modalities:
        return Spoken(
            clause,
            "",
            (),
            (),
            f"The clause is about {' and '.join(clause.modalities)}; this is a model of {modality}.",
        )
    judged = tuple(in_order(j for j in record.judgements if _speaks(clause, j.criterion.metric)))
    measured = tuple(m for m in record.measurements if _speaks(clause, m.metric))
    whole = tuple(m for m in measured if not m.group)
    verdict = gravest(j.verdict for j in judged).value if judged and clause.verified else ""
    gap = f"{_gap(record, clause, judged, measured)} {_failed(record, clause)}".strip()
    return Spoken(clause, verdict, judged, whole or measured, gap)


def _speaks(clause: Clause, metric: str) -> bool:
    return any(
        metric.startswith(one if one.endswith(".") else f"{one}.") or metric == one for one in clause.evidence
    )


def _failed(record: AuditRecord, clause: Clause) -> str:
    """Name the evaluators of a clause that have no result because they failed; empty where none failed."""
    metrics = {e.name: (e.name, *e.metrics) for e in record.evaluators}
    names = dict.fromkeys(name for failure in record.failures for name in failure.evaluators)
    lost = [n for n in names if any(_speaks(clause, metric) for metric in metrics.get(n, (n,)))]
    return f"Failed, so without a result: {_some(lost)}." if lost else ""


def _gap(
    record: AuditRecord, clause: Clause, judged: Sequence[Judgement], measured: Sequence[Measurement]
) -> str:
    if judged and all(j.verdict is not Verdict.NOT_ASSESSED for j in judged):
        return ""
    if measured and not judged:
        return "Measured, and no criterion of the policy asks for it: no verdict rests on it."
    wanted = ", ".join(one.rstrip(".") for one in clause.evidence)
    skipped = [
        s.evaluator for s in record.skipped if any(s.evaluator.startswith(one) for one in clause.evidence)
    ]
    if measured or judged:
        bare = dict.fromkeys(j.criterion.metric for j in judged if j.verdict is Verdict.NOT_ASSESSED)
        part = (
            "A part of what" if measured or len(bare) < len({j.criterion.metric for j in judged}) else "What"
        )
        return f"{part} speaks to it was not assessed: {_some(list(bare))}."
    because = f" Skipped: {', '.join(skipped)}." if skipped else ""
    return f"Nothing was measured that speaks to it ({wanted}).{because}"


def _some(names: Sequence[str]) -> str:
    """Return the first names of a list, and how many more there are."""
    more = len(names) - _NAMED_AT_MOST
    listed = ", ".join(shortened(name, 100) for name in names[:_NAMED_AT_MOST])
    return f"{listed} and {more} more" if more > 0 else listed
