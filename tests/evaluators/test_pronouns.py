"""Pronoun association on planted models: biased by a known slope, neutral, and one-sided."""

from __future__ import annotations

import math
import re
import zlib
from dataclasses import replace
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
    COLUMNS,
    NEUTRAL_NOUNS,
    PRONOUNS,
    SWAPPED,
    TEMPLATES,
    WRONG,
    forward_questions,
    occupations,
    swapped_questions,
)
from audit.evaluators.fairness.pronouns.scores import Association, net

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


def wrong_after(prefix: str) -> tuple[str, ...]:
    """Return the continuations that grammar does not allow after one of the package's sentences."""
    ends = (template.context.split("{}") for template in TEMPLATES)
    for template, (start, end) in zip(TEMPLATES, ends, strict=True):
        if prefix.startswith(start) and prefix.endswith(end):
            return template.wrong_forms()
    return ()


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
            if text in wrong_after(prefix):
                found.append([-12.0])
            elif word in ("she", "her", "he", "his", "him", "they", "their", "them"):
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
    declared = {name.rpartition(".")[2] for name in QUICK.about.declared}
    assert set(found) == declared - {"amplification"}, "the data bring no probes that could be amplified"
    assert found["slope"].value == pytest.approx(0.7, abs=1e-5)
    assert found["swapped_slope"].value == pytest.approx(0.7, abs=1e-5)
    assert found["spearman"].value == pytest.approx(1.0)
    assert found["pro_minus_anti"].value == pytest.approx(1.0)
    odds = np.array([math.log(s / (1 - s)) for s in WOMEN.values()])
    assert found["mean_abs"].value == pytest.approx(np.abs(0.7 * odds).mean(), abs=1e-4), "without noise"
    assert found["mean_abs_raw"].value == pytest.approx(found["mean_abs"].value, abs=1e-4)
    for name in ("slope", "spearman", "pro_minus_anti", "swapped_slope"):
        assert found[name].p_value == pytest.approx(1 / 401)
        assert found[name].value > found[name].noise_floor
    shares = [1 / (1 + math.exp(1) * (1 + math.exp(-1.0 + 0.7 * o))) for o in odds]
    assert found["they_share"].value == pytest.approx(np.mean(shares), abs=1e-5)


@pytest.mark.slow
def test_the_planted_slope_lies_in_its_interval_at_the_nominal_rate(score: Any) -> None:
    inside, found_it = 0, 0
    for seed in range(10):
        found = _by_metric(score(QUICK, _subject(), model=PlantedLM(0.4, noise=0.5, seed=seed)))
        inside += _interval(found["slope"]).low <= 0.4 <= _interval(found["slope"]).high
        found_it += found["slope"].p_value < 0.05
    assert inside >= 8  # P(fewer | 95% coverage) is about 0.01
    assert found_it == 10


@pytest.mark.slow
def test_intervals_cover_at_their_level() -> None:
    from audit.evaluators.fairness.pronouns.recipes import Draws
    from audit.stats.clusters import resamples, shuffles

    percent = np.array([o.women_percent for o in occupations()])
    rng, inside, zero, false = np.random.default_rng(0), 0, 0, 0
    odds = np.log(np.clip(percent, 1, 99) / (100 - np.clip(percent, 1, 99)))
    for replicate in range(500):
        slope = 0.4 * (replicate % 2)
        n, t = len(percent), len(TEMPLATES)
        raw = (slope * odds + 0.6 * rng.normal(size=n))[:, None] + 0.2 * rng.normal(size=(n, t))
        nothing = np.full((n, t), np.nan)
        found = Association(
            tuple(map(str, range(n))),
            raw,
            0.2 * rng.normal(size=(12, t)),
            np.full(n, 0.1),
            percent / 100,
            nothing,
            nothing,
            raw.mean(axis=1),
        )
        draws = Draws(
            resamples(n, 600, rng),
            resamples(12, 600, rng),
            shuffles(n, 300, rng),
            resamples(6, 600, rng),
            resamples(t, 600, rng),
        )
        measured = QUICK._slope(found, draws)
        inside += _interval(measured).low <= slope <= _interval(measured).high
        if slope == 0:
            rank = QUICK._spearman(found, draws)
            zero += _interval(rank).low <= 0 <= _interval(rank).high
            false += rank.p_value <= 0.05
    assert 0.925 <= inside / 500 <= 0.99
    assert 0.91 <= zero / 250 <= 1.0
    assert false / 250 <= 0.09


