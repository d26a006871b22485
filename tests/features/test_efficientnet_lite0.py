"""EfficientNet-Lite0: the network of the package that first held it, and weights that know a daisy."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import audit
from audit import assets
from audit.core.errors import InputError
from audit.core.rows import image_rows, text_rows
from audit.features.efficientnet_lite0 import WEIGHTS, EfficientNetLite0, prepared
from audit.features.efficientnet_lite0_network import Network, halved


@pytest.fixture(scope="module")
def extractor() -> EfficientNetLite0:
    """The extractor with its weights."""
    return EfficientNetLite0.open(EfficientNetLite0.refer(), "cpu")


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def test_the_network_is_that_of_the_package() -> None:
    """With weights drawn here, so that it is compared without the asset too."""
    package = pytest.importorskip("efficientnet_lite_pytorch")
    torch.manual_seed(0)
    theirs = package.EfficientNet.from_name("efficientnet-lite0").eval()
    for module in theirs.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.running_var, 0.5, 2)
            torch.nn.init.normal_(module.running_mean)
            torch.nn.init.normal_(module.bias)
    ours = Network.of(theirs.state_dict())
    with torch.inference_mode():
        x = torch.randn(2, 3, 224, 224)
        features = ours.features(x)
        expected = theirs.extract_features(x).mean((2, 3))
        assert features.shape == (2, 1280)
        torch.testing.assert_close(features, expected, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(ours.logits(features), theirs(x), atol=1e-4, rtol=1e-4)


def test_it_names_what_is_in_a_photograph(extractor: EfficientNetLite0) -> None:
    """ImageNet's class 985 is the daisy, 442 the bell cote; the photographs come with scikit-learn."""
    from sklearn.datasets import load_sample_image

    for name, expected in (("flower.jpg", 985), ("china.jpg", 442)):
        photograph = load_sample_image(name)[None]
        features = extractor.extract(image_rows(photograph))
        logits = extractor._network.logits(torch.tensor(features, dtype=torch.float32))
        assert int(logits.argmax()) == expected


def test_parts_of_one_photograph_lie_closer_than_two_photographs(extractor: EfficientNetLite0) -> None:
    from sklearn.datasets import load_sample_image

    crops = [
        load_sample_image(name)[100 : 100 + 224, left : left + 224]
        for name in ("flower.jpg", "china.jpg")
        for left in (180, 200, 220)
    ]
    features = extractor.extract(image_rows(np.stack(crops)))
    apart = np.linalg.norm(features[:, None] - features[None], axis=2)
    same = np.kron(np.eye(2), np.ones((3, 3))) > 0
    assert apart[same].max() < apart[~same].min()


@pytest.mark.parametrize("shape", [(8, 8, 1), (32, 32, 3), (300, 200, 3), (224, 224, 1)])
def test_a_batch_of_one_and_a_full_batch_agree(extractor: EfficientNetLite0, shape: tuple[int, ...]) -> None:
    rows = image_rows(noise(5, *shape))
    alone = extractor.extract(rows)
    together = EfficientNetLite0(extractor._network, "cpu", 4).extract(rows)
    np.testing.assert_allclose(
        together, alone, atol=2e-5
    )  # other blocks of sums: a few units in the last place
    last = EfficientNetLite0(extractor._network, "cpu", 4).extract(rows.slice(4, 1))
    np.testing.assert_array_equal(last[0], together[4])


def test_grey_is_the_same_as_three_equal_channels(extractor: EfficientNetLite0) -> None:
    grey = noise(2, 28, 28, 1)
    np.testing.assert_array_equal(
        extractor.extract(image_rows(grey)), extractor.extract(image_rows(np.repeat(grey, 3, axis=3)))
    )


def test_what_goes_in_is_the_image_scaled_to_about_one() -> None:
    level = prepared(np.full((1, 9, 9, 1), 255, np.uint8), "cpu")
    assert level.shape == (1, 3, 224, 224)
    torch.testing.assert_close(level, torch.ones_like(level))
    image = noise(1, 224, 224, 3)
    exact = prepared(image, "cpu")[0].permute(1, 2, 0).numpy()
    np.testing.assert_allclose(exact, (image[0].astype(float) - 127) / 128, atol=1e-6)


def test_a_shrunken_image_is_the_one_pillow_makes() -> None:
    from PIL import Image

    image = noise(448, 672, 1)
    floats = Image.fromarray(image[:, :, 0].astype(np.float32))
    expected = (np.asarray(floats.resize((224, 224), Image.Resampling.BICUBIC)) - 127) / 128
    np.testing.assert_allclose(prepared(image[None], "cpu")[0, 0].numpy(), expected, atol=1e-5)


def test_other_rows_are_refused_and_none_is_fine(extractor: EfficientNetLite0) -> None:
    with pytest.raises(ValueError, match="reads images"):
        extractor.extract(text_rows(["a"]))
    with pytest.raises(ValueError, match="not 4"):
        extractor.extract(image_rows(np.zeros((1, 8, 8, 4), np.uint8)))
    assert extractor.extract(image_rows(np.zeros((0, 9, 9, 1), np.uint8))).shape == (0, 1280)


def test_the_weights_are_those_in_single_precision_rounded(extractor: EfficientNetLite0) -> None:
    try:
        original = assets.verified("efficientnet-lite0")
    except InputError as error:
        pytest.skip(str(error))
    state = torch.load(original, map_location="cpu", weights_only=True)
    assert halved(state) == WEIGHTS.read_bytes()
    single = EfficientNetLite0(Network.of(state), "cpu", 1)
    for rows in (image_rows(noise(3, 32, 32, 3)), image_rows(noise(1, 300, 200, 1))):
        ours, theirs = extractor.extract(rows), single.extract(rows)
        assert (np.linalg.norm(ours - theirs, axis=1) < 0.01 * np.linalg.norm(theirs, axis=1)).all()


def test_weights_that_changed_on_the_disk_are_not_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = bytearray(WEIGHTS.read_bytes())
    data[-1] ^= 1
    other = tmp_path / "other.safetensors"
    other.write_bytes(data)
    for path in (other, tmp_path / "missing"):
        monkeypatch.setattr("audit.features.efficientnet_lite0.WEIGHTS", path)
        with pytest.raises(InputError, match="are damaged"):
            EfficientNetLite0.open(EfficientNetLite0.refer(), "cpu")


def test_all_weights_in_the_package_stay_small() -> None:
    root = Path(audit.__file__).parent
    assert sum(p.stat().st_size for p in root.glob("**/weights/**/*") if p.is_file()) < 75_000_000


def test_naming_it_loads_no_torch() -> None:
    code = (
        "import sys\nfrom audit.core.errors import InputError\n"
        "from audit.features.efficientnet_lite0 import EfficientNetLite0\n"
        "from audit.features.minilm import MiniLM\n"
        "for extractor in (EfficientNetLite0, MiniLM):\n"
        "    try:\n        extractor.refer()\n    except InputError:\n        pass\n"
        "print([m for m in ('torch', 'transformers', 'PIL', 'pyarrow') if m in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
