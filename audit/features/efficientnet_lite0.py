"""Features of photographs: what a small ImageNet classifier sees just before it names a class."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audit.core.errors import InputError
from audit.core.identity import canonical, digest_of
from audit.core.references import ExtractorRef
from audit.core.rows import Images, Matrix, Rows, images_read_by
from audit.formats.arithmetic import exactly

WEIGHTS = Path(__file__).parent / "weights" / "efficientnet-lite0.safetensors"
_DIGEST = "02cac4018cc4a4b85465a673421838442f4dffef"
_DIMENSIONS = 1280
_VERSION = 2
_SIZE = 224
_MEAN, _SCALE = 127.0, 128.0
_AT_ONCE = 64


class EfficientNetLite0:
    """The pooled last layer of EfficientNet-Lite0, trained on ImageNet: 1,280 features, for images of any size.

    What images are compared in unless the spec or the data name something else. The weights ship with the package, in half
    precision; arithmetic is in float32. An image of one channel has it three times. The whole image is stretched to
    224×224 (torch's bicubic filter, antialiased when it shrinks, in float32
    and without rounding to whole levels), and (level - 127) / 128 goes in, as
    the TensorFlow authors trained it; with the usual ImageNet mean and
    deviation it no longer knows a daisy. All of this is in the digest.

    A value of one image is the same whatever is beside it: on a CPU images go
    through one by one, which costs nothing (89 a second on one core, in fours
    95, in eights 68), elsewhere in batches that are always full.

    Traps: it learnt from photographs of things. An 8×8 or 32×32 picture is
    enlarged, and what it sees is mostly blur: compare such features with one
    another only. It is not the Inception network of published Fréchet
    distances, and no distance in these features is comparable with those.
    """

    def __init__(self, network: Any, device: str, at_once: int) -> None:
        self._network, self._device, self._at_once = network, device, at_once

    @classmethod
    def refer(cls) -> ExtractorRef:
        recipe = {
            "extractor": "efficientnet-lite0",
            "version": _VERSION,
            "weights": _DIGEST,
            "size": _SIZE,
            "filter": "stretched, torch bicubic, antialiased, float32",
            "normalisation": (_MEAN, _SCALE),
            "grey": "repeated",
            "layer": "head, averaged over the picture",
        }
        return ExtractorRef("efficientnet-lite0", digest_of(canonical(recipe)), _DIMENSIONS, "image")

    @classmethod
    def open(cls, ref: ExtractorRef, device: str) -> EfficientNetLite0:
        ref.check_same_as(cls.refer())
        from audit.features.efficientnet_lite0_network import Network

        data = WEIGHTS.read_bytes() if WEIGHTS.is_file() else b""
        if digest_of(data) != _DIGEST:
            raise InputError(
                f"The weights of 'efficientnet-lite0' in this installation are damaged ({WEIGHTS}). Reinstall generative-audit."
            )
        return cls(Network.load(data, device), device, 1 if device == "cpu" else _AT_ONCE)

    def extract(self, rows: Rows) -> Matrix:
        """Return features of shape (rows, 1280) from images with one or three channels. Raise ValueError otherwise."""
        images = images_read_by("the extractor 'efficientnet-lite0'", rows, channels=(1, 3))
        features = np.empty((len(images), _DIMENSIONS))
        for start in range(0, len(images), self._at_once):
            batch = images[start : start + self._at_once]
            features[start : start + len(batch)] = self._of(batch)
        return features

    def _of(self, batch: Images) -> NDArray[np.float32]:
        """Return the features of at most one batch; a batch that is not full is filled with black."""
        full = np.zeros((self._at_once, *batch.shape[1:]), np.uint8)
        full[: len(batch)] = batch
        with exactly():
            found = self._network.features(prepared(full, self._device))
        return np.asarray(found[: len(batch)].cpu().numpy())


def prepared(images: Images, device: str) -> Any:
    """Return what the network is given for images of 1 or 3 channels: a tensor of shape (n, 3, 224, 224), float32."""
    import torch

    with torch.inference_mode():
        pixels = torch.from_numpy(images).to(device).permute(0, 3, 1, 2).float()
        sized = torch.nn.functional.interpolate(pixels, (_SIZE, _SIZE), mode="bicubic", antialias=True)
        coloured = sized.expand(-1, 3, -1, -1).sub(_MEAN).div_(_SCALE)
        return coloured.contiguous(memory_format=torch.channels_last)
