"""The included twins with planted leaks are failed, and clean models are not, by the command a user types."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from audit.data.worlds.portraits.world import Portraits, plan_of

CRITERIA = """
[policy]
name = "test"
[[policy.criteria]]
metric = "{metric}"
at_most = {bound}
why = "a bound that clean models keep"
"""


def asked(tmp_path: Path, model: str, evaluator: str, criterion: tuple[str, float], **top: object) -> Path:
    """Write a spec that names a model and an evaluator, and leaves the data to the model's card."""
    lines = [f"{name} = {json.dumps(value)}" for name, value in top.items()]
    lines += ["[model]", f'use = "{model}"', "[run]", 'executor = "inline"', "[[evaluators]]", evaluator]
    spec = tmp_path / f"{model}.toml"
    policy = CRITERIA.format(metric=criterion[0], bound=criterion[1])
    spec.write_text("\n".join(lines) + policy, encoding="utf-8")
    return spec


def test_the_overfitted_autoencoder_fails_by_membership_with_the_data_of_its_card(
    cli: Any, tmp_path: Path
) -> None:
    lines = 'name = "privacy.membership"\npermutations = 199\nmax_rows = 60'
    spec = asked(tmp_path, "portraits-vae-overfit", lines, ("privacy.membership.auc", 0.6))
    said = cli("run", spec, "--store", tmp_path / "store")
    assert said.code == 1, said.out + said.err
    entries = list(
        csv.DictReader(io.StringIO(cli("risks", "--store", tmp_path / "store", "--format", "csv").out))
    )
    assert len(entries) >= 50, "nearly all of the 60 members asked about can be named"
    assert all(0 <= int(entry["row"]) < 200 for entry in entries)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "samples", "code"),
    [
        ("portraits-ddpm-copying", 200, 1),
        ("portraits-ddpm", 200, 0),
        ("portraits-gan", 1000, 0),
        ("portraits-vae", 1000, 0),
    ],
)
def test_the_copying_diffusion_model_fails_by_copies_and_clean_models_do_not(
    cli: Any, tmp_path: Path, model: str, samples: int, code: int
) -> None:
    """200 samples bound a share of copies to 0.05; the bound of a release takes 2,000."""
    bound = 0.03 if samples >= 1000 else 0.05
    spec = asked(
        tmp_path, model, 'name = "privacy.copies"', ("privacy.copies.excess", bound), samples=samples
    )
    said = cli("run", spec, "--store", tmp_path / "store")
    assert said.code == code, said.out + said.err
    entries = list(
        csv.DictReader(io.StringIO(cli("risks", "--store", tmp_path / "store", "--format", "csv").out))
    )
    plan = plan_of(Portraits.refer({}))
    doses = [plan.planted.get(int(plan.train[int(entry["row"])]), 0) for entry in entries]
    if code:
        assert doses.count(32) == 10, "all people of the largest dose come back among 200 samples"
        assert doses.count(0) <= 0.2 * len(doses)
    else:
        assert not entries
