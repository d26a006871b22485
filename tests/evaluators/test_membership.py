"""Membership inference on planted leaks and their clean twins, and the gate against splits that differ by themselves."""

from __future__ import annotations

import math
import zlib
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from audit.core.capabilities import Capability
from audit.core.data_facts import Copies, Overlap
from audit.core.errors import InputError
from audit.core.identity import Digest
from audit.core.measurements import Interval, Measurement, Undefined
from audit.core.references import DataRef, ModelRef
from audit.core.register import AT_RISK
from audit.core.rows import image_rows, images_of, text_rows
from audit.core.subjects import DataCard, ModelCard, Subject
from audit.evaluators.privacy.attacks import token_attacks
from audit.evaluators.privacy.blind import BlindFeatures, BlindScores
from audit.evaluators.privacy.membership import MembershipInference

QUICK = MembershipInference(permutations=199)


def _subject(
    capability: Capability, modality: str, train: int, holdout: int, randomised: bool = True
) -> Subject:
    return Subject(
        model=ModelRef("fake", Digest("0" * 40)),
        card=ModelCard("fake", modality, 1),
        offers=frozenset({capability}),
        data=DataRef("fake", Digest("1" * 40)),
        data_card=DataCard(modality, (("train", train), ("holdout", holdout)), randomised=randomised),
        extractors=(),
        sample_size=10,
        seed=0,
        shard_size=64,
    )


def _texts(rng: np.random.Generator, n: int, vocabulary: tuple[str, ...]) -> list[str]:
    return [" ".join(rng.choice(vocabulary, size=rng.integers(5, 25))) for _ in range(n)]


COMMON = ("one", "two", "three", "four", "five", "six", "seven", "red", "green", "blue", "grey")


class LeakyLM:
    """Random token statistics; a member's every token is ``leak`` nats likelier."""

    def __init__(self, members: list[str], leak: float) -> None:
        self.members, self.leak = set(members), leak

    def token_scores(self, rows: Any) -> Any:
        columns: dict[str, list[Any]] = {"logp": [], "mean": [], "variance": []}
        for text in rows.column("text").to_pylist():
            rng, n = np.random.default_rng(zlib.crc32(text.encode())), len(text.split())
            mean, variance = rng.normal(-4, 0.5, n), rng.uniform(0, 6, n)
            logp = mean + np.sqrt(variance) * rng.normal(size=n) + self.leak * (text in self.members)
            for name, values in (("logp", logp), ("mean", mean), ("variance", variance)):
                columns[name].append(values.astype(np.float32))
        return pa.table({name: pa.array(v, pa.list_(pa.float32())) for name, v in columns.items()})


class Memoriser:
    """Reconstructs members better by ``leak`` grey levels."""

    def __init__(self, members: Any, leak: float) -> None:
        self.members, self.leak = {image.tobytes() for image in members}, leak

    def reconstruct(self, rows: Any, rng: np.random.Generator) -> Any:
        images = images_of(rows).astype(float)
        known = np.array([image.tobytes() in self.members for image in images_of(rows)])
        spread = rng.uniform(10, 20, len(images)) - self.leak * known
        noisy = images + rng.normal(size=images.shape) * spread[:, None, None, None]
        return image_rows(np.clip(noisy, 0, 255).astype(np.uint8))


def _by_metric(outcomes: list[Any]) -> dict[str, Any]:
    return {o.metric.removeprefix("privacy.membership."): o for o in outcomes}


def _interval(outcome: Any) -> Interval:
    assert isinstance(outcome, Measurement), outcome
    assert isinstance(outcome.uncertainty, Interval)
    return outcome.uncertainty


