"""Summaries of runs: written with each run, filled in for old ones, filtered and counted by the ledger."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import text

from audit.core.measurements import Direction, Interval, Measurement
from audit.core.policy import Criterion, Judgement
from audit.core.records import AuditRecord, to_plain
from audit.store.runs import Store
from audit.store.summaries import Wanted
from tests.store.test_runs import record_of

METRIC = "quality.frechet"


def measured(value: float, group: tuple[tuple[str, str], ...] = (), void: str = "") -> Measurement:
    interval = Interval(value - 0.25, value + 0.25, 0.95, "influence function")
    return Measurement(
        METRIC,
        value,
        interval,
        n=500,
        direction=Direction.LOWER_IS_BETTER,
        group=group,
        unit="units",
        void=void,
    )


def record(
    name: str, value: float, *, model: str = "digits-vae", weights: str = "w1", day: int = 1, void: str = ""
) -> AuditRecord:
    """A finished run whose one criterion is that the distance is at most 2."""
    number = measured(value, void=void)
    criterion = Criterion(METRIC, at_most=2.0, why="a test")
    judgement = Judgement(criterion, criterion.judge(number), number)
    return replace(
        record_of("unknown yet"),
        name=name,
        began=f"2024-05-{day:02d}T10:00:00+00:00",
        finished=f"2024-05-{day:02d}T10:05:00+00:00",
        model={"adapter": "included", "weights": weights, "options": {"use": model}},
        data={"loader": "digits", "content": "c1"},
        measurements=(number, measured(value + 1, (("sex", "F"),))),
        judgements=(judgement,),
        verdict=judgement.verdict,
    )


def keep(store: Store, kept: AuditRecord, *, finished: bool = True) -> str:
    run = store.begin(f"plan {kept.name}", kept.name, to_plain(replace(kept, finished=None)))
    if finished:
        store.finish(run, replace(kept, run=run))
    return run


@pytest.fixture
def four(store: Store) -> dict[str, str]:
    """A run that passes, one that cannot be decided, one that fails, and one that has not finished."""
    return {
        "passes": keep(store, record("passes", 1.0, day=1)),
        "open": keep(store, record("open", 2.1, model="Other-GAN", weights="w2", day=2)),
        "fails": keep(store, record("fails", 3.0, weights="w3", day=3)),
        "begun": keep(store, record("begun", 3.0, day=4), finished=False),
    }


def names(store: Store, **asked: Any) -> list[str]:
    return [s.name for s in store.summaries.page(Wanted(**asked))]


def test_a_summary_says_what_a_list_shows(store: Store, four: dict[str, str]) -> None:
    fails = store.summaries.one(four["fails"])
    assert fails is not None
    assert (fails.verdict, fails.model, fails.model_key) == ("fail", "digits-vae", "w3")
    assert (fails.data, fails.registers) == ("digits", False)
    assert fails.data_key == store.summaries.page()[-1].data_key
    assert fails.dimensions == {"quality": "fail"}
    assert (fails.counts, fails.measurements) == ({"fail": 1}, 2)
    decisive = fails.decisive
    assert decisive is not None
    assert (decisive.metric, decisive.bound, decisive.unit) == (METRIC, "<= 2", "units")
    assert (decisive.value, decisive.low, decisive.high) == (3.0, 2.75, 3.25)
    begun = store.summaries.one(four["begun"])
    assert begun is not None
    assert (begun.verdict, begun.finished, begun.decisive, begun.dimensions) == ("unfinished", None, None, {})
    assert store.summaries.one("no such run") is None


def test_a_page_has_the_newest_first_and_the_next_goes_on(store: Store, four: dict[str, str]) -> None:
    pages = [[s.name for s in store.summaries.page(first=first, most=3)] for first in (0, 3, 6)]
    assert pages == [["begun", "fails", "open"], ["passes"], []]


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"words": "FAIL"}, ["fails"]),
        ({"words": "gan"}, ["open"]),
        ({"words": "%"}, []),
        ({"models": ("digits-vae",), "verdicts": ("pass", "unfinished")}, ["begun", "passes"]),
        ({"data": ("no such data",)}, []),
        ({"since": "2024-05-02", "until": "2024-05-03"}, ["fails", "open"]),
        ({"until": "2024-05-01"}, ["passes"]),
    ],
)
def test_the_ledger_filters(
    store: Store, four: dict[str, str], asked: dict[str, Any], found: list[str]
) -> None:
    assert names(store, **asked) == found
    assert sum(store.summaries.counts(Wanted(**asked)).values()) == len(found)


def test_counts_and_choices(store: Store, four: dict[str, str]) -> None:
    assert store.summaries.counts() == {"pass": 1, "inconclusive": 1, "fail": 1, "unfinished": 1}
    choices = store.summaries.choices()
    assert set(choices.models) == {"digits-vae", "Other-GAN"}
    assert choices.data == ("digits",)


def test_a_trend_is_of_what_fails_and_has_each_interval(store: Store, four: dict[str, str]) -> None:
    failing = store.summaries.failing()
    assert failing is not None
    assert failing.metric == METRIC
    points = store.summaries.trend(METRIC, ())
    assert [(p.name, p.measurement.value) for p in points] == [("passes", 1.0), ("open", 2.1), ("fails", 3.0)]
    assert points[0].measurement == measured(1.0)
    assert [p.model_key for p in points] == ["w1", "w2", "w3"]
    assert len(store.summaries.trend(METRIC, (("sex", "F"),))) == 3
    assert [p.name for p in store.summaries.trend(METRIC, (), most=1)] == ["fails"]
    assert store.summaries.metrics() == ((METRIC, ()), (METRIC, (("sex", "F"),)))
    assert store.summaries.metrics(Wanted(words="begun")) == ()


def test_what_a_criterion_asks_for_comes_before_what_is_only_measured(store: Store) -> None:
    one = record("one", 1.0)
    extra = replace(one.measurements[0], metric="fairness.gap")
    keep(store, replace(one, measurements=(extra, *one.measurements)))
    keep(store, replace(record("two", 1.0, day=2), measurements=(extra,), judgements=()))
    assert [metric for metric, _ in store.summaries.metrics()] == [METRIC, METRIC, "fairness.gap"]


def test_a_void_number_stays_void_in_a_trend(store: Store) -> None:
    keep(store, record("void", 1.0, void="its control failed"))
    (point,) = store.summaries.trend(METRIC, ())
    assert point.measurement.void == "its control failed"


def test_old_runs_are_filled_in_once(opened: Callable[..., Store]) -> None:
    """A ledger of before this table: what it holds is read when it is brought up to date."""
    store = opened()
    kept = [record("void", 3.0, void="its control failed"), record("begun", 1.0), record("damaged", 1.0)]
    runs = [keep(store, one, finished=one.name != "begun") for one in kept]
    before = store.summaries.page()
    points = store.summaries.trend(METRIC, ())
    broken = json.dumps({"schema_version": "0"})
    for statement in (
        "DROP TABLE spent",
        "DROP TABLE summaries",
        "DROP INDEX one_metric",
        "ALTER TABLE measurements DROP COLUMN void",
        f"UPDATE runs SET record = '{broken}' WHERE run = '{runs[2]}'",
        "UPDATE alembic_version SET version_num = '0002'",
    ):
        store._ledger.write(lambda connection, said=statement: connection.execute(text(said)))
    again = opened()
    after = again.summaries.page()
    assert after[1:] == before[1:]
    assert (after[0].name, after[0].verdict, after[0].dimensions) == ("damaged", "pass", {})
    assert "schema version '0'" in after[0].problem
    assert again.summaries.trend(METRIC, ())[0] == points[0]
    assert points[0].measurement.void


def test_what_no_record_was_begun_with_has_a_summary_too(store: Store) -> None:
    run = store.begin("plan", "by hand", {"began": "2024-05-01T10:00:00+00:00"})
    found = store.summaries.one(run)
    assert found is not None
    assert (found.name, found.verdict) == ("by hand", "unfinished")
    assert found.problem
