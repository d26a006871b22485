"""The FID by its own name: torchmetrics' value for the same features, the same without bias, and skipped in any other features."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from audit.core.errors import InputError
from audit.core.measurements import Interval, Unquantified
from audit.evaluators.quality.fid import FEATURES, FID
from tests.evaluators.test_kid import Planted, as_matrix, splits, subject

CASE = replace(
    subject(),
    card=replace(subject().card, modality="image"),
    extractors=(("features", replace(subject().extractor(), name=FEATURES)),),
)


def by_metric(outcomes: Any) -> dict[str, Any]:
    return {o.metric: o for o in outcomes}


def test_it_is_what_torchmetrics_gives_for_the_same_features_and_finds_a_shift(score: Any) -> None:
    import torch
    from torchmetrics.image.fid import FrechetInceptionDistance

    class Fixed:
        def __init__(self, **defect: float) -> None:
            self.rows = Planted(**defect).sample(700, np.random.default_rng(3))

        def sample_range(self, start: int, stop: int) -> Any:
            return self.rows.slice(start, stop - start)

    data, model = splits(), Fixed(shift=1.0)
    network = torch.nn.Identity()
    network.num_features = 8  # type: ignore[assignment]
    theirs = FrechetInceptionDistance(feature=network)
    theirs.set_dtype(torch.float64)
    theirs.update(torch.from_numpy(as_matrix(model.rows)), real=False)
    theirs.update(torch.from_numpy(as_matrix(data["holdout"])), real=True)
    worst, clean = (
        by_metric(score(FID(), CASE, model=m, splits=data, extractor=as_matrix)) for m in (model, Fixed())
    )
    assert list(worst) == ["quality.fid.unbiased", "quality.fid"]
    assert worst["quality.fid"].value == pytest.approx(float(theirs.compute()), rel=1e-6)
    assert isinstance(worst["quality.fid"].uncertainty, Unquantified)
    assert worst["quality.fid"].unit == worst["quality.fid.unbiased"].unit == "FID"
    unbiased, twin = worst["quality.fid.unbiased"], clean["quality.fid.unbiased"]
    assert isinstance(unbiased.uncertainty, Interval)
    assert unbiased.uncertainty.low < 1 < unbiased.uncertainty.high
    assert unbiased.uncertainty.low > unbiased.noise_floor
    assert twin.uncertainty.low <= 0 <= twin.uncertainty.high


def test_in_other_features_it_is_skipped_with_the_command() -> None:
    (gap,) = FID().unmet(subject())
    assert gap.found == "features 'columns'"
    assert "audit fetch inception-fid --from FOLDER" in gap.remedy
    assert FID().unmet(CASE) == ()
    with pytest.raises(InputError, match="'level'"):
        FID(level=0.2)