def test_a_neutral_model_is_cleared_whatever_pronoun_it_likes(score: Any) -> None:
    found = _by_metric(score(QUICK, _subject(), model=PlantedLM(0.0, noise=0.3, base=-2.0, seed=5)))
    for name in ("slope", "spearman", "pro_minus_anti", "swapped_slope"):
        assert _interval(found[name]).low <= 0 <= _interval(found[name]).high
        assert found[name].p_value > 0.01
    # noise of the same size in neutral nouns: occupations stand out no more than they do
    assert _interval(found["mean_abs"]).low <= 0 <= _interval(found["mean_abs"]).high
    assert found["mean_abs_raw"].value > 0.2, "what is not net of the control is noise alone"


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
    forms = sum(len(t.forms(i)) for t in TEMPLATES for i in range(3)) + 2 * len(TEMPLATES)
    assert len(prefixes) == len(texts) == forms * (len(listed) + len(NEUTRAL_NOUNS))
    assert tuple(name for name, _ in forward_questions().columns) == COLUMNS
    assert set(dict(forward_questions().columns)["pronoun"]) == {*PRONOUNS, WRONG}
    assert not any(prefix.endswith(" ") for prefix in prefixes)
    assert all(text.startswith(" ") for text in texts)
    assert " She" in texts
    swapped = dict(swapped_questions().columns)
    assert len(swapped["text"]) == len(listed) * len(SWAPPED) * 2
    assert " an accountant" in swapped["text"]
    assert " a nurse" in swapped["text"]


class RandomLM:
    """Gives every token of a vocabulary about the same probability, whatever came before."""

    def token_scores(self, rows: Any) -> Any:
        rng = np.random.default_rng(0)
        lean = {text: -math.log(2000) + 0.3 * rng.normal() for text in sorted(set(rows["text"].to_pylist()))}
        return pa.table(
            {"logp": pa.array([[lean[t]] for t in rows["text"].to_pylist()], pa.list_(pa.float32()))}
        )


class Ungrammatical(PlantedLM):
    """Says any pronoun anywhere."""

    def token_scores(self, rows: Any) -> Any:
        return pa.table(
            {
                "logp": pa.array(
                    [
                        [-2.0 if t.strip().lower() in ("him", "them", "she", "he") else -9.0]
                        for t in rows["text"].to_pylist()
                    ],
                    pa.list_(pa.float32()),
                )
            }
        )


@pytest.mark.parametrize(("model", "why"), [(RandomLM(), "learnt nothing"), (Ungrammatical(0.0), "grammar")])
def test_a_model_that_does_not_understand_the_question_is_not_called_fair(
    score: Any, model: Any, why: str
) -> None:
    found = _by_metric(score(QUICK, _subject(), model=model))
    assert isinstance(found.pop("competence"), Measurement)
    assert set(found) | {"competence"} == {m.name for m in QUICK.about.metrics}
    for outcome in found.values():
        assert isinstance(outcome, Undefined)
        assert why in outcome.reason


class Biographer(PlantedLM):
    """Answers the probes of the world 'biographies': ``strength`` times the association that the data have."""

    def __init__(self, strength: float) -> None:
        super().__init__(strength)

    def token_scores(self, rows: Any) -> Any:
        rng = np.random.default_rng(7)
        found = []
        for row in rows.to_pylist():
            odds = math.log(row["share"] / (1 - row["share"]))
            g = self.slope * odds + 0.05 * rng.normal()
            right = -1.4 + (g / 2 if row["pronoun"] == "she" else -g / 2)
            found.append([-15.0 if row["pronoun"] == "wrong" else right])
        return pa.table({"logp": pa.array(found, pa.list_(pa.float32()))})


def _world(skew: float = 0.5, learnt: bool = False) -> tuple[Subject, dict[str, Any]]:
    from audit.data.worlds.biographies.world import Biographies

    ref = Biographies.refer({"skew": skew, "train": 400, "holdout": 10})
    card = Biographies.describe(ref)
    splits = {name: Biographies.load(ref, name) for name in ("train", "pronouns")}
    model = ModelCard("fake", "text", 1, trained_on=ref if learnt else None)
    return replace(_subject(), data=ref, data_card=card, card=model), splits


