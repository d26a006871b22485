"""Image watermarks and survival in audits: outputs that hold a mark, outputs that cannot, and detectors that lie."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from audit.core.capabilities import Capability
from audit.core.cases import CaseKind
from audit.core.errors import InputError
from audit.core.identity import Digest
from audit.core.measurements import Undefined
from audit.core.references import DataRef, ModelRef
from audit.core.rows import image_rows, images_of
from audit.core.subjects import DataCard, ModelCard, Subject
from audit.evaluators.provenance.image_watermark import ImageWatermark
from audit.evaluators.provenance.survival.evaluator import Survival
from audit.evaluators.provenance.survival.pictures import PICTURE_CHANGES as CHANGES
from audit.marks.image import dwt_dct
from audit.marks.image.blocks import resized
from audit.marks.image.dwt_dct import DwtDct
from audit.marks.text.detection import Detection


class Painter:
    def __init__(self, side: int, contrast: int = 256) -> None:
        self.side, self.contrast = side, contrast

    def sample(self, n: int, rng: np.random.Generator, condition: Any = None) -> Any:
        small = rng.integers(0, self.contrast, (n, 8, 8, 3), dtype=np.uint8)
        return image_rows(resized(small, self.side))


def _subject() -> Subject:
    model, data = ModelRef("fake", Digest("0" * 40)), DataRef("fake", Digest("1" * 40))
    card = ModelCard("fake", "image", 1)
    return Subject(model, card, frozenset({Capability.SAMPLE}), data, DataCard("image", ()), (), 10, 0, 8)


def _marked(ask: Any, side: int = 64) -> Any:
    return ask(ImageWatermark(("dwt_dct",), n=12, wrong_keys=90), _subject(), Painter(side))


def test_marks_are_found_at_a_stated_cost_and_unmarked_outputs_are_not(ask: Any) -> None:
    found = _marked(ask)
    outcomes = {o.metric.rpartition(".")[2]: o for o in found.outcomes}
    assert outcomes["power"].value == 1.0
    assert outcomes["after_jpeg"].value == 1.0
    assert outcomes["psnr"].value > 36
    alarms = outcomes["false_alarms"]
    assert alarms.n >= 1000
    assert alarms.uncertainty.low <= 1e-3 <= alarms.uncertainty.high
    (table,) = outcomes["power"].evidence
    shares = {row["attack"]: float(row["found"].split()[0]) for row in table.content.to_pylist()}
    assert shares["marked"] == shares["noise 5"] == 1.0
    assert shares["crop 50"] < 0.5
    assert set(shares) >= {"forged by averaging 3", "removed by averaging 3"} or outcomes["forged"].n == 4
    (null,) = [c for c in found.controls if c.kind is CaseKind.NULL and c.value is not None]
    assert null.right


def test_outputs_too_small_for_a_mark_have_no_numbers_and_the_reason(ask: Any) -> None:
    survival = ask(Survival(n=4), _subject(), Painter(12)).outcomes
    for outcome in (*_marked(ask, side=12).outcomes, *survival):
        assert isinstance(outcome, Undefined)
        assert "16 pixels a side" in outcome.reason or outcome.metric.endswith(".present")


def test_a_detector_that_says_yes_to_wrong_keys_is_void(ask: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = dwt_dct.agreement

    def eager(found: Any, wanted: Any) -> list[Detection]:
        return [Detection(d.p_value**3, d.above**3, d.scored, d.score, 0.5) for d in honest(found, wanted)]

    monkeypatch.setattr(dwt_dct, "agreement", eager)
    outcomes = {o.metric.rpartition(".")[2]: o for o in _marked(ask).outcomes}
    assert isinstance(outcomes["power"], Undefined)
    assert "not uniform" in outcomes["power"].reason


def test_credentials_go_with_the_first_change_and_watermarks_stay(ask: Any) -> None:
    found = ask(Survival(n=10), _subject(), Painter(96))
    shares = {dict(o.group)["change"]: o for o in found.outcomes if "change" in dict(o.group)}
    others = {dict(o.group)["outputs"]: o for o in found.outcomes if o.metric.endswith("accepted")}
    assert {whose: (o.value, o.n) for whose, o in others.items()} == {
        "unmarked": (0.0, 10),
        "foreign": (0.0, 10),
    }
    assert set(shares) == set(CHANGES)
    assert all(shares[c].value == 0.0 for c in ("untouched", "saved_again", "metadata_stripped", "jpeg"))
    assert shares["cropped"].value > 0.5
    assert shares["untouched"].uncertainty.high == pytest.approx(1 - 0.025 ** (1 / 10))
    picture, table = shares["untouched"].evidence
    assert picture.kind == "heatmap"
    assert picture.content.num_rows == len(CHANGES) * 4
    lines = {row["change"]: row for row in table.content.to_pylist()}
    assert lines["untouched"]["credential"].startswith("1.00")
    assert all(lines[c]["credential"].startswith("0.00") for c in CHANGES if c != "untouched")
    assert lines["jpeg"]["dwt_dct"].startswith("1.00")
    nulls = [c for c in found.controls if c.kind is CaseKind.NULL]
    assert len(nulls) == len(CHANGES)
    assert all(c.right and c.value >= 0.9 for c in nulls)  # one test in a thousand may accuse


def test_a_pattern_that_is_the_same_in_every_picture_is_forged_from_averages(ask: Any) -> None:
    evaluator = ImageWatermark(("spread_spectrum",), n=96, wrong_keys=2)
    subject = replace(_subject(), shard_size=96)
    outcomes = ask(evaluator, subject, Painter(64, contrast=60)).outcomes
    forged = {dict(o.group)["mark"]: o for o in outcomes if o.metric.endswith(".forged")}
    assert forged["spread_spectrum"].value > 0.3
    assert forged["spread_spectrum"].n == 48


class Provider(Painter):
    """Marks its outputs with a key of its own, all but a share."""

    def __init__(self, key: int, share: float = 1.0) -> None:
        super().__init__(64)
        self.mark, self.marked = DwtDct(key, 64), share

    def sample(self, n: int, rng: np.random.Generator, condition: Any = None) -> Any:
        plain = images_of(super().sample(n, rng))
        keep = np.arange(n) < round(self.marked * n)
        return image_rows(np.where(keep[:, None, None, None], self.mark.embed(plain), plain))


@pytest.mark.parametrize(("key", "share", "value"), [(99, 1.0, 1.0), (99, 0.5, 0.5), (98, 1.0, 0.0)])
def test_the_providers_own_mark_is_found_in_its_outputs_and_one_with_another_key_is_not(
    ask: Any, key: int, share: float, value: float
) -> None:
    evaluator = ImageWatermark((), n=16, wrong_keys=20, own=(f"dwt_dct:{key}",))
    found = ask(evaluator, _subject(), Provider(99, share))
    (present,) = found.outcomes
    assert (present.metric, present.value) == ("provenance.image_watermark.present", value)
    (null,) = [c for c in found.controls if c.kind is CaseKind.NULL]
    assert null.value == 0.0


def test_unknown_marks_are_refused_with_a_hint() -> None:
    with pytest.raises(InputError, match="no mark is called 'dwt'"):
        ImageWatermark(("dwt",))
    with pytest.raises(InputError, match="is not name:key"):
        ImageWatermark(own=("dwt_dct",))
    with pytest.raises(InputError, match="dwt_dct"):
        Survival(("dct",))
