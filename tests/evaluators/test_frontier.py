"""The frontier of a model that writes of everything, of one that leaves a subject out, and of one that writes another."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from audit.core.cases import CaseKind
from audit.core.errors import InputError
from audit.core.measurements import Undefined, Unquantified
from audit.core.rows import text_rows, texts_of
from audit.evaluators.quality.frontier.evaluator import DivergenceFrontier
from tests.evaluators.test_kid import subject

SUBJECTS = ("sea", "hill", "town", "wood")


class Writes:
    """Writes of subjects with given weights, each text a little different."""

    def __init__(self, weights: tuple[float, ...] = (1, 1, 1, 1)) -> None:
        self.p = np.array(weights) / sum(weights)

    def sample(self, n: int, rng: np.random.Generator, condition: Any = None) -> Any:
        chosen = rng.choice(4, n, p=self.p)
        return text_rows([f"{SUBJECTS[c]} {rng.integers(10**6)}" for c in chosen])


def extractor(rows: Any) -> Any:
    found = []
    for text in texts_of(rows):
        word, number = text.split()
        noise = np.random.default_rng(int(number)).normal(size=6) * 0.4
        found.append(np.eye(6)[SUBJECTS.index(word)] * 2 + noise)
    return np.array(found)


def case(n: int = 250, doses: tuple[float, ...] = ()) -> Any:
    plain = subject(samples=n, holdout=n, train=n)
    data = replace(plain.data_card, modality="text", splits=(("holdout", n), ("train", n)))
    chosen = tuple((role, replace(ref, dimensions=6)) for role, ref in plain.extractors)
    return replace(
        plain,
        card=replace(plain.card, modality="text"),
        data_card=data,
        extractors=chosen,
        doses=doses,
    )


def splits(n: int = 250) -> dict[str, Any]:
    return {s: Writes().sample(n, np.random.default_rng(i)) for i, s in enumerate(("holdout", "train"))}


def by_name(found: Any) -> dict[str, Any]:
    return {o.metric.removeprefix("quality.").removeprefix("frontier."): o for o in found.outcomes}


def asked(ask: Any, model: Any, n: int = 250, doses: tuple[float, ...] = ()) -> Any:
    return ask(
        DivergenceFrontier(draws=99), case(n, doses), model=model, splits=splits(n), extractor=extractor
    )


def test_a_lost_subject_is_found_and_its_texts_are_shown(ask: Any) -> None:
    clean, lossy = (asked(ask, m) for m in (Writes(), Writes((1, 1, 1, 0))))
    ok, bad = by_name(clean), by_name(lossy)
    assert ok["frontier"].uncertainty.low < ok["frontier"].noise_floor
    assert ok["frontier"].p_value > 0.01
    assert ok["mauve"].value > 0.9
    assert bad["frontier"].uncertainty.low > bad["frontier"].noise_floor > 0
    assert bad["frontier"].p_value == 0.01
    assert bad["mauve"].uncertainty.high < ok["mauve"].uncertainty.low
    assert not any(o.void for o in (*ok.values(), *bad.values()))
    curve, lacking, surplus = bad["mauve"].evidence
    assert curve.kind == "curve"
    assert all(text.startswith("wood") for text in texts_of(lacking.content)[:3])
    assert not any(text.startswith("wood") for text in texts_of(surplus.content))
    assert lacking.content.column("share of samples").to_pylist()[0] == 0
    assert not lacking.sensitive


def test_a_planted_lost_mode_is_found(ask: Any) -> None:
    found = asked(ask, Writes(), n=400, doses=(0.05, 0.4))
    planted = [c for c in found.controls if c.kind is CaseKind.PLANTED and c.metric == "quality.frontier"]
    assert planted[0].value < planted[1].value
    assert planted[1].right
    (null,) = (c for c in found.controls if c.kind is CaseKind.NULL and c.metric == "quality.frontier")
    assert null.right


def test_few_or_equal_texts_give_reasons(ask: Any) -> None:
    few = by_name(asked(ask, Writes(), n=120))
    assert all(isinstance(o.uncertainty, Unquantified) for o in few.values())
    flat = ask(
        DivergenceFrontier(draws=99),
        case(),
        model=Writes(),
        splits=splits(),
        extractor=lambda rows: np.ones((rows.num_rows, 6)),
    )
    assert all(isinstance(o, Undefined) and "are alike" in o.reason for o in flat.outcomes)
    with pytest.raises(InputError, match="draws"):
        DivergenceFrontier(draws=10)
