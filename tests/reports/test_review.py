"""The review of a run in its reports: text alone, whatever was typed, and the same bytes for the same log."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from audit.core.records import AuditRecord, from_plain, to_plain
from audit.core.review import Action, Head, Review, next_entry, parse
from reports.findings import findings
from reports.html import HtmlReport
from reports.json import JsonReport, problems
from reports.markdown_report import MarkdownReport
from reports.review import open_findings, reviewed

HARMFUL = "<script>alert(1)</script> **b** [x](http://h.example) | \u202e\x1b[31m"


def written(*said: tuple[Action, str, str, str]) -> Review:
    """Return what a log says in which these stand: action, who, about, comment."""
    data, head = b"", None
    for action, who, about, comment in said:
        texts = {"action": action, "who": who, "about": about, "comment": comment}
        more, entry = next_entry(
            data,
            parse(data, head),
            {**texts, "at": "2026-03-01T09:30:00+00:00", "run": "r", "record": "d"},
        )
        data, head = data + more, Head(entry.number, entry.digest)
    return parse(data, head)


def with_review(record: AuditRecord, *said: tuple[Action, str, str, str]) -> AuditRecord:
    return dataclasses.replace(record, review=written(*said))


def test_a_record_without_a_review_reports_none(sample: Any) -> None:
    assert reviewed(sample.record) is None
    assert b'id="review"' not in HtmlReport().render(sample.record, sample.read)
    assert b"## Review" not in MarkdownReport().render(sample.record, sample.read)
    assert "review" not in to_plain(sample.record)


def test_reports_show_the_review_and_its_log(sample: Any) -> None:
    (first, *_) = findings(sample.record)
    record = with_review(
        sample.record,
        (Action.REJECT, "Ada", first.name, "too far"),
        (Action.ACCEPT, "Ada", first.name, "measured again"),
        (Action.APPROVE, "Grace", "", "may ship"),
    )
    page = HtmlReport().render(record, sample.read).decode()
    for word in ("Approved by Grace on 2026-03-01 09:30 UTC", "too far", "measured again", "may ship"):
        assert word in page
    assert record.review is not None
    assert record.review.head in page
    document = MarkdownReport().render(record, sample.read).decode()
    assert "## Review" in document
    assert "measured again" in document
    assert "too far" not in document  # the last decision alone; the log is in the other reports


def test_what_was_typed_is_text(sample: Any) -> None:
    record = with_review(sample.record, (Action.REJECT, HARMFUL, HARMFUL, HARMFUL))
    page = HtmlReport().render(record, sample.read).decode()
    assert "<script>" not in page
    assert "\u202e" not in page
    assert "\x1b" not in page
    document = MarkdownReport().render(record, sample.read).decode()
    assert "<script>" not in document
    assert r"\[x\](http<!-- -->://" in document  # no link


def test_the_same_record_and_log_give_the_same_bytes(sample: Any) -> None:
    said = ((Action.REJECT, "Ada", "one", "no"), (Action.REVEAL, "unnamed", "sensitive evidence", ""))
    first, second = (with_review(sample.record, *said) for _ in range(2))
    for renderer in (HtmlReport(), MarkdownReport(), JsonReport()):
        assert renderer.render(first, sample.read) == renderer.render(second, sample.read)


def test_a_changed_log_is_said_in_every_report(sample: Any) -> None:
    review = dataclasses.replace(written((Action.APPROVE, "Ada", "", "")), faults=("Line 1 was changed.",))
    record = dataclasses.replace(sample.record, review=review)
    for renderer in (HtmlReport(), MarkdownReport()):
        page = renderer.render(record, sample.read).decode()
        assert "This log was changed after it was written" in page
        assert "Line 1 was changed" in page


def test_a_record_with_a_review_meets_the_schema_and_comes_back_equal(sample: Any) -> None:
    record = with_review(sample.record, (Action.NEEDS_WORK, "Ada", "one", "more rows"))
    document = json.loads(JsonReport().render(record, sample.read))
    assert problems(document) == []
    assert from_plain(document).review == record.review
    document["review"]["entries"][0]["action"] = "forge"
    assert problems(document) != []


@pytest.mark.parametrize("action", [Action.REJECT, Action.NEEDS_WORK, None])
def test_an_approval_takes_every_finding_that_did_not_pass(action: Action | None, sample: Any) -> None:
    left = open_findings(sample.record, Review())
    assert left
    assert all(f.verdict.value != "pass" for f in left)
    accepted = [(Action.ACCEPT, "Ada", f.name, "") for f in left]
    assert open_findings(sample.record, written(*accepted)) == []
    changed = accepted[1:] if action is None else [*accepted, (action, "Ada", left[0].name, "no")]
    assert [f.name for f in open_findings(sample.record, written(*changed))] == [left[0].name]
