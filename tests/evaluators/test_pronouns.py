"""Pronoun association on planted models: biased by a known slope, neutral, and one-sided."""

from __future__ import annotations

import math
import zlib
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from audit.core.capabilities import Capability
from audit.core.errors import InputError
from audit.core.identity import Digest
from audit.core.measurements import Interval, Measurement, Undefined
from audit.core.references import DataRef, ModelRef
from audit.core.subjects import DataCard, ModelCard, Subject
from audit.evaluators.fairness.pronouns.evaluator import PronounAssociation
from audit.evaluators.fairness.pronouns.questions import (
    NEUTRAL_NOUNS,
    SWAPPED,
    TEMPLATES,
    forward_questions,
    occupations,
    slots,
    swapped_questions,
)

QUICK = PronounAssociation(resamples=400)
NOUNS = sorted((*(o.name for o in occupations()), *NEUTRAL_NOUNS), key=len, reverse=True)
WOMEN = {o.name: o.women_percent / 100 for o in occupations()}


def _subject() -> Subject:
    return Subject(
        model=ModelRef("fake", Digest("0" * 40)),
        card=ModelCard("fake", "text", 1),
        offers=frozenset({Capability.TOKEN_SCORES}),
        data=DataRef("fake", Digest("1" * 40)),
        data_card=DataCard("text", ()),
        extractors=(),
        sample_size=10,
        seed=0,
        shard_size=64,
    )


class PlantedLM:
    """Prefers 'she' by ``base + slope * logit(share of women) + noise`` nats, noise drawn per occupation."""

    def __init__(self, slope: float, noise: float = 0.0, base: float = 0.0, seed: int = 0) -> None:
        self.slope, self.noise, self.base, self.seed = slope, noise, base, seed

    def lean(self, noun: str) -> float:
        rng = np.random.default_rng([self.seed, zlib.crc32(noun.encode())])
        share = WOMEN.get(noun, 0.5)
        return self.base + self.slope * math.log(share / (1 - share)) + self.noise * rng.normal()

    def token_scores(self, rows: Any) -> Any:
        found = []
        for prefix, text in zip(rows["prefix"].to_pylist(), rows["text"].to_pylist(), strict=True):
            word = text.strip().lower()
            if word in ("she", "her", "he", "his", "him", "they", "their", "them"):
                noun = next(n for n in NOUNS if f" {n}" in prefix)
                she, he = self.lean(noun) - 3.0, -3.0
                logp = she if word in ("she", "her") else he if word in ("he", "his", "him") else -4.0
                opens = prefix.endswith(".")  # a capital and a small letter share the mass there
                logp += math.log(0.9 if text[1].isupper() else 0.1) if opens else 0.0
                found.append([logp])
            else:
                noun = word.split(" ", 1)[1]
                logp = -8.0 + (self.lean(noun) if prefix.startswith("She") else 0.0)
                found.append([logp / 3, logp / 3, logp / 3])  # several tokens add up
        return pa.table({"logp": pa.array(found, pa.list_(pa.float32()))})


def _by_metric(outcomes: list[Any]) -> dict[str, Any]:
    return {o.metric.removeprefix("fairness.pronouns."): o for o in outcomes}


def _interval(outcome: Any) -> Interval:
    assert isinstance(outcome, Measurement), outcome
    assert isinstance(outcome.uncertainty, Interval)
    return outcome.uncertainty


def test_a_planted_slope_is_recovered_exactly_without_noise(score: Any) -> None:
    found = _by_metric(score(QUICK, _subject(), model=PlantedLM(0.7, base=-1.0)))
    assert {f"fairness.pronouns.{name}" for name in found} == set(QUICK.about.declared)
    assert found["slope"].value == pytest.approx(0.7, abs=1e-5)
    assert found["swapped_slope"].value == pytest.approx(0.7, abs=1e-5)
    assert found["spearman"].value == pytest.approx(1.0)
    assert found["pro_minus_anti"].value == pytest.approx(1.0)
    odds = np.array([math.log(s / (1 - s)) for s in WOMEN.values()])
    assert found["mean_abs"].value == pytest.approx(np.abs(0.7 * odds).mean(), abs=1e-4)
    for name in ("slope", "spearman", "pro_minus_anti", "swapped_slope"):
        assert found[name].p_value == pytest.approx(1 / 401)
        assert found[name].value > found[name].noise_floor
    shares = [1 / (1 + math.exp(1) * (1 + math.exp(-1.0 + 0.7 * o))) for o in odds]
    assert found["they_share"].value == pytest.approx(np.mean(shares), abs=1e-5)


def test_the_planted_slope_lies_in_its_interval_at_the_nominal_rate(score: Any) -> None:
    inside, found_it = 0, 0
    for seed in range(16):
        found = _by_metric(score(QUICK, _subject(), model=PlantedLM(0.4, noise=0.5, seed=seed)))
        inside += _interval(found["slope"]).low <= 0.4 <= _interval(found["slope"]).high
        found_it += found["slope"].p_value < 0.05
    assert inside >= 13  # P(fewer | 95% coverage) is about 0.007
    assert found_it == 16


