"""What must not fool a reader, and what must not be shown."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.redact import HIDDEN, flattened, masked, shortened, visible


@given(st.text(st.characters(), max_size=60))
def test_nothing_invisible_is_left_and_it_can_be_encoded(text: str) -> None:
    shown = visible(text)
    shown.encode("utf-8")
    kept = set(shown) - {"\n", "\t", "\u200c", "\u200d"}
    assert not {unicodedata.category(c) for c in kept} & {"Cc", "Cf", "Cs", "Zl", "Zp"}


@given(st.text(st.characters(), max_size=60))
def test_showing_twice_is_showing_once(text: str) -> None:
    assert visible(visible(text)) == visible(text)


@pytest.mark.parametrize(
    "text", ["naïve café", "日本語", "שלום", "سلام", "می‌خواهم", "👩‍🔬", "a\tb\nc", "x² ≤ 3 €"]
)
def test_ordinary_writing_stays(text: str) -> None:
    assert visible(text) == text


def test_long_text_says_what_is_left_out() -> None:
    assert shortened("a" * 10, 10) == "a" * 10
    assert shortened("a" * 11, 10) == "a" * 10 + "… (1 more character)"


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("GH_TOKEN", "x", HIDDEN),
        ("settings.endpoint.api-key", "x", HIDDEN),
        ("db_password", "x", HIDDEN),
        ("password", "", ""),
        ("tokens", "x", "x"),
        ("tokenizer", "x", "x"),
        ("monkey", "x", "x"),
        ("max_token", 3, 3),
        ("store", "postgresql+psycopg://me:pw@host/db", f"postgresql+psycopg://{HIDDEN}@host/db"),
        ("store", "https://host/@me", "https://host/@me"),
    ],
)
def test_secrets_are_masked_by_name_and_by_shape(name: str, value: object, shown: object) -> None:
    assert masked(name, value) == shown


def test_settings_are_flattened_with_exact_floats_readable() -> None:
    settings = {
        "a": {"$float": (0.1).hex()},
        "b": [{"c": True}, {"api_key": "x"}],
        "d": {"$float": "junk"},
        "e": {},
    }
    assert flattened(settings) == [
        ("a", "0.1"),
        ("b.1.c", "yes"),
        ("b.2.api_key", HIDDEN),
        ("d.$float", "junk"),
        ("e", "none"),
    ]
