"""From ``audit train`` to a card: progress, sheets to look at, weights that open, scores with intervals."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from audit.core.errors import InputError
from audit.core.identity import digest_file
from audit.core.measurements import Interval
from audit.core.rows import image_rows
from audit.included.scores import frechet_score, nearest_distances
from audit.included.training.recipe import recorded
from tests.included.small import small


def test_training_ends_with_weights_and_their_card(
    cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    recipe = small("portraits-vae", preview_every=6)
    for module in ("audit.included.model", "audit.included.families.autoencoder.model"):
        monkeypatch.setattr(
            f"{module}.recorded", lambda name: recipe if name == recipe.name else recorded(name)
        )
    monkeypatch.setattr("audit.included.scores.SAMPLES", 200)
    monkeypatch.setattr("audit.included.cards.SAMPLES", 200)
    monkeypatch.setattr("audit.cli.train._EVERY", 0.0)
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
    rows = re.findall(r"^\| (.+?) \| (-?[\d.]+) \| (.+?) \| ([\d,]+) \|$", card, flags=re.MULTILINE)
    assert {"likelihood bound on train, bits per byte", "reconstruction of holdout, PSNR in dB"} <= {
        row[0] for row in rows
    }
    assert all("…" in row[2] or row[2].startswith("none: ") for row in rows)
    assert (out / "samples.png").read_bytes().startswith(b"\x89PNG")
    assert str(tmp_path) not in card


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


def test_the_nearest_image_is_found_by_brute_force() -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (30, 4, 4, 3), dtype=np.uint8)
    others = rng.integers(0, 256, (500, 4, 4, 3), dtype=np.uint8)
    others[77] = images[3]
    found = nearest_distances(image_rows(images), image_rows(others))
    apart = images[:, None].astype(float) - others[None].astype(float)
    np.testing.assert_allclose(found, np.sqrt((apart**2).mean(axis=(2, 3, 4))).min(1), rtol=1e-5)
    assert found[3] == 0


def test_the_frechet_distance_of_two_normals_is_covered() -> None:
    """Means one apart in one of four dimensions: the distance is 1."""
    hits = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        x, y = rng.standard_normal((400, 4)), rng.standard_normal((400, 4))
        x[:, 0] += 1
        score = frechet_score("FD", x, y)
        assert isinstance(score.uncertainty, Interval)
        hits += score.uncertainty.low <= 1 <= score.uncertainty.high
    assert hits >= 180  # 190 are expected; 180 or fewer happen once in a thousand times
