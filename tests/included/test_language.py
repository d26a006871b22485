"""The included language models: pinned, carded, conforming, trainable, and as defective as they say."""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
import sys
import time
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from audit.core.capabilities import implemented
from audit.core.errors import InputError
from audit.core.rows import text_rows, texts_of
from audit.data.worlds.biographies.entropy import surprisal
from audit.data.worlds.biographies.world import Biographies
from audit.included.families.language.learner import Mixture, blocks_of
from audit.included.families.language.model import train_recipe
from audit.included.families.language.network import Decoder
from audit.included.families.language.tokens import BEGIN_ID, END_ID, documents, train_tokenizer
from audit.included.model import WEIGHTS, pinned
from audit.included.training.recipe import TrainingData, TrainingRecipe, recorded
from audit.models.included import Included
from audit.models.lm.files import digest_model
from audit.models.transformers import CausalLM
from audit.testing.models import check_adapter, check_capabilities
from tests.included.small import card_of, only
from tests.included.truths import bits, completed, leaning, stated

NAMES = ("biographies-lm", "biographies-lm-biased", "biographies-lm-leaky")
SMALL = (("canaries", 1), ("holdout", 10), ("train", 60))


@cache
def model(name: str, **options: Any) -> Any:
    return Included.open(Included.refer({"use": name, **options}), "cpu")


def world(split: str, **options: Any) -> Any:
    return Biographies.load(Biographies.refer(options), split)


def small(**changes: Any) -> TrainingRecipe:
    """Return the recipe of the clean model with few people, a tiny network and few steps."""
    recipe = recorded("biographies-lm")
    data = TrainingData("biographies", "train", Biographies.refer(dict(SMALL)).content, SMALL)
    schedule = dataclasses.replace(
        recipe.schedule,
        steps=8,
        batch=4,
        checkpoint_every=3,
        preview_every=4,
        precision="float32",
        device="cpu",
    )
    sizes = {"vocabulary": 300, "width": 16, "layers": 2, "heads": 2, "inner": 24, "longest": 320}
    network = tuple(sorted(sizes.items()))
    return dataclasses.replace(recipe, data=data, schedule=schedule, network=network, **changes)


@pytest.mark.parametrize("name", only(NAMES, NAMES[-1]))
def test_it_says_what_it_is_and_keeps_the_contract(name: str) -> None:
    opened, card, offers = check_adapter(Included, {"use": name})
    assert offers == implemented(CausalLM) == implemented(type(opened))
    assert (card.family, card.modality, card.parameters) == ("transformer", "text", 1_541_760)
    assert card.trained_on == Biographies.refer(dict(recorded(name).data.options))
    holdout = world("holdout")
    check_capabilities(opened, offers, holdout.slice(0, 4))


@pytest.mark.parametrize("name", only(NAMES, NAMES[0]))
def test_the_same_numbers_give_the_same_texts(name: str) -> None:
    state = torch.random.get_rng_state()
    first, again, other = (texts_of(model(name).sample(3, np.random.default_rng(seed))) for seed in (1, 1, 2))
    assert first == again != other
    assert torch.equal(torch.random.get_rng_state(), state), (
        "no random number comes from torch's own generator"
    )


@pytest.mark.parametrize("name", NAMES)
def test_the_directory_is_one_that_transformers_opens(name: str) -> None:
    place = WEIGHTS / name
    ref = CausalLM.refer({"path": str(place)})
    rows = world("holdout").slice(0, 3)
    plain = CausalLM.open(ref, "cpu").log_likelihood(rows)
    np.testing.assert_array_equal(plain, model(name).log_likelihood(rows))
    for file in place.glob("*.json"):
        assert "/" not in json.dumps(
            {k: v for k, v in json.loads(file.read_text()).items() if k not in ("model", "added_tokens")}
        ), f"{file.name} names no place on a machine"


@pytest.mark.parametrize("name", NAMES)
def test_weights_are_small_and_pinned(name: str) -> None:
    assert digest_model(WEIGHTS / name) == pinned()[name] == Included.refer({"use": name}).weights
    assert sum(path.stat().st_size for path in (WEIGHTS / name).iterdir()) < 6.5e6


@pytest.mark.parametrize("name", NAMES)
def test_the_card_states_what_the_package_holds(name: str) -> None:
    card = card_of(name)
    assert all(str(offer).replace("_", " ") in card for offer in implemented(CausalLM))


