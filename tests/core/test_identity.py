"""Equal descriptions have equal keys, and everything that changes a number changes the key."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.core.artifacts import Features, Given, RealRows, Samples
from audit.core.identity import Digest, canonical, digest_of, key_of
from audit.core.references import DataRef, ExtractorRef, ModelRef

MODEL = ModelRef("included", Digest("aa"), (("use", "x"),), location="/here")
plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(plain, plain)
def test_one_spelling_for_each_value(a, b) -> None:
    assert canonical(a) == canonical(a)
    if canonical(a) == canonical(b):
        assert a == b or repr(a) == repr(b) or a == pytest.approx(b)


def test_order_of_a_mapping_does_not_matter_and_order_of_a_list_does() -> None:
    assert canonical({"a": 1, "b": 2}) == canonical({"b": 2, "a": 1})
    assert canonical([1, 2]) != canonical([2, 1])


def test_one_and_true_and_one_point_zero_are_three_values() -> None:
    assert len({canonical(1), canonical(True), canonical(1.0)}) == 3


@pytest.mark.parametrize("value", [math.nan, math.inf, object(), {1: 2}, b"bytes", lambda: 0])
def test_what_has_no_canonical_form_raises(value: object) -> None:
    with pytest.raises(TypeError):
        canonical(value)


def test_where_a_thing_lies_is_no_part_of_what_it_is() -> None:
    assert canonical(MODEL) == canonical(replace(MODEL, location="/there"))
    assert replace(MODEL, location="/there") == MODEL


SAMPLES = Samples(MODEL, 100, 0, 10)


@pytest.mark.parametrize(
    "other",
    [
        replace(SAMPLES, n=101),
        replace(SAMPLES, seed=1),
        replace(SAMPLES, shard_size=20),
        replace(SAMPLES, model=replace(MODEL, weights=Digest("bb"))),
        replace(SAMPLES, model=replace(MODEL, options=(("use", "y"),))),
        replace(SAMPLES, condition=Given((("text", ("a",)),))),
    ],
)
def test_every_field_is_in_the_key(other: Samples) -> None:
    assert other.key != SAMPLES.key


def test_a_parent_is_in_the_key_of_its_child() -> None:
    extractor = ExtractorRef("pixels", Digest("cc"), 64, "image")
    real = RealRows(DataRef("digits", Digest("dd")), "train", 10, 5)
    assert Features(SAMPLES, extractor).key != Features(real, extractor).key
    assert Features(SAMPLES, extractor).parents == (SAMPLES,)


def test_a_new_version_is_a_new_key() -> None:
    assert key_of("x", 1, {}) != key_of("x", 2, {})


def test_a_digest_is_blake2b() -> None:
    import hashlib

    assert digest_of(b"abc") == hashlib.blake2b(b"abc", digest_size=20).hexdigest()


def test_a_dataclass_is_named_in_its_canonical_form() -> None:
    @dataclass(frozen=True)
    class A:
        x: int

    @dataclass(frozen=True)
    class B:
        x: int

    assert canonical(A(1)) != canonical(B(1))
