"""Shares and heat maps: every number is said in words too, what is withheld stays empty, hostile labels stay text."""

from __future__ import annotations

import math
from xml.etree import ElementTree

import pyarrow as pa

from audit.core.identity import Digest
from audit.core.measurements import Evidence
from reports.charts import MOST_CELLS, heat_map, interval_chart
from reports.evidence import Exhibition

SHARES = pa.table(
    {
        "label": ["<script>x</script>", "b", "c"],
        "value": [0.3, 0.5, math.nan],
        "low": [0.2, 0.4, 0.0],
        "high": [0.4, 0.6, 1.0],
        "target": [0.25, None, 0.2],
    }
)
CELLS = pa.table(
    {"row": ["x", "x", "<b>"], "column": ["1", "2", "1"], "value": pa.array([0.1, None, 0.9], pa.float64())}
)


def test_shares_are_drawn_with_their_intervals_and_targets() -> None:
    drawn = interval_chart(SHARES, "Shares")
    assert drawn is not None
    root = ElementTree.fromstring(drawn)
    assert [e.get("class") for e in root if e.get("class") in ("value", "target")] == [
        "value",
        "target",
        "value",
    ]
    assert "0.3 [0.2, 0.4], target 0.25" in (root.get("aria-label") or "")
    assert "<script>" not in drawn
    assert interval_chart(SHARES.slice(2, 1), "Shares") is None


def test_a_heat_map_leaves_what_is_withheld_empty() -> None:
    drawn = heat_map(CELLS, "Map")
    assert drawn is not None
    root = ElementTree.fromstring(drawn)
    assert [e.get("class") for e in root if e.tag == "rect"] == ["cell", "cell empty", "cell", "cell empty"]
    assert "<b>" not in drawn
    assert heat_map(CELLS.slice(1, 1), "Map") is None
    many = pa.table({"row": ["r"] * 500, "column": [str(i) for i in range(500)], "value": [0.5] * 500})
    large = heat_map(many, "Map")
    assert large is not None
    assert str(large).count("<rect") <= MOST_CELLS


def test_evidence_shows_the_drawing_above_its_table() -> None:
    for kind, rows in (("intervals", SHARES), ("heatmap", CELLS)):
        evidence = Evidence(kind, "c", Digest("0" * 40), sensitive=False)
        shown = Exhibition(lambda _, rows=rows: rows).show(evidence)  # type: ignore[misc]
        assert shown.drawing is not None
        assert len(shown.rows) == rows.num_rows
    evidence = Evidence("heatmap", "c", Digest("0" * 40), sensitive=False)
    wrong = Exhibition(lambda _: SHARES).show(evidence)
    assert wrong.drawing is None
    assert wrong.rows
