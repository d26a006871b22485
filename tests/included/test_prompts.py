"""Prompts: a label is recognised as a whole name, whatever surrounds it."""

from __future__ import annotations

import pyarrow as pa
import pytest

from audit.data.fashion_mnist import CLASSES
from audit.included.families.prompts import asked_for


@pytest.mark.parametrize(
    ("prompt", "label"),
    [
        ("a picture of an Ankle boot", "Ankle boot"),
        ("a plain t-shirt", "T-shirt/top"),
        ("one T-shirt/top, please", "T-shirt/top"),
        ("SHIRT", "Shirt"),
        ("bag", "Bag"),
    ],
)
def test_a_name_is_found_in_a_sentence(prompt: str, label: str) -> None:
    assert asked_for(pa.table({"prefix": [prompt]}), 1, "label", CLASSES, "m") == [CLASSES.index(label)]


@pytest.mark.parametrize("prompt", ["", "baggage", "a coat and a dress", "\x00(((", "a" * 10_000])
def test_none_or_two_are_refused(prompt: str) -> None:
    with pytest.raises(ValueError, match="of what 'm' can draw"):
        asked_for(pa.table({"prefix": [prompt]}), 1, "label", CLASSES, "m")


def test_a_row_without_a_wish_is_free() -> None:
    wishes = pa.array(["Bag", None], pa.string())
    for column in ("label", "prefix"):
        assert asked_for(pa.table({column: wishes}), 2, "label", CLASSES, "m") == [CLASSES.index("Bag"), None]
