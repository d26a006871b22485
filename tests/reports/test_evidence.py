"""Evidence that is several pictures a row, evidence that is too much for one report, and samples before any number."""

from __future__ import annotations

import base64
import io
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image

from audit.core.measurements import Evidence
from audit.core.rows import image_column, image_rows, text_rows
from reports.evidence import MOST_IMAGES, Exhibition
from reports.html import HtmlReport
from reports.view import SHOWS, view
from tests.reports.conftest import HOSTILE, keep
from tests.reports.test_html import Page


def sets(n: int, name: str = "nearest") -> Any:
    ours, theirs = np.full((n, 4, 4, 1), 9, np.uint8), np.full((n, 6, 3, 3), 200, np.uint8)
    rows = image_rows(ours).append_column(name, image_column(theirs))
    return rows.append_column("distance", pa.array(np.arange(n) / 2))


def exhibition(rows: Any, **given: Any) -> Exhibition:
    return Exhibition(lambda digest: rows, **given)


def of_kind(kind: str, sensitive: bool = False) -> Evidence:
    return Evidence(kind, "a caption", "ab" * 20, sensitive)  # type: ignore[arg-type]  # a digest


def test_images_of_one_row_stand_together_each_at_its_own_size() -> None:
    found = exhibition(sets(3)).show(of_kind("images"))
    assert not found.pictures
    assert [each.attributes for each in found.together] == ["distance 0", "distance 0.5", "distance 1"]
    (_, ours), (name, theirs) = found.together[2].pictures
    assert name == "nearest"
    assert (ours.width, ours.height, theirs.width, theirs.height) == (96, 96, 48, 96)
    assert theirs.alternative == "nearest, beside image 3"
    data = base64.b64decode(theirs.source.partition(",")[2])
    assert np.asarray(Image.open(io.BytesIO(data))).tolist() == np.full((6, 3, 3), 200).tolist()


def test_many_rows_of_several_images_are_cut_as_many_images_are() -> None:
    found = exhibition(sets(50)).show(of_kind("images"))
    assert len(found.together) == MOST_IMAGES // 2
    assert found.left_out == "The first 30 of 50 sets."


def test_what_does_not_fit_into_a_report_is_said_and_smaller_evidence_still_fits() -> None:
    noise = image_rows(np.random.default_rng(0).integers(0, 256, (8, 64, 64, 3), dtype=np.uint8))
    texts = text_rows(["short"])
    show = Exhibition({"a" * 40: noise, "b" * 40: texts}.get, left=200_000)  # type: ignore[arg-type]  # digests
    asked = [Evidence("images", "c", d * 40, False) for d in "aaab"]  # type: ignore[arg-type]  # digests
    found = [show.show(e) for e in asked]
    assert [bool(item.pictures) for item in found] == [True, False, False, False]
    assert found[1].message.startswith("Left out")
    assert found[3].rows == (("short",),)
    assert 0 <= show.left < 200_000 - found[0].characters


def test_samples_stand_before_the_criteria_and_only_there(sample: Any) -> None:
    record, kept = sample.record, sample.kept
    shown = keep(kept, "images", f"Samples {HOSTILE}", sets(2, HOSTILE.replace("\ud800", "")), False)
    hidden = keep(kept, "images", "Neighbours among training examples", sets(2, "member"), True)
    first = record.measurements[0]
    evaluator = next(e for e in record.evaluators if first.metric in e.metrics)
    record = replace(
        record,
        measurements=(replace(first, evidence=(shown, hidden)), *record.measurements[1:]),
        evaluators=tuple(replace(e, evaluator=SHOWS[0]) if e is evaluator else e for e in record.evaluators),
    )
    found = view(record, sample.read)
    assert [item.caption for item in found.samples][:2] == [shown.caption, hidden.caption]
    assert not [s for s in found.sections if s.name == evaluator.name and s.exhibits]
    text = HtmlReport().render(record, sample.read).decode()
    page = Page(text)
    assert page.open == []
    assert "<script" not in text
    assert "member, beside" not in text
    assert text.index('id="samples"') < text.index('id="criteria"')
    assert text.count("Samples &lt;script&gt;") >= 1
    assert "member, beside" in HtmlReport().render(record, sample.read, show_sensitive=True).decode()
