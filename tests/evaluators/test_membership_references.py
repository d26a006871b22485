"""Attacks that compare with reference models: every formula by hand, a leak that only they see, and reference models that do not fit."""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from audit.core.capabilities import Capability
from audit.core.errors import InputError
from audit.core.identity import Digest
from audit.core.measurements import Interval, Measurement, Outcome, Undefined
from audit.core.references import DataRef, ModelRef
from audit.core.rows import image_rows, images_of, text_rows
from audit.core.subjects import DataCard, ModelCard, ReferenceModel, Subject
from audit.evaluators.privacy.altered_texts import AfterOthers, SmallLetters, lowercase, recall
from audit.evaluators.privacy.membership import MembershipInference
from audit.evaluators.privacy.reference_attacks import (
    LEAST_SHIFT,
    LOWEST,
    OFFLINE,
    REFERENCE_ATTACKS,
    WINDOWS,
    reference_attacks,
)
from audit.testing.memory import HandedOut, Kitchen

QUICK = MembershipInference(permutations=199, examples=0)
AUDITED, OTHER, THIRD = (ModelRef("fake", Digest(digit * 40)) for digit in "023")
N = 200


def texts(rng: np.random.Generator, n: int) -> list[str]:
    words = ("One", "two", "three", "Red", "green", "blue", "grey", "seven")
    return [" ".join(rng.choice(words, size=rng.integers(6, 20))) for _ in range(n)]


class LM:
    """Finds each text as hard as its own letters say, and every token of a member likelier by ``leak`` nats."""

    def __init__(self, members: Sequence[str] = (), leak: float = 0.0, seed: int = 0, shift: int = 0) -> None:
        self.members, self.leak, self.seed, self.shift = set(members), leak, seed, shift

    def token_scores(self, rows: Any) -> Any:
        names = ("logp", "mean", "variance", "token", "top1")
        columns: dict[str, list[Any]] = {name: [] for name in names}
        for text in rows.column("text").to_pylist():
            hard = np.random.default_rng(zlib.crc32(text.encode()))
            own = np.random.default_rng((zlib.crc32(text.encode()), self.seed))
            n = len(text.split())
            logp = -3 + hard.normal() + 0.3 * hard.normal(size=n) + 0.3 * own.normal(size=n)
            logp += self.leak * (text in self.members)
            token = [zlib.crc32(word.encode()) % 1000 + self.shift for word in text.split()]
            values = (
                np.minimum(logp, -0.01),
                np.full(n, -4.0),
                np.ones(n),
                token,
                [t + int(logp[i] < -3) for i, t in enumerate(token)],
            )
            for name, value in zip(names, values, strict=True):
                columns[name].append(list(value))
        kinds = {name: pa.int32() if name in ("token", "top1") else pa.float32() for name in names}
        return pa.table({name: pa.array(v, pa.list_(kinds[name])) for name, v in columns.items()})


def subject(*offers: Capability, modality: str = "text", references: int = 1, n: int = N) -> Subject:
    card = ModelCard("fake", modality, 1)
    others = tuple(ReferenceModel(ref, card, frozenset(offers)) for ref in (OTHER, THIRD)[:references])
    return Subject(
        model=AUDITED,
        card=card,
        offers=frozenset(offers),
        data=DataRef("fake", Digest("1" * 40)),
        data_card=DataCard(modality, (("train", n), ("holdout", n)), randomised=True),
        extractors=(),
        sample_size=10,
        seed=0,
        shard_size=64,
        reference_models=others,
    )


class Models(HandedOut):
    """A bench with several models."""

    def __init__(self, models: Mapping[ModelRef, Any], splits: Any) -> None:
        super().__init__(None, splits)
        object.__setattr__(self, "models", models)

    def model(self, ref: ModelRef) -> Any:
        return self.models[ref]  # type: ignore[attr-defined]  # set above