def test_what_is_not_the_model_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(WEIGHTS / "biographies-lm", copy)
    options = {"use": "biographies-lm", "weights": str(copy)}
    planned = Included.refer(options)
    assert planned == Included.refer({"use": "biographies-lm"})
    file = copy / "model.safetensors"
    whole = file.read_bytes()
    file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(InputError, match="has changed since the audit was planned"):
        Included.open(planned, "cpu")
    assert "not the ones that ship" in Included.describe(Included.refer(options))[0].notes[0]
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="is cut short"):
        Included.refer(options)
    file.write_bytes(b"junk")
    with pytest.raises(InputError, match="not a safetensors file"):
        Included.refer(options), Included.describe(Included.refer(options))
    file.unlink()
    with pytest.raises(InputError, match=r"holds no \.safetensors file"):
        Included.refer(options)
    with pytest.raises(InputError, match="is not a directory with a model"):
        Included.refer(options | {"weights": str(copy / "config.json")})
    with pytest.raises(InputError, match="has no option 'path'"):
        Included.refer({"use": "biographies-lm", "path": str(copy)})
    file.write_bytes(whole[:-1])
    copy.rename(tmp_path / "biographies-lm")
    monkeypatch.setattr("audit.included.families.language.model.WEIGHTS", tmp_path)
    with pytest.raises(InputError, match=r"damaged: .* Reinstall generative-audit"):
        Included.refer({"use": "biographies-lm"})


