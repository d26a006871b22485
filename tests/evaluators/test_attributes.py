"""Attribute inference from codes and from a language model: remembered members, a clean twin, and attributes in the open."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from audit.core.capabilities import Capability
from audit.core.cases import CaseKind
from audit.core.errors import InputError
from audit.core.measurements import Undefined
from audit.core.rows import text_rows, texts_of
from audit.evaluators.privacy.attributes.evaluator import AttributeInference
from tests.evaluators.test_kid import D, subject

N = 400
JOBS = ("nurse", "judge", "pilot", "baker")


def people(seed: int, n: int = N) -> Any:
    """Rows with a job, an age that shows in ``x``, and a number by which a member can be known."""
    rng = np.random.default_rng(seed)
    age = rng.integers(0, 2, n)
    x = age + rng.normal(size=n)
    return pa.table(
        {
            "x": x,
            "age": np.array(["young", "old"])[age].tolist(),
            "job": rng.choice(JOBS, n).tolist(),
            "number": (seed * 10_000 + np.arange(n)).tolist(),
        }
    )


class Coder:
    """Its code holds ``x`` and noise; of members that it remembers, the job as well."""

    def __init__(self, remembered: Any = None, share: float = 1.0) -> None:
        known = (
            []
            if remembered is None
            else zip(*(remembered.column(c).to_pylist() for c in ("number", "job")), strict=True)
        )
        rng = np.random.default_rng(0)
        self.known = {number: job for number, job in known if rng.random() < share}

    def encode(self, rows: Any) -> Any:
        x = np.array(rows.column("x").to_pylist())
        code = np.random.default_rng(1).normal(size=(len(x), 6)) * 0.3
        code[:, 0] = x
        for row, (number, job) in enumerate(
            zip(rows.column("number").to_pylist(), rows.column("job").to_pylist(), strict=True)
        ):
            if not self.known or number in self.known:
                place = JOBS.index(job) if self.known else 0
                code[row, 1 + place] += 3.0 if self.known else 0.0
        return code


class Teaches(Coder):
    """Remembers members; of others the code holds half of what it takes, so that the probe learns where to look."""

    def encode(self, rows: Any) -> Any:
        code = super().encode(rows)
        rng = np.random.default_rng(2)
        for row, (number, job) in enumerate(
            zip(rows.column("number").to_pylist(), rows.column("job").to_pylist(), strict=True)
        ):
            if number not in self.known and rng.random() < 0.4:
                code[row, 1 + JOBS.index(job)] += 3.0
        return code


def case(
    modality: str = "table", offers: Capability = Capability.ENCODE, doses: tuple[float, ...] = ()
) -> Any:
    plain = subject(samples=10, holdout=2 * N, train=N)
    data = replace(plain.data_card, groups=("age", "job"), randomised=True)
    card = replace(plain.card, modality=modality)
    return replace(plain, card=card, data_card=data, offers=frozenset({offers}), doses=doses)


TABLES = {"train": people(1), "holdout": people(2, 2 * N)}


def by_name(found: Any) -> dict[Any, Any]:
    return {(o.metric.rpartition(".")[2], *(v for _, v in o.group)): o for o in found.outcomes}


def asked(ask: Any, model: Any, **options: Any) -> Any:
    return ask(AttributeInference(), case(**options), model=model, splits=TABLES, extractor=outside)


def outside(rows: Any) -> Any:
    """Features of an example: what anybody sees of it, and noise."""
    x = np.array(rows.column("x").to_pylist())
    return np.column_stack([x, np.random.default_rng(4).normal(size=(len(x), D - 1))])


def test_what_a_code_says_of_anybody_is_readable_and_no_risk(ask: Any) -> None:
    found = by_name(asked(ask, Coder()))
    assert found["readable", "age"].uncertainty.low > 0.15
    assert found["readable", "age"].p_value == 0.01
    assert found["readable", "job"].uncertainty.low <= 0 <= found["readable", "job"].uncertainty.high
    assert found["readable",].value == found["readable", "age"].value
    assert found["readable",].p_value == 0.01, "not multiplied by the number of columns"
    assert found["risk",].uncertainty.low <= 0 <= found["risk",].uncertainty.high
    assert not any(o.void for o in found.values())


class Tells(Coder):
    """Its code says everybody's job, which no example shows."""

    def encode(self, rows: Any) -> Any:
        code = super().encode(rows)
        jobs = [JOBS.index(job) for job in rows.column("job").to_pylist()]
        code[np.arange(len(code)), 1 + np.array(jobs)] += 1.0
        return code


