"""Defects that are planted are found where the evaluator finds them, blanks raise no alarm, and equal draws are one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from audit.core.errors import InputError
from audit.core.measurements import Direction, Interval, Measurement
from audit.engine.qualifying import alarm, check, limit_of_blank

SPEC = """
samples = {samples}
[model]
use = "digits-vae"
[[evaluators]]
name = "quality.frechet"
[[evaluators]]
name = "quality.mmd"
[[evaluators]]
name = "quality.samples"
[[evaluators]]
name = "privacy.membership"
[run]
executor = "inline"
"""


def qualified(cli: Any, tmp_path: Path, samples: int, *more: str) -> dict[str, Any]:
    spec = tmp_path / "audit.toml"
    spec.write_text(SPEC.format(samples=samples))
    said = cli("qualify", spec, "--store", tmp_path / "store", "--format", "json", *more)
    assert said.code == 0, said.err
    found: dict[str, Any] = json.loads(said.out)
    return found


@pytest.mark.slow
def test_a_dropped_mode_is_found_at_a_large_dose_and_blanks_stay_quiet(cli: Any, tmp_path: Path) -> None:
    found = qualified(cli, tmp_path, 300, "--repeats", "4", "--doses", "0.02,0.5")
    by_metric = {one["metric"]: one for one in found["qualified"]}
    for metric in ("quality.frechet.relative", "quality.mmd"):
        small, large = by_metric[metric]["sensitivity"]
        assert (large["found"], large["tried"]) == (4, 4)
        assert small["found"] <= 1
        assert large["low"] == pytest.approx(0.398, abs=0.001)  # 4 of 4, Clopper and Pearson at 95 %
        quiet = by_metric[metric]["specificity"]
        assert quiet["tried"] == 4
        assert quiet["found"] >= 3
        assert by_metric[metric]["limit_of_detection"]["value"] == 0.5
        assert by_metric[metric]["limit_of_detection"]["high"] == 1.0, "four draws do not show 95 %"
    assert {one["evaluator"] for one in found["without"]} == {"quality.samples", "privacy.membership"}
    assert not found["failures"]
    again = cli("list", "runs", "--store", tmp_path / "store", "--format", "json")
    assert json.loads(again.out) == [], "qualifying makes no run"


def test_draws_that_are_one_and_the_same_count_once(cli: Any, tmp_path: Path) -> None:
    """'train' has 1,000 digits: every draw of 1,000 is all of them."""
    found = qualified(cli, tmp_path, 1_000, "--repeats", "3", "--doses", "0.5", "--only", "quality.mmd")
    (one,) = found["qualified"]
    assert [s["tried"] for s in one["sensitivity"]] == [1]
    assert one["specificity"] is None


def test_the_table_names_what_cannot_be_qualified(cli: Any, tmp_path: Path) -> None:
    spec = tmp_path / "audit.toml"
    spec.write_text(SPEC.format(samples=200))
    more = ("--repeats", "2", "--doses", "0.5", "-o", tmp_path / "kept.json")
    said = cli("qualify", spec, "--store", tmp_path / "store", *more)
    assert said.code == 0
    assert "dropped mode" in said.out
    assert "nothing can be planted" in said.out
    assert json.loads((tmp_path / "kept.json").read_text())["repeats"] == 2


@pytest.mark.parametrize(
    ("doses", "repeats"), [([], 5), ([0.2, 0.1], 5), ([0.1, 0.1], 5), ([0.0], 5), ([1.0], 5), ([0.1], 1)]
)
def test_a_ladder_that_means_nothing_is_refused(doses: list[float], repeats: int) -> None:
    with pytest.raises(InputError):
        check(doses, repeats)


def test_doses_that_are_no_numbers_are_bad_input(cli: Any, tmp_path: Path) -> None:
    spec = tmp_path / "audit.toml"
    spec.write_text(SPEC.format(samples=200))
    said = cli("qualify", spec, "--doses", "a,b")
    assert said.code == 2
    assert "shares with commas" in said.err


def test_a_report_says_beside_each_number_what_would_have_been_caught(cli: Any, tmp_path: Path) -> None:
    spec, store, kept = tmp_path / "audit.toml", tmp_path / "store", tmp_path / "kept.json"
    spec.write_text(SPEC.format(samples=200))
    more = ("--only", "quality.mmd")
    assert cli("run", spec, "--store", store, *more).code in (0, 1, 3)
    assert (
        cli("qualify", spec, "--store", store, "--repeats", "2", "--doses", "0.5", *more, "-o", kept).code
        == 0
    )
    plain = cli("report", "--store", store, "-o", tmp_path / "plain.html")
    said = cli("report", "--store", store, "--qualification", kept, "-o", tmp_path / "said.html")
    assert (plain.code, said.code) == (0, 0)
    wanted = "Would have caught the planted defect"
    assert wanted in (tmp_path / "said.html").read_text()
    assert wanted not in (tmp_path / "plain.html").read_text()
    for wrong in ("{}", "[]", '{"qualified": [{"metric": "x"}]}', "no json"):
        kept.write_text(wrong)
        refused = cli("report", "--store", store, "--qualification", kept, "-o", tmp_path / "no.html")
        assert refused.code == 2
        assert "is no qualification" in refused.err


def blank(value: float, direction: Direction = Direction.LOWER_IS_BETTER) -> Measurement:
    spread = Interval(value - 1.0, value + 1.0, 0.95, "z")
    return Measurement("m", value, spread, 10, direction, noise_floor=0.5)


def test_the_limit_of_blank_is_the_95th_percentile_of_many_blanks_and_the_worst_of_few() -> None:
    """CLSI EP17: rank 0.5 + 0.95 B of B ordered blanks, between ranks in proportion; below 60 blanks there is no such rank."""
    many = [blank(float(i)) for i in range(1, 101)]
    assert limit_of_blank(many) == pytest.approx(95.5)
    high = [blank(float(i), Direction.HIGHER_IS_BETTER) for i in range(1, 101)]
    assert limit_of_blank(high) == pytest.approx(5.5)
    assert limit_of_blank(many[:20]) == 20.0
    assert limit_of_blank(high[:20]) == 1.0
    assert limit_of_blank(many[:1]) is None


def test_a_blank_raises_an_alarm_only_on_its_worse_side_beyond_the_floor_of_another() -> None:
    assert alarm(blank(1.6), blank(0.0))
    assert not alarm(blank(1.4), blank(0.0)), "its interval reaches the floor"
    assert not alarm(blank(-9.0), blank(0.0)), "better than the floor is no alarm"
    better = Direction.HIGHER_IS_BETTER
    assert alarm(blank(-0.6, better), blank(0.0, better))
    assert not alarm(blank(9.0, better), blank(0.0, better))
