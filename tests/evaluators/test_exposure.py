"""Canary exposure on planted memories and clean twins, its limits of detection, and files of canaries that are wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from audit.core.capabilities import Capability
from audit.core.identity import Digest
from audit.core.measurements import Interval, Measurement, Undefined
from audit.core.references import DataRef, ModelRef
from audit.core.register import AT_RISK
from audit.core.rows import text_rows, texts_of
from audit.core.subjects import DataCard, ModelCard, Subject
from audit.evaluators.privacy.exposure import CanaryExposure

DOSES = (1, 2, 4, 8)


def most_false(repeats: int, rate: float = 0.05) -> int:
    """Return how many of independent repeats at a nominal rate may go wrong by chance, two deviations up."""
    return round(rate * repeats + 2 * (repeats * rate * (1 - rate)) ** 0.5)


def _subject(canaries: int, train: int = 0) -> Subject:
    splits = (("canaries", canaries), *((("train", train),) if train else ()))
    return Subject(
        model=ModelRef("fake", Digest("0" * 40)),
        card=ModelCard("fake", "text", 1),
        offers=frozenset({Capability.TOKEN_SCORES}),
        data=DataRef("fake", Digest("1" * 40)),
        data_card=DataCard("text", splits),
        extractors=(),
        sample_size=10,
        seed=0,
        shard_size=64,
    )


def _canaries(rng: np.random.Generator, per_dose: int = 40) -> Any:
    n = per_dose * len(DOSES)
    codes = rng.choice(10**8, n, replace=False)
    return text_rows(
        [f" {code:08}." for code in codes],
        prefix=["The code is"] * n,
        dose=np.repeat(DOSES, per_dose).tolist(),
        included=(rng.random(n) < 0.5).tolist(),
    )


def _train(canaries: Any) -> Any:
    return text_rows(
        ["Nothing here."]
        + [
            f"{row['prefix']}{row['text']} And so on."
            for row in canaries.to_pylist()
            if row["included"]
            for _ in range(row["dose"])
        ]
    )


class Rememberer:
    """Gives a secret eight tokens of random chance; one that was put in ``least`` times or more it completes."""

    def __init__(self, canaries: Any, least: int, rng: np.random.Generator) -> None:
        self.known = {r["text"] for r in canaries.to_pylist() if r["included"] and r["dose"] >= least}
        self.rng = rng

    def token_scores(self, rows: Any) -> Any:
        texts = texts_of(rows)
        known = np.array([text in self.known for text in texts])
        logp = np.where(known[:, None], -0.01, np.log(self.rng.uniform(size=(len(texts), 8))) - 1)
        rank = np.where(known[:, None], 1, self.rng.integers(2, 9, size=(len(texts), 8)))
        return pa.table({"logp": logp.tolist(), "rank": rank.tolist()})


def _found(outcomes: list[Any], **group: str) -> dict[str, Any]:
    return {
        o.metric.removeprefix("privacy.exposure").lstrip("."): o
        for o in outcomes
        if o.group == tuple(group.items())
    }


def _interval(outcome: Any) -> Interval:
    assert isinstance(outcome, Measurement), outcome
    assert isinstance(outcome.uncertainty, Interval)
    return outcome.uncertainty


@pytest.mark.parametrize(("least", "limit"), [(1, 1), (4, 4), (9, 16)])
def test_the_limits_are_the_doses_from_which_secrets_are_known(
    score: Callable[..., Any], least: int, limit: int
) -> None:
    rng = np.random.default_rng(least)
    canaries = _canaries(rng)
    train = _train(canaries)
    model = Rememberer(canaries, least, rng)
    outcomes = score(
        CanaryExposure(),
        _subject(canaries.num_rows, train.num_rows),
        model=model,
        splits={"canaries": canaries, "train": train},
    )
    found = _found(outcomes)
    for name in ("completion_limit", "detection_limit"):
        assert found[name].value == limit
        assert _interval(found[name]).low == _interval(found[name]).high == limit
    included = [row for row in canaries.to_pylist() if row["included"]]
    known = [row for row in included if row["dose"] >= least]
    assert found["completed"].value == pytest.approx(len(known) / len(included))
    assert not any(o.void for o in outcomes)
    if least == 4:
        for dose in DOSES:
            at = _found(outcomes, dose=str(dose))
            assert at["completed"].value == float(dose >= least)
            assert (_interval(at[""]).low > 2) is (dose >= least)
    risks = next(e.content for e in found["completed"].evidence if e.kind == AT_RISK)
    assert risks.num_rows == len(known)
    assert set(risks.column("split").to_pylist()) <= {"canaries"}
    listed = found[""].evidence[0]
    assert listed.sensitive
    assert set(texts_of(listed.content)) == {f"{row['prefix']}{row['text']}" for row in included}
    assert listed.content.column("completed").to_pylist()[: len(known)] == [True] * len(known)


@pytest.mark.parametrize("repeats", [60, pytest.param(200, marks=pytest.mark.slow)])
def test_a_model_that_was_never_trained_is_clean_at_the_nominal_rate(
    score: Callable[..., Any], repeats: int
) -> None:
    held, limits, small = 0, 0, 0
    for replicate in range(repeats):
        rng = np.random.default_rng(replicate)
        canaries = _canaries(rng)
        found = _found(
            score(
                CanaryExposure(examples=0),
                _subject(canaries.num_rows),
                model=Rememberer(canaries, 99, rng),
                splits={"canaries": canaries},
            )
        )
        interval = _interval(found[""])
        held += interval.low <= 1.0 <= interval.high
        limits += _interval(found["completion_limit"]).low == 16
        small += found[""].p_value < 0.05
    assert held >= 0.95 * repeats
    assert limits == repeats
    assert small <= most_false(repeats), "a rank-sum test at 5 % rejects once in twenty"


def test_a_planted_defect_is_found_and_the_null_is_right(ask: Callable[..., Any]) -> None:
    rng = np.random.default_rng(3)
    canaries = _canaries(rng)
    subject = replace(_subject(canaries.num_rows), doses=(0.5, 0.9))
    controls = ask(
        CanaryExposure(),
        subject,
        model=Rememberer(canaries, 99, rng),
        splits={"canaries": canaries},
    ).controls
    assert [(c.dose, c.right) for c in controls if c.metric == "privacy.exposure"] == [
        (None, True),
        (0.5, True),
        (0.9, True),
    ]


@pytest.mark.parametrize("wrong", ["missing", "elsewhere", "stray", "few", "columns", "none put in"])
def test_canaries_that_do_not_match_the_data_give_a_reason(score: Callable[..., Any], wrong: str) -> None:
    rng = np.random.default_rng(4)
    canaries = _canaries(rng)
    train = _train(canaries)
    included = canaries.column("included").to_pylist()
    expected = {
        "missing": "stand in 'train' another number of times than their dose",
        "elsewhere": "no canary stands in 'train'",
        "stray": "that were left out stand in 'train'",
        "few": "it takes 19",
        "columns": "no column included",
        "none put in": "no canary was put into",
    }[wrong]
    if wrong == "missing":
        train = train.slice(0, train.num_rows - 1)
    if wrong == "elsewhere":
        train = text_rows(["Nothing here."])
    if wrong == "stray":
        texts = [*texts_of(train), *(f"The code is{row['text']}" for row in canaries.to_pylist())]
        train = text_rows(texts)
    if wrong == "few":
        keep = pa.array([put_in or i % 9 == 0 for i, put_in in enumerate(included)])
        canaries = canaries.filter(keep)
    if wrong == "columns":
        canaries = canaries.drop_columns(["included"])
    if wrong == "none put in":
        canaries = canaries.filter(pa.array([not put_in for put_in in included]))
        train = text_rows(["Nothing here."])
    outcomes = score(
        CanaryExposure(),
        _subject(canaries.num_rows, train.num_rows),
        model=Rememberer(_canaries(rng), 99, rng),
        splits={"canaries": canaries, "train": train},
    )
    assert all(isinstance(o, Undefined) for o in outcomes)
    assert expected in outcomes[0].reason


def test_a_secret_that_is_ruled_out_ranks_lowest(score: Callable[..., Any]) -> None:
    rng = np.random.default_rng(5)
    canaries = _canaries(rng)

    class Refuser(Rememberer):
        def token_scores(self, rows: Any) -> Any:
            scores = super().token_scores(rows)
            logp = [
                [-np.inf, *row[1:]] if row[0] < -0.1 else row for row in scores.column("logp").to_pylist()
            ]
            return scores.set_column(0, "logp", pa.array(logp))

    subject = _subject(canaries.num_rows)
    found = _found(
        score(CanaryExposure(), subject, model=Refuser(canaries, 4, rng), splits={"canaries": canaries})
    )
    assert found["detection_limit"].value == 4
    assert any("rules" in note and "rank lowest" in note for note in found[""].notes)
