"""Every included image model: pinned, carded, conforming, and refused when its weights are not what they should be."""

from __future__ import annotations

import ast
import json
import shutil
from functools import cache
from importlib.metadata import EntryPoint, EntryPoints, entry_points
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from audit.cli.list import listing
from audit.core.capabilities import Capability
from audit.core.errors import InputError, PluginError
from audit.core.identity import digest_file
from audit.core.rows import image_rows, images_of, text_rows
from audit.data.worlds.portraits.world import Portraits
from audit.included.model import HERE, WEIGHTS, IncludedModel, pinned
from audit.included.training.recipe import RECIPES, recorded
from audit.models.included import Included
from audit.registry import catalogue
from audit.testing.models import check_adapter, check_capabilities
from tests.included.small import card_of, kind_of, only

FAMILIES = {
    "fashion-ddpm": "diffusion",
    "fashion-vae": "variational autoencoder",
    "portraits-ae": "autoencoder",
    "portraits-ddpm": "diffusion",
    "portraits-ddpm-copying": "diffusion",
    "portraits-gan": "GAN",
    "portraits-gan-collapsed": "GAN",
    "portraits-gan-skewed": "GAN",
    "portraits-superres": "image enhancement",
    "portraits-vae": "variational autoencoder",
    "portraits-vae-overfit": "variational autoencoder",
}
MUST_OFFER = {
    "autoencoder": {"sample", "reconstruct", "encode", "decode"},
    "variational autoencoder": {"sample", "reconstruct", "encode", "decode", "likelihood_bound"},
    "GAN": {"sample", "decode"},
    "diffusion": {"sample", "encode", "decode", "denoising_loss", "likelihood_bound"},
    "image enhancement": {"reconstruct", "degrade"},
}
NAMES = sorted(FAMILIES)
SLOW = ("portraits-ddpm-copying", "fashion-ddpm")
"""Of the network of portraits-ddpm, which is tried."""
MOST = only(NAMES, *{*NAMES}.difference(SLOW))


def opened(name: str, **options: Any) -> Any:
    return Included.open(Included.refer({"use": name, **options}), "cpu")


def pictures(name: str, n: int = 6) -> Any:
    """Rows of the shape that a model reads: people of a small world, or noise where the data are not at hand."""
    if name.startswith("portraits"):
        return Portraits.load(Portraits.refer({"train": 300, "holdout": 50}), "holdout").slice(0, n)
    return image_rows(np.random.default_rng(0).integers(0, 256, (n, 28, 28, 1), dtype=np.uint8))


