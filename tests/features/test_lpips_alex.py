"""LPIPS: torchmetrics' own network with the same random weights, the published example pair, and no weights here."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from audit import assets
from audit.core.errors import InputError
from audit.core.rows import OTHER, image_column, image_rows
from audit.features.lpips_alex import ASSET, LEAST, LpipsAlex, Network, _heads

EXAMPLES = "AUDIT_LPIPS_EXAMPLES"
"""The folder with the example pictures of the LPIPS repository, where somebody has it: imgs/ex_ref.png, ex_p0.png, ex_p1.png."""
_PLACES = (0, 3, 6, 8, 10)


def trunk() -> torch.nn.Sequential:
    """AlexNet's features as torchvision lays them out, with weights drawn here; torchvision is not needed."""
    conv, relu, pool = torch.nn.Conv2d, torch.nn.ReLU, torch.nn.MaxPool2d
    torch.manual_seed(0)
    return torch.nn.Sequential(
        *(conv(3, 64, 11, 4, 2), relu(), pool(3, 2)),
        *(conv(64, 192, 5, padding=2), relu(), pool(3, 2)),
        *(conv(192, 384, 3, padding=1), relu()),
        *(conv(384, 256, 3, padding=1), relu()),
        *(conv(256, 256, 3, padding=1), relu(), pool(3, 2)),
    )


def ours(layers: torch.nn.Sequential) -> Network:
    arrays = {}
    for i, place in enumerate(_PLACES):
        arrays[f"AlexNet_0.Conv_{i}.kernel"] = layers[place].weight.detach().numpy().transpose(2, 3, 1, 0)
        arrays[f"AlexNet_0.Conv_{i}.bias"] = layers[place].bias.detach().numpy()
    return Network.of(arrays, torch.load(_heads(), map_location="cpu", weights_only=True), "cpu")


@pytest.mark.parametrize("side", [(LEAST, 40), (64, 64), (128, 97)])
def test_every_layer_is_that_of_torchmetrics(side: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    from torchmetrics.functional.image import lpips

    layers = trunk()
    monkeypatch.setattr(lpips, "_get_tv_model_features", lambda *a, **k: layers)
    load = torch.load
    monkeypatch.setattr(torch, "load", lambda *a, **k: load(*a, **{**k, "map_location": "cpu"}))
    theirs = lpips._LPIPS(pretrained=True, net="alex")
    x, y = (torch.rand(3, 3, *side, generator=torch.Generator().manual_seed(i)) * 2 - 1 for i in (1, 2))
    with torch.inference_mode():
        total, parts = theirs(x, y, retperlayer=True)
        found = ours(layers).parts(x, y)
    torch.testing.assert_close(found, torch.cat(parts, dim=1)[:, :, 0, 0], rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(found.sum(1), total[:, 0, 0, 0], rtol=1e-5, atol=1e-6)


def test_pairs_are_taken_from_rows_alone_or_many_at_once() -> None:
    extractor = LpipsAlex(ours(trunk()), "cpu")
    images = np.random.default_rng(0).integers(0, 256, (4, 40, 40, 1), dtype=np.uint8)
    rows = image_rows(images).append_column(OTHER, image_column(images[::-1].copy()))
    found = extractor.extract(rows)
    np.testing.assert_allclose(found, found[::-1], rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(found[1:2], extractor.extract(rows.slice(1, 1)))
    same = image_rows(images).append_column(OTHER, image_column(images))
    np.testing.assert_array_equal(extractor.extract(same), np.zeros((4, 5)))
    assert (extractor.extract(image_rows(images)) > 0).all(), "a picture alone is compared with a grey one"
    with pytest.raises(ValueError, match="31 pixels a side"):
        extractor.extract(image_rows(images[:, :20, :20]))
    with pytest.raises(ValueError, match="beside pictures of"):
        extractor.extract(image_rows(images).append_column(OTHER, image_column(images[:, :36])))


def test_without_its_weights_it_names_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUDIT_ASSETS", str(tmp_path / "assets"))
    with pytest.raises(InputError, match="audit fetch lpips-alex --from FOLDER"):
        LpipsAlex.refer()
    (tmp_path / "alexnet.ckpt").write_bytes(b"other bytes")
    with pytest.raises(InputError, match="SHA-256 443c5bc3"):
        assets.fetch(ASSET, source_dir=tmp_path)


@pytest.fixture
def published() -> Any:
    try:
        return LpipsAlex.open(LpipsAlex.refer(), "cpu")
    except InputError as error:
        pytest.skip(str(error))


def test_the_weights_tell_noise_from_a_shift_of_brightness(published: Any) -> None:
    """People hardly see the second, which is the larger difference in levels."""
    edge = np.linspace(40, 200, 64)
    picture = np.repeat(np.add.outer(edge, edge)[:, :, None] / 2, 3, axis=2)
    noise = np.random.default_rng(0).normal(scale=15, size=picture.shape)
    pairs = np.stack([picture + 20, picture + noise]).clip(0, 255).astype(np.uint8)
    rows = image_rows(pairs).append_column(OTHER, image_column(np.stack([picture, picture]).astype(np.uint8)))
    lighter, noisy = published.extract(rows).sum(axis=1)
    assert lighter < 0.1 < 0.3 < noisy


def test_the_published_example_pair(published: Any) -> None:
    """The repository's own commands print 0.722 and 0.138 for them."""
    from PIL import Image

    folder = Path(os.environ.get(EXAMPLES, "/nowhere"))
    if not (folder / "ex_ref.png").is_file():
        pytest.skip(f"name the folder 'imgs' of the LPIPS repository in {EXAMPLES}")
    reference, first, second = (
        np.asarray(Image.open(folder / f"{name}.png").convert("RGB")) for name in ("ex_ref", "ex_p0", "ex_p1")
    )
    rows = image_rows(np.stack([first, second]))
    rows = rows.append_column(OTHER, image_column(np.stack([reference, reference])))
    np.testing.assert_allclose(published.extract(rows).sum(axis=1), [0.722, 0.138], atol=5e-4)
