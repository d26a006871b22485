"""JUnit, SARIF, CSV and Markdown: what machines read says what the record says, hostile strings included."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import re
from typing import Any
from xml.etree import ElementTree as ET

import markdown_it
import pytest

from audit.core.evaluators import Unmet
from audit.core.measurements import Interval, Measurement, Undefined
from audit.core.policy import Criterion, Policy, Verdict, Waiver
from audit.core.records import from_plain
from reports.csv_table import COLUMNS, CsvReport
from reports.every_eval_ever import EveryEvalEverReport
from reports.findings import findings
from reports.html import HtmlReport
from reports.json import JsonReport, problems
from reports.junit import JUnitReport
from reports.markdown_report import MarkdownReport
from reports.model_card import ModelCardReport
from reports.sarif import SarifReport
from tests.reports.conftest import SECRET, Sample

FORMATS = (JUnitReport, SarifReport, CsvReport, MarkdownReport)


def of(kind: Any, sample: Sample, **more: Any) -> bytes:
    document: bytes = kind().render(sample.record, sample.read, **more)
    return document


@pytest.mark.parametrize("kind", FORMATS)
def test_the_same_record_gives_the_same_bytes_and_reads_no_evidence(kind: Any, sample: Sample) -> None:
    assert of(kind, sample) == of(kind, sample, show_sensitive=True)
    assert sample.asked == []
    assert SECRET not in of(kind, sample).decode("utf-8")


def test_findings_say_what_was_asked_found_and_is_to_be_done(sample: Sample) -> None:
    found = findings(sample.record)
    order = [Verdict.FAIL, Verdict.INCONCLUSIVE, Verdict.NOT_ASSESSED, Verdict.PASS]
    assert [order.index(f.verdict) for f in found] == sorted(order.index(f.verdict) for f in found)
    assert len(found) == len(sample.record.judgements)
    for finding in found:
        assert finding.asked.endswith((".", "?"))
        assert finding.found.endswith(".")
        if finding.verdict is not Verdict.PASS:
            assert finding.todo, finding
        if finding.verdict in (Verdict.FAIL, Verdict.INCONCLUSIVE):
            assert finding.bound in finding.found


def test_junit_counts_what_the_record_counts(sample: Sample) -> None:
    root = ET.fromstring(of(JUnitReport, sample))
    verdicts = [j.verdict for j in sample.record.judgements]
    undecided = sum(v in (Verdict.INCONCLUSIVE, Verdict.NOT_ASSESSED) for v in verdicts)
    assert int(root.get("tests", "")) == len(verdicts) + len(sample.record.failures)
    assert int(root.get("failures", "")) == verdicts.count(Verdict.FAIL) > 0
    assert int(root.get("errors", "")) == undecided + len(sample.record.failures)
    for suite in root:
        cases = suite.findall("testcase")
        assert int(suite.get("tests", "")) == len(cases)
        assert int(suite.get("failures", "")) == sum(case.find("failure") is not None for case in cases)
    names = [(case.get("classname"), case.get("name")) for case in root.iter("testcase")]
    assert len(set(names)) == len(names), "a host tells cases apart by these"


def test_junit_of_a_run_that_has_not_finished_is_no_success(unfinished: Sample) -> None:
    root = ET.fromstring(of(JUnitReport, unfinished))
    assert int(root.get("errors", "")) >= 1
    assert "the run came to its end" in of(JUnitReport, unfinished).decode()


def test_sarif_has_a_rule_for_every_result_and_none_for_what_passed(sample: Sample) -> None:
    document = json.loads(of(SarifReport, sample))
    (run,) = document["runs"]
    rules = run["tool"]["driver"]["rules"]
    wrong = [j for j in sample.record.judgements if j.verdict is not Verdict.PASS]
    assert document["version"] == "2.1.0"
    assert len(run["results"]) == len(wrong) + len(sample.record.failures)
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["message"]["text"]
    levels = {r["ruleId"]: r["level"] for r in run["results"]}
    assert all(levels[j.criterion.metric] == "error" for j in wrong if j.verdict is Verdict.FAIL)
    prints = [json.dumps(r["partialFingerprints"]) for r in run["results"]]
    assert len(set(prints)) == len(prints)
    assert run["invocations"][0]["executionSuccessful"] is (not sample.record.failures)


def test_a_finding_keeps_its_fingerprint_when_its_number_changes(sample: Sample) -> None:
    judgements = tuple(
        dataclasses.replace(j, because=dataclasses.replace(j.because, value=j.because.value * 1.01))
        if isinstance(j.because, Measurement)
        else j
        for j in sample.record.judgements
    )
    later = dataclasses.replace(sample, record=dataclasses.replace(sample.record, judgements=judgements))

    def prints(one: Sample) -> list[Any]:
        return [r["partialFingerprints"] for r in json.loads(of(SarifReport, one))["runs"][0]["results"]]

    assert of(SarifReport, later) != of(SarifReport, sample)
    assert prints(later) == prints(sample)


def test_csv_has_every_measurement_in_full_precision_with_its_verdict(sample: Sample) -> None:
    header, *rows = csv.reader(io.StringIO(of(CsvReport, sample).decode("utf-8"), newline=""))
    assert tuple(header) == COLUMNS
    assert all(len(row) == len(COLUMNS) for row in rows)
    measured = sample.record.measurements
    assert len(rows) == len(measured) + len(sample.record.undefined) + 2  # one skipped, one failed
    for row, m in zip(rows, measured, strict=False):
        told = dict(zip(COLUMNS, row, strict=True))
        assert (told["metric"], float(told["value"]), int(told["n"])) == (m.metric, m.value, m.n)
        if isinstance(m.uncertainty, Interval):
            assert (float(told["low"]), float(told["high"])) == (m.uncertainty.low, m.uncertainty.high)
        else:
            assert told["low"] == ""
            assert told["unquantified"]
    failed = {j.criterion.metric for j in sample.record.judgements if j.verdict is Verdict.FAIL}
    assert failed
    assert failed <= {row[2] for row in rows if row[-2] == "fail"}


def test_csv_says_of_every_criterion_that_was_not_assessed_why(sample: Sample) -> None:
    first, *rest = sample.record.measurements
    gap = Unmet("features in which a distance decides something", "pixels", "name others")
    undefined = Undefined("quality.fid", "too few rows")
    asked = (first.metric, "quality.fid", "fairness.share", "quality.nobody")
    policy = Policy("p", "1", tuple(Criterion(m, at_most=1.0, every_group="share" in m) for m in asked))
    judgements = policy.judge(
        (first, *rest, undefined), {}, undecided=dict.fromkeys((first.metric, "fairness.share"), gap)
    )
    record = dataclasses.replace(sample.record, judgements=judgements, undefined=(undefined,), failures=())
    text = CsvReport().render(record, sample.read).decode()
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    told = {metric: [r for r in rows if r["metric"] == metric] for metric in asked}
    assert [len(found) for found in told.values()] == [1, 1, 3, 1]
    for found in told.values():
        assert {(r["bound"], r["verdict"]) for r in found} == {("≤ 1", "not assessed")}
    assert "found pixels" in told[first.metric][0]["standing"]
    assert told[first.metric][0]["value"]
    assert told["quality.fid"][0]["unquantified"] == "too few rows"
    assert "no evaluator in this audit reports it" in told["quality.nobody"][0]["unquantified"]


@pytest.mark.parametrize(
    "kind",
    [JUnitReport, SarifReport, MarkdownReport, ModelCardReport, HtmlReport, CsvReport, EveryEvalEverReport],
)
def test_what_failed_names_what_has_no_result_in_every_format(kind: Any, sample: Sample) -> None:
    failure = dataclasses.replace(sample.record.failures[0], evaluators=("quality.lost",))
    record = dataclasses.replace(sample.record, failures=(failure,))
    page = of(kind, dataclasses.replace(sample, record=record)).decode("utf-8")
    assert "quality.lost" in re.sub(r"<wbr>|\\\\", "", page)
    assert "the model returned NaN for 2 of 256 rows" in page


def test_csv_has_a_row_for_each_metric_of_what_failed(sample: Sample) -> None:
    rows = list(csv.DictReader(io.StringIO(of(CsvReport, sample).decode(), newline="")))
    (lost,) = (r for r in rows if r["metric"] == "quality.bits_per_dimension")
    assert (lost["dimension"], lost["value"]) == ("quality", "")
    assert lost["unquantified"].startswith("likelihood bound of holdout, shard 3, failed: ValueError")


def test_a_cell_that_a_spreadsheet_would_compute_is_text(sample: Sample) -> None:
    m = dataclasses.replace(sample.record.measurements[0], group=(("=cmd|' /C calc'!A0", "x"),))
    record = dataclasses.replace(sample.record, measurements=(m,))
    row = list(csv.reader(io.StringIO(CsvReport().render(record, sample.read).decode(), newline="")))[1]
    assert row[3].startswith("'=cmd")


def test_markdown_opens_with_the_verdict_and_what_to_do(sample: Sample) -> None:
    page = of(MarkdownReport, sample).decode("utf-8")
    assert page.index("failed") < page.index("## What to look at") < page.index("## Scorecard")
    assert page.count("\n1. ") == 1
    html = markdown_it.MarkdownIt("gfm-like", {"html": True, "linkify": False}).render(page)
    assert html.count("<table>") == 2


def test_hostile_strings_stay_data_in_every_format(hostile: Sample) -> None:
    root = ET.fromstring(of(JUnitReport, hostile))
    assert {element.tag for element in root.iter()} <= {
        "testsuites", "testsuite", "testcase", "failure", "error", "system-out"
    }  # fmt: skip
    json.loads(of(SarifReport, hostile))
    rows = list(csv.reader(io.StringIO(of(CsvReport, hostile).decode("utf-8"), newline="")))
    assert {len(row) for row in rows} == {len(COLUMNS)}
    html = markdown_it.MarkdownIt("gfm-like", {"html": True, "linkify": False}).render(
        of(MarkdownReport, hostile).decode("utf-8")
    )
    assert "<script" not in html
    assert "<img" not in html
    for kind in FORMATS:
        text = of(kind, hostile).decode("utf-8")
        assert not re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\u202e]", text)
        assert len(text) < 3_000_000


def test_what_is_waived_or_advice_is_shown_in_every_format_and_stops_none(sample: Sample) -> None:
    owner = Waiver("quality.frechet", "The board", "a new encoder comes", "2099-01-01")
    judgements = tuple(
        dataclasses.replace(j, waiver=dataclasses.replace(owner, metric=j.criterion.metric))
        if j.verdict is Verdict.FAIL
        else dataclasses.replace(j, criterion=dataclasses.replace(j.criterion, blocking=False))
        for j in sample.record.judgements
    )
    quiet = dataclasses.replace(
        sample, record=dataclasses.replace(sample.record, judgements=judgements, failures=())
    )
    root = ET.fromstring(of(JUnitReport, quiet))
    assert (root.get("failures"), root.get("errors")) == ("0", "0")
    assert list(root.iter("skipped"))
    (run,) = json.loads(of(SarifReport, quiet))["runs"]
    assert {r["level"] for r in run["results"] if "suppressions" not in r} == {"note"}
    assert any("The board" in json.dumps(r.get("suppressions")) for r in run["results"])
    for kind in (*FORMATS, HtmlReport, ModelCardReport):
        assert "The board" in of(kind, quiet).decode("utf-8"), kind
    assert from_plain(json.loads(of(JsonReport, quiet))) == quiet.record
    assert problems(json.loads(of(JsonReport, quiet))) == []