def found(
    evaluator: MembershipInference, asked: Subject, models: Mapping[ModelRef, Any], splits: Any
) -> dict[str, Outcome]:
    outcomes = Kitchen(bench=Models(models, splits)).measure(evaluator, asked)
    return {o.metric.removeprefix("privacy.membership."): o for o in outcomes}


def measured(outcome: Outcome) -> Measurement:
    assert isinstance(outcome, Measurement), outcome
    return outcome


def interval(outcome: Outcome) -> Interval:
    spread = measured(outcome).uncertainty
    assert isinstance(spread, Interval)
    return spread


LOGP = np.array([-1.0, -2.0, -0.5, -4.0])
REF = np.array([-2.0, -1.5, -2.5, -4.0])
MISSED = np.array([True, True, False, True])


def test_every_attack_is_its_formula_by_hand() -> None:
    """Gains over the reference are 1, -0.5, 2 and 0; windows of 2: 0.5, 1.5, 2 > 0; of 3: 2.5, 1.5; of 4: 2.5."""
    ratio, wbc, ez, rmia = reference_attacks(LOGP, [REF], MISSED)
    assert ratio == pytest.approx(2.5 / 4)
    assert wbc == 1.0
    assert ez == pytest.approx(math.log((1 + LEAST_SHIFT) / (0.5 + LEAST_SHIFT)))
    outside = math.exp(-2.5)
    assert rmia == pytest.approx(-1.875 - math.log(((1 + OFFLINE) * outside + 1 - OFFLINE) / 2))
    worse = reference_attacks(REF, [LOGP], MISSED)
    assert worse[0] == pytest.approx(-2.5 / 4)
    assert worse[1] == 0.0
    assert worse[2] == pytest.approx(-ez)


def test_windows_are_those_that_fit() -> None:
    gained = np.array([1.0, -2.0, 0.5])  # of 2: -1, -1.5; of 3: -0.5
    assert reference_attacks(gained - 5, [np.full(3, -5.0)], np.zeros(3, bool))[1] == 0.0
    one = reference_attacks(np.array([-1.0]), [np.array([-3.0])], np.array([True]))
    assert one[1] == 1.0, "a text of one token is one window"
    rng = np.random.default_rng(0)
    own, other = rng.normal(-3, 1, 60), rng.normal(-3, 1, 60)
    shares = [
        np.mean([(own[i : i + w] - other[i : i + w]).sum() > 0 for i in range(61 - w)]) for w in WINDOWS
    ]
    assert reference_attacks(own, [other], np.ones(60, bool))[1] == pytest.approx(np.mean(shares))


def test_a_text_on_which_the_model_lost_nothing_ranks_highest() -> None:
    """The published EZ-MIA returns 0 where nothing was lost, below every text on which something was."""
    none_lost = reference_attacks(np.full(4, -1.0), [np.full(4, -3.0)], np.ones(4, bool))[2]
    some_lost = reference_attacks(np.array([-1.0, -1, -1, -3.5]), [np.full(4, -3.0)], np.ones(4, bool))[2]
    assert none_lost == pytest.approx(math.log((8 + LEAST_SHIFT) / LEAST_SHIFT))
    assert none_lost > some_lost > 0
    assert reference_attacks(np.full(4, -1.0), [np.full(4, -3.0)], np.zeros(4, bool))[2] == 0.0, "no miss"


def test_rmia_ranks_as_the_published_share_of_beaten_texts() -> None:
    rng = np.random.default_rng(1)
    rows = [(rng.normal(-3, 1, 12), [rng.normal(-3, 1, 12) for _ in range(3)]) for _ in range(40)]
    ours = np.array([reference_attacks(own, refs, np.ones(12, bool))[3] for own, refs in rows])
    p = np.array([math.exp(own.mean()) for own, _ in rows])
    outside = np.array([np.mean([math.exp(ref.mean()) for ref in refs]) for _, refs in rows])
    ratio = p / (0.5 * ((1 + OFFLINE) * outside + 1 - OFFLINE))
    published = (ratio[:, None] / ratio[None, :] > 1).mean(axis=1)
    np.testing.assert_array_equal(np.argsort(ours), np.argsort(ratio))
    assert (np.diff(published[np.argsort(ours)]) > 0).all()


