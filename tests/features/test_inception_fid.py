"""FID's Inception network: torch-fidelity's layers with the same random weights, TensorFlow's resizing, and no weights here."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from audit import assets
from audit.core.errors import InputError
from audit.core.rows import image_rows
from audit.features.inception_fid import ASSET, InceptionFID
from audit.features.inception_fid_network import SIZE, Network, resized


@pytest.fixture(scope="module")
def theirs() -> Any:
    """torch-fidelity's class with weights drawn here; its package imports torchvision, this module of it does not."""
    spec = importlib.util.find_spec("torch_fidelity")
    if spec is None or spec.submodule_search_locations is None:
        pytest.skip("torch-fidelity is not here: unpack its wheel and put the folder on PYTHONPATH")
    package = types.ModuleType("torch_fidelity")
    package.__path__ = list(spec.submodule_search_locations)
    sys.modules["torch_fidelity"] = package
    module = importlib.import_module("torch_fidelity.feature_extractor_inceptionv3")
    kind = module.FeatureExtractorInceptionV3
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "load_state_dict_from_url", lambda *a, **k: {})
        patch.setattr(kind, "load_state_dict", lambda self, state: None)
        torch.manual_seed(0)
        network = kind("theirs", ["64", "192", "768", "2048", "logits"])
    for part in network.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(part.running_var, 0.5, 2)
            torch.nn.init.normal_(part.running_mean, std=0.2)
            torch.nn.init.normal_(part.bias, std=0.2)
    for name in [name for name in sys.modules if name.startswith("torch_fidelity")]:
        del sys.modules[name]
    return network


@pytest.mark.parametrize("shape", [(2, 3, 32, 32), (1, 3, 400, 301)])
def test_every_layer_is_that_of_torch_fidelity(theirs: Any, shape: tuple[int, ...]) -> None:
    ours = Network.of(theirs.state_dict())
    pixels = torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        expected, found = theirs(pixels), ours.layers(pixels.float())
        found["logits"] = ours.logits(found["2048"])
        assert list(found) == ["64", "192", "768", "2048", "logits"]
        for name, values in zip(found, expected, strict=True):
            torch.testing.assert_close(
                found[name], values, rtol=1e-4, atol=1e-5 * float(values.abs().max()), msg=name
            )


def test_resizing_is_tensorflow_ones() -> None:
    """Place i of the result is at i × old / new of the picture, between two pixels as far as that says."""
    ramp = torch.arange(4.0).expand(1, 1, 4, 4)
    found = resized(ramp)[0, 0]
    expected = np.minimum(np.arange(SIZE) * 4 / SIZE, 3)
    np.testing.assert_allclose(found[7].numpy(), expected, atol=1e-5)
    torch.testing.assert_close(resized(ramp.transpose(2, 3))[0, 0], found.T)
    same = torch.rand(1, 3, SIZE, SIZE)
    torch.testing.assert_close(resized(same), same)


def test_the_extractor_gives_the_same_alone_and_in_a_batch() -> None:
    class Means:
        def features(self, pixels: Any) -> Any:
            return torch.cat([pixels.mean((2, 3)), torch.zeros(len(pixels), 2045)], 1)

    images = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 1), dtype=np.uint8)
    alone, batched = (InceptionFID(Means(), "cpu", size).extract(image_rows(images)) for size in (1, 4))
    np.testing.assert_array_equal(alone, batched)
    np.testing.assert_allclose(alone[:, :3], images.mean((1, 2)).repeat(3, axis=1), rtol=1e-6)
    with pytest.raises(ValueError, match="1 or 3 channels, not 4"):
        InceptionFID(Means(), "cpu", 1).extract(image_rows(np.zeros((1, 8, 8, 4), np.uint8)))


def test_without_its_weights_it_names_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUDIT_ASSETS", str(tmp_path / "assets"))
    with pytest.raises(InputError, match="audit fetch inception-fid --from FOLDER"):
        InceptionFID.refer()
    with pytest.raises(InputError, match="audit fetch inception-fid --from FOLDER"):
        assets.fetch(ASSET)
    (tmp_path / "pt_inception-2015-12-05-6726825d.pth").write_bytes(b"other bytes")
    with pytest.raises(InputError, match="SHA-256 6726825d"):
        assets.fetch(ASSET, source_dir=tmp_path)
