"""What the terminal shows of a record, and of huge input."""

from __future__ import annotations

import dataclasses
import io
import re
from typing import Any

from rich.console import Console

from audit.cli.scorecard import print_record
from audit.core.measurements import Measurement
from reports.limits import limits
from tests.reports.conftest import sample  # noqa: F401 - a fixture


def shown(record: Any) -> str:
    console = Console(file=io.StringIO(), width=300, no_color=True)
    print_record(record, console)
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_the_question_stands_above_its_bound(sample: Any) -> None:  # noqa: F811 - the fixture
    assert "\\x0a" not in shown(sample.record)


def test_what_is_wrong_with_the_data_stands_below_the_scorecard(sample: Any) -> None:  # noqa: F811 - the fixture
    (problem,) = sample.record.data["problems"]
    assert problem in shown(sample.record)


def test_what_was_left_out_of_outputs_made_before_stands_there_too(sample: Any) -> None:  # noqa: F811 - the fixture
    model = {**sample.record.model, "problems": ["1 of 80 samples cannot be used: x.png (too many pixels)."]}
    record = dataclasses.replace(sample.record, model=model)
    assert "samples    1 of 80 samples cannot be used: x.png (too many pixels)." in shown(record)
    assert "About the outputs: 1 of 80 samples cannot be used: x.png (too many pixels)." in limits(record)


def test_what_fails_comes_first_and_says_why(sample: Any) -> None:  # noqa: F811 - the fixture
    judged = [
        dataclasses.replace(j, because=dataclasses.replace(j.because, notes=(f"Gone under {j.verdict}.",)))
        if isinstance(j.because, Measurement)
        else j
        for j in sample.record.judgements
    ]
    text = shown(dataclasses.replace(sample.record, judgements=tuple(judged)))
    table = text[text.index("because") : text.index("Measurements")]
    words = re.findall(r"^  (PASS|FAIL|INCONCLUSIVE|NOT ASSESSED)\b", table, flags=re.MULTILINE)
    assert words == sorted(words, key=("FAIL", "INCONCLUSIVE", "NOT ASSESSED", "PASS").index)
    assert len(set(words)) > 2
    assert "Gone under fail." in table
    assert "Gone under pass." not in table


def test_a_message_with_a_huge_name_keeps_both_its_ends(cli: Any, tmp_path: Any) -> None:
    (tmp_path / "a.toml").write_text(f'[model]\nuse = "{"n" * 200_000}"\n')
    said = cli("plan", tmp_path / "a.toml")
    assert said.code == 2
    assert len(said.err) < 5_000
    assert "There is no included model" in said.err
    assert "Accepted: " in said.err
