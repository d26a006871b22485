"""Blurred, noisy, washed-out and mode-dropped versions of real images, each at rising doses, found by the metric that should find it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from audit.core.evaluators import Evaluator
from audit.core.identity import Digest
from audit.core.references import ExtractorRef
from audit.core.rows import Images, image_rows, images_of
from audit.evaluators.quality.diversity import SamplesDiversity
from audit.evaluators.quality.mmd import GaussianDiscrepancy
from audit.evaluators.quality.modes import Modes
from audit.evaluators.quality.precision_recall import PrecisionRecall
from audit.features.efficientnet_lite0 import EfficientNetLite0
from audit.features.pixels import Pixels
from audit.testing.memory import Kitchen
from tests.evaluators.test_kid import subject

pytestmark = pytest.mark.slow
ROWS = 500
DROPPED = ("chef", "doctor", "farmer", "judge", "nurse")


def blurred(images: Images, dose: float) -> Images:
    from scipy.ndimage import gaussian_filter

    return gaussian_filter(images.astype(float), (0, dose, dose, 0)).round().astype(np.uint8)


def noisy(images: Images, dose: float) -> Images:
    noise = np.random.default_rng(7).normal(scale=dose, size=images.shape)
    return np.clip(images + noise, 0, 255).round().astype(np.uint8)


def washed_out(images: Images, dose: float) -> Images:
    return (images * (1 - dose) + 190 * dose).round().astype(np.uint8)


LADDERS: dict[str, tuple[Callable[[Images, float], Images], tuple[float, float]]] = {
    "blurred": (blurred, (0.5, 1.2)),
    "noisy": (noisy, (15.0, 40.0)),
    "washed out": (washed_out, (0.3, 0.6)),
}
"""Standard deviation in pixels, in levels of 255, and the share of a light grey mixed in: the first is seen when one looks, the second at a glance."""


class Gives:
    """Gives the same pictures whenever it is asked."""

    def __init__(self, rows: Any) -> None:
        self.rows = rows

    def sample(self, n: int, rng: np.random.Generator, condition: Any = None) -> Any:
        return self.rows.slice(0, n)


class Bench:
    """Real portraits in two splits, one extractor, and a model; what was extracted of a picture is remembered."""

    def __init__(self, splits: dict[str, Any], extractor: Any, known: dict[bytes, Any]) -> None:
        self.splits, self.extractor, self.known = splits, extractor, known
        self.opened: Any = None

    def model(self, ref: Any) -> Any:
        return self.opened

    def split(self, ref: Any, split: str) -> Any:
        return self.splits[split]

    def extract(self, ref: Any, rows: Any) -> Any:
        images = images_of(rows)
        keys = [image.tobytes() for image in images]
        new = [place for place, key in enumerate(keys) if key not in self.known]
        if new:
            found = self.extractor.extract(image_rows(images[new]))
            self.known.update({keys[place]: row for place, row in zip(new, found, strict=True)})
        return np.stack([self.known[key] for key in keys])


@pytest.fixture(scope="module")
def portraits() -> tuple[Any, dict[str, Any]]:
    """Pictures for the model and two splits of others, with their occupation."""
    from audit.data.worlds.portraits.world import Portraits

    ref = Portraits.refer({"train": 2 * ROWS, "holdout": 2 * ROWS, "duplicates": False})
    rows = [Portraits.load(ref, split).select(["image", "occupation"]) for split in ("train", "holdout")]
    return rows[0].slice(0, ROWS), {"train": rows[0].slice(ROWS), "holdout": rows[1].slice(0, ROWS)}


@pytest.fixture(scope="module")
def asked(portraits: tuple[Any, dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    """Return ``asked(evaluator, rows, kind) -> measurements of all rows by metric``, in the features of an extractor."""
    benches = {
        kind: Bench(portraits[1], kind.open(kind.refer(), "cpu"), {}) for kind in (EfficientNetLite0, Pixels)
    }

    def run(evaluator: Evaluator, rows: Any, kind: Any = EfficientNetLite0) -> dict[str, Any]:
        bench = benches[kind]
        bench.opened = Gives(rows)
        plain = subject(samples=min(ROWS, rows.num_rows), holdout=ROWS, train=ROWS)
        case = replace(
            plain,
            card=replace(plain.card, modality="image"),
            data_card=replace(plain.data_card, modality="image", groups=("occupation",)),
            extractors=(
                ("features", ExtractorRef("seen", Digest("5" * 40), kind.refer().dimensions, "image")),
            ),
            shard_size=ROWS,
        )
        outcomes = Kitchen(bench=bench).ask(evaluator, case).outcomes
        return {o.metric.rpartition(".")[2]: o for o in outcomes if not o.group}

    return run


@pytest.mark.parametrize("name", sorted(LADDERS))
def test_worse_pictures_are_found_and_more_so_at_a_higher_dose(
    name: str, portraits: tuple[Any, dict[str, Any]], asked: Callable[..., dict[str, Any]]
) -> None:
    worsened, doses = LADDERS[name]
    clean = portraits[0]
    rungs = [clean, *(image_rows(worsened(images_of(clean), dose)) for dose in doses)]
    distance = [asked(GaussianDiscrepancy(), rows)["mmd"] for rows in rungs]
    precision = [asked(PrecisionRecall(), rows)["precision"] for rows in rungs]
    assert distance[0].uncertainty.low < distance[0].noise_floor, "real pictures pass"
    assert distance[0].value < distance[1].value < distance[2].value
    assert distance[2].uncertainty.low > distance[2].noise_floor
    assert precision[0].value > precision[2].value
    assert precision[2].uncertainty.high < precision[2].noise_floor, "they do not look real"


def test_dropped_modes_are_found_by_what_counts_kinds_and_not_by_precision(
    portraits: tuple[Any, dict[str, Any]], asked: Callable[..., dict[str, Any]]
) -> None:
    import pyarrow as pa
    import pyarrow.compute as pc

    clean = portraits[0]
    kept = clean.filter(pc.invert(pc.is_in(clean.column("occupation"), value_set=pa.array(DROPPED))))
    found, whole = (asked(Modes(), rows) for rows in (kept, clean))
    assert whole["dropped"].uncertainty.low == 0
    assert found["dropped"].value == len(DROPPED)
    assert all(f"occupation {name}" in found["dropped"].notes[1] for name in DROPPED)
    assert found["tv"].uncertainty.low > found["tv"].noise_floor, (
        "so few pictures leave single kinds in doubt, not all"
    )
    assert found["coverage"].value < whole["coverage"].value
    assert asked(SamplesDiversity(), kept)["vendi"].value < asked(SamplesDiversity(), clean)["vendi"].value
    precision = asked(PrecisionRecall(), kept)["precision"]
    assert precision.uncertainty.high >= precision.noise_floor, "each picture that is left looks real"


def test_pixels_do_not_see_the_noise_that_anybody_sees(
    portraits: tuple[Any, dict[str, Any]], asked: Callable[..., dict[str, Any]]
) -> None:
    """Why a distance in them decides nothing (docs/decisions/0018)."""
    rows = image_rows(noisy(images_of(portraits[0]), 40.0))
    seen, unseen = (asked(GaussianDiscrepancy(), rows, kind)["mmd"] for kind in (EfficientNetLite0, Pixels))
    assert seen.uncertainty.low > seen.noise_floor
    assert seen.value > 10 * abs(unseen.value)