@pytest.mark.slow
def test_intervals_cover_at_their_level() -> None:
    from audit.evaluators.fairness.pronouns.evaluator import Draws, _slope, _spearman
    from audit.evaluators.fairness.pronouns.scores import Association
    from audit.stats.clusters import resamples, shuffles

    percent = np.array([o.women_percent for o in occupations()])
    rng, inside, zero, false = np.random.default_rng(0), 0, 0, 0
    odds = np.log(np.clip(percent, 1, 99) / (100 - np.clip(percent, 1, 99)))
    for replicate in range(1000):
        slope = 0.4 * (replicate % 2)
        n, t = len(percent), len(TEMPLATES)
        raw = (slope * odds + 0.6 * rng.normal(size=n))[:, None] + 0.2 * rng.normal(size=(n, t))
        found = Association(
            raw, 0.2 * rng.normal(size=(12, t)), np.full(n, 0.1), raw.mean(axis=1), percent, odds
        )
        draws = Draws(resamples(n, 600, rng), resamples(12, 600, rng), shuffles(n, 300, rng))
        measured = _slope(found, draws)
        inside += _interval(measured).low <= slope <= _interval(measured).high
        if slope == 0:
            rank = _spearman(found, draws)
            zero += _interval(rank).low <= 0 <= _interval(rank).high
            false += rank.p_value <= 0.05
    assert 0.93 <= inside / 1000 <= 0.975
    assert 0.92 <= zero / 500 <= 0.98
    assert false / 500 <= 0.08


def test_a_neutral_model_is_cleared_whatever_pronoun_it_likes(score: Any) -> None:
    found = _by_metric(score(QUICK, _subject(), model=PlantedLM(0.0, noise=0.3, base=-2.0, seed=5)))
    for name in ("slope", "spearman", "pro_minus_anti", "swapped_slope"):
        assert _interval(found[name]).low <= 0 <= _interval(found[name]).high
        assert found[name].p_value > 0.01
    # noise of the same size in neutral nouns: occupations stand out no more than they do
    assert found["mean_abs"].value < 2 * found["mean_abs"].noise_floor


def test_a_model_that_never_varies_has_no_rank_correlation_and_no_slope(score: Any) -> None:
    found = _by_metric(score(QUICK, _subject(), model=PlantedLM(0.0, base=-1.0)))
    assert isinstance(found["spearman"], Undefined)
    assert found["slope"].value == pytest.approx(0, abs=1e-6)
    assert found["mean_abs"].value == pytest.approx(0, abs=1e-6)


def test_an_anti_stereotyped_model_shows_its_sign(score: Any) -> None:
    found = _by_metric(score(QUICK, _subject(), model=PlantedLM(-0.5, noise=0.1)))
    assert _interval(found["slope"]).high < 0
    assert _interval(found["pro_minus_anti"]).high < 0


def test_evidence_lists_every_occupation_and_hides_nothing(score: Any) -> None:
    table, curve = _by_metric(score(QUICK, _subject(), model=PlantedLM(0.5, noise=0.2)))["slope"].evidence
    assert table.content.num_rows == len(occupations())
    assert not table.sensitive
    assert not curve.sensitive
    band = {name: np.array(curve.content[name].to_pylist()) for name in ("low", "y", "high")}
    assert (band["low"] <= band["y"]).all()
    assert (band["y"] <= band["high"]).all()


def test_a_ledger_with_holes_is_refused(score: Any) -> None:
    class Silent(PlantedLM):
        def token_scores(self, rows: Any) -> Any:
            return pa.table({"logp": pa.array([[]] * rows.num_rows, pa.list_(pa.float32()))})

    class Broken(PlantedLM):
        def token_scores(self, rows: Any) -> Any:
            return pa.table({"logp": pa.array([[math.nan]] * rows.num_rows, pa.list_(pa.float32()))})

    with pytest.raises(ValueError, match="no token"):
        score(QUICK, _subject(), model=Silent(0))
    with pytest.raises(ValueError, match="not finite"):
        score(QUICK, _subject(), model=Broken(0))


def test_the_questions_are_what_they_say() -> None:
    listed = occupations()
    assert 40 <= len(listed) <= 60
    assert [o.name for o in listed] == sorted({o.name for o in listed})
    assert all(0 < o.women_percent < 100 and o.table_row for o in listed)
    women = sum(o.women_percent > 50 for o in listed)
    assert abs(women - len(listed) / 2) <= 5  # neither side dominates
    assert len(TEMPLATES) >= 6
    assert {t.case for t in TEMPLATES} == {"subject", "possessive", "object"}
    prefixes, texts = dict(forward_questions().columns)["prefix"], dict(forward_questions().columns)["text"]
    assert len(prefixes) == len(slots())
    assert not any(prefix.endswith(" ") for prefix in prefixes)
    assert all(text.startswith(" ") for text in texts)
    assert " She" in texts
    swapped = dict(swapped_questions().columns)
    assert len(swapped["text"]) == len(listed) * len(SWAPPED) * 2
    assert " an accountant" in swapped["text"]
    assert " a nurse" in swapped["text"]


def test_an_image_model_is_not_asked() -> None:
    subject = _subject()
    image = Subject(
        **{
            **{name: getattr(subject, name) for name in Subject.__dataclass_fields__},
            "card": ModelCard("fake", "image", 1),
        }
    )
    assert len(QUICK.about.needs.unmet(image)) == 1


def test_bad_parameters_are_refused() -> None:
    with pytest.raises(InputError, match="resamples"):
        PronounAssociation(resamples=10)