def test_a_planted_leak_is_found_and_shown_in_text(score: Any) -> None:
    rng = np.random.default_rng(0)
    train, holdout = _texts(rng, 420, COMMON), _texts(rng, 400, COMMON)
    found = _by_metric(
        score(
            QUICK,
            _subject(Capability.TOKEN_SCORES, "text", 420, 400),
            model=LeakyLM(train, 1.5),
            splits={"train": text_rows(train), "holdout": text_rows(holdout)},
        )
    )
    assert set(found) <= {m.removeprefix("privacy.membership.") for m in QUICK.about.declared}
    assert _interval(found["auc"]).low > 0.6
    assert found["auc"].p_value == 1 / 200
    assert found["auc"].baseline == 0.5
    assert _interval(found["blind_auc"]).low <= 0.5
    assert _interval(found["excess"]).low > 0
    assert {"auc.loss", "auc.zlib", "auc.min_k", "auc.min_k_plus_plus"} <= set(found)
    assert found["tpr_at_fpr_1pct"].value > found["tpr_at_fpr_1pct"].baseline
    assert isinstance(found["tpr_at_fpr_1permille"], Undefined)
    assert "it takes 1000" in found["tpr_at_fpr_1permille"].reason
    assert _interval(found["tpr_at_fpr_1pct"]).low > 0.01, (
        "far more members than chance lie above one non-member in a hundred"
    )
    curve, exposed, named = found["auc"].evidence
    assert named.kind == AT_RISK
    assert not curve.sensitive
    assert exposed.sensitive
    assert exposed.kind == "texts"
    assert set(exposed.content.column("text").to_pylist()) <= set(train)
    assert exposed.content.column("attack score").to_pylist() == sorted(
        exposed.content.column("attack score").to_pylist(), reverse=True
    )
    notes = [note for o in found.values() for note in getattr(o, "notes", ())]
    words = " ".join([*notes, *QUICK.about.caveats]).lower()
    assert "lower bound" in words
    assert "private" not in words


def test_a_clean_twin_is_at_chance_at_the_nominal_rate(score: Any) -> None:
    contained = {"auc": 0, "excess": 0, "blind_auc": 0}
    evaluator = MembershipInference(permutations=99, examples=0)
    for replicate in range(40):
        rng = np.random.default_rng(1000 + replicate)
        images = rng.integers(0, 256, size=(120, 6, 6, 1), dtype=np.uint8)
        subject = _subject(Capability.RECONSTRUCT, "image", 60, 60)
        splits = {"train": image_rows(images[:60]), "holdout": image_rows(images[60:])}
        found = _by_metric(score(evaluator, subject, model=Memoriser([], 0), splits=splits))
        for name, centre in (("auc", 0.5), ("excess", 0.0), ("blind_auc", 0.5)):
            contained[name] += _interval(found[name]).low <= centre <= _interval(found[name]).high
    assert min(contained.values()) >= 35  # P(fewer | 95% coverage) is about 0.003


def test_a_memorising_autoencoder_is_found_through_the_same_file(score: Any) -> None:
    rng = np.random.default_rng(2)
    images = rng.integers(0, 256, size=(200, 8, 8, 3), dtype=np.uint8)
    found = _by_metric(
        score(
            QUICK,
            _subject(Capability.RECONSTRUCT, "image", 100, 100),
            model=Memoriser(images[:100], 6.0),
            splits={"train": image_rows(images[:100]), "holdout": image_rows(images[100:])},
        )
    )
    assert _interval(found["auc"]).low > 0.6
    assert not any(name.startswith("auc.") for name in found)
    assert found["auc"].evidence[1].kind == "images"
    assert "it takes 368" in found["tpr_guaranteed_1pct"].reason


@pytest.mark.parametrize("randomised", [True, False])
def test_members_that_differ_by_themselves_close_the_gate(score: Any, randomised: bool) -> None:
    rng = np.random.default_rng(3)
    train = _texts(rng, 150, (*COMMON, "2021", "zebra"))
    holdout = _texts(rng, 150, (*COMMON, "2024", "quince"))
    found = _by_metric(
        score(
            QUICK,
            _subject(Capability.TOKEN_SCORES, "text", 150, 150, randomised),
            model=LeakyLM(train, 0.3),
            splits={"train": text_rows(train), "holdout": text_rows(holdout)},
        )
    )
    assert _interval(found["blind_auc"]).low > 0.9
    if randomised:
        assert any("look for duplicates" in note for note in found["auc"].notes)
    else:
        for name in ("auc", "tpr_at_fpr_1pct", "auc.loss"):
            assert isinstance(found[name], Undefined)
            assert "Inconclusive" in found[name].reason
        assert isinstance(found["excess"], Measurement)


