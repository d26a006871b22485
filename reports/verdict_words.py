"""What the verdict of an audit means, in words: a headline, and one plain sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from audit.core.policy import Judgement, Verdict, spared
from audit.core.records import AuditRecord
from audit.core.words import counted
from reports.redact import shortened

HEADLINES: Mapping[Verdict, str] = {
    Verdict.PASS: "Every criterion passed",
    Verdict.FAIL: "A criterion failed",
    Verdict.INCONCLUSIVE: "Inconclusive",
    Verdict.NOT_ASSESSED: "Not fully assessed",
}
_NAMED_AT_MOST = 3


def headline(record: AuditRecord) -> str:
    """Return the verdict in a few words."""
    if record.finished is None:
        return "The run has not finished"
    if record.verdict is Verdict.FAIL:
        failed = sum(j.verdict is Verdict.FAIL for j in record.judgements if j.decides)
        return f"{counted(failed, 'criterion', 'criteria')} failed"
    if record.verdict is Verdict.PASS and (waived := spared(record.judgements)):
        return f"Passed but for {counted(len(waived), 'waived criterion', 'waived criteria')}"
    return HEADLINES[record.verdict]


def sentence(record: AuditRecord) -> str:
    """Return what the verdict means, in one plain sentence."""
    deciding = [j for j in record.judgements if j.decides]
    of = {verdict: [j for j in deciding if j.verdict is verdict] for verdict in Verdict}
    total = len(deciding)
    rest = _also(of) + _beside(record)
    if record.finished is None:
        return (
            f"What was recorded so far: {counted(len(record.measurements), 'measurement')} and "
            f"{counted(total, 'judgement')}. Run it again to resume."
        )
    match record.verdict:
        case Verdict.FAIL:
            return (
                f"{len(of[Verdict.FAIL])} of {counted(total, 'judgement')} failed: the whole interval of "
                f"{_named(of[Verdict.FAIL])} {_lies(of[Verdict.FAIL], 'outside')}.{rest}"
            )
        case Verdict.INCONCLUSIVE:
            return (
                f"Nothing failed, but {len(of[Verdict.INCONCLUSIVE])} of {counted(total, 'judgement')} could not "
                f"be decided: the interval of {_named(of[Verdict.INCONCLUSIVE])} {_lies(of[Verdict.INCONCLUSIVE], 'across')}.{rest}"
            )
        case Verdict.NOT_ASSESSED if total:
            return (
                f"Nothing that was measured failed, but {len(of[Verdict.NOT_ASSESSED])} of "
                f"{counted(total, 'judgement')} could not be made: {_named(of[Verdict.NOT_ASSESSED])}.{_beside(record)}"
            )
        case Verdict.NOT_ASSESSED:
            return f"{nothing_decides(record)}{_beside(record)}"
        case Verdict.PASS if total == 0:
            return f"Nothing but what is waived was asked.{_beside(record)}"
        case Verdict.PASS:
            each = "The one judgement" if total == 1 else f"Each of {total} judgements"
            return f"{each} passed: the whole interval lies within its bound.{_beside(record)}"


def _beside(record: AuditRecord) -> str:
    """Say what the verdict does not rest on, where there is such."""
    waived = sum(j.waived for j in record.judgements)
    advice = sum(not j.criterion.blocking and j.verdict is not Verdict.PASS for j in record.judgements)
    said = f" {counted(waived, 'criterion is', 'criteria are')} waived." if waived else ""
    return said + (f" {counted(advice, 'advice is', 'pieces of advice are')} not met." if advice else "")


def _also(of: Mapping[Verdict, Sequence[Judgement]]) -> str:
    parts = []
    if of[Verdict.FAIL] and of[Verdict.INCONCLUSIVE]:
        parts.append(f"{len(of[Verdict.INCONCLUSIVE])} could not be decided")
    if of[Verdict.NOT_ASSESSED]:
        parts.append(f"{len(of[Verdict.NOT_ASSESSED])} could not be assessed")
    return f" {' and '.join(parts)}." if parts else ""


def _lies(judgements: Sequence[Judgement], where: str) -> str:
    one = len({j.criterion.metric for j in judgements}) == 1
    return f"lies {where} its bound" if one else f"lies {where} the bound for each of them"


def _named(judgements: Sequence[Judgement]) -> str:
    names = list(dict.fromkeys(shortened(j.criterion.metric, 80) for j in judgements))
    more = len(names) - _NAMED_AT_MOST
    listed = ", ".join(names[:_NAMED_AT_MOST])
    return f"{listed} and {more} more" if more > 0 else listed


def nothing_decides(record: AuditRecord) -> str:
    """Return why no criterion decides: the policy has none, or advice alone, or criteria that this audit does not measure."""
    if record.judgements:
        return "The policy holds advice alone, so there is nothing to pass or to fail."
    if criteria := record.policy.get("criteria"):
        few = counted(len(criteria), "criterion", "criteria")
        return f"The policy's {few} could not be asked of this audit, so there is nothing to pass or to fail."
    return "The policy names no criterion, so there is nothing to pass or to fail."
