"""The JSON record: every record meets the schema, and the schema refuses what is not one."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from audit.core.cases import CaseKind, Control
from audit.core.evaluators import Unmet
from audit.core.identity import Digest
from audit.core.measurements import Direction, Evidence, Interval, Measurement, Undefined, Unquantified
from audit.core.policy import Criterion, Policy, overall
from audit.core.records import (
    SCHEMA_VERSION,
    AuditRecord,
    RecordedArtifact,
    RecordedEvaluator,
    RecordedFailure,
    RecordedSkip,
    from_plain,
)
from reports.json import JsonReport, problems, schema

words = st.text(max_size=12)
numbers = st.floats(-1e6, 1e6, allow_nan=False)
groups = st.dictionaries(words, words, max_size=2).map(lambda d: tuple(d.items()))
intervals = st.tuples(numbers, numbers, st.floats(0.01, 0.99), words).map(
    lambda t: Interval(min(t[:2]), max(t[:2]), t[2], t[3])
)
measurements = st.builds(
    Measurement,
    metric=st.sampled_from("abc"),
    value=numbers,
    uncertainty=st.one_of(intervals, st.builds(Unquantified, words)),
    n=st.integers(0, 10**9),
    direction=st.sampled_from(Direction),
    group=groups,
    baseline=st.none() | numbers,
    noise_floor=st.none() | numbers,
    unit=words,
    p_value=st.none() | st.floats(0, 1),
    notes=st.lists(words, max_size=2).map(tuple),
    evidence=st.lists(st.builds(Evidence, words, words, words.map(Digest), st.booleans()), max_size=2).map(
        tuple
    ),
    void=words,
)
controls = st.builds(
    Control,
    metric=words,
    kind=st.sampled_from([CaseKind.NULL, CaseKind.PLANTED]),
    asked=words,
    value=st.none() | numbers,
    interval=st.none() | intervals,
    right=st.none() | st.booleans(),
    because=words,
    group=groups,
    defect=words,
    dose=st.none() | st.floats(0, 1),
)
gaps = st.builds(Unmet, words, words, words)
criteria = st.builds(
    Criterion,
    metric=st.sampled_from("abcd"),
    at_most=numbers,
    at_least=st.none(),
    why=words,
    every_group=st.booleans(),
)


@st.composite
def records(draw: st.DrawFn) -> AuditRecord:
    measured = tuple(draw(st.lists(measurements, max_size=4)))
    policy = Policy(draw(words), draw(words), tuple(draw(st.lists(criteria, max_size=3))))
    judgements = policy.judge(measured, {"d": (draw(gaps),)})
    return AuditRecord(
        run="r", name=draw(words), began="2026-01-01T00:00:00+00:00", finished=draw(st.none() | words),
        model={"adapter": draw(words), "weights": draw(words), "parameters": 3},
        data={"loader": draw(words), "content": draw(words), "splits": {"train": 3}},
        environment=draw(st.dictionaries(words, words, max_size=2)), settings={"seed": 0},
        policy={"name": policy.name, "version": policy.version, "criteria": []},
        evaluators=tuple(draw(st.lists(st.builds(
            RecordedEvaluator, words, words, words, st.just({"a": 1}), words, st.dictionaries(words, words, max_size=2),
            st.just(("x",)), st.sampled_from(["scored", "skipped", "failed", "unfinished"])), max_size=2))),
        measurements=measured, undefined=tuple(draw(st.lists(st.builds(Undefined, words, words, groups), max_size=2))),
        judgements=judgements, skipped=tuple(draw(st.lists(st.builds(RecordedSkip, words, st.tuples(gaps)), max_size=2))),
        failures=tuple(draw(st.lists(st.builds(RecordedFailure, words, words, st.integers(0, 9), words, words, st.integers(0, 3), st.just(("e",))), max_size=2))),
        artifacts=tuple(draw(st.lists(st.builds(RecordedArtifact, words, words, st.integers(0, 9), words, st.floats(0, 9)), max_size=2))),
        controls=tuple(draw(st.lists(controls, max_size=2))),
        verdict=overall(judgements),
    )  # fmt: skip


def written(record: AuditRecord) -> Any:
    return json.loads(JsonReport().render(record, lambda digest: None))


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(schema())
    assert schema()["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema()["properties"]["schema_version"]["const"] == SCHEMA_VERSION


@settings(max_examples=60, deadline=None)
@given(records())
def test_every_record_meets_the_schema_and_comes_back_equal(record: AuditRecord) -> None:
    document = written(record)
    assert problems(document) == []
    assert from_plain(document) == record


def test_the_handmade_record_meets_it(sample: Any) -> None:
    document = written(sample.record)
    assert problems(document) == []
    assert from_plain(document) == sample.record


def test_an_unfinished_record_meets_it(unfinished: Any) -> None:
    document = written(unfinished.record)
    assert problems(document) == []
    assert document["finished"] is None


def test_strings_from_outside_are_written_as_json(hostile: Any) -> None:
    data = JsonReport().render(hostile.record, hostile.read, show_sensitive=True)
    assert json.loads(data)["name"] == hostile.record.name
    assert hostile.asked == []  # evidence is named, never read


def test_same_record_same_bytes(sample: Any) -> None:
    report = JsonReport()
    assert report.render(sample.record, sample.read) == report.render(sample.record, sample.read)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("schema_version",), 2),
        (("verdict",), "maybe"),
        (("surprise",), 1),
        (("measurements", 0, "value"), None),
        (("measurements", 0, "value"), "1"),
        (("measurements", 0, "unquantified"), "both at once"),
        (("measurements", 0, "interval"), None),
        (("measurements", 0, "interval", "level"), 1),
        (("measurements", 0, "direction"), "up"),
        (("measurements", 0, "n"), -1),
        (("judgements", 0, "criterion", "at_most"), None),
        (("judgements", 0, "because", "measurement"), 3),
        (("skipped", 0, "unmet", 0, "remedy"), None),
        (("evaluators", 0, "status"), "fine"),
        (("data", "splits", "train"), "many"),
        (("model", "weights"), None),
        (("artifacts", 0, "seconds"), -1),
    ],
)
def test_what_is_not_a_record_is_refused_with_its_place(
    sample: Any, path: tuple[Any, ...], value: Any
) -> None:
    document = copy.deepcopy(written(sample.record))
    inner = document
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    found = problems(document)
    assert found
    assert str(next(step for step in path if isinstance(step, str))) in " ".join(found)


@pytest.mark.parametrize("key", sorted(schema()["required"]))
def test_no_key_may_be_missing(sample: Any, key: str) -> None:
    document = written(sample.record)
    del document[key]
    assert any(key in problem for problem in problems(document))


def test_the_documentation_names_every_key() -> None:
    text = (Path(__file__).parents[2] / "docs" / "record.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`([a-z_]+)`", text))
    top = set(schema()["required"])
    measurement = set(schema()["$defs"]["measurement"]["required"])
    assert top <= named
    assert measurement <= named