def test_a_code_that_says_more_than_the_example_shows_is_told_from_one_that_does_not(ask: Any) -> None:
    told, clean = (by_name(asked(ask, model)) for model in (Tells(), Coder()))
    assert told["beyond_features", "job"].uncertainty.low > 0.3
    assert told["beyond_features",].value == told["beyond_features", "job"].value
    assert "'job'" in told["beyond_features",].notes[0]
    assert clean["beyond_features",].uncertainty.low <= 0 <= clean["beyond_features",].uncertainty.high
    assert clean["readable", "age"].uncertainty.low > 0.15, "it can be read, off the example too"


def test_remembered_members_are_a_risk(ask: Any) -> None:
    clean, leaky = (
        by_name(asked(ask, Teaches(known, share)))
        for known, share in ((TABLES["train"], 0.001), (TABLES["train"], 1.0))
    )
    assert clean["risk",].uncertainty.low <= 0
    assert leaky["risk",].uncertainty.low > leaky["risk",].noise_floor > 0
    assert leaky["risk",].value == leaky["risk", "job"].value > 0.3
    assert leaky["risk", "age"].uncertainty.low <= 0
    assert "'job' is inferred rightly for" in leaky["risk",].notes[0]


def test_planted_memory_is_found_and_the_null_is_nothing(ask: Any) -> None:
    controls = [c for c in asked(ask, Coder(), doses=(0.02, 0.5)).controls if not c.group]
    nulls = {c.metric.rpartition(".")[2]: c for c in controls if c.kind is CaseKind.NULL}
    assert nulls["risk"].right
    assert nulls["readable"].right
    assert nulls["beyond_features"].right
    small, large = (c for c in controls if c.kind is CaseKind.PLANTED)
    assert small.value < large.value
    assert large.right


def texts(table: Any) -> Any:
    written = [
        f"Person {number} is {age} and works as a {job} in town."
        for number, age, job in zip(
            *(table.column(c).to_pylist() for c in ("number", "age", "job")), strict=True
        )
    ]
    return text_rows(written, age=table.column("age"), job=table.column("job"))


class Writer:
    """A language model to which all words are alike, but for the texts that it has memorised."""

    def __init__(self, memorised: Any = ()) -> None:
        self.memorised = list(memorised)
        self.text = "\n".join(self.memorised)

    def log_likelihood(self, rows: Any) -> Any:
        noise = np.random.default_rng(0).random(rows.num_rows)
        given = zip(texts_of(rows, "prefix"), texts_of(rows), strict=True)
        known = [bool(self.memorised) and f"{before}{after}" in self.text for before, after in given]
        return np.where(known, 0.0, -5 - noise)


def test_a_language_model_that_memorised_its_texts_is_a_risk(ask: Any) -> None:
    splits = {name: texts(table) for name, table in TABLES.items()}
    asked_of = case("text", Capability.LOG_LIKELIHOOD)
    clean, leaky = (
        by_name(ask(AttributeInference(), asked_of, model=Writer(known), splits=splits))
        for known in ((), texts_of(splits["train"]))
    )
    assert clean["risk",].uncertainty.low <= 0
    assert leaky["risk",].uncertainty.low > leaky["risk",].noise_floor
    assert leaky["risk", "job"].value == pytest.approx(0.75, abs=0.08)
    assert leaky["risk", "age"].value == pytest.approx(0.5, abs=0.08)
    assert isinstance(leaky["readable",], Undefined)


def test_texts_that_do_not_name_their_value_are_not_asked_about(ask: Any) -> None:
    splits = {
        name: text_rows(["Nothing is said here."] * t.num_rows, age=t.column("age"), job=t.column("job"))
        for name, t in TABLES.items()
    }
    found = by_name(
        ask(AttributeInference(), case("text", Capability.LOG_LIKELIHOOD), model=Writer(), splits=splits)
    )
    assert "asked of 0 members and 0 others" in found["risk",].reason


def test_what_it_refuses(ask: Any) -> None:
    with pytest.raises(InputError, match="'sex'"):
        ask(AttributeInference(columns=("sex",)), case(), model=Coder(), splits=TABLES)
    with pytest.raises(InputError, match="max_rows"):
        AttributeInference(max_rows=10)
    flow = case("image", Capability.LOG_LIKELIHOOD)
    assert "model with a code" in AttributeInference().unmet(flow)[0].need
    noisy = replace(case(), offers=frozenset({Capability.ENCODE, Capability.DENOISING_LOSS}))
    assert "removes noise" in AttributeInference().unmet(noisy)[0].found

    class Broken(Writer):
        def log_likelihood(self, rows: Any) -> Any:
            return np.full(rows.num_rows, np.nan)

    splits = {name: texts(table) for name, table in TABLES.items()}
    with pytest.raises(ValueError, match="did not give a number"):
        ask(AttributeInference(), case("text", Capability.LOG_LIKELIHOOD), model=Broken(), splits=splits)
