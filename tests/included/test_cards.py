"""From ``audit train`` to a card: progress, sheets to look at, weights that open, an audit, its card with intervals."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard

from audit.cli.run import audited
from audit.config.spec import parse_spec
from audit.core.errors import InputError
from audit.core.identity import digest_file
from audit.included.card import spec_of
from audit.included.training.recipe import recorded
from tests.included.small import kind_of, small


def test_training_ends_with_an_audit_of_the_weights_and_its_card(
    cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    recipe = small("portraits-vae", preview_every=6)
    for module in ("audit.included.model", "audit.included.families.autoencoder.model"):
        monkeypatch.setattr(
            f"{module}.recorded", lambda name: recipe if name == recipe.name else recorded(name)
        )
    monkeypatch.setattr("audit.included.card._SAMPLES", 60)
    monkeypatch.setattr("audit.cli.train._EVERY", 0.0)
    here = {"executor": "inline", "only": ["quality.frechet"]}  # a pool knows nothing of the small recipe
    monkeypatch.setattr("audit.cli.train.audited", lambda request: audited({**request, **here}))
    out = tmp_path / "trained" / "portraits-vae"
    said = cli("train", "portraits-vae", "-o", out.parent)
    assert said.code == 0, said.err
    assert "reconstructions-000006.png" in said.err
    assert f"wrote {out}" in said.out
    assert re.search(r"^step 7 of 12, loss \d", said.err, re.MULTILINE), "a log shows progress without a bar"
    card = (out / "CARD.md").read_text(encoding="utf-8")
    digest = digest_file(out / "portraits-vae.safetensors")
    for fact in (
        digest,
        recipe.digest,
        recipe.data.content,
        "12 steps of 8",
        "![portraits-vae](samples.png)",
    ):
        assert str(fact) in card
    record = json.loads(cli("show", "--store", out / "store", "--format", "json").out)
    assert f"`{record['run']}`" in card
    hub = ModelCard(card).data
    assert hub.model_name == "portraits-vae"
    assert {r.metric_type for r in hub.eval_results} >= {"quality.frechet.raw"}
    assert card.index("## Measurements") < card.index("## Training")
    assert (out / "samples.png").read_bytes().startswith(b"\x89PNG")
    assert str(tmp_path) not in card


def test_the_attribute_classifier_ends_with_counts_of_its_errors(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    recipe = small("portraits-attributes")
    for module in ("audit.included.model", "audit.included.families.attributes.reader"):
        monkeypatch.setattr(
            f"{module}.recorded", lambda name: recipe if name == recipe.name else recorded(name)
        )
    *_, last = kind_of("portraits-attributes").train(tmp_path)
    assert last.message == f"wrote {tmp_path / 'CARD.md'}"
    counts = json.loads((tmp_path / "confusion.json").read_text(encoding="utf-8"))
    assert sum(map(sum, counts["age"])) == 40
    right = sum(row[i] for i, row in enumerate(counts["age"]))
    assert f"| age | {right / 40:.2%} |" in (tmp_path / "CARD.md").read_text(encoding="utf-8")
    assert not (tmp_path / "audit.toml").exists(), "it is no generative model"


@pytest.mark.parametrize("name", ["portraits-gan", "biographies-lm", "fashion-vae"])
def test_the_audit_of_a_trained_model_is_a_spec_that_parses(name: str, tmp_path: Path) -> None:
    spec = parse_spec(tomllib.loads(spec_of(recorded(name), "weights")), tmp_path)
    assert spec.model["use"] == name
    assert spec.model["weights"] == str(tmp_path / "weights")
    assert spec.data == recorded(name).data.use
    assert "weights" not in parse_spec(tomllib.loads(spec_of(recorded(name), None)), tmp_path).model


def test_what_cannot_be_trained_is_said(cli: Callable[..., Any], tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    said = cli("train", "portraits-ae", "-o", file / "below")
    assert said.code == 2
    assert "Choose another folder with -o" in said.err
    assert "portraits-attributes" in cli("train", "nonsense").err, "the reader of portraits is trainable too"
    said = cli("train", "portraits-dpm")
    assert said.code == 2
    assert "Did you mean 'portraits-ddpm'" in said.err
    assert "records no training recipe" in cli("train", "pixels").err


def test_a_twin_is_trained_from_weights_that_are_checked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from audit.included.model import beginning_of

    twin = recorded("portraits-gan-skewed")
    assert beginning_of(small("portraits-gan")) is None
    monkeypatch.setattr("audit.included.model.WEIGHTS", tmp_path)
    with pytest.raises(InputError, match="weights of 'portraits-gan', which are missing or damaged"):
        beginning_of(twin)
