"""How often each fairness evaluator of texts accuses a model that treats groups alike: over 200 audits with other seeds, in at most one of twenty.

Scores and answers are drawn, not computed by a model; groups, statements, names and frames vary as they do in the package's own probes, and are drawn
anew for each audit. The bound is exact: a rate of 5 % is above it once in a thousand runs. Each of the same audits is then given what it
looks for, and has to pass the bound.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from audit.core.measurements import Interval
from audit.evaluators.fairness.ambiguity.intervals import mean_within
from audit.evaluators.fairness.dialect.own import own_pairs as own_dialects
from audit.evaluators.fairness.generation.gaps import written_of
from audit.evaluators.fairness.generation.own import own_prompts
from audit.evaluators.fairness.names.effects import Answers, effects
from audit.evaluators.fairness.names.own import own_names
from audit.evaluators.fairness.pairs.own import NEUTRAL, own_pairs
from audit.evaluators.fairness.pairs.scores import PairScores
from audit.evaluators.fairness.personalised.evaluator import PersonalisedOutput
from audit.evaluators.fairness.pronouns.evaluator import PronounAssociation
from audit.evaluators.fairness.pronouns.questions import NEUTRAL_NOUNS, TEMPLATES, occupations
from audit.evaluators.fairness.pronouns.recipes import Draws
from audit.evaluators.fairness.pronouns.scores import Association
from audit.evaluators.fairness.stereotypes.evaluator import _interval, _sides
from audit.evaluators.fairness.stereotypes.own import COLUMNS, LABELS, own_items
from audit.evaluators.fairness.stereotypes.scores import ItemDraws, drawn_shares, mean_share, triples
from audit.stats.clusters import clustered_mean, resamples, shuffles
from audit.stats.personal import compared, kernels
from audit.testing.memory import Kitchen

REPEATS = 200
ALLOWED = int(stats.binom.isf(0.001, REPEATS, 0.05))
"""Alarms that a rate of 5 % exceeds once in a thousand runs."""
Audit = Callable[[np.random.Generator, float], dict[str, bool]]


def outside(interval: object, null: float = 0.0) -> bool:
    return isinstance(interval, Interval) and not interval.low <= null <= interval.high


def columns_of(given: object) -> dict[str, np.ndarray]:
    return {name: np.array(values) for name, values in given.columns}  # type: ignore[attr-defined]


def spread(rng: np.random.Generator, *labels: np.ndarray) -> np.ndarray:
    """Return a normal number for each combination of labels."""
    joined = np.array([" | ".join(row) for row in zip(*labels, strict=True)])
    names, which = np.unique(joined, return_inverse=True)
    return np.asarray(rng.normal(size=len(names))[which])


def pronouns(rng: np.random.Generator, strength: float) -> dict[str, bool]:
    percent = np.array([o.women_percent for o in occupations()])
    n, m, t = len(percent), len(NEUTRAL_NOUNS), len(TEMPLATES)
    odds = np.log(np.clip(percent, 1, 99) / (100 - np.clip(percent, 1, 99)))
    own = 0.6 * rng.normal(size=n)
    raw = (strength * odds + own)[:, None] + 0.2 * rng.normal(size=(n, t)) + rng.normal(size=t)
    neutral = 0.6 * rng.normal(size=(m, 1)) + 0.2 * rng.normal(size=(m, t))
    nothing = np.full((n, t), np.nan)
    found = Association(
        tuple(map(str, range(n))),
        raw,
        neutral,
        np.full(n, 0.1),
        percent / 100,
        nothing,
        nothing,
        raw.mean(axis=1),
    )
    draws = Draws(
        resamples(n, 400, rng), resamples(m, 400, rng), shuffles(n, 199, rng), resamples(6, 400, rng), resamples(t, 400, rng)
    )  # fmt: skip
    asked = PronounAssociation(resamples=400)
    rank = asked._spearman(found, draws)
    assert rank.p_value is not None
    return {
        "slope": outside(asked._slope(found, draws).uncertainty),
        "spearman": outside(rank.uncertainty),
        "p": rank.p_value <= 0.05,
        "mean_abs": outside(asked._size(found, draws).uncertainty),
    }


def pairs(rng: np.random.Generator, strength: float) -> dict[str, bool]:
    (rows,) = Kitchen().shards(own_pairs())
    text = {name: np.array(rows.column(name).to_pylist()) for name in rows.column_names}
    n, neutral = rows.num_rows, text["kind"] == NEUTRAL
    cluster = np.char.add(np.char.add(text["more_group"], "/"), text["less_group"])
    shared = spread(rng, cluster) + 0.5 * spread(rng, text["statement"]) + 0.6 * rng.normal(size=n)
    shared += ~neutral * (strength + 0.4 * spread(rng, cluster))
    found = PairScores(
        text["more"], text["less"], text["category"], cluster, text["statement"], neutral, shared, shared, neutral,
        tuple(zip(text["more_group"], text["less_group"], strict=True)),
    )  # fmt: skip
    return {"preference": outside(found.preference(0.95)[1])}


def stereotypes(rng: np.random.Generator, strength: float) -> dict[str, bool]:
    items = own_items()
    (rows,) = Kitchen().shards(items)
    text = {name: np.array(rows.column(name).to_pylist()) for name in COLUMNS}
    lean = 0.5 * spread(rng, text["target"]) + 0.5 * spread(rng, text["statement"])
    logp = np.where(text["label"] == LABELS[0], strength + lean, 0.0) + rng.normal(size=rows.num_rows)
    found = triples(rows, logp - 4 * (text["label"] == LABELS[2]), np.ones(rows.num_rows, np.int64))
    (drawn,) = Kitchen().shards(ItemDraws(items, 300, int(rng.integers(1 << 30))))
    hits, kept = _sides(found.per_token), ~found.neutral
    some = found.only(kept)
    value, draws = mean_share(hits[kept], some), drawn_shares(hits[kept], some, drawn)
    return {"ss": outside(_interval(value, draws, len(some.target_names), 0.95), 50.0)}


def ambiguity(rng: np.random.Generator, strength: float) -> dict[str, bool]:
    """Twenty-four templates of four questions, each in three orders; templates differ in how often a person is named and which."""
    templates = 24
    which = np.repeat(np.arange(templates), 4)
    named = rng.beta(2, 3, size=templates)[which]
    with_it = np.clip(0.5 + strength + 0.15 * rng.normal(size=templates), 0, 1)[which]
    answers = rng.random((3, len(which))) < named
    sided = np.where(rng.random((3, len(which))) < with_it, 1.0, -1.0)
    lean = np.where(answers, sided, 0.0).mean(axis=0)
    return {"bias_ambiguous": outside(mean_within(lean, which, 0.95, lowest=-1.0)[1])}


def dialect(rng: np.random.Generator, strength: float) -> dict[str, bool]:
    text = columns_of(own_dialects())
    extra = (
        2 * spread(rng, text["dialect"], text["feature"]) + rng.gamma(4, 0.7, size=len(text["text"])) - 2.8
    )
    features = np.char.add(np.char.add(text["dialect"], ": "), text["feature"])
    return {"extra_bits": outside(clustered_mean(extra + strength, features)[1])}


def generation(rng: np.random.Generator, strength: float) -> dict[str, bool]:
    each = 4
    text = columns_of(own_prompts(each))
    group, category, frame = text["group"], text["category"], text["frame"]
    n, struck = len(group), np.isin(group, ("woman", "Muslim man", "Latina woman"))
    both = 0.5 * spread(rng, category, frame)
    sentiment = both + 0.1 * spread(rng, group, frame) + 0.7 * rng.normal(size=n) - strength * struck
    words = 12 + 3 * spread(rng, category, frame) + 4 * rng.normal(size=n) + 8 * strength * struck
    toxic = (rng.random(n) < np.clip(0.1 + 0.05 * both + strength * struck / 2, 0, 1)).astype(float)
    refused = (rng.random(n) < np.clip(0.05 + strength * struck / 2, 0, 1)).astype(float)
    outcomes = np.column_stack([words, refused, sentiment, toxic])
    found = written_of(
        [""] * n, outcomes, toxic, np.full(n, 0.5) + 0.01 * both, [group, category, frame],
        list(dict.fromkeys(group.tolist())), rng, each=each, k=3,
    )  # fmt: skip
    return {
        f"{outcome}_gap": any(outside(g.interval) for g in found.gaps if g.outcome == outcome)
        for outcome in ("length", "refusal", "sentiment", "toxicity")
    }


def names(rng: np.random.Generator, strength: float) -> dict[str, bool]:
    text = columns_of(own_names())
    n, groups = len(text["name"]), text["group"]
    struck = (groups == np.unique(groups)[0])[:, None]
    y = (
        0.3 * rng.normal(size=(n, 1))
        + rng.normal(size=(1, 12))
        + 0.5 * rng.normal(size=(n, 12))
        + strength * struck
    )
    yes = np.ones((8, 12), dtype=bool)
    asked = Answers(tuple(text["name"]), groups, text["gender"], y, rng.normal(size=n), np.ones(n), yes, yes)
    found = effects(asked, np.ones(n, bool), rng, permutations=199)
    return {
        "p": found.p <= 0.05,
        "gap": outside(found.gap_interval),
        "adjusted": outside(found.adjusted_interval),
    }


def personalised(rng: np.random.Generator, strength: float) -> dict[str, bool]:
    asked = PersonalisedOutput().asked()
    requests, people = len(asked.requests), len(asked.people)
    answers = 3 * rng.normal(size=(requests, 1, 1, 4)) + 0.5 * rng.normal(size=(1, people, 1, 4))
    answers = answers + rng.normal(size=(requests, people, 1, 4))
    answers[:, asked.codes == 0] += strength
    found = compared(kernels(answers), asked.codes, rng, permutations=99)
    return {"distance": found.interval.low > 0, "share": found.share_interval.low > 0, "p": found.p <= 0.05}


AUDITS: tuple[tuple[Audit, float], ...] = (
    (pronouns, 0.4), (pairs, 0.8), (stereotypes, 0.8), (ambiguity, 0.3), (dialect, 1.5), (generation, 0.5), (names, 0.5), (personalised, 1.0),
)  # fmt: skip
"""Every evaluator of texts with what is planted for it, in its own units."""


def alarms(audit: Audit, strength: float, repeats: int = REPEATS) -> dict[str, int]:
    """Return how many of the audits accuse the model, by what they accuse it with."""
    seeds = np.random.SeedSequence(11).spawn(repeats)
    found = [audit(np.random.default_rng(seed), strength) for seed in seeds]
    return {name: sum(one[name] for one in found) for name in found[0]}


@pytest.mark.slow
@pytest.mark.parametrize(("audit", "strength"), AUDITS, ids=lambda v: getattr(v, "__name__", ""))
def test_a_model_that_treats_groups_alike_is_rarely_accused(audit: Audit, strength: float) -> None:
    found = alarms(audit, 0.0)
    assert {name: n for name, n in found.items() if n > ALLOWED} == {}


@pytest.mark.slow
@pytest.mark.parametrize(("audit", "strength"), AUDITS, ids=lambda v: getattr(v, "__name__", ""))
def test_one_that_does_not_is_and_so_fails_the_same_bound(audit: Audit, strength: float) -> None:
    found = alarms(audit, strength)
    assert {name: n for name, n in found.items() if n <= ALLOWED} == {}


@pytest.mark.parametrize(("audit", "strength"), AUDITS, ids=lambda v: getattr(v, "__name__", ""))
def test_a_few_of_these_audits(audit: Audit, strength: float) -> None:
    """The same in a second: four audits without anything and two with it."""
    assert max(alarms(audit, 0.0, 4).values()) <= 2
    assert max(alarms(audit, strength, 2).values()) == 2


def test_the_bound_is_one_that_a_tripled_rate_does_not_pass() -> None:
    assert stats.binom.sf(ALLOWED, REPEATS, 0.05) <= 1e-3
    assert stats.binom.cdf(ALLOWED, REPEATS, 0.15) < 0.05
