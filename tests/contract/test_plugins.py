"""Every registered plugin, ours and the third party's, goes through its conformance suite; nobody adds a test for it."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from audit.config.assemble import assemble
from audit.config.spec import parse_spec
from audit.core.evaluators import Evaluator
from audit.core.plan import Planned, plan
from audit.core.policy import Policy
from audit.core.rows import image_rows, text_rows
from audit.core.subjects import Subject
from audit.engine.worker import one_thread
from audit.registry import Unavailable, catalogue, lacking
from audit.testing.data import check_dataset, check_extractor
from audit.testing.evaluators import (
    check_description,
    check_evaluator,
    check_null,
    check_planted,
    check_shard_sizes,
)
from audit.testing.memory import Kitchen
from audit.testing.models import check_adapter, check_capabilities

EVALUATORS = catalogue("evaluators").names()
NO_POLICY = Policy("none", "1", ())


def image_folder(folder: Path) -> Path:
    from PIL import Image

    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    for i in range(12):
        Image.fromarray(rng.integers(0, 255, (8, 8, 3), dtype=np.uint8)).save(folder / f"{i:02}.png")
    return folder


def text_folder(folder: Path, seed: int = 0) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    for i in range(12):
        words = ["".join(chr(97 + c) for c in rng.integers(0, 26, 6)) for _ in range(30)]
        (folder / f"{i:02}.txt").write_text(" ".join(words))
    return folder


def idx_folder(folder: Path) -> Path:
    """Write the four files of Fashion-MNIST, with noise in them."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    for part, n in (("train", 100), ("t10k", 20)):
        for name, shape, most in (("images-idx3", (n, 28, 28), 256), ("labels-idx1", (n,), 10)):
            header = bytes([0, 0, 8, len(shape)]) + np.array(shape, ">u4").tobytes()
            values = rng.integers(0, most, shape, dtype=np.uint8)
            (folder / f"{part}-{name}-ubyte").write_bytes(header + values.tobytes())
    return folder


@pytest.mark.parametrize("name", EVALUATORS)
def test_an_evaluator_describes_itself(name: str) -> None:
    check_description(catalogue("evaluators").load(name), name)


@pytest.fixture(scope="module")
def digits() -> Subject:
    values = {
        "name": "contract",
        "samples": 600,
        "shard_size": 300,
        "model": {"use": "digits-vae"},
        "data": {"use": "digits"},
    }
    return assemble(parse_spec(values, Path())).plan.subject


@pytest.fixture(scope="module")
def kitchen() -> Kitchen:
    return Kitchen()


def small(name: str) -> Evaluator:
    """Return an evaluator with its defaults, but as few outputs of its own as it takes to see it work."""
    kind = catalogue("evaluators").load(name)
    few = {"provenance.mark_groups": 40}.get(name, 4)
    return kind(**({"n": few} if "n" in {field.name for field in fields(kind)} else {}))


@pytest.mark.parametrize("name", EVALUATORS)
def test_an_evaluator_keeps_its_contract_on_images(name: str, digits: Subject, kitchen: Kitchen) -> None:
    check_evaluator(small(name), digits, kitchen)


@pytest.fixture(scope="module")
def texts(tiny_lm: Path, tmp_path_factory: pytest.TempPathFactory) -> Subject:
    folder = tmp_path_factory.mktemp("texts")
    values = {
        "name": "contract",
        "samples": 8,
        "model": {"adapter": "transformers", "path": str(tiny_lm), "max_new_tokens": 8},
        "data": {
            "use": "text",
            "train": str(text_folder(folder / "train", 1)),
            "holdout": str(text_folder(folder / "holdout", 2)),
        },
    }
    return assemble(parse_spec(values, Path())).plan.subject


@pytest.mark.parametrize("name", EVALUATORS)
def test_an_evaluator_keeps_its_contract_on_texts(name: str, texts: Subject, kitchen: Kitchen) -> None:
    check_evaluator(small(name), texts, kitchen)


@pytest.mark.parametrize("name", EVALUATORS)
def test_an_evaluators_null_case_keeps_the_contract(
    name: str, digits: Subject, texts: Subject, kitchen: Kitchen
) -> None:
    for subject in (digits, texts):
        if isinstance(plan("check", subject, [small(name)], NO_POLICY).steps[0], Planned):
            check_null(small(name), subject, kitchen)