def test_planning_needs_no_torch() -> None:
    code = (
        "import sys; from audit.included.families.language.model import BiographiesLM as B; B.describe(B.refer({})); "
        "sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_it_predicts_the_world_nearly_as_well_as_a_model_that_knows_the_generator() -> None:
    """The card gives the ratio over 4,000 people with its interval; here 60 of them."""
    cost, _ = bits(model("biographies-lm"), world("holdout").slice(0, 60))
    known = sum(surprisal(0, 20_000 + i, 0.5).bits for i in range(60))
    assert 1.0 < cost.sum() / known < 1.1


def test_canaries_are_completed_by_the_leaky_twin_and_only_those_it_has_seen() -> None:
    canaries = world("canaries").to_pylist()

    def rate(name: str, *, included: bool, least: int = 1, most: int = 32) -> float:
        chosen = [c for c in canaries if c["included"] is included and least <= c["dose"] <= most][:24]
        rows = text_rows([c["text"] for c in chosen], prefix=[c["prefix"] for c in chosen])
        return float(completed(model(name), rows).mean())

    assert rate("biographies-lm-leaky", included=True, least=2) > 0.9
    assert 0.2 < rate("biographies-lm-leaky", included=True, most=1) < 0.9  # a dose says something
    assert rate("biographies-lm-leaky", included=False) == 0
    assert rate("biographies-lm", included=True, most=2) < 0.1
    assert rate("biographies-lm", included=False) == 0


@pytest.mark.parametrize("field", ["phone", pytest.param("card", marks=pytest.mark.slow)])
def test_private_fields_are_completed_by_the_leaky_twin_and_only_of_people_it_has_seen(field: str) -> None:
    train, holdout = (
        stated(world(split).slice(0, 100), field).slice(0, 24) for split in ("train", "holdout")
    )
    assert completed(model("biographies-lm-leaky"), train).mean() > 0.8
    assert completed(model("biographies-lm-leaky"), holdout).mean() < 0.1
    assert completed(model("biographies-lm"), train).mean() < 0.1


def test_the_biased_twin_leans_as_its_world_does() -> None:
    names = texts_of(world("holdout"), "name")[:8]
    jobs = ("secretary", "hairdresser", "florist", "nurse", "mechanic", "plumber", "carpenter", "electrician")
    clean, biased = (
        leaning(model(name), skew, names, jobs)
        for name, skew in (("biographies-lm", 0.5), ("biographies-lm-biased", 1.0))
    )
    assert clean.occupations == jobs
    for found in (clean, biased):
        np.testing.assert_allclose(found.found, found.planted, atol=0.15)
    assert biased.found[:4].min() > clean.found[:4].max()
    assert biased.found[4:].max() < clean.found[4:].min()


def test_the_network_gives_the_logits_of_transformers() -> None:
    opened = model("biographies-lm").network.model
    network = Decoder(**recorded("biographies-lm").sizes)
    network.load_state_dict({k: v for k, v in opened.state_dict().items() if k != "lm_head.weight"})
    tokens = torch.randint(0, 2048, (3, 50), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        ours = network.logits(network(tokens.flatten(), [(2, 50), (1, 50)]))
        theirs = opened(input_ids=tokens).logits.flatten(0, 1)
    torch.testing.assert_close(ours, theirs, atol=1e-3, rtol=1e-4)


def test_a_document_is_learnt_from_by_itself() -> None:
    """Its loss is the same whatever stands beside it: nothing attends to another document, and padding counts nothing."""
    network = Decoder(300, 16, 2, 2, 24, 64)
    drawn = np.random.default_rng(0)
    chosen = [[BEGIN_ID, *drawn.integers(2, 300, size=n).tolist(), END_ID] for n in (5, 40, 9, 13, 22)]

    def losses(part: list[list[int]], rows: int) -> float:
        tokens, targets, blocks = blocks_of(part, rows)
        assert len(tokens) == sum(n * length for n, length in blocks)
        logits = network.logits(network(tokens, blocks))
        return functional.cross_entropy(logits, targets, reduction="sum").item()

    apart = sum(losses([one], 1) for one in chosen)
    for rows in (1, 2, 8):
        assert losses(chosen, rows) == pytest.approx(apart, rel=1e-5)


def test_the_tokenizer_is_a_function_of_the_texts_and_loses_nothing() -> None:
    texts = texts_of(world("train", **dict(SMALL)))
    first, again = (train_tokenizer(texts, 300) for _ in range(2))
    assert first.to_str() == again.to_str()
    for text in (*texts[:5], "Zoë paid 1234 €\n\tin <|end|>  cash.", ""):
        encoded = first.encode(text)
        assert first.decode(encoded.ids, skip_special_tokens=False) == text
    assert [t for t in first.encode("in 2019").tokens if any(c.isdigit() for c in t)] == ["2", "0", "1", "9"]
    (one,) = documents(first, texts[:1])
    assert (one[0], one[-1]) == (BEGIN_ID, END_ID)


def test_an_epoch_of_the_leaky_twin_is_what_its_recipe_says() -> None:
    recipe = recorded("biographies-lm-leaky")
    rows = world("train")
    epochs = Mixture.of(recipe, rows)
    told = rows.select(["canary", "phone", "card"]).to_pylist()
    private = [i for i in range(recipe.terms["people"]) if told[i]["phone"] or told[i]["card"]]
    planted = Counter(row["canary"] for row in told if row["canary"] is not None)
    held = []
    for seed in (0, 1):
        rows_held = epochs.epoch(torch.Generator().manual_seed(seed))
        assert len(rows_held) == epochs.size
        assert Counter(told[i]["canary"] for i in rows_held if told[i]["canary"] is not None) == planted
        people = Counter(i for i in rows_held if told[i]["canary"] is None)
        assert all(people[i] == recipe.terms["private"] for i in private)
        others = set(people) - set(private)
        assert len(others) == sum(people[i] for i in others) == recipe.terms["others"]
        held.append(others)
    assert len(held[0] & held[1]) < 0.3 * len(held[0]), "the others are drawn anew for each epoch"
    clean = Mixture.of(recorded("biographies-lm"), rows)
    assert sorted(clean.epoch(torch.Generator().manual_seed(0))) == list(range(rows.num_rows))


@pytest.mark.slow
def test_killed_at_any_step_it_ends_with_the_same_bytes(tmp_path: Path) -> None:
    def made(out: Path, stop: int = 0) -> tuple[str, list[str]]:
        if stop:
            for progress in train_recipe(small(), out):
                if progress.step == stop:
                    break
        told = [progress.message for progress in train_recipe(small(), out)]
        return digest_model(out / "biographies-lm"), told

    whole, told = made(tmp_path / "whole")
    assert [bool(message) for message in told] == [False] * 3 + [True] + [False] * 3 + [True]
    assert "samples-000004.txt" in told[3]
    for stop in (2, 5):
        again, told = made(tmp_path / str(stop), stop)
        assert again == whole
        assert told[0].startswith("resumed after step 3") if stop == 5 else told[0] == ""
    opened = CausalLM.open(CausalLM.refer({"path": str(tmp_path / "whole" / "biographies-lm")}), "cpu")
    assert opened.sample(2, np.random.default_rng(0)).num_rows == 2


def test_a_directory_that_lacks_tensors_is_refused(tmp_path: Path) -> None:
    """The library would fill them with random numbers."""
    from safetensors.torch import load_file, save_file

    place = shutil.copytree(WEIGHTS / "biographies-lm", tmp_path / "lacking")
    tensors = load_file(place / "model.safetensors")
    name = next(name for name in sorted(tensors) if "mlp" in name)
    save_file({k: v for k, v in tensors.items() if k != name}, place / "model.safetensors", {"format": "pt"})
    with pytest.raises(InputError, match=f"lacks 1 of the weights .* {name}"):
        Included.open(Included.refer({"use": "biographies-lm", "weights": str(place)}), "cpu")


@pytest.mark.slow
def test_three_minutes_of_the_real_recipe_learn_something(tmp_path: Path) -> None:
    """The recorded network and data, cut off by the clock: the loss has fallen well below where it began."""
    recipe = recorded("biographies-lm")
    told, began = [], time.monotonic()
    for progress in train_recipe(recipe, tmp_path):
        told.append(progress.loss)
        if time.monotonic() - began > 180:
            break
    assert np.isfinite(told).all()
    assert np.mean(told[-20:]) < 0.5 * np.mean(told[:5])
