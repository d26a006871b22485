"""The register: what is ranked first, what is masked, and what became of an entry since an earlier run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from audit.core.identity import Digest, digest_of
from audit.core.measurements import Direction, Interval, Measurement
from audit.core.records import AuditRecord, from_plain
from audit.core.register import (
    AT_RISK,
    AT_RISK_CONTENT,
    AtRisk,
    Status,
    lost_evidence,
    register,
    register_evidence,
    same_data,
)
from audit.store import codec

GOLDEN = Path(__file__).parents[1] / "golden" / "records" / "digits-1.json"


class Shelf:
    """Keeps what evidence holds, and remembers which digests were read."""

    def __init__(self) -> None:
        self.kept: dict[str, Any] = {}
        self.read: list[str] = []

    def __call__(self, digest: Digest) -> Any:
        self.read.append(str(digest))
        return self.kept.get(str(digest))

    def measured(self, metric: str, *entries: AtRisk, void: str = "") -> Measurement:
        evidence = []
        for e in register_evidence(entries):
            digest = digest_of(codec.encode(e.content))
            self.kept[str(digest)] = e.content
            evidence.append(replace(e, content=digest))
        interval = Interval(0.1, 0.2, 0.95, "exact")
        return Measurement(
            metric, 0.15, interval, 10, Direction.LOWER_IS_BETTER, evidence=tuple(evidence), void=void
        )


def record(*measurements: Measurement) -> AuditRecord:
    import json

    return replace(from_plain(json.loads(GOLDEN.read_text(encoding="utf-8"))), measurements=measurements)


def hit(row: int, attack: str = "copies", **words: Any) -> AtRisk:
    return AtRisk(row, attack, words.pop("found", "returned by 3 samples"), words.pop("score", 1.0), **words)


def test_records_are_ranked_by_chance_then_by_attacks_that_agree_then_by_times() -> None:
    shelf = Shelf()
    one = shelf.measured(
        "privacy.copies.excess",
        hit(5, chance=0.01, times=2),
        hit(9, chance=0.001),
        hit(7, chance=0.01, times=30),
    )
    two = shelf.measured("privacy.membership.auc", hit(5, "loss", chance=0.02), hit(3, "loss"))
    found = register(record(one, two), shelf)
    assert [(e.rank, e.found.row, e.found.attack) for e in found] == [
        (1, 9, "copies"), (2, 5, "copies"), (2, 5, "loss"), (3, 7, "copies"), (4, 3, "loss"),
    ]  # fmt: skip
    assert {e.status for e in found} == {Status.NEW}


def test_sensitive_content_is_not_even_read_unless_it_is_asked_for() -> None:
    shelf = Shelf()
    one = shelf.measured("privacy.pii.recall", hit(1, "pii", content="card 4111 1111 1111 1111"))
    assert [(e.kind, e.sensitive) for e in one.evidence] == [(AT_RISK, False), (AT_RISK_CONTENT, True)]
    public = shelf.kept[str(one.evidence[0].content)]
    assert "4111" not in str(public.to_pylist())
    (masked,) = register(record(one), shelf)
    assert masked.content is None
    assert str(one.evidence[1].content) not in shelf.read
    (shown,) = register(record(one), shelf, reveal=True)
    assert shown.content == "card 4111 1111 1111 1111"


def test_an_entry_is_open_closed_new_or_unchecked_against_an_earlier_run() -> None:
    shelf = Shelf()
    before = record(
        shelf.measured("privacy.copies.excess", hit(1), hit(2)),
        shelf.measured("privacy.extraction.rate", hit(4, "greedy")),
    )
    now = record(shelf.measured("privacy.copies.excess", hit(2), hit(3)))
    found = {(e.found.row, e.found.attack): e.status for e in register(now, shelf, before)}
    assert found == {
        (2, "copies"): Status.OPEN,
        (3, "copies"): Status.NEW,
        (1, "copies"): Status.CLOSED,
        (4, "greedy"): Status.UNCHECKED,
    }
    nothing = record(shelf.measured("privacy.copies.excess"))
    assert {e.status for e in register(nothing, shelf, before)} == {Status.CLOSED, Status.UNCHECKED}


def test_an_attack_named_by_two_measurements_counts_once_and_a_void_one_says_so() -> None:
    shelf = Shelf()
    one = shelf.measured("a.one", hit(1, chance=0.2), void="the control misbehaved")
    two = shelf.measured("a.two", hit(1, chance=0.1))
    (entry,) = register(record(one, two), shelf)
    assert (entry.metric, entry.found.chance, entry.void) == ("a.two", 0.1, "")
    (entry,) = register(record(one), shelf)
    assert entry.void == "the control misbehaved"


def test_what_the_store_no_longer_holds_is_counted() -> None:
    shelf = Shelf()
    one = record(shelf.measured("a.one", hit(1)))
    shelf.kept.clear()
    assert register(one, shelf) == ()
    assert lost_evidence(one, shelf) == 1


def test_the_same_data_means_the_same_bytes_read_with_the_same_options() -> None:
    one = record()
    assert same_data(one, replace(one, data={**one.data, "notes": ["said otherwise"]}))
    assert not same_data(one, replace(one, data={**one.data, "options": {"seed": 1}}))
    assert not same_data(one, replace(one, data={**one.data, "content": "another"}))


@pytest.mark.parametrize("wrong", [{"row": -1}, {"attack": ""}, {"found": ""}, {"chance": 1.5}])
def test_an_entry_that_names_nothing_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"at risk|share"):
        AtRisk(**{"row": 1, "attack": "a", "found": "f", "score": 1.0, **wrong})
