"""The page on models of one's own: its example is built, planned and audited; its options exist."""

from __future__ import annotations

import json
import re
import shutil
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import nn

from audit.core.capabilities import Capability
from audit.data.images import _OPTIONS, ImageFolder
from audit.models import diffusers, samples_on_disk
from audit.models.pipelines.kinds import CODECS, PIPELINES
from audit.models.torch_module import TorchModule
from audit.testing.models import check_adapter, check_capabilities

PAGE = (Path(__file__).parents[2] / "docs" / "your-model.md").read_text(encoding="utf-8")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (code,) = re.findall(r"\*mymodel\.py\*\n\n```python\n(.*?)```", PAGE, flags=re.DOTALL)
    (tmp_path / "your_model_page.py").write_text(code, encoding="utf-8")
    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(3072, 64), nn.ReLU(), nn.Linear(64, 8))
    decoder = nn.Sequential(nn.Linear(8, 64), nn.ReLU(), nn.Linear(64, 3072), nn.Tanh())
    tensors = {
        f"{name}.{key}": v
        for name, part in (("encoder", encoder), ("decoder", decoder))
        for key, v in part.state_dict().items()
    }
    save_file(tensors, tmp_path / "weights.safetensors")
    rng = np.random.default_rng(0)
    for split in ("train", "holdout"):
        (tmp_path / "data" / split).mkdir(parents=True)
        for i in range(40):
            pixels = rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "data" / split / f"{i}.png")
    return tmp_path


def options(folder: Path) -> dict[str, str]:
    return {
        "factory": "your_model_page:build",
        "weights": str(folder / "weights.safetensors"),
        "python_path": str(folder),
    }


def test_the_example_keeps_the_promises_of_a_model_and_is_audited(
    folder: Path, cli: Callable[..., Any]
) -> None:
    from audit.core.rows import image_rows

    model, card, offers = check_adapter(TorchModule, options(folder))
    assert card.family == "autoencoder"
    assert offers == {Capability.SAMPLE, Capability.ENCODE, Capability.DECODE, Capability.RECONSTRUCT}
    check_capabilities(
        model, offers, image_rows(np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8))
    )
    (block,) = re.findall(r"```toml\n(\[model\]\nadapter = \"torch_module\".*?)```", PAGE, flags=re.DOTALL)
    spec = folder / "audit.toml"
    spec.write_text(
        "samples = 40\n"
        + block.replace("mymodel:", "your_model_page:")
        + '[data]\nuse = "images"\ntrain = "data/train"\n'
        'holdout = "data/holdout"\n[features]\nuse = "pixels"\n[run]\nexecutor = "inline"\n'
        '[[evaluators]]\nname = "quality.kid"\n[[evaluators]]\nname = "quality.reconstruction"\n'
    )
    assert cli("plan", spec).code == 0
    done = cli("run", spec, "--store", folder / "store")
    assert done.code in (0, 1, 3), done.err
    cli("report", "--format", "json", "--store", folder / "store", "-o", folder / "record.json")
    found = {one["metric"] for one in json.loads((folder / "record.json").read_text())["measurements"]}
    assert {"quality.kid", "quality.reconstruction.psnr"} <= found


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ('pixel_range = "-1..1"', 'pixel_range = "0..1"', "correct it, or scale what is returned"),
        ('    pixel_range = "-1..1"', "    other = 1", "declare pixel_range"),
        (
            "rng.standard_normal((n, 8), dtype=np.float32)",
            "np.random.normal(size=(n, 8)).astype(np.float32)",
            "manual_seed",
        ),
        ("return self.network.encoder(", "return self.network.encoder[0](", ""),
        ("(3, 32, 32))", "(3, 32, 32)).flatten(1)", "images are (n, height, width, channels)"),
        ("-> MyModel", "", "does not say which class it returns"),
        ("n, rng, condition=None", "n", "cannot be called as sample"),
    ],
)
def test_what_is_wrong_with_a_copy_of_it_is_told_while_planning(
    folder: Path, cli: Callable[..., Any], right: str, wrong: str, said: str
) -> None:
    name = f"your_model_{re.sub(r'[^a-z]', '', wrong)[:40]}"
    source = (folder / "your_model_page.py").read_text()
    assert right in source
    wrong_source = source.replace(right, wrong)
    shutil.rmtree(folder / "__pycache__", ignore_errors=True)
    (folder / "your_model_page.py").unlink()
    (folder / f"{name}.py").write_text(wrong_source)
    spec = folder / "audit.toml"
    spec.write_text(
        f'[model]\nadapter = "torch_module"\nfactory = "{name}:build"\nweights = "weights.safetensors"\npython_path = "."\n'
        '[data]\nuse = "images"\npath = "data/holdout"\n'
    )
    done = cli("plan", spec)
    if said:
        assert done.code == 2
        assert said in done.err
    else:
        assert done.code == 0, done.err


def test_the_page_names_every_option_and_every_kind() -> None:
    named = (*diffusers._DRAWN, *diffusers._ASKED, "variant", "hub", "arithmetic")
    named += (*samples_on_disk._TEXT_OPTIONS, *samples_on_disk._FOLDER_OPTIONS)
    missing = [
        name for name in (*named, *PIPELINES, *CODECS) if f"`{name}`" not in PAGE and f"{name} =" not in PAGE
    ]
    assert missing == []


def test_the_table_of_groups_on_the_page_is_read(folder: Path) -> None:
    (block,) = re.findall(r"```toml\n(\[data\]\n.*?)```", PAGE, flags=re.DOTALL)
    (table,) = re.findall(r"```csv\n(.*?)```", PAGE, flags=re.DOTALL)
    (folder / "data" / "groups.csv").write_text(table, encoding="utf-8")
    data = tomllib.loads(block)["data"]
    assert data.pop("use") == "images"
    data = {k: str(folder / v) if k in ("train", "holdout", "metadata") else v for k, v in data.items()}
    card = ImageFolder.describe(ImageFolder.refer(data))
    assert (card.groups, card.randomised) == (("skin_tone", "age"), True)
    assert any("77 of 80 images have no entry" in said for said in card.problems)
    assert [name for name in _OPTIONS if f"`{name}`" not in PAGE and f"{name} = " not in PAGE] == []
