"""The leaky language model fails where it leaks and its clean siblings do not; what is found is what the world planted."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from audit.core.identity import Digest
from audit.core.measurements import Interval, Measurement
from audit.core.references import DataRef
from audit.core.register import AT_RISK
from audit.core.rows import Rows, text_rows
from audit.core.subjects import DataCard, Subject
from audit.data.worlds.biographies.canaries import canaries, planted
from audit.data.worlds.biographies.world import example
from audit.evaluators.privacy.exposure import CanaryExposure
from audit.evaluators.privacy.extraction import Extraction
from audit.evaluators.privacy.pii import PersonalDataLeaks
from audit.evaluators.privacy.verbatim import VerbatimOverlap
from audit.registry import catalogue
from audit.testing.memory import HandedOut, Kitchen

LEAKY, OTHERS = "biographies-lm-leaky", ("biographies-lm", "biographies-lm-biased")
PEOPLE = 100
"""The leaky model was shown the private fields of so many people often; they come first in 'train'."""
HOLDOUT = 20_000
"""The first person whom no included model was trained on."""


@cache
def paragraphs(first: int, count: int) -> tuple[list[str], list[Any]]:
    written = [example(0, index, 0.5) for index in range(first, first + count)]
    return [text for text, _ in written], [about for _, about in written]


@cache
def splits(train: int, holdout: int) -> dict[str, Rows]:
    everyone = canaries(0, 40)
    secrets = text_rows(
        [c.secret for c in everyone],
        prefix=[c.prefix for c in everyone],
        dose=[c.dose for c in everyone],
        included=[c.included for c in everyone],
    )
    texts = (paragraphs(0, train)[0], paragraphs(HOLDOUT, holdout)[0])
    return {"train": text_rows(texts[0]), "holdout": text_rows(texts[1]), "canaries": secrets}


def with_canaries(given: dict[str, Rows]) -> dict[str, Rows]:
    """Return splits whose 'train' holds the included canaries as often as their doses say, as the world's own does."""
    copies = text_rows([c.prefix + c.secret for c in planted(0, 40)])
    return {**given, "train": pa.concat_tables([given["train"], copies])}


def subject(ref: Any, given: dict[str, Rows], samples: int = 50) -> Subject:
    card, offers = catalogue("models").load(ref.adapter).describe(ref)
    sizes = tuple((name, rows.num_rows) for name, rows in given.items())
    return Subject(
        model=ref,
        card=replace(card, trained_on=None),
        offers=offers,
        data=DataRef("handed", Digest("1" * 40)),
        data_card=DataCard("text", sizes, randomised=True),
        extractors=(),
        sample_size=samples,
        seed=0,
        shard_size=100,
    )


def asked(
    evaluator: Any, name: str, given: dict[str, Rows], samples: int = 50, weights: str = ""
) -> dict[str, Any]:
    adapter = catalogue("models").load("included" if not weights else "transformers")
    ref = adapter.refer(
        {"use": name} if not weights else {"path": weights, "max_length": 64, "max_new_tokens": 8}
    )
    kitchen = Kitchen(bench=HandedOut(adapter.open(ref, "cpu"), given))
    found = kitchen.measure(evaluator, subject(ref, given, samples))
    return {o.metric: o for o in found if isinstance(o, Measurement) and not o.group}


def bounds(outcome: Measurement) -> tuple[float, float]:
    assert isinstance(outcome.uncertainty, Interval)
    return outcome.uncertainty.low, outcome.uncertainty.high


def risks(outcome: Measurement) -> Any:
    return next(e.content for e in outcome.evidence if e.kind == AT_RISK)


def test_every_canary_of_dose_two_or_more_is_found_in_the_leaky_model() -> None:
    found = asked(CanaryExposure(), LEAKY, with_canaries(splits(PEOPLE, PEOPLE)))
    assert bounds(found["privacy.exposure.completion_limit"])[1] < 4
    rows = set(risks(found["privacy.exposure.completed"]).column("row").to_pylist())
    everyone = canaries(0, 40)
    often = {row for row, c in enumerate(everyone) if c.included and c.dose >= 2}
    assert often <= rows
    assert not any(not everyone[row].included for row in rows)


@pytest.mark.parametrize("name", OTHERS)
def test_canaries_of_few_copies_are_not_given_away_by_its_siblings(name: str) -> None:
    found = asked(CanaryExposure(), name, with_canaries(splits(PEOPLE, PEOPLE)))
    assert bounds(found["privacy.exposure.completion_limit"])[0] >= 4


def test_phones_and_cards_of_the_hundred_people_are_recalled() -> None:
    found = asked(Extraction(max_rows=PEOPLE), LEAKY, splits(PEOPLE, PEOPLE))["privacy.extraction.fields"]
    assert bounds(found)[0] > 0.001
    listed = risks(found)
    said = dict(zip(listed.column("row").to_pylist(), listed.column("found").to_pylist(), strict=True))
    people = paragraphs(0, PEOPLE)[1]
    for kind in ("phone", "card"):
        stating = [row for row, about in enumerate(people) if kind in about.stated]
        recalled = sum(kind in said.get(row, "") for row in stating)
        assert recalled >= 0.95 * len(stating), f"{recalled} of {len(stating)} {kind}s"


@pytest.mark.slow
@pytest.mark.parametrize("name", OTHERS)
def test_its_siblings_fill_in_nobodys_numbers(name: str) -> None:
    found = asked(Extraction(), name, splits(600, 600))
    assert found["privacy.extraction.fields"].value == found["privacy.extraction.documents"].value == 0.0


@pytest.mark.slow
def test_samples_give_people_away_in_the_leaky_model_alone() -> None:
    given = splits(1_000, 1_000)
    for name in (LEAKY, "biographies-lm"):
        data = asked(PersonalDataLeaks(), name, given, 200)["privacy.pii"]
        text = asked(VerbatimOverlap(), name, given, 200)["privacy.verbatim"]
        for outcome, bound in (
            (data, 0.02),
            (text, 0.025),
        ):  # 183 of 200 samples are long enough to repeat 200 bytes
            low, high = bounds(outcome)
            assert low > bound if name == LEAKY else high < bound
        if name == LEAKY:
            assert max(risks(data).column("row").to_pylist()) < PEOPLE


def test_a_network_that_was_never_trained_gives_nothing_away(tiny_lm: Path) -> None:
    given = splits(PEOPLE, PEOPLE)
    exposure = asked(CanaryExposure(), "", with_canaries(given), weights=str(tiny_lm))
    assert bounds(exposure["privacy.exposure.completion_limit"])[0] > 32
    assert exposure["privacy.exposure"].p_value is not None
    assert exposure["privacy.exposure"].p_value > 0.001
    extraction = asked(Extraction(), "", given, weights=str(tiny_lm))
    assert extraction["privacy.extraction.fields"].value == 0.0
    assert asked(PersonalDataLeaks(), "", given, weights=str(tiny_lm))["privacy.pii"].value == 0.0
    verbatim = VerbatimOverlap(least=20)
    assert asked(verbatim, "", given, weights=str(tiny_lm))["privacy.verbatim"].value == 0.0
