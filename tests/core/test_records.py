"""What is written as JSON is read back as the same record."""

from __future__ import annotations

import json

from audit.core.measurements import Direction, Evidence, Interval, Measurement, Unquantified
from audit.core.records import measurement_from_plain, measurement_to_plain


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
