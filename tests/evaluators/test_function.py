"""A user's own function: known answers, intervals that cover, its code as part of what names the result, and what goes wrong."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from audit.core.errors import InputError, UndefinedError
from audit.core.identity import canonical
from audit.core.measurements import Interval
from audit.core.metrics import LOWER
from audit.core.plan import parameters_of
from audit.core.rows import image_rows, text_rows
from audit.evaluators.quality.function.evaluator import UserFunction
from audit.evaluators.quality.function.recipes import listed
from audit.recipes.user_function import FunctionRef
from tests.evaluators.test_kid import as_rows, subject

case = subject(samples=200, holdout=300, train=300)
CODE = """
import statistics

def gap(samples, real):
    return statistics.fmean(r["c0"] for r in samples) - statistics.fmean(r["c0"] for r in real)

def median_gap(samples, real):
    return statistics.median(r["c0"] for r in samples) - statistics.median(r["c0"] for r in real)

def nothing(samples, real):
    return float("nan")

def words(samples, real):
    return "high"

def breaks(samples, real):
    return 1 / 0

constant = 3
"""


@pytest.fixture
def scores(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[tuple[str, str]]:
    """A module with a name of its own, and its folder."""
    name = f"scores_{abs(hash(request.node.nodeid)) % 10**9}"
    (tmp_path / f"{name}.py").write_text(CODE)
    before = list(sys.path)
    yield name, str(tmp_path)
    sys.path[:] = before
    sys.modules.pop(name, None)


def table(values: np.ndarray) -> Any:
    return as_rows(np.column_stack([values, np.zeros(len(values))]))


class Draws:
    def __init__(self, mean: float) -> None:
        self.mean = mean

    def sample(self, n: int, rng: np.random.Generator, condition: Any = None) -> Any:
        return table(self.mean + rng.normal(size=n))


def splits() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    return {name: table(rng.normal(size=300)) for name in ("holdout", "train")}


def asked(ask: Any, scores: tuple[str, str], function: str, mean: float = 0.5, **more: Any) -> Any:
    evaluator = UserFunction(f"{scores[0]}:{function}", scores[1], **more)
    (found,) = ask(evaluator, case, model=Draws(mean), splits=splits()).outcomes
    return found


def test_a_function_gives_its_number_an_interval_and_a_noise_floor(ask: Any, scores: tuple[str, str]) -> None:
    found = asked(ask, scores, "gap", direction="lower", null=0.0)
    assert found.direction is LOWER
    assert found.value == pytest.approx(0.5, abs=0.25)
    assert isinstance(found.uncertainty, Interval)
    # The standard error of a difference of means is known.
    assert found.uncertainty.half_width == pytest.approx(2.26 * (1 / 200 + 1 / 300) ** 0.5, rel=0.5)
    assert 0 < found.noise_floor < found.value
    assert "200 samples and 300 rows" in found.notes[0]
    median = asked(ask, scores, "median_gap", interval="bootstrap")
    assert median.uncertainty.low < median.value < median.uncertainty.high
    assert "bootstrap" in median.uncertainty.method


def test_its_code_names_the_result_and_where_it_lies_does_not(
    scores: tuple[str, str], tmp_path: Path
) -> None:
    name, folder = scores
    before = FunctionRef.of(f"{name}:gap", folder)
    other = tmp_path / "elsewhere"
    other.mkdir()
    (other / f"{name}.py").write_text(CODE)
    assert FunctionRef.of(f"{name}:gap", str(other)) == before
    assert folder.encode() not in canonical(before)
    assert folder not in str(parameters_of(UserFunction(f"{name}:gap", folder)))
    (tmp_path / f"{name}.py").write_text(CODE + "\n# more")
    assert FunctionRef.of(f"{name}:gap", folder) != before
    with pytest.raises(InputError, match="has changed since the audit was planned"):
        before.opened()


def test_what_is_no_function_is_named_before_anything_runs(scores: tuple[str, str]) -> None:
    name, folder = scores
    for function, said in (
        ("gap", "module:callable"),
        (f"{name}:gaps", "Did you mean 'gap'"),
        ("no_such_module_here:gap", "no Python module 'no_such_module_here'"),
    ):
        with pytest.raises(InputError, match=said):
            UserFunction(function, folder).inputs(case)
    assert name not in sys.modules, "nothing was imported"
    with pytest.raises(InputError, match="not a folder"):
        FunctionRef.of(f"{name}:gap", f"{folder}/nowhere")
    Path(folder, f"{name}.py").write_text("def gap(:")
    with pytest.raises(InputError, match="cannot be read"):
        FunctionRef.of(f"{name}:gap", folder)
    (unmet,) = UserFunction().unmet(case)
    assert "python_path" in unmet.remedy
    for bad in ({"direction": "up"}, {"interval": "normal"}, {"max_rows": 3}, {"level": 0.1}):
        with pytest.raises(InputError):
            UserFunction(**bad)


def test_what_a_function_does_wrong_is_the_reason(ask: Any, scores: tuple[str, str]) -> None:
    with pytest.raises(UndefinedError, match="gave nan for 200 samples"):
        asked(ask, scores, "nothing")
    with pytest.raises(UndefinedError, match="returned str, not one number"):
        asked(ask, scores, "words")
    with pytest.raises(ValueError, match=r"raised ZeroDivisionError.*lists of 200 and 300"):
        asked(ask, scores, "breaks")
    with pytest.raises(InputError, match="cannot be called; it is int"):
        FunctionRef.of(f"{scores[0]}:constant", scores[1]).opened()


def test_images_and_texts_come_as_people_have_them() -> None:
    (picture,) = listed(image_rows(np.zeros((1, 4, 5, 3), np.uint8)))
    assert picture.shape == (4, 5, 3)
    assert listed(text_rows(["a", "b"])) == ["a", "b"]
    assert listed(as_rows(np.zeros((1, 2)))) == [{"c0": 0.0, "c1": 0.0}]


def covered(make_shards: Any, scores: tuple[str, str], function: str, interval: str, repeats: int) -> float:
    from audit.evaluators.quality.function.recipes import FunctionValue

    rng, held = np.random.default_rng(1), 0
    evaluator = UserFunction(f"{scores[0]}:{function}", scores[1], interval=interval)
    for seed in range(repeats):
        small = replace(case, seed=seed, sample_size=60)
        recipe = evaluator.inputs(small)
        inputs = recipe.subject["found"]
        assert isinstance(inputs, FunctionValue)
        rows = {"holdout": table(rng.normal(size=300)), "train": splits()["train"]}
        (found,) = make_shards(inputs, model=Draws(0.3), splits=rows)
        bounds = evaluator._interval(found)
        held += bounds.low <= 0.3 <= bounds.high
    return held / repeats


@pytest.mark.parametrize(("function", "interval"), [("gap", "jackknife"), ("median_gap", "bootstrap")])
def test_intervals_cover(make_shards: Any, scores: tuple[str, str], function: str, interval: str) -> None:
    assert covered(make_shards, scores, function, interval, 40) >= 0.85


@pytest.mark.slow
@pytest.mark.parametrize(
    ("function", "interval"), [("gap", "jackknife"), ("gap", "bootstrap"), ("median_gap", "bootstrap")]
)
def test_intervals_cover_thoroughly(
    make_shards: Any, scores: tuple[str, str], function: str, interval: str
) -> None:
    assert covered(make_shards, scores, function, interval, 400) >= 0.92


def test_a_spec_names_it_relative_to_itself(
    cli: Callable[..., Any], scores: tuple[str, str], tmp_path: Path
) -> None:
    name, _ = scores
    (tmp_path / f"{name}.py").write_text(
        "def brightness(samples, real):\n"
        "    return sum(float(i.mean()) for i in samples) / len(samples) - sum(float(i.mean()) for i in real) / len(real)\n"
    )
    spec = tmp_path / "audit.toml"
    spec.write_text(
        f"""
        samples = 100
        [model]
        use = "digits-vae"
        [[evaluators]]
        name = "quality.function"
        as = "brightness"
        function = "{name}:brightness"
        python_path = "."
        direction = "lower"
        [policy]
        [[policy.criteria]]
        metric = "quality.brightness"
        at_most = 500
        why = "a test"
        [run]
        executor = "inline"
        """
    )
    said = cli("run", spec, "--store", tmp_path / "store", "--format", "json")
    record = json.loads(said.out)
    assert said.code == 0, said.err
    assert [m["metric"] for m in record["measurements"]] == ["quality.brightness"]
    assert str(tmp_path) not in json.dumps(record["evaluators"])
