"""A record as Markdown: the verdict, what did not pass and the scorecard, as a pull request or a job summary shows it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

from audit.core.policy import Verdict
from audit.core.records import AuditRecord
from audit.core.renderers import EvidenceReader
from reports import numbers
from reports.failures import failed, without
from reports.findings import findings
from reports.limits import limits
from reports.markdown import name, table, text
from reports.review import reviewed
from reports.verdict_words import headline, sentence
from reports.view import Card, cards, criteria, facts

_SIGNS: Mapping[str, str] = {
    Verdict.PASS: "\N{WHITE HEAVY CHECK MARK}",
    Verdict.FAIL: "\N{CROSS MARK}",
    Verdict.INCONCLUSIVE: "\N{WARNING SIGN}\N{VARIATION SELECTOR-16}",
    Verdict.NOT_ASSESSED: "\N{WHITE QUESTION MARK ORNAMENT}",
    "": "\N{EM DASH}",
}
_MOST = 40
"""Lines of one list; the rest is counted, so that a job summary stays below its limit of a mebibyte."""


class MarkdownReport:
    """Renders a record as GitHub-flavoured Markdown. It holds no evidence, so ``show_sensitive`` changes nothing."""

    media_type: ClassVar[str] = "text/markdown; charset=utf-8"
    suffix: ClassVar[str] = ".md"

    def render(self, record: AuditRecord, evidence: EvidenceReader, *, show_sensitive: bool = False) -> bytes:
        """Return the document. Pure: same record, same bytes."""
        parts = [
            f"# {text(record.name or 'An audit without a name', 200)}",
            f"{_SIGNS[record.verdict]} **{text(headline(record))}.** {text(sentence(record))}",
            "\n".join(f"- {label}: {text(value)}" for label, value in facts(record)),
            *_findings(record),
            "## Scorecard",
            table(
                ("Dimension", "Verdict", "Criteria", "Measurements:"), (_card(card) for card in cards(record))
            ),
            *_criteria(record),
            *_review(record),
            *_gaps(record),
            "## What this report cannot say",
            "\n".join(f"- {text(said)}" for said in limits(record)),
        ]
        return ("\n\n".join(parts) + "\n").encode("utf-8")


def _findings(record: AuditRecord) -> Iterator[str]:
    found = [f for f in findings(record) if f.verdict is not Verdict.PASS]
    if found:
        yield "## What to look at"
        lines = [
            f"{number}. {_SIGNS[f.verdict]} **{text(f.asked)}** {' '.join(text(part) for part in (f.found, f.status, f.todo) if part)} ({name(f.metric)})"
            + "".join(f"\n   - {text(note)}" for note in f.notes)
            for number, f in enumerate(found[:_MOST], 1)
        ]
        yield "\n".join([*lines, *_more(len(found))])


def _card(card: Card) -> list[str]:
    tallies = (
        ", ".join(f"{tally.count} {tally.verdict}" for tally in card.tallies) or "the policy asks nothing"
    )
    verdict = f"{_SIGNS[card.verdict]} {card.verdict}".strip()
    return [text(card.dimension), verdict, tallies, numbers.count(card.measurements)]


def _criteria(record: AuditRecord) -> Iterator[str]:
    lines = criteria(record)
    if lines:
        yield "## Criteria"
        yield table(
            ("Verdict", "Metric", "Bound", "Measured", "Interval"),
            (
                [
                    f"{_SIGNS[line.verdict]} {line.verdict}"
                    + (f" ({text(line.standing)})" if line.standing else ""),
                    f"{name(line.metric)} {text(line.group)}".strip(),
                    text(line.bound),
                    text(line.value) or _SIGNS[""],
                    text(line.interval) or _SIGNS[""],
                ]
                for line in lines[:_MOST]
            ),
        )
        yield from _more(len(lines))


def _review(record: AuditRecord) -> Iterator[str]:
    shown = reviewed(record)
    if shown is None:
        return
    yield "## Review"
    yield f"**{text(shown.headline)}** {text(shown.chain)}"
    if shown.faults:
        yield "\n".join(f"- {text(fault)}" for fault in shown.faults)
    if shown.decided:
        yield table(
            ("Finding", "Decision", "Who", "When", "Comment"),
            (
                [text(e.about), text(e.did), text(e.who), text(e.at), text(e.comment)]
                for e in shown.decided[:_MOST]
            ),
        )
        yield from _more(len(shown.decided))


def _gaps(record: AuditRecord) -> Iterator[str]:
    lines = [
        f"- {name(skip.evaluator)}: "
        + text("; ".join(f"needs {gap.need}, found {gap.found}" for gap in skip.unmet))
        for skip in record.skipped
    ]
    lines += [
        f"- {text(failed(f))}" + (f". {text(without(f))}" if f.evaluators else "") for f in record.failures
    ]
    if lines:
        yield "## What was not measured"
        yield "\n".join([*lines[:_MOST], *_more(len(lines))])


def _more(count: int) -> list[str]:
    return (
        [f"\n{numbers.count(count - _MOST)} more are in the HTML and JSON reports."] if count > _MOST else []
    )
