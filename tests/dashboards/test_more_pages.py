"""The pages that compare runs, list records at risk and show frameworks, run without a browser against real stores."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from audit.core.measurements import Evidence, Measurement
from audit.core.policy import Verdict
from audit.core.register import AtRisk, register_evidence
from audit.store.summaries import Wanted
from dashboards import charts, queries
from tests.dashboards.test_app import HARMFUL, opened, words

PAGES = ("compare", "risks", "frameworks")


@pytest.fixture(autouse=True)
def _fresh_memory() -> None:
    queries.evidence.cache_clear()


@pytest.mark.parametrize("page", PAGES)
def test_without_a_store_a_page_says_what_to_do(page: str, store: Path) -> None:
    app = opened(page)
    assert not app.exception
    assert "audit run audit.toml" in words(app)


@pytest.mark.parametrize("page", PAGES)
def test_a_page_shows_one_run_whatever_its_strings_are(page: str, samples: Any, kept: Any) -> None:
    kept(samples.build_hostile(), name=HARMFUL)
    kept(samples.build(), name="sound")
    app = opened(page)
    assert not app.exception
    assert ":red[r]" not in words(app).replace("\N{WORD JOINER}", "~") or page == "compare"


def worse(samples: Any) -> Any:
    """A later run of the same model: what passed fails now, and each number is far worse."""
    sample = samples.build()
    judgements = tuple(
        dataclasses.replace(j, verdict=Verdict.FAIL) if j.verdict is Verdict.PASS else j
        for j in sample.record.judgements
    )
    measured = tuple(
        dataclasses.replace(
            m,
            value=m.value + 50 * m.uncertainty.half_width,
            uncertainty=dataclasses.replace(
                m.uncertainty,
                low=m.uncertainty.low + 50 * m.uncertainty.half_width,
                high=m.uncertainty.high + 50 * m.uncertainty.half_width,
            ),
        )
        if m.metric == "quality.frechet"
        else m
        for m in sample.record.measurements
    )
    record = dataclasses.replace(sample.record, judgements=judgements, measurements=measured)
    return dataclasses.replace(sample, record=record)


def test_a_comparison_opens_with_graver_verdicts_and_what_is_worse(samples: Any, kept: Any) -> None:
    before = kept(samples.build(), name="before")
    after = kept(worse(samples), name="after")
    app = opened("compare", first=before, second=after)
    assert not app.exception
    said = words(app)
    assert "graver" in said
    assert "worse, beyond chance" in said
    assert said.index("Verdicts") < said.index("Metrics")
    same = words(opened("compare", first=after, second=before))
    assert "better, beyond chance" in same


def test_one_run_has_nothing_to_be_compared_with(samples: Any, kept: Any) -> None:
    kept(samples.build())
    app = opened("compare")
    assert not app.exception
    assert "takes two runs" in words(app)


def at_risk(samples: Any, rows: list[int]) -> Any:
    """A run that found these training records, and knows what each says."""
    sample = samples.build()
    kept, evidence = dict(sample.kept), []
    for found in register_evidence(
        AtRisk(row, "copies", "a sample is nearly this picture", 1.0 / (row + 1), 0.01, 2, f"secret {row}")
        for row in rows
    ):
        digest = samples.digest_of(f"{found.kind} {rows}".encode())
        kept[digest] = found.content
        evidence.append(Evidence(found.kind, found.caption, digest, found.sensitive))
    first, *rest = sample.record.measurements
    assert isinstance(first, Measurement)
    measured = (dataclasses.replace(first, evidence=(*first.evidence, *evidence)), *rest)
    return dataclasses.replace(
        sample, record=dataclasses.replace(sample.record, measurements=measured), kept=kept
    )


def test_the_register_says_what_is_open_new_and_closed_and_hides_what_records_say(
    samples: Any, kept: Any
) -> None:
    kept(at_risk(samples, [3, 7]), name="before")
    kept(at_risk(samples, [7, 9]), name="after")
    app = opened("risks")
    assert not app.exception
    (frame,) = [f.value for f in app.dataframe]
    status = dict(zip(frame["Row"], frame["Status"], strict=True))
    assert status == {"7": "open", "9": "new", "3": "closed"}
    assert "secret" not in words(app)
    shown = next(t for t in app.toggle if t.label == "Show what the records say").set_value(True).run()
    assert "secret 7" in words(shown)


def test_a_run_that_looked_for_no_record_says_so(samples: Any, kept: Any) -> None:
    kept(samples.build())
    assert "Nothing in this run looks for single training records" in words(opened("risks"))


def test_frameworks_show_evidence_gaps_and_what_nobody_read(samples: Any, kept: Any) -> None:
    kept(samples.build())
    app = opened("frameworks")
    assert not app.exception
    said = words(app)
    assert "Art. 50(2)" in said
    assert "unverified, not read at its source" in said
    assert "What is missing" in said or "Nothing was measured" in said


def test_the_trend_begins_with_what_fails_and_joins_no_unlike_runs(
    samples: Any, kept: Any, store: Path
) -> None:
    kept(samples.build(), name="one")
    kept(worse(samples), name="two")
    address = queries.asked_for()
    metric, group = queries.metrics(address, Wanted())[0]
    newest = queries.overview(address)[0].record
    assert newest is not None
    failing = {j.criterion.metric for j in newest.judgements if j.verdict is Verdict.FAIL}
    assert metric in failing
    other = samples.build()
    model = {**other.record.model, "options": {"use": "another-model"}}
    kept(dataclasses.replace(other, record=dataclasses.replace(other.record, model=model)), name="three")
    weights = {**other.record.model, "weights": "others"}
    kept(dataclasses.replace(other, record=dataclasses.replace(other.record, model=weights)), name="four")
    drawn = charts._points(queries.trend(address, Wanted(), metric, group))
    spec = charts.trend(queries.trend(address, Wanted(), metric, group))
    assert spec["datasets"]["rows"] == drawn
    assert not any("data" in layer for layer in spec["layer"]), (
        "a layer without rows has a run and a colour of its own"
    )
    assert len({row["series"] for row in drawn}) == 2
    assert [row["changed"] for row in drawn] == ["the first", "nothing", "the first", "other weights"]
    assert drawn[0]["stretch"] == drawn[1]["stretch"] != drawn[3]["stretch"]
