"""Non-inferiority: the difference from an earlier run is held against a margin, and runs that do not compare are refused first."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from audit.core.measurements import Direction, Interval, Measurement
from audit.core.policy import Criterion, Judgement, Policy, Verdict
from audit.engine.baselines import against
from audit.engine.deciding import deciding
from tests.engine.test_comparison import Kept, runs


def judge(first: Any, second: Any, criterion: Criterion, read: Any = None) -> Judgement:
    """Judge what the second record measured against the first."""
    step = SimpleNamespace(
        about=SimpleNamespace(declared={criterion.metric: None}, called=criterion.metric), evaluator=Kept()
    )
    plan: Any = SimpleNamespace(baselines={first.run: first}, steps=[step])
    (found,) = Policy("p", "1", (criterion,)).judge(
        second.measurements, {}, deciding=deciding, against=against(plan, read)
    )
    return found


def normal(value: float, direction: Direction) -> Measurement:
    return Measurement("m", value, Interval(value - 0.03, value + 0.03, 0.95, "z"), 100, direction)


@pytest.mark.parametrize(
    ("margin", "now", "verdict"),
    [
        (0.10, 0.55, Verdict.PASS),  # difference .05 [.0076, .0924]: sqrt(.03² + .03²) = .0424
        (0.09, 0.55, Verdict.INCONCLUSIVE),
        (0.00, 0.55, Verdict.FAIL),
        (0.00, 0.52, Verdict.INCONCLUSIVE),
        (0.00, 0.45, Verdict.PASS),
    ],
)
def test_a_worsening_is_held_against_the_margin(
    sample: Any, margin: float, now: float, verdict: Verdict
) -> None:
    first = replace(sample.record, measurements=(normal(0.5, Direction.LOWER_IS_BETTER),))
    second = replace(sample.record, measurements=(normal(now, Direction.LOWER_IS_BETTER),))
    found = judge(first, second, Criterion("m", baseline=first.run, margin=margin))
    assert found.verdict is verdict
    assert found.basis is not None
    assert found.basis.value == pytest.approx(now - 0.5)
    assert found.basis.interval.half_width == pytest.approx(0.03 * 2**0.5)
    assert "the two runs taken as independent" in found.standing
    up_first = replace(sample.record, measurements=(normal(-0.5, Direction.HIGHER_IS_BETTER),))
    up = replace(sample.record, measurements=(normal(-now, Direction.HIGHER_IS_BETTER),))
    assert judge(up_first, up, Criterion("m", baseline=first.run, margin=margin)).verdict is verdict, (
        "mirrored"
    )


def test_runs_that_share_units_are_judged_in_pairs(sample: Any) -> None:
    """The second model needs .004 bits a byte more; only in pairs is .01 surely excluded and .001 surely exceeded."""
    first, second, kept = runs(sample, 0.004)
    metric = "quality.bits_per_byte"

    def verdict(margin: float, read: Any) -> Verdict:
        return judge(first, second, Criterion(metric, baseline=first.run, margin=margin), read).verdict

    assert [verdict(margin, kept) for margin in (0.01, 0.004, 0.001)] == [
        Verdict.PASS,
        Verdict.INCONCLUSIVE,
        Verdict.FAIL,
    ]
    assert [verdict(margin, None) for margin in (0.01, 0.004, 0.001)] == [Verdict.INCONCLUSIVE] * 3
    said = judge(first, second, Criterion(metric, baseline=first.run, margin=0.01), kept).standing
    assert "in pairs over 300 units that both runs measured" in said


def test_without_a_number_to_compare_with_nothing_is_assessed(sample: Any) -> None:
    first = replace(sample.record, measurements=(normal(0.5, Direction.LOWER_IS_BETTER),))
    second = replace(sample.record, measurements=(normal(0.5, Direction.LOWER_IS_BETTER),))
    criterion = Criterion("m", baseline=first.run, margin=1.0)
    void = replace(first, measurements=(replace(first.measurements[0], void="its null is off"),))
    absent = replace(first, measurements=())
    for one in (void, absent):
        assert judge(one, second, criterion).verdict is Verdict.NOT_ASSESSED
    (unread,) = Policy("p", "1", (criterion,)).judge(second.measurements, {})
    assert unread.verdict is Verdict.NOT_ASSESSED


SPEC = """
name = "after"
samples = 300
shard_size = 300
[model]
use = "digits-vae"
[data]
use = "{data}"
{options}
[[evaluators]]
name = "quality.reconstruction"
{more}
[policy]
name = "no worse"
[[policy.criteria]]
metric = "{metric}"
{bound}
why = "No release is worse than the one before it by more than half a decibel."
[run]
executor = "inline"
"""


def spec(folder: Path, **said: str) -> Path:
    usual = {
        "data": "digits",
        "options": "",
        "more": "",
        "metric": "quality.reconstruction.psnr",
        "bound": "at_least = 0",
    }
    path = folder / "spec.toml"
    path.write_text(SPEC.format(**{**usual, **said}))
    return path


@pytest.fixture
def before(cli: Callable[..., Any], tmp_path: Path) -> tuple[Any, str]:
    """What asks ``audit`` of a store with one finished run, and that run."""

    def ask(command: str, path: Path, *more: object) -> Any:
        return cli(command, path, "--store", tmp_path / "store", *more)

    return ask, json.loads(ask("run", spec(tmp_path), "--format", "json").out)["run"]


def test_a_run_is_no_worse_than_itself_by_its_name_or_its_file(
    before: tuple[Any, str], tmp_path: Path
) -> None:
    ask, run = before
    found = ask("run", spec(tmp_path, bound=f'baseline = "{run}"\nmargin = 0.5'), "--format", "json")
    assert found.code == 0, found.err
    record = json.loads(found.out)
    (judgement,) = record["judgements"]
    assert judgement["basis"]["value"] == 0
    assert record["settings"]["baselines"].keys() == {run}
    (tmp_path / "before.json").write_text(json.dumps(record))
    by_file = ask("run", spec(tmp_path, bound='baseline = "before.json"\nmargin = 0.5'), "--format", "json")
    assert by_file.code == 0, by_file.err
    criterion = json.loads(by_file.out)["judgements"][0]["criterion"]
    assert criterion["baseline"] == record["run"], "the record names a run, and no place of this machine"


def test_baselines_that_do_not_compare_are_refused_before_the_run(
    before: tuple[Any, str], tmp_path: Path
) -> None:
    ask, run = before
    bound = f'baseline = "{run}"\nmargin = 0.5'
    wrong = {
        "has no run '20000101-none'": {"bound": 'baseline = "20000101-none"\nmargin = 0.5'},
        "cannot be read": {"bound": 'baseline = "none.json"\nmargin = 0.5'},
        "is on other data": {"bound": bound, "options": "train = 500"},
        "with other parameters": {"bound": bound, "more": "max_rows = 100"},
        "has no value of it": {
            "bound": bound, "metric": "quality.restoration.shift", "more": '[[evaluators]]\nname = "quality.restoration"',
        },
        "baseline and margin go together": {"bound": f'baseline = "{run}"'},
        "write two criteria": {"bound": f"{bound}\nat_most = 3"},
    }  # fmt: skip
    for said, changed in wrong.items():
        for command in ("plan", "run"):
            found = ask(command, spec(tmp_path, **changed))
            assert found.code == 2, (said, found)
            assert said in found.err
    (tmp_path / "other.json").write_text("{}")
    assert "no record" in ask("plan", spec(tmp_path, bound='baseline = "other.json"\nmargin = 1')).err
    text = spec(tmp_path, bound=bound)
    text.write_text(text.read_text().replace("digits-vae", "biographies-lm").replace('"digits"', '"biographies"')
                    .replace("quality.reconstruction", "quality.bits_per_byte").replace(".psnr", ""))  # fmt: skip
    assert "is of a model of image" in ask("plan", text).err