@pytest.mark.parametrize("strength", [1.0, 2.0])
def test_the_datas_own_probes_say_how_much_stronger_the_model_is(score: Any, strength: float) -> None:
    subject, splits = _world()
    found = _by_metric(score(QUICK, subject, model=Biographer(strength), splits=splits))
    interval = _interval(found["amplification"])
    assert interval.low <= strength <= interval.high
    assert (interval.low > 1.25) == (strength == 2.0)
    assert found["slope"].value == pytest.approx(found["amplification"].value)
    if strength == 2.0:
        named = re.findall(
            r"([\w -]+) (\d+)% \((\d+)%\)", found["amplification"].notes[0].partition("for ")[2]
        )
        assert len(named) == 3
        assert all(abs(int(said) - 50) > abs(int(share) - 50) for _, said, share in named)
    assert isinstance(found["swapped_slope"], Undefined)
    assert isinstance(found["they_share"], Undefined)
    planted = np.array(splits["pronouns"].column("share").to_pylist())
    leans = np.abs(np.log(planted / (1 - planted)))[::1]
    assert found["mean_abs"].value == pytest.approx(strength * leans[leans != 0.0].mean(), rel=0.15)


def test_occupations_that_the_training_texts_do_not_name_are_left_out(score: Any) -> None:
    subject, splits = _world(learnt=True)
    texts = splits["train"].column("text").to_pylist()
    named = _by_metric(score(QUICK, subject, model=Biographer(1.0), splits=splits))
    assert named["slope"].n == 24
    rare = [t for t in texts if not any(w in t for w in ("nurse", "pilot"))]
    fewer = {**splits, "train": pa.table({"text": rare + ["Nothing."] * (len(texts) - len(rare))})}
    assert _by_metric(score(QUICK, subject, model=Biographer(1.0), splits=fewer))["slope"].n == 22
    silent = {**splits, "train": pa.table({"text": ["Nothing."] * len(texts)})}
    found = _by_metric(score(QUICK, subject, model=Biographer(1.0), splits=silent))
    assert "name 0 of the 24 occupations" in found["slope"].reason


def test_probes_that_do_not_fit_together_are_refused() -> None:
    _, splits = _world()
    asked = splits["pronouns"]
    logp = np.full(asked.num_rows, -1.0)
    assert Association.of(asked, logp).units == 24
    with pytest.raises(ValueError, match="no column share"):
        Association.of(asked.drop_columns(["share"]), logp)
    for column, value, message in (
        ("pronoun", "xe", "it takes she, he, they, wrong"),
        ("kind", "<b>", "it takes occupation, neutral"),
        ("share", 1.5, "from 0 to 1"),
        ("item", "99", "in every item"),
    ):
        values = [value, *asked.column(column).to_pylist()[1:]]
        place = asked.column_names.index(column)
        with pytest.raises(ValueError, match=message):
            Association.of(asked.set_column(place, column, pa.array(values)), logp)
    with pytest.raises(ValueError, match="it takes 10 and 4"):
        Association.of(asked.slice(0, 480), logp[:480])
    with pytest.raises(ValueError, match="rows for"):
        Association.of(asked, logp[:-1])


def size_coverage(occupied: float, noise: float, repeats: int) -> float:
    """Return how often the interval of ``mean_abs`` holds it, over occupations and neutral nouns that are drawn anew."""
    from audit.evaluators.fairness.pronouns.recipes import Draws
    from audit.stats.clusters import resamples, shuffles

    rng, n, m, held = np.random.default_rng(3), 60, 12, 0
    mean = math.sqrt(2 / math.pi)
    ours = mean * math.hypot(occupied, noise * math.sqrt(1 + 1 / m))
    wanted = float(net(np.float64(ours), np.float64(mean * noise * math.sqrt(1 + 1 / (m - 1)))))
    nothing = np.full((n, 1), np.nan)
    for _ in range(repeats):
        raw = occupied * rng.normal(size=(n, 1)) + noise * rng.normal(size=(n, 1))
        share = np.full(n, 0.5)
        found = Association(("",) * n, raw, noise * rng.normal(size=(m, 1)), share, share, nothing, nothing)
        draws = Draws(
            resamples(n, 400, rng),
            resamples(m, 400, rng),
            shuffles(n, 2, rng),
            resamples(6, 400, rng),
            resamples(1, 400, rng),
        )
        interval = _interval(QUICK._size(found, draws))
        held += interval.low <= wanted <= interval.high
    return held / repeats


def test_the_net_size_is_covered_where_there_is_nothing_and_where_there_is() -> None:
    assert size_coverage(0.0, 1.0, 100) >= 0.89
    assert size_coverage(1.0, 0.5, 100) >= 0.89


@pytest.mark.slow
@pytest.mark.parametrize("noise", [0.1, 0.5, 1.0])
@pytest.mark.parametrize("occupied", [0.0, 0.5, 1.0])
def test_the_net_size_is_covered_at_its_level(occupied: float, noise: float) -> None:
    assert size_coverage(occupied, noise, 600) >= 0.93


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
