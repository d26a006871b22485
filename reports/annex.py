"""A record as an annex for compliance officers: clause by clause the evidence with its verdict, or the gap."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from audit.core.measurements import Interval, Measurement
from audit.core.policy import Judgement
from audit.core.records import AuditRecord
from audit.core.renderers import EvidenceReader
from reports import numbers
from reports.findings import bound_of
from reports.frameworks import Framework, Spoken, frameworks, spoken
from reports.judged import lacking
from reports.limits import limits
from reports.markdown import name, table, text
from reports.sections import group_name
from reports.verdict_words import headline, sentence
from reports.view import facts

_MOST = 12
"""Lines of evidence beside one clause; the rest is counted."""
_SCOPE = (
    "This annex says which measurements speak to which clause and what they gave. It draws no legal conclusion: whether a "
    "duty applies and whether it is met is for people to decide. Titles of clauses are in our own words."
)


class AnnexReport:
    """Renders a record as Markdown, by framework and clause. It holds no evidence, so ``show_sensitive`` changes nothing."""

    media_type: ClassVar[str] = "text/markdown; charset=utf-8"
    suffix: ClassVar[str] = ".annex.md"

    def render(self, record: AuditRecord, evidence: EvidenceReader, *, show_sensitive: bool = False) -> bytes:
        """Return the document. Pure: same record, same bytes."""
        parts = [
            f"# {text(record.name or 'An audit without a name', 200)}: annex by framework",
            _SCOPE,
            f"**{text(headline(record))}.** {text(sentence(record))}",
            "\n".join(
                [
                    *(f"- {label}: {text(value)}" for label, value in facts(record)),
                    f"- Run: {name(record.run)}",
                ]
            ),
        ]
        for framework in frameworks():
            parts += _framework(record, framework)
        parts += [
            "## What the measurements cannot say",
            "\n".join(f"- {text(said)}" for said in limits(record)),
        ]
        return ("\n\n".join(parts) + "\n").encode("utf-8")


def _framework(record: AuditRecord, framework: Framework) -> Iterator[str]:
    found = spoken(record, framework)
    yield f"## {framework.name}"
    yield f"{framework.full}. Read on {framework.as_of}. {framework.note}"
    yield table(
        ("Clause", "What it asks", "Verdict on the evidence", "Evidence", "Stays manual"),
        (_row(one) for one in found),
    )


def _row(one: Spoken) -> list[str]:
    clause = one.clause
    when = f"<br>from {clause.applies_from}" if clause.applies_from else ""
    when += f"<br>until {clause.applies_until}" if clause.applies_until else ""
    role = f"<br>{clause.role}" if clause.role else ""
    unread = "" if clause.verified else "<br>**unverified**: not read at its source"
    return [
        f"{clause.id}{role}{when}",
        f"{clause.title}{unread}",
        one.verdict or ("not drawn: unverified" if not clause.verified and one.judgements else "none"),
        "<br>".join([*_evidence(one), *([text(one.gap)] if one.gap else [])]),
        clause.manual,
    ]


def _evidence(one: Spoken) -> list[str]:
    lines = [_judged(judgement) for judgement in one.judgements]
    judged = {j.because.metric for j in one.judgements if isinstance(j.because, Measurement)}
    lines += [
        f"{name(m.metric)} {numbers.value_of(m)}"
        + (f" ({numbers.interval_of(m)})" if isinstance(m.uncertainty, Interval) else ", no interval")
        for m in one.measured
        if m.metric not in judged
    ]
    more = [f"and {numbers.count(len(lines) - _MOST)} more measurements"] if len(lines) > _MOST else []
    return [*lines[:_MOST], *more]


def _judged(judgement: Judgement) -> str:
    because = judgement.because
    if not isinstance(because, Measurement):
        each = " (each group)" if judgement.criterion.every_group else ""
        return (
            f"{judgement.verdict.value}: {name(judgement.criterion.metric)}{each}, bound {text(bound_of(judgement))}: "
            f"{text(lacking(judgement))}"
        )
    group = f" ({text(group_name(because.group))})" if because.group else ""
    standing = f"; {text(judgement.standing)}" if judgement.standing else ""
    interval = numbers.interval_of(because)
    return (
        f"{judgement.verdict.value}: {name(because.metric)}{group} {numbers.value_of(because)}"
        f"{f' ({interval})' if interval else ''}, bound {text(bound_of(judgement))}{standing}"
    )
