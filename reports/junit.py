"""A record as JUnit XML, which continuous integration shows as tests: one case for each criterion."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from typing import ClassVar
from xml.etree import ElementTree as ET

from audit.core.policy import Verdict
from audit.core.records import AuditRecord, RecordedFailure
from audit.core.renderers import EvidenceReader
from reports.failures import without
from reports.findings import Finding, findings
from reports.redact import shortened, visible

_NOT_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_ENGINE = "engine"
"""The suite of what failed to run."""


class JUnitReport:
    """Renders a record as JUnit XML in the dialect that Jenkins, GitLab and GitHub's actions read.

    A failed criterion is a ``failure``. One that is inconclusive or was not assessed is an ``error``, as is a part of
    the audit that failed: nothing of it counts as passed, as the exit code has it. What is advice or waived is
    ``skipped``. The report holds no evidence, so
    ``show_sensitive`` changes nothing.
    """

    media_type: ClassVar[str] = "application/xml"
    suffix: ClassVar[str] = ".xml"

    def render(self, record: AuditRecord, evidence: EvidenceReader, *, show_sensitive: bool = False) -> bytes:
        """Return the document. Pure: same record, same bytes."""
        suites = list(_suites(record))
        counts = _counts(suites)
        del counts["skipped"]  # the schema has it in a suite alone
        root = ET.Element("testsuites", {"name": _text(record.name, 200), **counts})
        root.extend(suites)
        ET.indent(root)
        document: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
        return document + b"\n"


def _suites(record: AuditRecord) -> Iterator[ET.Element]:
    by_dimension: dict[str, list[ET.Element]] = {}
    for finding in findings(record):
        by_dimension.setdefault(finding.dimension, []).append(_case(finding))
    if record.failures or record.finished is None:
        by_dimension[_ENGINE] = [_failed(failure) for failure in record.failures]
    if record.finished is None:
        by_dimension[_ENGINE].append(
            _problem(_ENGINE, "the run came to its end", "unfinished", "Run it again to resume.")
        )
    for name, cases in by_dimension.items():
        suite = ET.Element("testsuite", {"name": _text(name), "timestamp": _moment(record.began)})
        suite.extend(cases)
        suite.attrib.update(_counts([suite]))
        yield suite


def _case(finding: Finding) -> ET.Element:
    if finding.verdict is not Verdict.PASS and not finding.decides:
        return _problem(
            finding.dimension, finding.name, finding.standing, finding.message, tag="skipped", why=finding.why
        )
    match finding.verdict:
        case Verdict.PASS:
            case = ET.Element("testcase", _named(finding.dimension, finding.name))
            ET.SubElement(case, "system-out").text = _text(finding.message)
            return case
        case Verdict.FAIL:
            return _problem(
                finding.dimension, finding.name, "fail", finding.message, tag="failure", why=finding.why
            )
        case verdict:
            return _problem(finding.dimension, finding.name, verdict.value, finding.message, why=finding.why)


def _failed(failure: RecordedFailure) -> ET.Element:
    name = f"{failure.what}, shard {failure.shard}"
    message = f"{failure.error}. {without(failure)}".strip()
    return _problem(_ENGINE, name, "failed", message, why=failure.detail)


def _problem(
    suite: str, name: str, kind: str, message: str, *, tag: str = "error", why: str = ""
) -> ET.Element:
    case = ET.Element("testcase", _named(suite, name))
    problem = ET.SubElement(case, tag, {"message": _text(message, 1_000), "type": _text(kind, 300)})
    problem.text = _text(f"{message}\n{why}".strip())
    return case


def _named(suite: str, name: str) -> dict[str, str]:
    return {"classname": f"audit.{_text(suite)}", "name": _text(name, 300), "time": "0"}


def _counts(suites: list[ET.Element]) -> dict[str, str]:
    """Return how many cases there are of each kind; an audit's time belongs to no single case."""
    cases = [case for suite in suites for case in suite.iter("testcase")]
    found = {"tests": len(cases)}
    for name, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        found[name] = sum(case.find(tag) is not None for case in cases)
    return {name: str(count) for name, count in found.items()} | {"time": "0"}


def _moment(began: str) -> str:
    try:
        return datetime.fromisoformat(began).strftime("%Y-%m-%dT%H:%M:%S")
    except ValueError:
        return "1970-01-01T00:00:00"


def _text(value: str, most: int = 4_000) -> str:
    """Return text that XML can hold."""
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", visible(shortened(value, most)))