def test_an_attack_that_beats_the_blind_baseline_passes_the_gate(score: Any) -> None:
    rng = np.random.default_rng(4)
    dim = rng.integers(0, 200, size=(150, 6, 6, 1), dtype=np.uint8)
    bright = rng.integers(16, 216, size=(150, 6, 6, 1), dtype=np.uint8)
    found = _by_metric(
        score(
            QUICK,
            _subject(Capability.RECONSTRUCT, "image", 150, 150, randomised=False),
            model=Memoriser(dim, 9.5),
            splits={"train": image_rows(dim), "holdout": image_rows(bright)},
        )
    )
    assert _interval(found["blind_auc"]).low > 0.5
    assert _interval(found["excess"]).low > 0
    assert any("read 'excess'" in note for note in found["auc"].notes)


def test_token_attacks_have_their_closed_forms() -> None:
    logp, mean = np.array([-1.0, -5.0, -2.0, -0.5, -3.0, -4.0, -1.0, -1.0, -1.0, -9.0]), np.full(10, -2.0)
    scores = token_attacks("some text", logp, mean, np.full(10, 4.0))
    np.testing.assert_allclose(
        scores, [(-7 / 2 - 3 / 2) / 2, -7.0, logp.mean() / len(zlib.compress(b"some text")), logp.mean()]
    )
    short = token_attacks("x", np.array([-3.0]), np.array([-3.0]), np.array([0.0]))  # no spread, one token
    assert np.isfinite(short).all()
    assert short[1] == -3.0


def test_texts_without_a_token_are_left_out_and_said_so(score: Any) -> None:
    rng = np.random.default_rng(5)
    train, holdout = [*_texts(rng, 40, COMMON), "", ""], _texts(rng, 40, COMMON)
    subject = _subject(Capability.TOKEN_SCORES, "text", 42, 40)
    splits = {"train": text_rows(train), "holdout": text_rows(holdout)}
    found = _by_metric(score(QUICK, subject, model=LeakyLM([], 0), splits=splits))
    assert found["auc"].n == 80
    assert any(note.startswith("2 examples") for note in found["auc"].notes)
    empty = {"train": text_rows([""] * 42), "holdout": text_rows(holdout)}
    found = _by_metric(score(QUICK, subject, model=LeakyLM([], 0), splits=empty))
    assert all(isinstance(outcome, Undefined) for outcome in found.values())


def test_a_ledger_that_is_not_finite_is_the_models_fault(score: Any) -> None:
    class Broken(LeakyLM):
        def token_scores(self, rows: Any) -> Any:
            table = super().token_scores(rows)
            logp = pa.array([[math.nan] * 3] * table.num_rows, pa.list_(pa.float32()))
            return table.set_column(0, "logp", logp)

    texts = text_rows(_texts(np.random.default_rng(6), 30, COMMON))
    with pytest.raises(ValueError, match="not finite"):
        score(
            QUICK,
            _subject(Capability.TOKEN_SCORES, "text", 30, 30),
            model=Broken([], 0),
            splits={"train": texts, "holdout": texts},
        )


def test_tables_are_told_apart_by_their_columns(make_shards: Any) -> None:
    rng = np.random.default_rng(7)
    splits = {
        name: pa.table({"age": rng.normal(40 + shift, 5, 80), "job": pa.array([job, None] * 40)})
        for name, shift, job in (("train", 0, "a"), ("holdout", 15, "a"))
    }
    subject = _subject(Capability.LOG_LIKELIHOOD, "table", 80, 80)
    recipe = BlindScores(
        BlindFeatures(subject.real("train")), BlindFeatures(subject.real("holdout")), 0, False
    )
    (blind,) = make_shards(recipe, splits=splits)
    assert abs(blind.members.mean() - blind.nonmembers.mean()) > 0.4


