"""Every clause says where it was read, is spoken to by metrics that exist, and decides nothing where nobody read it."""

from __future__ import annotations

import dataclasses
import re
from datetime import date
from typing import Any

import pytest

from audit.core.evaluators import Unmet
from audit.core.measurements import Direction, Interval, Measurement
from audit.core.policy import Criterion, Judgement, Verdict
from audit.registry import catalogue
from reports.annex import AnnexReport
from reports.frameworks import Clause, Framework, frameworks, spoken
from reports.html import HtmlReport
from tests.reports.conftest import SECRET, Sample

FORBIDDEN = re.compile(r"\b(compliant|compliance is|is safe|is private|anonymous)\b", re.IGNORECASE)


def test_every_clause_has_a_source_a_manual_rest_and_metrics_that_exist() -> None:
    known = {
        evaluator.about.full(metric.name)
        for evaluator in catalogue("evaluators").survey().values()
        for metric in evaluator.about.metrics
    }
    for framework in frameworks():
        date.fromisoformat(framework.as_of)
        assert framework.note
        ids = [clause.id for clause in framework.clauses]
        assert len(set(ids)) == len(ids)
        for clause in framework.clauses:
            assert all((clause.title, clause.manual, clause.source, clause.evidence)), clause
            for day in (clause.applies_from, clause.applies_until):
                assert not day or date.fromisoformat(day)
            for one in clause.evidence:
                assert any(name == one or name.startswith(one) for name in known), one


def test_the_documents_draw_no_legal_conclusion(sample: Sample) -> None:
    page = AnnexReport().render(sample.record, sample.read).decode("utf-8")
    assert not FORBIDDEN.search(page)
    assert "draws no legal conclusion" in page
    assert SECRET not in page
    assert sample.asked == []
    for framework in frameworks():
        assert f"## {framework.name}" in page
        assert framework.name in HtmlReport().render(sample.record, sample.read).decode("utf-8")


def judged(metric: str, verdict: Verdict, because: Any = None) -> Judgement:
    spread = Interval(0.1, 0.3, 0.95, "z")
    measured = Measurement(metric, 0.2, spread, 10, Direction.LOWER_IS_BETTER)
    return Judgement(Criterion(metric, at_most=0.1, why="x"), verdict, because or measured)


def of(sample: Sample, clause: Clause, *judgements: Judgement) -> Any:
    measured = tuple(j.because for j in judgements if isinstance(j.because, Measurement))
    record = dataclasses.replace(sample.record, judgements=judgements, measurements=measured, skipped=())
    (found,) = spoken(record, Framework("f", "f", "2026-01-01", "n", (clause,)))
    return found


CLAUSE = Clause("1", "t", ("privacy.copies", "fairness."), "m", "s", True)


def test_the_gravest_verdict_stands_beside_a_clause(sample: Sample) -> None:
    found = of(
        sample, CLAUSE, judged("privacy.copies.excess", Verdict.PASS), judged("fairness.pairs", Verdict.FAIL)
    )
    assert (found.verdict, found.gap) == ("fail", "")
    assert [j.verdict for j in found.judgements] == [Verdict.FAIL, Verdict.PASS]


def test_a_metric_whose_name_only_begins_alike_does_not_speak(sample: Sample) -> None:
    found = of(sample, CLAUSE, judged("privacy.copies_of_mine", Verdict.PASS))
    assert found.verdict == ""
    assert found.gap.startswith("Nothing was measured")


def test_a_clause_that_nobody_read_decides_nothing(sample: Sample) -> None:
    unread = dataclasses.replace(CLAUSE, verified=False)
    found = of(sample, unread, judged("privacy.copies.excess", Verdict.PASS))
    assert found.verdict == ""
    assert found.judgements


@pytest.mark.parametrize("modality", ["text", "table"])
def test_a_clause_about_other_outputs_is_said_to_be(sample: Sample, modality: str) -> None:
    other = dataclasses.replace(
        sample, record=dataclasses.replace(sample.record, model={"modality": modality})
    )
    found = of(
        other,
        dataclasses.replace(CLAUSE, modalities=("image",)),
        judged("privacy.copies.excess", Verdict.FAIL),
    )
    assert found.verdict == ""
    assert modality in found.gap


def test_what_was_not_assessed_is_a_gap(sample: Sample) -> None:
    unmet = (Unmet("a holdout", "none", "name one"),)
    found = of(sample, CLAUSE, judged("privacy.copies.excess", Verdict.NOT_ASSESSED, unmet))
    assert found.verdict == "not assessed"
    assert found.gap == "What speaks to it was not assessed: privacy.copies.excess."


def test_the_annex_says_which_part_was_not_assessed_and_why(sample: Sample) -> None:
    unmet = (Unmet("features in which a distance decides something", "pixels", "name others"),)
    metric = "privacy.copies.excess"
    number = judged(metric, Verdict.PASS).because
    bare = (
        judged(metric, Verdict.NOT_ASSESSED, unmet),
        judged("privacy.extraction.rate", Verdict.NOT_ASSESSED, unmet),
    )
    record = dataclasses.replace(
        sample.record, judgements=bare, measurements=(number,), skipped=(), failures=()
    )
    page = AnnexReport().render(record, sample.read).decode("utf-8")
    assert f"not assessed: `{metric}`, bound ≤ 0.1: needs features in which a distance decides" in page
    assert f"`{metric}` 0.20 (0.10 to 0.30)" in page
    assert "A part of what speaks to it was not assessed: privacy." in page


def test_an_evaluator_that_failed_is_named_beside_its_clause(sample: Sample) -> None:
    clause = dataclasses.replace(CLAUSE, evidence=("quality.bits_per_dimension",))
    found = of(sample, clause)
    assert found.gap == (
        "Nothing was measured that speaks to it (quality.bits_per_dimension). "
        "Failed, so without a result: quality.bits_per_dimension."
    )
    other = of(sample, CLAUSE, judged("privacy.copies.excess", Verdict.PASS))
    assert other.gap == ""


def test_hostile_names_stay_text_in_the_annex(hostile: Sample) -> None:
    page = AnnexReport().render(hostile.record, hostile.read).decode("utf-8")
    assert "<script" not in page