@pytest.mark.parametrize("name", EVALUATORS)
def test_an_evaluator_finds_what_is_planted(name: str, digits: Subject, kitchen: Kitchen) -> None:
    """Four tenths of the real digits are gone, along one direction of the features."""
    subject = replace(digits, sample_size=1000)
    if isinstance(plan("check", subject, [small(name)], NO_POLICY).steps[0], Planned):
        check_planted(small(name), subject, 0.4, kitchen)


@pytest.fixture(scope="module")
def drawn_before(tmp_path_factory: pytest.TempPathFactory) -> Subject:
    """Outputs on disk beside the digits: what is measured cannot depend on how sampling is cut into shards."""
    from PIL import Image

    folder = tmp_path_factory.mktemp("outputs")
    rng = np.random.default_rng(0)
    for i in range(450):
        Image.fromarray(rng.integers(0, 255, (8, 8), dtype=np.uint8)).save(folder / f"{i:03}.png")
    values = {
        "name": "contract",
        "samples": 450,
        "shard_size": 400,
        "model": {"adapter": "samples_on_disk", "path": str(folder), "mode": "L"},
        "data": {"use": "digits"},
    }
    return assemble(parse_spec(values, Path())).plan.subject


@pytest.mark.parametrize("name", EVALUATORS)
def test_values_do_not_depend_on_the_shard_size(
    name: str, drawn_before: Subject, texts: Subject, kitchen: Kitchen
) -> None:
    for subject, other, tolerance in ((drawn_before, 150, 1e-9), (texts, 5, 1e-4)):
        if isinstance(plan("check", subject, [small(name)], NO_POLICY).steps[0], Planned):
            check_shard_sizes(small(name), subject, other, kitchen, tolerance)


def data_options(name: str, folder: Path) -> dict[str, Any]:
    match name:
        case "biographies":
            return {"train": 300, "holdout": 100, "canaries": 3}
        case "fashion-mnist":
            return {"path": str(idx_folder(folder / "idx")), "train": 60, "holdout": 30}
        case "images":
            return {"holdout": str(image_folder(folder / "images"))}
        case "portraits":
            return {"train": 300, "holdout": 100}
        case "text":
            return {"holdout": str(text_folder(folder / "texts"))}
    return {}


@pytest.mark.parametrize("name", catalogue("datasets").names())
def test_a_dataset_keeps_its_contract(name: str, tmp_path: Path) -> None:
    check_dataset(catalogue("datasets").load(name), data_options(name, tmp_path))


@pytest.mark.parametrize("name", catalogue("extractors").names())
def test_an_extractor_keeps_its_contract(name: str) -> None:
    extractor = catalogue("extractors").load(name)
    if lacks := lacking(extractor):
        pytest.skip(lacks)
    if extractor.refer().modality == "image":
        rows = image_rows(np.random.default_rng(0).integers(0, 255, (5, 32, 32, 3), dtype=np.uint8))
    else:
        rows = text_rows(["a", "few", "words", "of", "text"])
    with one_thread():  # as a worker runs it
        check_extractor(extractor, rows)


def test_outputs_on_disk_keep_the_contract(tmp_path: Path) -> None:
    options = {"path": str(image_folder(tmp_path / "pictures"))}
    model, _, offers = check_adapter(catalogue("models").load("samples_on_disk"), options)
    check_capabilities(model, offers, model.sample(3, np.random.default_rng(0)))


def test_a_language_model_keeps_the_contract(tiny_lm: Path) -> None:
    options = {"path": str(tiny_lm), "max_new_tokens": 8}
    model, _, offers = check_adapter(catalogue("models").load("transformers"), options)
    check_capabilities(model, offers, text_rows(["abc def", "a longer text than the first", "xyz"]))


def test_a_third_partys_plugins_keep_the_contract(letters: Path) -> None:
    evaluators = catalogue("evaluators")
    for name in ("quality.vowels", "quality.familiar"):
        check_description(evaluators.load(name), name)
    check_dataset(catalogue("datasets").load("letters"), {})
    model, _, offers = check_adapter(catalogue("models").load("letters"), {})
    check_capabilities(model, offers, text_rows(["abc", "de"]))


def test_a_plugin_that_cannot_be_loaded_names_the_extra_to_install(letters: Path) -> None:
    broken = catalogue("evaluators").survey()["quality.broken"]
    assert isinstance(broken, Unavailable)
    assert "not_a_real_library" in broken.reason
    assert broken.remedy == "Run: pip install 'audit-letters[missing]'"


def test_every_plugin_of_ours_loads() -> None:
    for kind in ("models", "included", "datasets", "extractors", "evaluators", "executors", "reports"):
        for name, found in catalogue(kind).survey().items():
            assert not isinstance(found, Unavailable), f"{kind} {name}: {found}"
