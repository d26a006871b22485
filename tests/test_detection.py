"""The detection table: which twin stands beside which model, what counts as caught, and pictures at a dose."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from audit.core.measurements import Direction, Interval, Measurement
from audit.core.policy import Criterion, Policy, overall
from tests.reports.conftest import build


@pytest.fixture(scope="module")
def detection() -> ModuleType:
    path = Path(__file__).parents[1] / "benchmarks" / "detection.py"
    spec = importlib.util.spec_from_file_location("detection", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["detection"] = module
    spec.loader.exec_module(module)
    return module


def run(detection: ModuleType, name: str, recall: float, fid: float) -> Any:
    """Return a run that measured two things, judged by a policy with one criterion of quality and one of privacy."""
    values = (
        ("quality.recall", recall, Direction.HIGHER_IS_BETTER),
        ("quality.fid", fid, Direction.LOWER_IS_BETTER),
        ("privacy.copies", 0.0, Direction.LOWER_IS_BETTER),
    )
    measured = [Measurement(m, v, Interval(v - 0.05, v + 0.05, 0.95, "t"), 9, d) for m, v, d in values]
    criteria = (
        Criterion("quality.recall", at_least=0.5, why=""),
        Criterion("privacy.copies", at_most=0.5, why=""),
    )
    judged = Policy("p", "1", criteria).judge(measured, {}, "image")
    record = replace(build().record, measurements=tuple(measured), judgements=judged, verdict=overall(judged))
    return detection.Run(name, record)


def test_every_twin_stands_beside_the_model_its_name_begins_with(detection: ModuleType) -> None:
    found = dict(detection.pairs(()))
    assert found["portraits-gan-skewed"] == "portraits-gan"
    assert found["portraits-ddpm-copying"] == "portraits-ddpm"
    assert found["biographies-lm-leaky"] == "biographies-lm"
    assert len(found) >= 6
    assert detection.pairs(["portraits-vae"]) == [("portraits-vae-overfit", "portraits-vae")]


def test_a_twin_that_learnt_skewed_data_is_held_against_the_data_of_the_clean_one(
    detection: ModuleType,
) -> None:
    assert detection.data_for("portraits-gan-skewed", "portraits-gan")["data"]["use"] == "portraits"
    assert detection.data_for("portraits-gan-skewed", "portraits-gan")["data"]["skew"] == 0.5
    assert detection.data_for("portraits-gan-collapsed", "portraits-gan") == {}
    assert detection.data_for("portraits-gan", "portraits-gan") == {}


def test_a_twin_is_caught_in_the_dimension_of_its_defect_alone(detection: ModuleType) -> None:
    clean = run(detection, "model", 0.9, 0.1)
    assert detection.caught(run(detection, "model-collapsed", 0.2, 0.9), clean) == "yes (quality)"
    assert detection.caught(run(detection, "model-copying", 0.2, 0.9), clean) == "NO (privacy)"
    assert detection.caught(run(detection, "model-collapsed", 0.5, 0.9), clean) == "NO (quality)"
    alarmed = run(detection, "model", 0.2, 0.1)
    said = detection.caught(run(detection, "model-collapsed", 0.1, 0.1), alarmed)
    assert said == "NO (quality); clean model fails `quality.recall`"


def test_worse_needs_whole_intervals_apart_on_the_worse_side(detection: ModuleType) -> None:
    clean = run(detection, "model", 0.9, 0.5)
    assert detection.worse(run(detection, "twin", 0.7, 0.55), clean) == ["quality.recall"]
    assert detection.worse(run(detection, "twin", 0.7, 0.9), clean) == ["quality.fid", "quality.recall"]
    assert detection.worse(run(detection, "twin", 0.99, 0.1), clean) == []


def test_tables_have_a_cell_for_every_column(detection: ModuleType) -> None:
    clean, twin = run(detection, "model", 0.9, 0.1), run(detection, "model-collapsed", 0.2, 0.9)
    twins = detection.table_of_twins([("lost | modes", twin, clean)])
    doses = detection.table_of_doses([("real", "no defect", clean), ("blurred", "σ 1", twin)])
    for lines in (twins, doses):
        assert {len(line) for line in lines} == {len(lines[0])}
    assert "lost \\| modes" in detection.markdown(twins)
    assert "fail / pass" in detection.markdown(twins)


@pytest.mark.parametrize("kind", ["blurred", "noisy", "washed-out"])
def test_a_larger_dose_changes_pictures_more(detection: ModuleType, kind: str) -> None:
    images = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3)).astype(np.uint8)
    change, doses, _ = detection.LADDER[kind]
    apart = [np.square(change(images, dose) - images.astype(float)).mean() for dose in doses]
    assert apart == sorted(apart)
    assert apart[0] > 0
    assert change(images, 0.0).dtype == np.uint8
    assert np.array_equal(change(images, 0.0), images)