def test_several_reference_models_count_by_their_mean() -> None:
    both = reference_attacks(LOGP, [REF, REF - 1], MISSED)
    alone = reference_attacks(LOGP, [REF - 0.5], MISSED)
    np.testing.assert_allclose(both[:3], alone[:3])
    outside = (math.exp(-2.5) + math.exp(-3.5)) / 2
    assert both[3] == pytest.approx(-1.875 - math.log(((1 + OFFLINE) * outside + 1 - OFFLINE) / 2))


def test_a_ruled_out_text_is_lowest_and_a_reference_that_rules_out_decides_nothing() -> None:
    out = reference_attacks(np.array([-1.0, -np.inf]), [np.array([-1.0, -np.inf])], np.ones(2, bool))
    assert (out == -np.inf).all()
    kept = reference_attacks(np.array([-1.0, -2.0]), [np.array([-1.0, -np.inf])], np.ones(2, bool))
    assert np.isfinite(kept).all()
    assert kept[0] == pytest.approx((-2 - LOWEST) / 2)


def test_second_looks_are_ratios_of_mean_losses() -> None:
    own = np.array([-1.0, -2.0, -np.inf, np.nan])
    np.testing.assert_allclose(
        lowercase(own, np.array([-4.0, -2.0, -1.0, -1.0])), [-0.25, -1, -np.inf, np.nan]
    )
    np.testing.assert_allclose(recall(own, np.array([-1.5, -1.0, -1.0, -1.0])), [1.5, 0.5, -np.inf, np.nan])
    assert np.isfinite(lowercase(np.array([-1.0, -1.0]), np.array([0.0, -np.inf]))).all()
    assert np.isfinite(recall(np.array([0.0, -1.0]), np.array([-1.0, -np.inf]))).all()


def test_texts_are_altered_as_a_whole(make_shards: Any) -> None:
    rows = pa.table({"prefix": ["Ab ", "C "], "text": ["Cd", "É"]})
    given = replace(subject(Capability.TOKEN_SCORES, n=2), shard_size=10)
    splits = {"train": rows, "holdout": rows}
    (small,) = make_shards(SmallLetters(given.real("train")), splits=splits)
    assert small.to_pydict() == {"prefix": ["ab ", "c "], "text": ["cd", "é"]}
    (after,) = make_shards(AfterOthers(given.real("train"), given.real("holdout", 1)), splits=splits)
    assert after.to_pydict() == {"prefix": ["Ab Cd\n\nAb ", "Ab Cd\n\nC "], "text": ["Cd", "É"]}


def test_a_leak_hidden_by_how_hard_texts_are_is_found_beside_a_reference_model() -> None:
    rng = np.random.default_rng(0)
    train, holdout = texts(rng, N), texts(rng, N)
    splits = {"train": text_rows(train), "holdout": text_rows(holdout)}
    models = {AUDITED: LM(train, 0.25, 1), OTHER: LM(seed=2), THIRD: LM(seed=3)}
    alone = found(QUICK, subject(Capability.TOKEN_SCORES, references=0), models, splits)
    beside = found(QUICK, subject(Capability.TOKEN_SCORES), models, splits)
    assert set(REFERENCE_ATTACKS) == {
        name.removeprefix("auc.") for name in set(beside) - set(alone) if name.startswith("auc.")
    }
    assert interval(beside["auc"]).low > interval(alone["auc"]).high
    assert measured(beside["auc"]).value == measured(beside["auc.reference_ratio"]).value
    assert any("Compared with a fake of 1 parameters" in note for note in measured(beside["auc"]).notes)
    for attack in REFERENCE_ATTACKS:
        assert measured(beside[f"auc.{attack}"]).p_value == 1 / 200, attack
    more = found(QUICK, subject(Capability.TOKEN_SCORES, references=2), models, splits)
    assert measured(more["auc"]).value > measured(beside["auc"]).value - 0.02


