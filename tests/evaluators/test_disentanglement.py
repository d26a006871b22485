"""Codes that hold the data's group columns one per unit, all mixed, or not at all."""

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
from audit.evaluators.quality.disentanglement.evaluator import Disentanglement
from tests.evaluators.test_kid import subject

COLUMNS = ("age", "job", "name")


def table(n: int, seed: int = 0) -> Any:
    rng = np.random.default_rng(seed)
    return pa.table(
        {
            "age": rng.choice(["child", "adult"], n).tolist(),
            "job": rng.choice(["nurse", "judge", "pilot", None], n).tolist(),
            "name": [f"n{i}" for i in range(n)],
        }
    )


class Encoder:
    """Ages and jobs in units 0 and 1, then noise; ``mixed`` rotates the first two, ``blind`` leaves noise alone."""

    def __init__(self, mixed: bool = False, blind: bool = False) -> None:
        self.mixed, self.blind = mixed, blind

    def encode(self, rows: Any) -> Any:
        jobs = ("nurse", "judge", "pilot")
        ages = np.array([v == "adult" for v in rows.column("age").to_pylist()], float)
        known = [jobs.index(v) if v else 1 for v in rows.column("job").to_pylist()]
        codes = np.random.default_rng(3).normal(size=(len(ages), 5)) * 0.1
        if not self.blind:
            codes[:, 0] += 2 * ages - 1
            codes[:, 1] += np.array(known) - 1
        if self.mixed:
            turn = np.array([[1, -1], [1, 1]]) / np.sqrt(2)
            codes[:, :2] = codes[:, :2] @ turn
        return codes


def case(n: int = 400, groups: tuple[str, ...] = COLUMNS) -> Any:
    plain = subject(samples=10, holdout=n, train=None)
    data = replace(plain.data_card, groups=groups)
    return replace(plain, data_card=data, offers=frozenset({Capability.ENCODE}))


def by_name(found: Any) -> dict[Any, Any]:
    return {(o.metric.rpartition(".")[2], *(v for _, v in o.group)): o for o in found.outcomes}


def asked(ask: Any, model: Any, n: int = 400, **options: Any) -> Any:
    return ask(Disentanglement(**options), case(n), model=model, splits={"holdout": table(n)})


def test_factors_one_per_unit_are_told_from_mixed_ones(ask: Any) -> None:
    each, mixed = (by_name(asked(ask, Encoder(mixed=m))) for m in (False, True))
    assert each["mig",].value > 0.8
    assert each["mig",].uncertainty.low > mixed["mig",].uncertainty.high
    assert each["disentanglement",].uncertainty.low > mixed["disentanglement",].uncertainty.high
    assert each["informativeness", "age"].value > 0.95
    assert "Unit 0" in each["mig", "age"].notes[0]
    assert "Unit 1" in each["mig", "job"].notes[0]
    assert any("'name' is left out" in note for note in each["mig",].notes)
    (heat,) = each["mig",].evidence
    assert heat.kind == "heatmap"
    assert heat.content.num_rows == 2 * 5
    assert not any(o.void for o in (*each.values(), *mixed.values()))


def test_a_blind_code_says_nothing_and_the_null_is_nothing(ask: Any) -> None:
    found = asked(ask, Encoder(blind=True))
    for name in ("mig", "informativeness"):
        uncertainty = by_name(found)[name,].uncertainty
        assert uncertainty.low <= 0 <= uncertainty.high
    nulls = [c for c in asked(ask, Encoder()).controls if c.kind is CaseKind.NULL and not c.group]
    (judged,) = (c for c in nulls if c.metric.endswith("mig"))
    assert judged.right
    assert abs(judged.value) < 0.05


def test_one_factor_has_no_disentanglement_and_none_no_score(ask: Any) -> None:
    one = by_name(asked(ask, Encoder(), columns=("age",)))
    assert isinstance(one["disentanglement",], Undefined)
    assert one["mig",].value > 0.8
    none = by_name(asked(ask, Encoder(), columns=("name",)))
    assert all(isinstance(o, Undefined) and "'name'" in o.reason for o in none.values())


def test_what_it_refuses(ask: Any) -> None:
    with pytest.raises(InputError, match="'sex'"):
        asked(ask, Encoder(), columns=("sex",))
    with pytest.raises(InputError, match="max_rows"):
        Disentanglement(max_rows=10)
    assert "200 examples" in Disentanglement().unmet(case(50))[0].need
    noisy = replace(case(), offers=frozenset({Capability.ENCODE, Capability.DENOISING_LOSS}))
    assert "removes noise" in Disentanglement().unmet(noisy)[0].found
