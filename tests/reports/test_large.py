"""A report with five hundred measurements and strings meant to break it stays a file that one can send, in every format."""

from __future__ import annotations

import csv
import io
import json
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import replace

import pyarrow as pa
import pytest

from audit.core.evaluators import Unmet
from audit.core.identity import Digest
from audit.core.measurements import Direction, Evidence, Interval, Measurement, Unquantified
from audit.core.policy import Criterion, Policy, overall
from audit.core.records import RecordedEvaluator
from audit.engine.deciding import deciding
from audit.engine.families import corrected
from audit.registry import catalogue
from tests.reports.conftest import Sample

MANY = 500
MOST = 3_000_000
"""Bytes of one HTML file."""
NASTY = (
    "<script>alert('x')</script>",
    "</style></svg><img src=x onerror=alert(1)>",
    "\x00\x07\x1b[31mred\x1b[0m\u202egnp.exe\ufeff",
    ']]> &amp; {{ 7 * 7 }} ${7*7} =HYPERLINK("http://x")',
)
HUGE = "A" * 10_000_000


def measurements(kept: dict[Digest, object]) -> Iterator[Measurement]:
    """Yield measurements in ten families, two of three with an interval, every tenth with evidence, each with a hostile note."""
    for i in range(MANY):
        nasty = NASTY[i % len(NASTY)]
        value = (i % 97) / 97
        evidence: tuple[Evidence, ...] = ()
        if i % 10 == 0:
            digest = Digest(f"{i:040x}")
            kept[digest] = pa.table(
                {nasty.replace("\x00", "") or "c": [nasty, HUGE if i == 0 else "short"] * 3}
            )
            evidence = (Evidence("table", f"table {nasty}", digest, sensitive=False),)
        yield Measurement(
            metric=f"quality.family{i % 10}.metric{i // 50}",
            value=value,
            uncertainty=Unquantified(nasty)
            if i % 3 == 2
            else Interval(value - 0.1, value + 0.1, 0.95, f"z {nasty}"),
            n=1000 + i,
            direction=Direction.LOWER_IS_BETTER,
            group=() if i < 100 else (("group", f"{i} {nasty}"),),
            notes=(nasty, HUGE if i == 3 else nasty),
            evidence=evidence,
        )


@pytest.fixture(scope="module")
def large() -> Sample:
    from tests.reports.conftest import build

    base, kept = build(), {}
    found = tuple(measurements(kept))
    names = list(dict.fromkeys(m.metric for m in found))
    criteria = [
        Criterion(name, at_most=0.3, why=HUGE if i == 0 else NASTY[i % 4], family="all", blocking=i % 2 == 0, every_group=i % 3 == 0)
        for i, name in enumerate(names)
    ]  # fmt: skip
    policy = Policy(NASTY[0], "1", (*criteria, Criterion("absent", at_most=1, why=HUGE)))
    gap = Unmet(NASTY[1], HUGE, NASTY[2])
    judgements = corrected(policy.judge(found, {"absent": (gap,)}, deciding=deciding), deciding)
    evaluators = tuple(
        RecordedEvaluator(
            f"quality.family{k}", "quality", NASTY[k % 4], {NASTY[0]: HUGE if k == 0 else 1}, "0" * 40,
            {n: NASTY[k % 4] for n in names if f"family{k}." in n}, (NASTY[3],), "scored",
        )
        for k in range(10)
    )  # fmt: skip
    record = replace(
        base.record, name=HUGE, measurements=found, undefined=(), controls=(), judgements=judgements,
        evaluators=evaluators, verdict=overall(judgements),
    )  # fmt: skip
    assert len(record.measurements) == MANY
    return Sample(record, kept, [])


def written(name: str, sample: Sample) -> bytes:
    data: bytes = catalogue("reports").load(name)().render(sample.record, sample.read)
    return data


def test_the_page_is_under_three_megabytes_and_runs_nothing_of_theirs(large: Sample) -> None:
    page = written("html", large)
    assert 200_000 < len(page) < MOST, f"{len(page):,} bytes"
    text = page.decode("utf-8")
    for raw in ("<script>alert", "<img src=x", "</svg><img", "\x00", "\x1b", "\u202e", "A" * 20_000):
        assert raw not in text
    assert text.count("family3.metric") >= MANY / 10, "every measurement is in it"
    assert "correction for the" in text, "and by which interval those of a family were judged"


def test_every_format_is_written(large: Sample) -> None:
    names = catalogue("reports").names()
    assert {"html", "markdown", "json", "junit", "sarif", "csv", "model-card", "annex"} <= set(names)
    for name in names:
        assert written(name, large), name
    assert len(json.loads(written("json", large))["measurements"]) == MANY, "the record is whole"
    json.loads(written("sarif", large))
    cases = ET.fromstring(written("junit", large)).iter("testcase")
    assert sum(1 for _ in cases) >= len(large.record.judgements)
    csv.field_size_limit(2**31 - 1)
    rows = list(csv.reader(io.StringIO(written("csv", large).decode("utf-8-sig"), newline="")))
    bare = sum(not isinstance(j.because, Measurement) for j in large.record.judgements)
    assert len(rows) == 1 + MANY + bare + len(large.record.failures)
    assert not any(cell.startswith(("=", "+", "@")) for row in rows for cell in row)
    for name in ("markdown", "annex", "model-card", "junit", "sarif", "csv"):
        assert len(written(name, large)) < MOST, f"{name} has {len(written(name, large)):,} bytes"
