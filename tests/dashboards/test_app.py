"""Both pages of the dashboard, run without a browser against real stores."""

from __future__ import annotations

import dataclasses
import datetime
import re
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

import dashboards
from audit.core.measurements import Interval
from audit.core.policy import Verdict
from audit.core.records import to_plain
from audit.store.location import resolve
from audit.store.runs import open_store
from audit.store.summaries import Wanted
from dashboards import queries
from dashboards.views.run import PARTS
from reports import numbers

APP = Path(dashboards.__file__).parent / "app.py"
HARMFUL = "<script>alert(1)</script> :smile: **b** [x](http://h.example) $x$ :red[r]"


@pytest.fixture(autouse=True)
def _fresh_memory() -> None:
    queries.evidence.cache_clear()
    queries._finished.cache_clear()
    queries._shown.cache_clear()


def opened(page: str = "", **query: str) -> AppTest:
    app = AppTest.from_file(APP, default_timeout=60)
    if page:
        app.switch_page(f"views/{page}.py")
    for name, value in query.items():
        app.query_params[name] = value
    return app.run()


def part(app: AppTest, name: str) -> AppTest:
    """Turn to a part of a run's page."""
    app.session_state["part"] = name
    app.run()
    assert not app.exception
    return app


def every_part(app: AppTest) -> str:
    """Return what all parts of a run's page say."""
    return "\n".join(words(part(app, name)) for name in PARTS)


def words(app: AppTest) -> str:
    """Return everything the page says as text, in any element."""
    kinds = (
        "title",
        "subheader",
        "markdown",
        "caption",
        "text",
        "code",
        "info",
        "success",
        "warning",
        "error",
    )
    said = [str(e.value) for kind in kinds for e in getattr(app, kind)]
    said += [frame.value.to_csv() for frame in app.dataframe]
    return "\n".join(said)


@pytest.mark.parametrize("page", ["overview", "run"])
def test_without_a_store_it_says_what_to_do(page: str, store: Path) -> None:
    app = opened(page)
    assert not app.exception
    assert app.title[0].value == "No audits to show"
    assert "audit run" in words(app)
    assert not store.exists()  # looking made nothing


@pytest.mark.parametrize("page", ["overview", "run"])
def test_an_empty_store_says_what_to_do(page: str, store: Path) -> None:
    open_store(resolve(str(store))).close()
    app = opened(page)
    assert not app.exception
    assert app.title[0].value == "No audits yet"
    assert "audit run" in words(app)


def test_a_damaged_store_is_a_message(store: Path) -> None:
    open_store(resolve(str(store))).close()
    resolve(str(store)).ledger.write_bytes(b"not a database at all, but long enough to look like one" * 40)
    app = opened()
    assert not app.exception
    assert "No audits to show" in words(app)


def test_the_overview_lists_runs_newest_first(samples: Any, kept: Any) -> None:
    older = kept(samples.build(), name="one")
    newer = kept(samples.build(), name="two")
    app = opened()
    assert not app.exception
    table = app.dataframe[0].value
    assert list(table["Name"]) == ["two", "one"]
    assert list(table["Run"]) == [newer, older]
    assert list(table["Verdict"]) == ["✕ fail", "✕ fail"]
    assert list(table["quality"]) == ["≈ inconclusive"] * 2
    assert "asked for" in table["Decisive"][0]
    assert list(table["Open"]) == [f"run?run={newer}", f"run?run={older}"]
    told = words(app)
    for badge in ("2 runs", "0 pass", "2 fail", "0 inconclusive", "0 not assessed", "0 unfinished"):
        assert badge in told


def test_the_overview_can_be_searched_and_filtered(samples: Any, kept: Any) -> None:
    kept(samples.build(), name="portraits")
    kept(samples.build(), name="digits")
    app = opened()
    app.text_input(key="search").set_value("PORTR").run()
    assert list(app.dataframe[0].value["Name"]) == ["portraits"]
    app.button_group(key="verdicts").set_value(["pass"]).run()
    assert not app.exception
    assert "No run fits this search." in words(app)