@pytest.mark.slow
def test_a_model_never_trained_on_the_members_is_at_chance_beside_a_reference_model() -> None:
    held, alarms = 0, 0
    for replicate in range(40):
        rng = np.random.default_rng(100 + replicate)
        splits = {side: text_rows(texts(rng, 60)) for side in ("train", "holdout")}
        models = {AUDITED: LM(seed=2 * replicate), OTHER: LM(seed=2 * replicate + 1)}
        quick = MembershipInference(permutations=99, examples=0)
        outcomes = found(quick, subject(Capability.TOKEN_SCORES, n=60), models, splits)
        held += interval(outcomes["auc"]).low <= 0.5 <= interval(outcomes["auc"]).high
        p_values = [measured(outcomes[f"auc.{name}"]).p_value or 0.0 for name in REFERENCE_ATTACKS]
        alarms += min(p_values) <= 0.05
    assert held >= 35  # P(fewer | 95 % coverage) is about 0.003
    assert alarms <= 6  # P(more | 5 % for all attacks together) is about 0.003


def test_a_reference_model_with_another_tokenizer_is_refused() -> None:
    rng = np.random.default_rng(2)
    splits = {side: text_rows(texts(rng, N)) for side in ("train", "holdout")}
    with pytest.raises(InputError, match="cuts 64 of 64 texts into other tokens"):
        found(QUICK, subject(Capability.TOKEN_SCORES), {AUDITED: LM(), OTHER: LM(shift=1)}, splits)


def test_a_reference_model_that_cannot_be_asked_is_left_out_and_said_so() -> None:
    rng = np.random.default_rng(3)
    splits = {side: text_rows(texts(rng, N)) for side in ("train", "holdout")}
    asked = subject(Capability.TOKEN_SCORES)
    mute = tuple(replace(r, offers=frozenset({Capability.SAMPLE})) for r in asked.reference_models)
    outcomes = found(QUICK, replace(asked, reference_models=mute), {AUDITED: LM()}, splits)
    assert any("offers no token_scores" in note for note in measured(outcomes["auc"]).notes)
    assert "auc.wbc" not in outcomes


def test_a_reference_model_that_saw_the_members_is_said_and_does_not_take_the_headline() -> None:
    """Otherwise a leak could be hidden by naming a model that leaks the same."""
    asked = subject(Capability.TOKEN_SCORES)
    (other,) = asked.reference_models
    elsewhere = replace(asked.data, options=(("train", 5),))  # the same data, cut in another way
    same = replace(other, card=replace(other.card, trained_on=elsewhere))
    rng = np.random.default_rng(3)
    splits = {side: text_rows(texts(rng, N)) for side in ("train", "holdout")}
    outcomes = found(
        QUICK, replace(asked, reference_models=(same,)), {AUDITED: LM(), OTHER: LM(seed=1)}, splits
    )
    notes = measured(outcomes["auc"]).notes
    assert any("may have seen the same members" in note for note in notes)
    assert any("Attack chosen beforehand: min_k_plus_plus" in note for note in notes)
    assert "auc.reference_ratio" in outcomes


def test_attacks_that_ask_again_are_asked_for_and_keep_texts_apart() -> None:
    """Members lose by being put into small letters or after other texts; what stands before them is no text that is attacked."""

    class Fragile(LM):
        def token_scores(self, rows: Any) -> Any:
            plain = rows.select(["text"])
            known = {text for text in self.members if text in set(plain.column("text").to_pylist())}
            behind = "prefix" in rows.column_names
            return LM(() if behind else known, self.leak, self.seed).token_scores(plain)

    rng = np.random.default_rng(4)
    train, holdout = texts(rng, N), texts(rng, N)
    splits = {"train": text_rows(train), "holdout": text_rows(holdout)}
    asked = subject(Capability.TOKEN_SCORES, references=0)
    both = MembershipInference(permutations=199, examples=0, extra=("lowercase", "recall"))
    outcomes = found(both, asked, {AUDITED: Fragile(train, 1.0)}, splits)
    assert measured(outcomes["auc"]).n == 2 * N - 5, "five texts of holdout stand before the others"
    for attack in ("lowercase", "recall"):
        assert interval(outcomes[f"auc.{attack}"]).low > 0.6, attack
    assert "auc.recall" not in found(QUICK, asked, {AUDITED: LM()}, splits)
    with pytest.raises(InputError, match="Did you mean 'recall'"):
        MembershipInference(extra=("recal",))
    with pytest.raises(InputError, match="twice"):
        MembershipInference(extra=("recall", "recall"))