def test_bad_parameters_are_refused() -> None:
    with pytest.raises(InputError, match="permutations"):
        MembershipInference(permutations=3)
    with pytest.raises(InputError, match="max_rows"):
        MembershipInference(max_rows=5)


class Ruling:
    """Gives members of even number a log-likelihood, and rules out everybody else's with some probability."""

    def __init__(self, members: list[str], unscored: int = 0) -> None:
        self.members, self.unscored = members, set(members[:unscored])

    def log_likelihood(self, rows: Any) -> Any:
        texts = rows.column("text").to_pylist()
        known = set(self.members)
        values = [
            float(zlib.crc32(t.encode()) % 97) if t in known or zlib.crc32(t.encode()) % 2 else -math.inf
            for t in texts
        ]
        return np.array([math.nan if t in self.unscored else v for t, v in zip(texts, values, strict=True)])


def test_minus_infinity_is_the_lowest_score_and_nan_is_counted_apart(score: Any) -> None:
    """Half of the non-members are ruled out: the area is 1/2 + 1/2 · P(a member beats one that is not)."""
    rng = np.random.default_rng(5)
    train, holdout = _texts(rng, 300, COMMON), _texts(rng, 300, COMMON)
    case = _subject(Capability.LOG_LIKELIHOOD, "text", 300, 300)
    data = {"train": text_rows(train), "holdout": text_rows(holdout)}
    found = {o.metric: o for o in score(QUICK, case, model=Ruling(train), splits=data)}
    assert found["privacy.membership.auc"].value == pytest.approx(0.75, abs=0.06)
    counted = {o.metric: o for o in score(QUICK, case, model=Ruling(train, unscored=7), splits=data)}
    auc = counted["privacy.membership.auc"]
    assert any("7 examples had nothing to score" in note for note in auc.notes)
    assert auc.n == 593


def test_non_members_that_are_members_are_left_out_or_close_the_audit(score: Any) -> None:
    rng = np.random.default_rng(6)
    train, holdout = _texts(rng, 200, COMMON), _texts(rng, 200, COMMON)
    holdout[:8] = train[:8]
    case = _subject(Capability.TOKEN_SCORES, "text", 200, 200)
    few = replace(
        case,
        data_card=replace(
            case.data_card, overlaps=(Overlap("train", "holdout", tuple(range(8)), (), 200, 200),)
        ),
    )
    data = {"train": text_rows(train), "holdout": text_rows(holdout)}
    found = _by_metric(score(QUICK, few, model=LeakyLM(train, 1.0), splits=data))
    assert found["auc"].n == 392
    assert any(
        "8 rows of 'holdout' that also stand in 'train' are left out" in note for note in found["auc"].notes
    )
    many = replace(
        few,
        data_card=replace(
            case.data_card, overlaps=(Overlap("train", "holdout", tuple(range(75)), (), 150, 150),)
        ),
    )
    (gap,) = QUICK.unmet(many)
    assert gap.found == "75 of 150 rows of 'holdout' also stand in 'train'"


def test_copies_of_one_member_count_once(score: Any) -> None:
    rng = np.random.default_rng(7)
    train, holdout = _texts(rng, 100, COMMON), _texts(rng, 100, COMMON)
    train[50:] = [train[0]] * 50
    case = _subject(Capability.TOKEN_SCORES, "text", 100, 100)
    copies = Copies("train", ((0, *range(50, 100)),), 50, 100, 100)
    clustered = replace(case, data_card=replace(case.data_card, copies=(copies,)))
    data = {"train": text_rows(train), "holdout": text_rows(holdout)}
    found = _by_metric(score(QUICK, clustered, model=LeakyLM([], 0.0), splits=data))
    assert found["auc"].n == 150


def test_what_was_planted_beside_the_others_is_no_member_to_compare() -> None:
    case = _subject(Capability.TOKEN_SCORES, "text", 100, 100)
    planted = replace(case, data_card=replace(case.data_card, alike=(("train", 60),)))
    recipe = planted.drawn("train", 1000)
    assert recipe.examples(0) == 60
    assert recipe.without == tuple(range(60, 100))