def test_the_trend_shows_the_chosen_metric_with_its_intervals(samples: Any, kept: Any) -> None:
    sample = samples.build()
    kept(sample, name="one")
    kept(sample, name="two")
    app = opened()
    choice = ("quality.frechet", ())
    app.selectbox(key="metric").set_value(choice).run()
    assert not any("Interval" in f.value for f in app.dataframe)  # made when somebody opens it
    app.session_state["trend-as-table"] = True
    app.run()
    assert not app.exception
    (m,) = [m for m in sample.record.measurements if (m.metric, m.group) == choice]
    assert isinstance(m.uncertainty, Interval)
    table = app.dataframe[-1].value
    assert list(table["Interval"]) == [numbers.interval_of(m)] * 2
    assert list(table["Name"]) == ["one", "two"]  # the oldest first
    rows = queries.trend(queries.asked_for([]), Wanted(), *choice)
    assert [p.measurement.uncertainty.low for p in rows] == [m.uncertainty.low] * 2  # type: ignore[union-attr]


def test_a_run_page_shows_every_number_and_every_reason(samples: Any, kept: Any) -> None:
    sample = samples.build()
    run = kept(sample)
    app = opened("run", run=run)
    assert not app.exception
    said = every_part(app)
    assert app.title[0].value == "digits\\-vae before 1\\.2"
    assert "1 criterion failed" in said
    for m in sample.record.measurements:
        assert numbers.value_of(m) in said
        assert numbers.interval_of(m) in said
    for j in sample.record.judgements:
        assert j.criterion.why in said
    for failure in sample.record.failures:
        assert failure.error in said
        assert failure.detail in said
    for gap in (gap for skip in sample.record.skipped for gap in skip.unmet):
        assert gap.remedy in said
    for artifact in sample.record.artifacts:
        assert artifact.digest in said
    assert "the holdout has 12 rows" in said


def test_a_run_page_without_an_address_shows_the_newest(samples: Any, kept: Any) -> None:
    kept(samples.build(), name="one")
    kept(samples.build(), name="two")
    app = opened("run")
    assert app.title[0].value == "two"


def test_an_unknown_run_is_said_and_the_newest_shown(samples: Any, kept: Any) -> None:
    kept(samples.build(), name="one")
    app = opened("run", run="../../etc/passwd")
    assert not app.exception
    assert "no such run" in app.warning[0].value
    assert app.title[0].value == "one"


def test_sensitive_evidence_shows_only_when_asked_for(samples: Any, kept: Any) -> None:
    run = kept(samples.build())
    app = part(opened("run", run=run), "Evidence")
    assert samples.SECRET not in words(app)
    assert "it may show training examples" in words(app)
    app.toggle[0].set_value(True).run()
    assert not app.exception
    assert samples.SECRET in words(app)
    app.toggle[0].set_value(False).run()
    assert samples.SECRET not in words(app)


def test_evidence_of_every_kind_is_shown(samples: Any, kept: Any) -> None:
    app = opened("run", run=kept(samples.build()))
    pictures = charts = 0
    for name in PARTS:
        part(app, name)
        pictures += len(app.image)
        charts += len(app.get("arrow_vega_lite_chart") or app.get("vega_lite_chart"))
    assert pictures == 12
    assert charts >= 2
    part(app, "Evidence")
    assert "transplant" in words(app)
    assert "no longer holds" in words(app)


def test_an_unfinished_run_says_so(samples: Any, kept: Any) -> None:
    sample = samples.build()
    bare = dataclasses.replace(
        sample.record,
        measurements=(),
        undefined=(),
        failures=(),
        artifacts=(),
        judgements=samples.POLICY.judge((), {}),
    )
    run = kept(dataclasses.replace(sample, record=bare), finished=False)
    app = opened()
    assert list(app.dataframe[0].value["Verdict"]) == ["… unfinished"]
    app = opened("run", run=run)
    assert not app.exception
    assert "The run has not finished" in words(app)
    assert "This run recorded no measurement." in words(part(app, "Measurements"))


