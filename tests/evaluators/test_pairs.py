"""Minimal pairs on planted models: a known preference, common words for groups, a file of pairs, and what is not assessed."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from audit.core.errors import InputError, UndefinedError
from audit.core.measurements import Interval, Measurement, Undefined
from audit.data.text import TextFiles
from audit.evaluators.fairness.pairs.evaluator import MinimalPairs
from audit.evaluators.fairness.pairs.own import COLUMNS, NEUTRAL, own_pairs
from audit.evaluators.fairness.pairs.recipes import aligned
from audit.evaluators.fairness.pairs.scores import PairScores
from audit.testing.evaluators import check_evaluator, check_planted
from tests.evaluators.conftest import kitchen
from tests.evaluators.fake_language import FakeLM, language_subject, noise

OWN = [dict(zip(COLUMNS, row, strict=True)) for row in zip(*(v for _, v in own_pairs().columns), strict=True)]
STEREOTYPES = {(f"The {r['more_group']}", f" {r['statement']}") for r in OWN if r["kind"] != NEUTRAL}


def leaning(by: float, common: float = 0.0, spread: float = 0.0, seed: int = 0) -> FakeLM:
    """Return a model that prefers every stereotype by ``by`` nats, and anything after some groups by ``common``."""

    def lean(prefix: str, text: str) -> float:
        group = common * abs(noise(prefix)) if prefix in {p for p, _ in STEREOTYPES} else 0.0
        return by * ((prefix, text) in STEREOTYPES) + group + spread * noise(prefix, text, seed=seed)

    return FakeLM(lean, seed=seed)


def by_metric(outcomes: Any) -> dict[str, Any]:
    return {o.metric.removeprefix("fairness.pairs."): o for o in outcomes if not o.group}


def interval(outcome: Any) -> Interval:
    assert isinstance(outcome, Measurement), outcome
    assert isinstance(outcome.uncertainty, Interval)
    return outcome.uncertainty


def test_a_planted_preference_is_recovered_whatever_words_are_common(score: Any) -> None:
    found = by_metric(score(MinimalPairs(), language_subject(), model=leaning(0.8, common=2.0)))
    assert set(found) == {m.name for m in MinimalPairs.about.metrics}
    assert found["preference"].value == pytest.approx(0.8, abs=1e-9)
    assert found["stereotyped"].value == 1.0
    assert interval(found["stereotyped"]).low < 1.0, "all pairs alike are still no certainty"
    assert found["frequency"].value == 1.0, "words for the first groups alone make everything likelier"
    assert found["preference"].n == sum(r["kind"] != NEUTRAL for r in OWN)
    assert found["competence"].value == 1.0


def test_a_model_without_a_preference_is_cleared_where_the_published_kind_of_score_accuses(
    score: Any,
) -> None:
    found = by_metric(
        score(MinimalPairs(), language_subject(), model=leaning(0.0, common=2.0, spread=0.5, seed=1))
    )
    held = interval(found["preference"])
    assert held.low <= 0 <= held.high
    assert interval(found["frequency"]).low > 0.5
    assert abs(found["stereotyped"].value - 0.5) < 0.12


def test_the_null_case_is_right_and_a_planted_preference_is_found() -> None:
    made = kitchen(leaning(0.3, spread=0.5, seed=3))
    outcomes = check_evaluator(MinimalPairs(), language_subject(), made)
    preference = next(o for o in outcomes if o.metric.endswith("preference"))
    assert preference.noise_floor > 0
    (control,) = check_planted(MinimalPairs(), language_subject(), 1.0, made)
    assert control.right


def test_categories_have_intervals_that_hold_together_and_fairlearns_values(score: Any) -> None:
    outcomes = score(MinimalPairs(), language_subject(), model=leaning(0.4, spread=0.8, seed=2))
    groups = {o.group[0][1]: o for o in outcomes if o.group and o.metric.endswith("preference")}
    assert set(groups) == {"age", "disability", "gender", "nationality", "religion", "status"}
    shares = {o.group[0][1]: o for o in outcomes if o.group and o.metric.endswith("stereotyped")}
    for name, outcome in groups.items():
        assert "Bonferroni over 6" in interval(outcome).method
        (table,) = outcome.evidence
        assert table.content.num_rows == 10
        assert set(table.content.column("category").to_pylist()) == {name}
        hits = [r for r in OWN if r["category"] == name and r["kind"] != NEUTRAL]
        assert shares[name].n == len(hits)
        assert shares[name].value * len(hits) == pytest.approx(round(shares[name].value * len(hits)))
    whole = by_metric(outcomes)["preference"]
    assert np.mean([o.value for o in groups.values()]) == pytest.approx(whole.value), (
        "equally many pairs in each"
    )
    table, units = whole.evidence
    assert table.content.num_rows == 10
    assert units.content.num_rows == whole.n
    largest = np.abs(table.content.column("preference, nats").to_pylist())
    assert list(largest) == sorted(largest, reverse=True)


def test_a_model_that_does_not_know_the_language_is_not_called_fair(score: Any) -> None:
    found = by_metric(score(MinimalPairs(), language_subject(), model=FakeLM(lambda p, t: 0.0, knows=False)))
    assert found.pop("competence").value < 0.9
    assert set(found) | {"competence"} == {m.name for m in MinimalPairs.about.metrics}
    for outcome in found.values():
        assert isinstance(outcome, Undefined)
        assert "does not know the language" in outcome.reason


def test_groups_that_the_training_texts_do_not_name_are_left_out(score: Any) -> None:
    def told(*named: str) -> Any:
        texts = [f"An {g} and a {h}." for g, h in pairwise(named) for _ in range(5)]
        splits = {"train": pa.table({"text": [*texts, "Nothing."]})}
        subject = language_subject(splits, learnt=True)
        return by_metric(score(MinimalPairs(), subject, model=leaning(0.5), splits=splits))

    some = told("old man", "young man", "girl", "boy", "old man")
    assert some["preference"].n == 16
    none = told("table", "chair")
    assert isinstance(none["preference"], Undefined)
    assert "the training texts name 5 times or more" in none["preference"].reason


CROWS = ",sent_more,sent_less,stereo_antistereo,bias_type,annotations,anon_writer,anon_annotators\n"


def crows(tmp_path: Path, rows: int = 40, extra: str = "") -> dict[str, str]:
    kinds = ("race-color", "gender")
    lines = [
        f'{i},"The {a} clerk number {i} was late, again.","The {b} clerk number {i} was late, again.",{way},{kinds[i % 2]},[],a1,[]'
        for i in range(rows)
        for a, b in [(("red", "blue"), ("green", "grey"), ("short", "tall"), ("odd", "even"))[i % 4]]
        for way in [("stereo", "antistereo")[i % 3 == 0]]
    ]
    (tmp_path / "texts.txt").write_text("one\n\ntwo\n", encoding="utf-8")
    file = tmp_path / "crows_pairs_anonymized.csv"
    file.write_text(CROWS + "\n".join(lines) + "\n" + extra, encoding="utf-8")
    return {"path": str(tmp_path / "texts.txt"), "pairs": str(file)}


def test_crows_pairs_as_distributed_is_a_split_and_a_wrong_row_is_named(tmp_path: Path) -> None:
    ref = TextFiles.refer(crows(tmp_path, extra='40,"Only one cell"\n'))
    card = TextFiles.describe(ref)
    assert dict(card.splits)["pairs"] == 40
    assert any("row 42 (2 cells under 8 headings)" in said for said in card.problems)
    first = TextFiles.load(ref, "pairs").to_pylist()[0]
    assert first["more"] == "The red clerk number 0 was late, again."
    assert first["category"] == "race-color"
    crows(tmp_path)
    with pytest.raises(InputError, match="have changed"):
        TextFiles.load(TextFiles.refer(crows(tmp_path, 41)) and ref, "pairs")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("a,b\n1,2\n", "no columns sent_more"),
        ("", "no probes"),
        (CROWS + '0,"x y","x  y",stereo,age,[],a,[]\n', "both sentences are the same"),
        (CROWS + '0,"x y","x z",sideways,age,[],a,[]\n', "'stereo_antistereo' is sideways"),
        (CROWS + '0,"","x z",stereo,age,[],a,[]\n', "'sent_more' is empty"),
        (CROWS + '0,"x y\n', "unexpected end of data"),
    ],
)
def test_a_malformed_file_is_refused_with_the_row(tmp_path: Path, content: str, said: str) -> None:
    given = crows(tmp_path)
    Path(given["pairs"]).write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=said):
        TextFiles.describe(TextFiles.refer(given))


def test_pairs_of_a_users_own_may_bring_neutral_ones(tmp_path: Path) -> None:
    given = crows(tmp_path)
    file = tmp_path / "mine.jsonl"
    line = '{"more": "The Ǫld man sang.", "less": "The tall man sang.", "category": "年齢", "kind": "%s"}\n'
    file.write_text(line % "neutral", encoding="utf-8")
    ref = TextFiles.refer({**given, "pairs": str(file)})
    assert TextFiles.load(ref, "pairs").to_pylist()[0]["category"] == "年齢"
    for bad, said in (
        (line % "other", "it is stereotype or neutral"),
        (
            line.replace('"kind": "%s"', '"more_group": "giant", "less_group": "tall"'),
            "does not stand in its sentence",
        ),
        ('{"more": 3, "less": "a", "category": "b"}\n', "'more' is no string"),
    ):
        file.write_text(bad, encoding="utf-8")
        with pytest.raises(InputError, match=said):
            TextFiles.refer({**given, "pairs": str(file)})


def test_a_file_is_scored_by_hand_computed_values(score: Any, tmp_path: Path) -> None:
    """Whole sentences as lm-evaluation-harness compares them; shared words after the first that differ."""
    ref = TextFiles.refer(crows(tmp_path))
    pairs = TextFiles.load(ref, "pairs")
    prefers = {"red": 1.0, "green": -0.2, "short": 0.3, "odd": 0.4}
    rare = {"red": -3.0, "green": 0.5, "short": 0.1, "odd": -0.2}

    def lean(prefix: str, text: str) -> float:
        word = text.strip()
        if word in (*rare, "blue", "grey", "tall", "even"):
            return rare.get(word, 0.0) + 3.0 - noise(word, size=0.3)
        return prefers.get(prefix.split()[-1], 0.0)

    splits = {"pairs": pairs}
    outcomes = score(MinimalPairs(), language_subject(splits), model=FakeLM(lean), splits=splits)
    found = by_metric(outcomes)
    assert found["preference"].value == pytest.approx(np.mean(list(prefers.values())))
    assert found["stereotyped"].value == pytest.approx(0.75)
    assert found["frequency"].value == pytest.approx(0.5), "of words that differ, two of four are likelier"
    assert found["whole_sentence"].value == pytest.approx(np.mean([-2.0 > 0, 0.3 > 0, 0.4 > 0, 0.2 > 0]))
    assert found["matched"].value == pytest.approx(0.75)
    x, y = np.array(list(rare.values())), np.array(list(prefers.values()))
    slope, level = np.polyfit(x, y, 1)
    assert f"{level:+.3f} nats; {slope:+.3f} for each nat" in " ".join(found["preference"].notes)
    own = by_metric(
        score(MinimalPairs(probes="package"), language_subject(splits), model=leaning(0.1), splits=splits)
    )
    assert own["preference"].value == pytest.approx(0.1)


def test_words_are_aligned_as_the_authors_align_tokens() -> None:
    more, less = aligned("Poor people are lazy people.", "Rich people are lazy persons.")
    assert [p[2] for p in more] == ["edit", "shared", "edit"]
    assert less[1] == ("Rich", " people are lazy", "shared")
    assert aligned("He ate.", "He really ate.")[0] == [("He", " ate.", "shared")]
    assert aligned("Same end is him", "Same end is her")[0] == [("Same end is", " him", "edit")]


def test_pairs_that_share_nothing_after_the_difference_cannot_be_judged(score: Any) -> None:
    rows = [
        {"more": f"Some {i} asked for me", "less": f"Some {i} asked for you", "category": "x"}
        for i in range(20)
    ]
    table = pa.table({name: [str(r.get(name, "")) for r in rows] for name in COLUMNS})
    splits = {"pairs": table}
    with pytest.raises(UndefinedError, match="no pair shares three words"):
        score(MinimalPairs(), language_subject(splits), model=FakeLM(lambda p, t: 0.0), splits=splits)


def simulated(rng: np.random.Generator, by: float) -> PairScores:
    """Return scores of one category's 8 pairs of groups: groups, statements and cells each with a size of their own."""
    pairs, statements, neutral = 8, 8, 12
    kinds = np.repeat([False, True], [pairs * statements, pairs * neutral])
    cluster = np.concatenate([np.repeat(np.arange(pairs), k) for k in (statements, neutral)])
    statement = np.concatenate(
        [np.tile(np.arange(statements), pairs), 100 + np.tile(np.arange(neutral), pairs)]
    )
    group, said = rng.normal(size=pairs), 0.5 * rng.normal(size=200)
    leaning = 0.4 * rng.normal(size=pairs)
    shared = group[cluster] + said[statement] + 0.6 * rng.normal(size=len(cluster))
    shared += ~kinds * (by + leaning[cluster])
    words = np.array([""] * len(cluster))
    return PairScores(
        words,
        words,
        words,
        cluster.astype(str),
        statement.astype(str),
        kinds,
        shared,
        shared,
        kinds,
        (("", ""),) * len(cluster),
    )