@pytest.mark.parametrize("name", [*NAMES, "portraits-attributes"])
def test_the_code_that_decides_what_comes_out_is_in_the_name(name: str) -> None:
    """Whatever a source imports from the included models' code is a source too, but for what opens files and records."""
    aside = {"model.py", "training/recipe.py", "training/checkpoints.py", "families/prompts.py"}
    kind = kind_of(name)
    for source in kind.sources:
        for node in ast.walk(ast.parse((HERE / source).read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("audit.included."):
                file = str(node.module).removeprefix("audit.included.").replace(".", "/") + ".py"
                assert file in {*kind.sources, *aside} or file.endswith(
                    ("learner.py", "loop.py", "errors.py", "card.py", "progress.py")
                ), (source, file)


def test_a_class_of_another_package_that_cannot_be_loaded_hides_none_of_ours(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    broken = EntryPoint("theirs", "no_such_package_anywhere:Model", "audit.included")
    monkeypatch.setattr(
        "audit.registry.entry_points",
        lambda group: EntryPoints(
            [*entry_points(group=group), *([broken] if group == "audit.included" else [])]
        ),
    )
    catalogue.cache_clear()
    try:
        rows = {row["name"]: row for row in listing("models", None)}
        with pytest.raises(
            PluginError, match=r"'theirs' cannot be loaded: ModuleNotFoundError: .* Reinstall the package"
        ):
            Included.refer({"use": "theirs"})
    finally:
        catalogue.cache_clear()
    assert "ModuleNotFoundError" in rows["theirs"]["family"]
    assert rows["portraits-ae"]["family"] == "autoencoder"


def test_every_family_is_here() -> None:
    listed = {
        name: kind
        for name in catalogue("included").names()
        if issubclass(kind := kind_of(name), IncludedModel)
    }
    assert {*FAMILIES, "digits-vae"} == set(listed)


@cache
def planted_defects() -> dict[str, str]:
    return {row["name"]: row["planted_defect"] for row in listing("models", None)}


@pytest.mark.parametrize("name", catalogue("included").names())
def test_a_twin_says_in_catalogue_and_report_what_is_wrong_with_it(name: str) -> None:
    """The clean models and the twins of every family; a reader must not take one for the other."""
    twin = name.endswith(("-biased", "-collapsed", "-copying", "-leaky", "-overfit", "-skewed"))
    card, _ = Included.describe(Included.refer({"use": name}))
    defect = catalogue("included").load(name).defect
    listed = planted_defects()
    assert bool(defect) is twin
    assert listed[name] == defect
    assert any("defective twin" in note and defect in note for note in card.notes) is twin


@pytest.mark.parametrize("name", MOST)
def test_it_says_what_it_is_and_keeps_the_contract(name: str) -> None:
    model, card, offers = check_adapter(Included, {"use": name})
    assert card.family == FAMILIES[name]
    assert MUST_OFFER[card.family] <= {str(offer) for offer in offers}
    assert card.trained_on is not None
    assert card.trained_on.content == recorded(name).data.content
    check_capabilities(model, offers, pictures(name))


@pytest.mark.parametrize("name", only(NAMES, "portraits-ae", "portraits-gan", "portraits-superres"))
def test_the_same_generator_gives_the_same_numbers(name: str) -> None:
    model, rows = opened(name), pictures(name)
    calls = {
        Capability.SAMPLE: lambda rng: images_of(model.sample(5, rng)),
        Capability.LIKELIHOOD_BOUND: lambda rng: model.likelihood_bound(rows, rng),
        Capability.DENOISING_LOSS: lambda rng: model.denoising_loss(rows, 0.5, rng),
    }
    state = torch.random.get_rng_state()
    for capability, call in calls.items():
        if hasattr(model, capability.value):
            first, again, other = (call(np.random.default_rng(seed)) for seed in (1, 1, 2))
            np.testing.assert_array_equal(first, again)
            assert not np.array_equal(first, other)
    assert torch.equal(torch.random.get_rng_state(), state), (
        "no random number comes from torch's own generator"
    )


@pytest.mark.parametrize("name", NAMES)
def test_none_is_a_number_of_examples(name: str) -> None:
    model, rng, none = opened(name), np.random.default_rng(0), pictures(name).slice(0, 0)
    if hasattr(model, "sample"):
        assert model.sample(0, rng).num_rows == 0
    offers = Included.describe(Included.refer({"use": name}))[1]
    for capability in sorted(offers & {Capability.RECONSTRUCT, Capability.ENCODE, Capability.REALNESS}):
        call = getattr(model, capability)
        assert len(call(none, rng) if capability == "reconstruct" else call(none)) == 0
    if hasattr(model, "likelihood_bound"):
        assert model.likelihood_bound(none, rng).shape == (0,)


@pytest.mark.parametrize("name", NAMES)
def test_what_it_cannot_read_is_refused(name: str) -> None:
    model, rng = opened(name), np.random.default_rng(0)
    read = (
        next(
            getattr(model, c)
            for c in ("encode", "reconstruct", "realness", "likelihood_bound")
            if hasattr(model, c)
        )
        if name not in ("portraits-gan-collapsed", "portraits-gan-skewed")
        else None
    )
    if read is not None:
        more = (rng,) if read.__name__ == "reconstruct" else ()
        with pytest.raises(ValueError, match=r"reads images of shape \(\d+, \d+, \d\), not \(9, 8, 3\)"):
            read(image_rows(np.zeros((1, 9, 8, 3), np.uint8)), *more)
        with pytest.raises(ValueError, match="reads images; these rows have text"):
            read(text_rows(["a portrait"]), *more)
    if hasattr(model, "decode"):
        with pytest.raises(ValueError, match=r"are \(n, \d+\), not \(2, 3\)"):
            model.decode(np.zeros((2, 3)), rng)


@pytest.mark.parametrize("name", NAMES)
def test_weights_are_pinned_and_a_truncated_file_is_refused(name: str, tmp_path: Path) -> None:
    shipped = Included.refer({"use": name})
    assert shipped.weights == pinned()[name] == digest_file(WEIGHTS / f"{name}.safetensors")
    copy = tmp_path / "w.safetensors"
    whole = Path(shipped.location).read_bytes()
    copy.write_bytes(whole)
    assert Included.refer({"use": name, "weights": str(copy)}) == shipped
    planned = Included.refer({"use": name, "weights": str(copy)})
    copy.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(InputError, match="has changed since the audit was planned"):
        Included.open(planned, "cpu")
    other = Included.refer({"use": name, "weights": str(copy)})
    assert "not the ones that ship" in Included.describe(other)[0].notes[0]
    copy.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="does not hold the weights of"):
        Included.open(Included.refer({"use": name, "weights": str(copy)}), "cpu")
    copy.write_bytes(b"junk")
    with pytest.raises(InputError, match="no safetensors file, or is cut short"):
        Included.describe(Included.refer({"use": name, "weights": str(copy)}))


def test_damage_to_the_installation_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "portraits-gan.safetensors").write_bytes(b"damaged")
    shutil.copy(WEIGHTS / "digests.toml", tmp_path)
    monkeypatch.setattr("audit.included.model.WEIGHTS", tmp_path)
    with pytest.raises(InputError, match=r"damaged: digest .* Reinstall generative-audit"):
        Included.refer({"use": "portraits-gan"})


def test_weights_are_small_enough_to_ship() -> None:
    sizes = {path: path.stat().st_size for path in WEIGHTS.rglob("*") if path.is_file()}
    assert max(sizes.values()) < 15e6
    assert sum(sizes.values()) < 60e6


@pytest.mark.parametrize("name", [*NAMES, "portraits-attributes"])
def test_the_card_states_what_the_package_holds(name: str) -> None:
    card = card_of(name)
    if name != "portraits-attributes":
        assert (RECIPES / name / "samples.png").read_bytes().startswith(b"\x89PNG")
        offers = kind_of(name)
        assert all(c.value.replace("_", " ") in card for c in Capability if hasattr(offers, c.value))


def test_the_readers_confusions_are_counts_of_people_it_had_not_seen() -> None:
    counts = json.loads((RECIPES / "portraits-attributes" / "confusion.json").read_text(encoding="utf-8"))
    from audit.features.portraits_attributes import PortraitsAttributes
    from audit.included.families.factors import factors_in

    factors = factors_in(PortraitsAttributes.columns())
    assert set(counts) == set(factors)
    for factor, values in factors.items():
        table = PortraitsAttributes.confusion(factor)
        assert table.shape == (len(values), len(values))
        assert table.sum() == 10_000
    with pytest.raises(InputError, match="Did you mean 'hair'"):
        PortraitsAttributes.confusion("hiar")


def test_the_reader_reads_people_of_another_seed_as_its_card_says() -> None:
    from audit.features.portraits_attributes import PortraitsAttributes
    from audit.included.families.factors import factors_in

    rows = Portraits.load(Portraits.refer({"train": 300, "holdout": 1000}), "holdout")
    found = PortraitsAttributes.open(PortraitsAttributes.refer(), "cpu").extract(rows)
    start = 0
    for factor, values in factors_in(PortraitsAttributes.columns()).items():
        part = found[:, start : start + len(values)]
        np.testing.assert_allclose(part.sum(1), 1, atol=1e-6)
        right = np.array(values)[part.argmax(1)] == np.array(rows.column(factor).to_pylist())
        table = PortraitsAttributes.confusion(factor)
        expected = np.trace(table) / table.sum()
        assert right.mean() == pytest.approx(
            expected, abs=4 * (expected * (1 - expected) / 1000) ** 0.5 + 0.005
        )
        start += len(values)
