"""The escaping that stands between a hostile name and Streamlit's Markdown, and what the charts hold."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import dashboards
from audit.core.measurements import Interval
from dashboards import charts, widgets
from reports.curves import Curve
from reports.judged import Judged
from reports.sections import sections

FOLDER = Path(dashboards.__file__).parent


@given(st.text(st.characters(), max_size=80))
def test_nothing_that_begins_markup_is_left_bare(text: str) -> None:
    shown = widgets.plain(text)
    assert "\n" not in shown
    bare = re.sub(r"\\.", "", shown)  # without what is escaped
    assert not re.search(r"[`*_{}\[\]()#<>~$|]", bare)
    assert not re.search(r"[:@](?!\u2060)", bare)


@given(st.text("ab*_:<>[](){}$#!~`|\\./w@ ", max_size=40))
def test_taking_the_escapes_away_gives_the_text_back(text: str) -> None:
    read = re.sub(r"\\(.)", r"\1", widgets.plain(text)).replace("\u2060", "")
    assert read == " ".join(text.split())


def test_long_text_is_cut() -> None:
    assert len(widgets.plain("a" * 10_000)) < 600


def values(spec: dict[str, Any], layer: int) -> Any:
    """Return the rows a layer draws; Altair names data that layers share."""
    return spec["datasets"][spec["layer"][layer]["data"]["name"]]


def test_a_forest_holds_every_measurement_and_its_marks(samples: Any) -> None:
    sample = samples.build()
    judged = Judged.of(sample.record.judgements)
    for section in sections(sample.record, sample.read, False):
        for family in section.families:
            spec = charts.forest(family, judged).to_dict()
            rows = values(spec, 1)
            assert [row["value"] for row in rows] == [m.value for m in family.measured]
            for row, m in zip(rows, family.measured, strict=True):
                if isinstance(m.uncertainty, Interval):
                    assert (row["low"], row["high"]) == (m.uncertainty.low, m.uncertainty.high)
            low, high = spec["layer"][1]["encoding"]["x"]["scale"]["domain"]
            assert all(low <= mark["at"] <= high for mark in values(spec, 0))


def test_no_two_rows_of_a_forest_share_a_label(samples: Any) -> None:
    sample = samples.build()
    doubled = dataclasses.replace(sample.record, measurements=sample.record.measurements * 3)
    for section in sections(doubled, sample.read, False):
        for family in section.families:
            labels = charts.row_labels(family)
            assert len(set(labels)) == len(labels) == len(family.measured)


def test_a_curve_holds_its_points_and_band() -> None:
    shown = Curve.of([0.0, 1.0], [1.0, 2.0], [0.5, 1.5], [1.5, 2.5])
    assert shown is not None
    spec = charts.curve(shown).to_dict()
    assert values(spec, 1) == [{"x": 0.0, "y": 1.0}, {"x": 1.0, "y": 2.0}]
    assert values(spec, 0)[1] == {"x": 1.0, "low": 1.5, "high": 2.5}


@pytest.mark.parametrize("path", sorted(FOLDER.rglob("*.py")), ids=lambda path: path.name)
def test_no_page_lets_html_through_or_loads_a_thing_from_outside(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    assert "unsafe_allow_html" not in source
    assert "st.html" not in source
    assert "components" not in source
    assert "https://" not in source