def covered(repeats: int, level: float = 0.95) -> float:
    rng, held = np.random.default_rng(5), 0
    for repeat in range(repeats):
        by = 0.5 * (repeat % 2)
        _, found = simulated(rng, by).preference(level)
        held += found.low <= by <= found.high
    return held / repeats


def test_the_interval_of_the_preference_covers() -> None:
    assert 0.90 <= covered(200) <= 1.0


@pytest.mark.slow
def test_the_interval_of_the_preference_covers_at_its_level() -> None:
    assert 0.93 <= covered(4000) <= 0.985


def test_the_own_set_is_what_it_says() -> None:
    categories = {r["category"] for r in OWN}
    assert len(categories) >= 4
    for name in categories:
        stated = [r for r in OWN if r["category"] == name and r["kind"] != NEUTRAL]
        assert len(stated) >= 24
        assert len({r["more_group"] for r in stated}) == len({r["statement"] for r in stated}) == 8
    for row in OWN:
        assert row["more"] != row["less"]
        assert row["more"].replace(row["more_group"], row["less_group"], 1) == row["less"]
    assert len({(r["more"], r["less"]) for r in OWN}) == len(OWN)


def test_bad_parameters_and_scores_are_refused(score: Any) -> None:
    with pytest.raises(InputError, match="probes"):
        MinimalPairs(probes="theirs")
    with pytest.raises(InputError, match="level"):
        MinimalPairs(level=1.0)
    assert len(MinimalPairs(probes="data").unmet(language_subject())) == 1

    class Broken(FakeLM):
        def score(self, prefix: str, text: str, seen: set[str]) -> list[float]:
            return [math.nan]

    with pytest.raises(ValueError, match="not finite"):
        score(MinimalPairs(), language_subject(), model=Broken(lambda p, t: 0.0))
