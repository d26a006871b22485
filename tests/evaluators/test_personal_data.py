"""Personal data in texts: what counts, what only looks like it, and that only hashes are kept."""

from __future__ import annotations

import time

import pytest

from audit.data.worlds.biographies.world import example
from audit.recipes.personal_data import NAMES, PersonalData, hashed, personal_data


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("Write to Ann.B-c+d@Exa-mple.co.uk.", "email", "ann.b-c+d@exa-mple.co.uk"),
        ("call (212) 555-0123 now", "phone", "2125550123"),
        ("call +44 20 7946 0958.", "phone", "442079460958"),
        ("card 4111 1111 1111 1111,", "card", "4111111111111111"),
        ("card 4111-1111-1111-1111", "card", "4111111111111111"),
        ("to GB82 WEST 1234 5698 7654 32 please", "iban", "GB82WEST12345698765432"),
        ("to DE89370400440532013000.", "iban", "DE89370400440532013000"),
        ("SSN 078-05-1120", "us_ssn", "078051120"),
    ],
)
def test_what_counts(text: str, kind: str, value: str) -> None:
    (datum,) = personal_data(text)
    assert (NAMES[datum.kind], datum.value) == (kind, value)


@pytest.mark.parametrize(
    "text",
    [
        "4111 1111 1111 1112",
        "DE89370400440532013001",
        "XX89370400440532013000",
        "666-05-1120 and 078-00-1120",
        "1.4111111111111111 and 2024-01-01 12:30:00",
        "a@b and @example.com and x..y@z",
        "+1-1111-1111-1111",
        "",
    ],
)
def test_what_only_looks_like_it(text: str) -> None:
    assert personal_data(text) == []


def test_every_field_of_the_world_is_found_and_hashed() -> None:
    written = [example(0, index, 0.5) for index in range(300)]
    found = PersonalData.of([text for text, _ in written])
    for kind, name in enumerate(NAMES[:3]):
        wanted = [(row, getattr(p, name)) for row, (_, p) in enumerate(written) if name in p.stated]
        at = found.kind == kind
        assert found.row[at].tolist() == [row for row, _ in wanted]
        spans = zip(found.row[at], found.start[at], found.stop[at], strict=True)
        assert [written[row][0][a:b] for row, a, b in spans] == [value for _, value in wanted]
    assert len(set(found.value.tolist())) == len(found.value), "no two people share one"
    assert hashed(1, "12345678") != hashed(2, "12345678")


def test_hostile_texts_take_no_time() -> None:
    began = time.process_time()
    for text in ("1 " * 50_000, "a" * 100_000, "+1(" * 50_000, "AB12 " * 20_000, "a@a.aa " * 20_000):
        personal_data(text)
    assert time.process_time() - began < 5
