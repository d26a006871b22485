"""The export as Every Eval Ever, against the format's own schema (version 0.3.0, MIT; kept beside this file)."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

from audit.core.evaluators import Unmet
from audit.core.policy import Judgement, Verdict
from reports.every_eval_ever import EveryEvalEverReport, document

SCHEMA = json.loads(
    (Path(__file__).parent / "every_eval_ever" / "eval.schema.json").read_text(encoding="utf-8")
)


def wrong(plain: Any) -> list[str]:
    return [f"{e.json_path}: {e.message}" for e in Draft7Validator(SCHEMA).iter_errors(plain)]


def test_the_schema_refuses_what_is_none() -> None:
    assert len(wrong({"schema_version": "0.3.0"})) > 5


@pytest.mark.parametrize("kind", ["rich", "hostile", "unfinished"])
def test_a_record_of_any_kind_is_valid(kind: str, sample, hostile, unfinished) -> None:
    given = {"rich": sample, "hostile": hostile, "unfinished": unfinished}[kind]
    data = EveryEvalEverReport().render(given.record, given.read)
    assert wrong(json.loads(data)) == []
    assert given.asked == []  # evidence is not even read


def test_numbers_intervals_and_what_has_no_place_are_kept(sample) -> None:
    results = {r["evaluation_result_id"]: r for r in document(sample.record)["evaluation_results"]}
    shown = [m for m in sample.record.measurements if not m.void]
    assert len(results) == len(shown)
    for m, result in zip(shown, results.values(), strict=True):
        details = result["score_details"]
        assert "score_type" not in result["metric_config"]  # the tool's own check wants a range with it
        assert details["score"] == m.value
        assert details["uncertainty"]["num_samples"] == m.n
        interval = details["uncertainty"].get("confidence_interval")
        if interval is None:
            assert details["details"]["no_interval"] == m.uncertainty.reason
        else:
            assert (interval["lower"], interval["upper"]) == (m.uncertainty.low, m.uncertainty.high)
            assert (interval["confidence_level"], interval["method"]) == (
                m.uncertainty.level,
                m.uncertainty.method,
            )


def test_a_void_measurement_is_named_and_left_out(sample) -> None:
    first = sample.record.measurements[0]
    void = dataclasses.replace(first, void="the null was wrong")
    record = dataclasses.replace(sample.record, measurements=(void, *sample.record.measurements[1:]))
    plain = document(record)
    assert first.metric in plain["source_metadata"]["additional_details"]["left_out"]
    assert all(
        first.metric != r["metric_config"]["metric_id"] or "group" in r["score_details"]["details"]
        for r in plain["evaluation_results"]
    )


def test_what_was_not_assessed_has_its_verdict_and_the_reason(sample) -> None:
    unmet = (Unmet("features in which a distance decides something", "pixels", "name others"),)
    bare = tuple(
        Judgement(j.criterion, Verdict.NOT_ASSESSED, unmet) if j.criterion.metric == "quality.frechet" else j
        for j in sample.record.judgements
    )
    plain = document(dataclasses.replace(sample.record, judgements=bare))
    assert wrong(plain) == []
    (said,) = (r for r in plain["evaluation_results"] if r["metric_config"]["metric_id"] == "quality.frechet")
    assert said["score_details"]["details"]["verdict"] == "not assessed"
    assert "found pixels" in said["score_details"]["details"]["not_judged"]
    left = plain["source_metadata"]["additional_details"]["without_a_result"]
    assert left.startswith("privacy.extraction.rate ≤ 0.001: not assessed, needs a model that offers")
    assert "quality.frechet" not in left
