"""What is told of groups: every number that may be, none that would give a few people away."""

from __future__ import annotations

import dataclasses
from typing import Any

import pyarrow as pa

from audit.core.measurements import Direction, Evidence, Interval, Measurement, Unquantified
from dashboards import group_charts, groups, small_groups
from dashboards.groups import Crossing, Slices

HIGHER = Direction.HIGHER_IS_BETTER


def measured(metric: str, value: float, n: int, **group: str) -> Measurement:
    return Measurement(
        metric, value, Interval(value - 0.1, value + 0.1, 0.95, "exact"), n, HIGHER, tuple(group.items())
    )


def record_of(samples: Any, *measurements: Measurement) -> Any:
    return dataclasses.replace(samples.build().record, measurements=measurements)


def test_metrics_of_groups_come_with_fairness_first(samples: Any) -> None:
    record = record_of(samples, measured("quality.a", 1, 90, sex="F"), measured("fairness.z", 1, 90, sex="F"), measured("fairness.b", 1, 90))  # fmt: skip
    assert groups.metrics(record) == ["fairness.z", "quality.a"]


def test_slices_have_their_intervals_and_reasons(samples: Any) -> None:
    bare = Measurement("q", 0.3, Unquantified("too few draws"), 70, HIGHER, (("sex", "M"),))
    (family,), crossings = groups.measured(record_of(samples, measured("q", 0.5, 60, sex="F"), bare), "q")
    assert crossings == []
    first, second = family.slices
    assert (first.label, first.value, first.low, first.high, first.n) == ("F", 0.5, 0.4, 0.6, 60)
    assert (second.label, second.low, second.note) == ("M", None, "no interval: too few draws")


def test_groups_of_fewer_than_ten_are_withheld_with_what_would_give_them_away(samples: Any) -> None:
    record = record_of(samples, *(measured("q", 0.5, n, age=name) for name, n in (("young", 9), ("middle", 30), ("old", 80))))  # fmt: skip
    (family,), _ = groups.measured(record, "q")
    told = {one.label: one.value for one in family.slices}
    assert told == {
        "young": None,
        "middle": None,
        "old": 0.5,
    }  # with one alone withheld, subtraction tells it
    assert [one.n for one in family.slices] == [None, None, 80]
    assert str(group_charts.dots(family).to_dict()).count("'value': 0.5") == 1
    assert "young" not in str(group_charts.dots(family).to_dict())


def test_ten_are_shown_and_marked_as_few(samples: Any) -> None:
    (family,), _ = groups.measured(record_of(samples, measured("q", 0.5, 10, age="x"), measured("q", 0.5, 50, age="y")), "q")  # fmt: skip
    assert [one.value for one in family.slices] == [0.5, 0.5]
    assert [one.few for one in family.slices] == [True, False]


def test_two_attributes_cross_in_a_heat_map(samples: Any) -> None:
    sizes = {("F", "old"): 9, ("F", "young"): 200, ("M", "old"): 8, ("M", "young"): 300}
    record = record_of(samples, *(measured("q", n / 1000, n, sex=sex, age=age) for (sex, age), n in sizes.items()))  # fmt: skip
    (family,), (crossing,) = groups.measured(record, "q")
    assert len(family.slices) == 4
    assert (crossing.rows, crossing.columns) == ("sex", "age")
    assert {(r, c): cell.value for r, c, cell in crossing.cells} == {
        ("F", "old"): None,
        ("M", "old"): None,
        ("F", "young"): 0.2,
        ("M", "young"): 0.3,
    }
    drawn = str(group_charts.heat_map(crossing).to_dict())
    assert "0.009" not in drawn
    assert "0.008" not in drawn
    assert drawn.count("'words': '–'") == 2


def test_evidence_of_groups_is_read_with_the_same_rule() -> None:
    rows = pa.table({"label": ["a", "b", "c"], "value": [0.1, 0.2, float("nan")], "low": [0.0, 0.1, 0.0], "high": [0.2, 0.3, 1.0], "rows": [5, 6, 99], "target": [0.3, 0.3, None]})  # fmt: skip
    found = groups.shown(Evidence("intervals", "by letter", "0" * 40, False), lambda _: rows)  # type: ignore[arg-type]
    assert isinstance(found, Slices)
    assert [(one.label, one.value, one.n) for one in found.slices] == [("a", None, None), ("b", None, None), ("c", None, 99)]  # fmt: skip
    assert found.slices[2].note == "not measured"


def test_a_heat_map_of_evidence_keeps_what_the_evaluator_withheld() -> None:
    rows = pa.table({"row": ["x", "x"], "column": ["y", "z"], "samples": [40, None], "value": [0.25, None]})
    found = groups.shown(Evidence("heatmap", "x by y", "0" * 40, False), lambda _: rows)  # type: ignore[arg-type]
    assert isinstance(found, Crossing)
    assert [(c, cell.value) for _, c, cell in found.cells] == [("y", 0.25), ("z", None)]


def test_evidence_that_is_gone_or_odd_is_none() -> None:
    asked = Evidence("intervals", "by letter", "0" * 40, False)  # type: ignore[arg-type]
    assert groups.shown(asked, lambda _: None) is None
    assert groups.shown(asked, lambda _: pa.table({"label": ["a"]})) is None


def test_sensitive_evidence_of_groups_is_not_listed(samples: Any) -> None:
    m = measured("q", 0.5, 60, sex="F")
    shown = tuple(
        Evidence("intervals", f"{hidden}", f"{int(hidden)}" * 40, hidden) for hidden in (True, False)
    )  # type: ignore[arg-type]
    record = record_of(samples, dataclasses.replace(m, evidence=shown))
    assert [e.caption for e in groups.tables(record, "q")] == ["False"]


def test_a_table_keeps_the_names_of_small_groups_alone() -> None:
    rows = pa.table({"share": [0.1, 0.2, 0.3], "sex": ["F", "M", "X"], "n": [4, 7, 99], "as read": ["1 in 10", "2 in 10", "3 in 10"]})  # fmt: skip
    first, second, third = small_groups.of_table(rows).to_pylist()
    why = f"withheld: {small_groups.REASON}"
    assert first == {"share": None, "sex": "F", "n": None, "as read": None, "why not shown": why}
    assert second["sex"] == "M"
    assert second["share"] is None
    assert third == {"share": 0.3, "sex": "X", "n": 99, "as read": "3 in 10", "why not shown": ""}


def test_a_table_that_lists_no_small_group_is_as_it_was() -> None:
    for columns in (
        {"sex": ["F", "M"], "n": [90, 99]},
        {"attack": ["crop", "none"], "outputs": [3, 3]},  # no column of counts of examples
        {"samples": [5]},  # no name
        {"label": ["a", "b"], "n": [0.5, 3.0]},  # no counts
        {"row": ["x", "x"], "column": ["y", "z"], "value": [0.1, 0.2], "samples": [4, 4]},  # may be those of the line
    ):  # fmt: skip
        rows = pa.table(columns)
        assert small_groups.of_table(rows) is rows


def test_cells_of_a_heat_map_are_withheld_by_their_own_size() -> None:
    rows = pa.table(
        {"row": ["x", "x", "x"], "column": ["y", "z", "u"], "value": [0.1, 0.2, 0.3], "n": [4, 7, 80]}
    )
    assert [(r["row"], r["column"], r["value"]) for r in small_groups.of_table(rows).to_pylist()] == [
        ("x", "y", None),
        ("x", "z", None),
        ("x", "u", 0.3),
    ]
