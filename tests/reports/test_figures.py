"""Geometry of the plots against positions worked out by hand."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.core.measurements import Direction, Interval, Measurement, Unquantified
from reports.axes import Axis, axis_over, fits
from reports.curves import Curve, curve_figure, place_x, place_y
from reports.figures import Bounds, axis_figure, described, element, interval_plot

# Below 1e-200 floats lose their digits; no measurement lives there.
finite = st.floats(-1e9, 1e9, allow_nan=False).map(lambda x: x if abs(x) > 1e-200 else 0.0)


def measured(value: float = 0.5, low: float | None = 0.25, high: float = 0.75, **more: object) -> Measurement:
    uncertainty = Unquantified("nobody knows") if low is None else Interval(low, high, 0.95, "by hand")
    return Measurement("m", value, uncertainty, 10, Direction.LOWER_IS_BETTER, **more)  # type: ignore[arg-type]


def marks(svg: str, kind: str) -> list[dict[str, str]]:
    return [e.attrib for e in ET.fromstring(svg).iter() if e.get("class", "").split()[:1] == [kind]]


def test_interval_plot_places_value_and_ends() -> None:
    # an axis from 0 to 1 with 4 % on either side: x = 4 + 92 v
    svg = interval_plot(measured(), Axis(0.0, 1.0), Bounds())
    (bar,) = marks(svg, "interval")
    assert (bar["x1"], bar["x2"]) == ("27.0%", "73.0%")
    (dot,) = marks(svg, "value")
    assert dot["cx"] == "50.0%"
    assert [end["x1"] for end in marks(svg, "interval-end")] == ["27.0%", "73.0%"]


def test_references_and_bounds_lie_where_they_should() -> None:
    svg = interval_plot(measured(baseline=0.0, noise_floor=1.0), Axis(0.0, 1.0), Bounds(at_most=0.75))
    assert marks(svg, "baseline")[0]["x1"] == "4.0%"
    assert marks(svg, "floor")[0]["x1"] == "96.0%"
    assert marks(svg, "threshold")[0]["x1"] == "73.0%"
    (allowed,) = marks(svg, "allowed")
    assert (allowed["x"], allowed["width"]) == ("0.0%", "73.0%")


@pytest.mark.parametrize(
    ("bounds", "start", "width"),
    [
        (Bounds(at_least=0.25), "27.0%", "73.0%"),
        (Bounds(at_least=0.25, at_most=0.75), "27.0%", "46.0%"),
        (Bounds(at_least=-5.0, at_most=5.0), "0.0%", "100.0%"),
    ],
)
def test_what_is_accepted_is_shaded(bounds: Bounds, start: str, width: str) -> None:
    (allowed,) = marks(interval_plot(measured(), Axis(0.0, 1.0), bounds), "allowed")
    assert (allowed["x"], allowed["width"]) == (start, width)


def test_a_bound_beyond_the_axis_is_named_at_its_edge() -> None:
    svg = interval_plot(measured(), Axis(0.0, 1.0), Bounds(at_most=40.0))
    assert marks(svg, "threshold") == []
    assert marks(svg, "beyond")[0]["text-anchor"] == "end"
    assert "bound 40 →" in svg
    below = interval_plot(measured(), Axis(0.0, 1.0), Bounds(at_most=-3.0))
    assert "← bound −3" in below
    assert marks(below, "allowed") == []  # nothing on this axis is accepted


def test_a_value_without_an_interval_is_hollow_and_says_so() -> None:
    svg = interval_plot(measured(low=None), Axis(0.0, 1.0), Bounds())
    assert marks(svg, "interval") == []
    assert "hollow" in svg
    assert "no interval" in svg


def test_text_alternative_holds_every_number() -> None:
    said = described(measured(baseline=0.125, noise_floor=0.0625, unit="nats"), Bounds(at_most=0.75))
    for part in (
        "m: 0.50 nats",
        "95 % interval 0.25 to 0.75",
        "baseline 0.125",
        "noise floor 0.0625",
        "bound ≤ 0.75",
    ):
        assert part in said


def test_axis_figure_puts_its_ticks_where_the_plots_put_their_values() -> None:
    axis = Axis(0.0, 1.0)
    texts = [e for e in ET.fromstring(axis_figure(axis)).iter() if e.tag == "text"]
    assert [(t.text, t.get("x")) for t in texts] == [
        ("0", "4.0%"), ("0.25", "27.0%"), ("0.5", "50.0%"), ("0.75", "73.0%"), ("1", "96.0%"),
    ]  # fmt: skip


@given(finite, finite, finite)
def test_everything_drawn_lies_inside(a: float, b: float, c: float) -> None:
    low, value, high = sorted((a, b, c))
    m = measured(value, low, high)
    axis = axis_over([low, value, high])
    for number in re.findall(r'="(-?[\d.]+)%"', interval_plot(m, axis, Bounds())):
        assert 0 <= float(number) <= 100
    assert 1 <= len(axis.ticks()) <= 5 or axis.high - axis.low < 1e-6 * abs(axis.high)


@given(st.lists(finite, min_size=1, max_size=6), st.lists(finite, max_size=4))
def test_an_axis_holds_everything_measured_in_order(values: list[float], references: list[float]) -> None:
    axis = axis_over(values, references)
    assert all(axis.holds(v) for v in values)
    positions = [axis.at(v) for v in sorted(values)]
    assert positions == sorted(positions)
    span = max(values) - min(values)
    if span > max(map(abs, values)) * 1e-6:
        assert axis.high - axis.low <= 6.0 * span * (1 + 1e-9)


def test_families_must_stay_readable() -> None:
    assert fits(Axis(0.0, 1.0), [(0.1, 0.2), (0.8, 1.0)])
    assert not fits(Axis(0.0, 100.0), [(0.1, 0.2), (0.0, 100.0)])


def test_curve_runs_from_corner_to_corner() -> None:
    curve = Curve.of([0.0, 1.0], [10.0, 20.0], [9.0, 19.0], [11.0, 21.0])
    assert curve is not None
    svg = curve_figure(curve, "a <curve>")
    (line,) = marks(svg, "curve")
    across, up = Axis(0.0, 1.0), Axis(9.0, 21.0)
    assert line["points"] == f"{place_x(across, 0)},{place_y(up, 10)} {place_x(across, 1)},{place_y(up, 20)}"
    assert place_y(up, 20) < place_y(up, 10)  # larger is higher
    (band,) = marks(svg, "band")
    assert len(band["points"].split()) == 4
    assert (
        "a <curve>: a curve of 2 points, x from 0 to 1, y from 10 to 20"
        in ET.fromstring(svg).attrib["aria-label"]
    )


def test_a_curve_may_have_a_line_to_compare_it_with() -> None:
    curve = Curve.of([0.0, 1.0], [0.2, 0.9], reference=[0.0, 5.0])
    assert curve is not None
    svg = curve_figure(curve, "reliability")
    assert svg.count("<polyline") == 2
    assert 'class="reference"' in svg
    assert "5" in svg  # the axis reaches to its end


def test_curve_leaves_out_what_is_not_a_number() -> None:
    curve = Curve.of([0.0, 1.0, None, 3.0], [float("nan"), 1.0, 2.0, float("inf")])
    assert curve == Curve(((1.0, 1.0),))
    assert Curve.of([None], [None]) is None


def test_long_curves_are_thinned_and_keep_their_end() -> None:
    n = 10_001
    curve = Curve.of([float(i) for i in range(n)], [0.0] * n)
    assert curve is not None
    assert len(curve.points) <= 1_501
    assert curve.points[-1] == (n - 1.0, 0.0)


def test_elements_escape_what_they_are_given() -> None:
    assert (
        element("t", {"a": '"><x>\u202e'}, "<b>&") == '<t a="&#34;&gt;&lt;x&gt;⟦U+202E⟧">&lt;b&gt;&amp;</t>'
    )