def test_hostile_strings_are_shown_and_not_obeyed(samples: Any, kept: Any) -> None:
    run = kept(samples.build_hostile(), name=HARMFUL)
    overview = opened()
    assert not overview.exception
    app = opened("run", run=run)
    assert not app.exception
    app.toggle[0].set_value(True).run()
    assert not app.exception
    for name in ("", *PARTS):
        page = part(app, name) if name else overview
        for element in (*page.markdown, *page.caption, *page.title, *page.subheader, *page.info, *page.error):
            assert not getattr(element.proto, "allow_html", False)
            for markup in ("<script", "](http", ":smile:", ":red[", "$x$"):
                assert markup not in re.sub(r"\\.", "", str(element.value))
        for control in ("\u202e", "\x1b", "\x00"):
            assert control not in words(page)


def test_a_record_that_cannot_be_read_spoils_nothing_else(
    samples: Any, kept: Any, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept(samples.build(), name="fine")
    broken = kept(samples.build(), name="broken")
    read = queries.Store.read

    def damaged(self: Any, run: str) -> Any:
        if run == broken:
            raise KeyError("measurements")
        return read(self, run)

    monkeypatch.setattr(queries.Store, "read", damaged)
    app = opened()
    assert not app.exception
    assert list(app.dataframe[0].value["Name"]) == ["broken", "fine"]  # a list reads no record
    app = opened("run", run=broken)
    assert not app.exception
    assert "The record of this run cannot be read." in words(app)
    assert "has not the shape that this version writes" in words(app)


def test_every_report_format_can_be_downloaded(samples: Any, kept: Any) -> None:
    run = kept(samples.build())
    app = opened("run", run=run)
    labels = {button.proto.label for button in app.get("download_button")}
    assert {"Report as html", "Report as json"} <= labels
    address = queries.asked_for([])
    record = next(line.record for line in queries.overview(address))
    assert record is not None
    for renderer in queries.renderers().values():
        document = renderer().render(record, lambda digest: queries.evidence(address, digest))
        assert samples.SECRET.encode() not in document


def test_the_address_may_come_after_the_dashes(store: Path, tmp_path: Path) -> None:
    assert queries.asked_for(["--store", str(tmp_path / "x")]) == resolve(str(tmp_path / "x"))
    assert queries.asked_for([f"--store={tmp_path}/y"]) == resolve(str(tmp_path / "y"))
    assert queries.asked_for(["--other"]) == resolve(str(store))


def test_what_the_dashboard_keeps_is_what_the_store_holds(samples: Any, kept: Any, store: Path) -> None:
    run = kept(samples.build())
    (line,) = queries.overview(queries.asked_for([]))
    with open_store(resolve(str(store)), create=False, read_only=True) as opened_store:
        assert line.record is not None
        assert to_plain(line.record) == to_plain(opened_store.read(run))


def test_the_overview_turns_its_pages_and_reads_no_record(
    samples: Any, kept: Any, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sample = samples.build()
    small = dataclasses.replace(sample.record, measurements=sample.record.measurements[:1], evaluators=())
    for number in range(52):
        kept(dataclasses.replace(sample, record=small), name=f"run {number}")

    def refused(*_: Any) -> Any:
        raise AssertionError("the overview read a record")

    monkeypatch.setattr(queries.Store, "read", refused)
    app = opened()
    assert not app.exception
    assert "Runs on one page" not in words(app)
    assert "52 runs" in words(app)
    assert list(app.dataframe[0].value["Name"])[::49] == ["run 51", "run 2"]
    next(b for b in app.button if b.label == "Older").click().run()
    assert list(app.dataframe[0].value["Name"]) == ["run 1", "run 0"]
    assert next(b for b in app.button if b.label == "Older").disabled
    app.text_input(key="search").set_value("run 3").run()  # another filter begins at its first page
    assert len(app.dataframe[0].value) == 11
    assert not app.exception


def test_the_overview_filters_by_model_data_and_day(samples: Any, kept: Any) -> None:
    sample = samples.build()
    model = {**sample.record.model, "options": {"use": "another-model"}}
    kept(sample, name="one")
    kept(dataclasses.replace(sample, record=dataclasses.replace(sample.record, model=model)), name="two")
    app = opened()
    app.multiselect(key="models").set_value(["another-model"]).run()
    assert list(app.dataframe[0].value["Name"]) == ["two"]
    app.multiselect(key="models").set_value([]).run()
    app.multiselect(key="data").set_value(["digits"]).run()
    assert len(app.dataframe[0].value) == 2
    app.date_input(key="days").set_value((datetime.date(2001, 1, 1), datetime.date(2001, 1, 2))).run()
    assert not app.exception
    assert "No run fits this search." in words(app)


def test_a_run_older_than_the_list_is_opened_by_its_address(
    samples: Any, kept: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queries, "MOST_RUNS", 1)
    old = kept(samples.build(), name="old")
    kept(samples.build(), name="new")
    app = opened("run", run=old)
    assert not app.exception
    assert app.title[0].value == "old"


def test_a_run_page_draws_the_part_that_is_looked_at_alone(
    samples: Any, kept: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dashboards import charts

    drawn: list[str] = []
    forest = charts.forest
    monkeypatch.setattr(charts, "forest", lambda *given: drawn.append("chart") or forest(*given))
    run = kept(samples.build())
    app = opened("run", run=run)
    assert not drawn
    assert not app.image
    assert "What to look at" in words(app)
    assert "How to repeat it" in [tab.label for tab in app.tabs]
    app = opened("run", run=run, part="Measurements")
    assert drawn
    assert "What to look at" not in words(app)
    app = opened("run", run=run, part="no such part")
    assert not app.exception
    assert "What to look at" in words(app)


def test_what_a_run_page_keeps_holds_nothing_sensitive(samples: Any, kept: Any) -> None:
    run = kept(samples.build())
    app = part(opened("run", run=run), "Evidence")
    kept_once = queries._shown.cache_info()
    assert kept_once.currsize == 1
    app.toggle[0].set_value(True).run()
    assert samples.SECRET in words(app)
    assert queries._shown.cache_info().currsize == 1
    line = queries.overview(queries.asked_for([]))[0]
    assert samples.SECRET not in repr(queries._shown(line.address, line.run))


def test_one_measurement_is_shown_with_all_that_is_known_of_it(samples: Any, kept: Any) -> None:
    sample = samples.build()
    run = kept(sample)
    app = opened("run", run=run)
    assert "What to look at" in [header.value for header in app.subheader]
    part(app, "One measurement")
    place = next(
        i for i, m in enumerate(sample.record.measurements) if m.evidence and m.noise_floor is not None
    )
    m = sample.record.measurements[place]
    app.selectbox(key=f"measurement-{run}").set_value(place).run()
    assert not app.exception
    rows = next(f.value for f in app.dataframe if "As measured" in f.value.columns)
    said = dict(zip(rows["What"], rows["As measured"], strict=True))
    assert said["Interval"] == numbers.interval_of(m)
    assert said["Noise floor"] == numbers.plain(m.noise_floor)
    assert f"audit compare {run} NEW_RUN" in words(app)


def test_small_groups_are_withheld_on_every_page(samples: Any, kept: Any) -> None:
    sample = samples.build()
    one = next(m for m in sample.record.measurements if isinstance(m.uncertainty, Interval) and not m.group)
    sizes = {"north": (400, 0.412345), "south": (300, 0.423456), "few": (4, 0.734567), "west": (90, 0.445678)}
    groups = tuple(
        dataclasses.replace(one, value=value, n=n, group=(("region", name),), evidence=())
        for name, (n, value) in sizes.items()
    )
    judged = dataclasses.replace(sample.record.judgements[0], because=groups[2], verdict=Verdict.FAIL)
    record = dataclasses.replace(
        sample.record,
        measurements=(*sample.record.measurements, *groups),
        judgements=(*sample.record.judgements, judged),
    )
    first = kept(dataclasses.replace(sample, record=record), name="first")
    second = kept(dataclasses.replace(sample, record=record), name="second", shift=1.0)
    shown, hidden = numbers.value_of(groups[0]), [numbers.value_of(groups[i]) for i in (2, 3)]
    run = opened("run", run=first)
    compared = opened("compare", first=first, second=second)
    assert not compared.exception
    for said in (every_part(run), words(compared)):
        assert shown in said
        assert not [number for number in hidden if number in said]
        assert "Numbers of groups not shown: 2" in said.replace("\\", "").replace(chr(0x2060), "")
    said = words(part(run, "Summary"))
    assert "Its numbers are withheld" in said
