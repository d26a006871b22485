"""Provenance in a report: one line a layer, one picture of survival, and the details folded away."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pyarrow as pa

from audit.core.identity import digest_of
from audit.core.measurements import Direction, Evidence, Interval, Measurement
from audit.core.records import AuditRecord
from reports.html import HtmlReport
from reports.layers import COLUMNS, layer_lines

HIGHER = Direction.HIGHER_IS_BETTER
LEFT = pa.table(
    {
        "row": ["untouched", "jpeg"] * 2,
        "column": ["credential", "credential", "dwt dct", "dwt dct"],
        "value": [1.0, 0.0, 1.0, 0.9],
    }
)


def _measured(metric: str, value: float, group: Any = (), **more: Any) -> Measurement:
    uncertainty = Interval(value / 2, (1 + value) / 2, 0.95, "made up")
    return Measurement(metric, value, uncertainty, 40, HIGHER, group=group, **more)


def _record(sample: Any) -> AuditRecord:
    digest = digest_of(b"left")
    sample.kept[digest] = LEFT
    picture = Evidence("heatmap", "What is left", digest, False)
    mark = (("mark", "dwt_dct"),)
    found = (
        _measured("provenance.credentials.carried", 0.5),
        _measured("provenance.image_watermark.power", 0.9, mark),
        _measured("provenance.image_watermark.after_jpeg", 0.8, mark),
        _measured("provenance.image_watermark.forged", 0.7, mark, void="a control is wrong"),
        _measured("provenance.survival.none_survives", 0.1, (("change", "untouched"),), evidence=(picture,)),
    )
    known = next(e for e in sample.record.evaluators if e.dimension == "provenance")
    names = {m.metric: m.metric.rpartition(".")[0] for m in found}
    evaluators = [
        replace(known, name=name, metrics={m: "What it is." for m, of in names.items() if of == name})
        for name in sorted(set(names.values()))
    ]
    rest = [e for e in sample.record.evaluators if e.name not in names.values()]
    measurements = (*sample.record.measurements, *found)
    return replace(sample.record, measurements=measurements, evaluators=(*rest, *evaluators))


def test_each_layer_is_one_line_with_what_was_measured_of_it(sample: Any) -> None:
    lines = {line.layer: dict(zip(COLUMNS, line.cells, strict=True)) for line in layer_lines(_record(sample))}
    mark = lines["watermark dwt_dct"]
    assert [mark[c].split()[0] for c in COLUMNS[1:4]] == ["0.90", "0.80", "void"]
    assert mark["in the outputs"] == mark["accused wrongly"] == ""
    assert lines["content credential (C2PA)"]["in the outputs"].startswith("0.50 (0.25 to 0.75)")
    assert not any(line.layer.startswith("watermark") for line in layer_lines(sample.record))


def test_the_report_shows_the_lines_and_one_picture_and_folds_the_rest(sample: Any) -> None:
    page = HtmlReport().render(_record(sample), sample.read).decode()
    glance = page[page.index("Provenance, layer by layer") :]
    glance = glance[: glance.index("</article>")]
    assert glance.count("chart-figure") == 1
    assert "watermark dwt_dct" in glance
    folded = page[page.index('<details class="folded">') :]
    assert "after_jpeg" in folded[: folded.index('id="not-run"')]
    assert page.count("What is left") == glance.count("What is left")  # not shown twice
    before = page[: page.index('<details class="folded">')]
    assert "provenance.<wbr>image" not in before
    numbers = re.findall(r'id="section-(\d+)"', page)
    assert len(numbers) == len(set(numbers))


def test_a_report_without_provenance_has_neither(sample: Any) -> None:
    kept = tuple(m for m in sample.record.measurements if not m.metric.startswith("provenance"))
    undefined = tuple(u for u in sample.record.undefined if not u.metric.startswith("provenance"))
    page = (
        HtmlReport()
        .render(replace(sample.record, measurements=kept, undefined=undefined), sample.read)
        .decode()
    )
    assert "layer by layer" not in page
    assert "Provenance in detail" not in page