class Rebuilds:
    """Gives pictures back with an error that depends on how busy they are, less for members."""

    def __init__(self, members: Any = (), leak: float = 0.0, seed: int = 0) -> None:
        self.members, self.leak, self.seed = {image.tobytes() for image in members}, leak, seed

    def reconstruct(self, rows: Any, rng: np.random.Generator) -> Any:
        made = []
        for image in images_of(rows):
            busy = np.random.default_rng(zlib.crc32(image.tobytes())).uniform(5, 40)
            own = np.random.default_rng((zlib.crc32(image.tobytes()), self.seed)).normal(size=image.shape)
            off = own * (busy - self.leak * (image.tobytes() in self.members))
            made.append(np.clip(image.astype(float) + off, 0, 255).astype(np.uint8))
        return image_rows(np.stack(made))

    def denoising_loss(self, rows: Any, level: float, rng: np.random.Generator) -> Any:
        after = images_of(self.reconstruct(rows, rng)).astype(float)
        shared = rng.normal(
            size=rows.num_rows
        )  # the same for model and reference, or it would drown the difference
        return np.sqrt(((images_of(rows) - after) ** 2).mean(axis=(1, 2, 3))) + 100 * shared


@pytest.mark.parametrize("capability", [Capability.RECONSTRUCT, Capability.DENOISING_LOSS])
def test_images_are_compared_with_a_reference_model_under_the_same_noise(capability: Capability) -> None:
    pixels = np.random.default_rng(5).integers(60, 190, (2 * N, 6, 6, 1)).astype(np.uint8)
    splits = {"train": image_rows(pixels[:N]), "holdout": image_rows(pixels[N:])}
    models = {AUDITED: Rebuilds(pixels[:N], 4.0, 1), OTHER: Rebuilds(seed=2)}
    outcomes = found(QUICK, subject(capability, modality="image"), models, splits)
    name = f"{capability}_calibrated"
    assert measured(outcomes["auc"]).value == measured(outcomes[f"auc.{name}"]).value
    assert interval(outcomes["auc"]).low > measured(outcomes[f"auc.{capability}"]).value
    assert interval(outcomes["auc"]).low > 0.7


def test_what_the_audited_model_rules_out_is_ranked_lowest_and_said() -> None:
    class Ruling(LM):
        def token_scores(self, rows: Any) -> Any:
            table = super().token_scores(rows)
            lists = table.column("logp").to_pylist()
            for text, logp in zip(rows.column("text").to_pylist(), lists, strict=True):
                if zlib.crc32(text.encode()) % 10 == 0:
                    logp[0] = -math.inf
            return table.set_column(0, "logp", pa.array(lists, pa.list_(pa.float32())))

    rng = np.random.default_rng(6)
    splits = {side: text_rows(texts(rng, N)) for side in ("train", "holdout")}
    outcomes = found(QUICK, subject(Capability.TOKEN_SCORES), {AUDITED: Ruling(), OTHER: LM(seed=1)}, splits)
    said = [note for note in measured(outcomes["auc"]).notes if "ranked lowest" in note]
    count = sum(
        zlib.crc32(t.encode()) % 10 == 0 for s in splits.values() for t in s.column("text").to_pylist()
    )
    assert said == [f"{count} examples that the model rules out (minus infinity) are ranked lowest."]
    assert not isinstance(outcomes["tpr_at_fpr_1pct"], Undefined)
