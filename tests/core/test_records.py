"""What is written as JSON is read back as the same record."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from audit.core.errors import InputError
from audit.core.measurements import Direction, Evidence, Interval, Measurement, Unquantified
from audit.core.records import from_plain, measurement_from_plain, measurement_to_plain
from reports.html import HtmlReport
from reports.json import problems


def test_a_measurement_survives_the_journey() -> None:
    for uncertainty in (Interval(0.1, 0.2, 0.95, "m"), Unquantified("no")):
        m = Measurement(
            "m",
            0.15,
            uncertainty,
            7,
            Direction.LOWER_IS_BETTER,
            (("sex", "F"),),
            0.5,
            0.01,
            "nats",
            0.03,
            ("a note",),
            (Evidence("table", "t", "00ff", False),),
        )
        assert measurement_from_plain(json.loads(json.dumps(measurement_to_plain(m)))) == m


def test_a_record_of_version_1_is_still_read_shown_and_checked() -> None:
    path = Path(__file__).parents[1] / "golden" / "records" / "digits-1.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    assert document["schema_version"] == 1
    assert problems(document) == []
    record = from_plain(document)
    assert record.controls == ()
    assert [m.value for m in record.measurements] == [m["value"] for m in document["measurements"]]
    assert [a.label for a in record.artifacts] == [a["title"] for a in document["artifacts"]]
    assert [a.shards for a in record.artifacts] == [a["pieces"] for a in document["artifacts"]]
    page = HtmlReport().render(record, lambda digest: None).decode()
    assert "digits-vae before 1.0" in page


def test_a_record_of_an_unknown_version_is_refused() -> None:
    path = Path(__file__).parents[1] / "golden" / "records" / "digits-1.json"
    document = {**json.loads(path.read_text(encoding="utf-8")), "schema_version": "9.9"}
    with pytest.raises(InputError, match=r"schema version '9\.9'; this installation reads 1 and 1\.1"):
        from_plain(document)
