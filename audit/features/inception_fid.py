"""Features of the published Fréchet inception distance: the last layer of the Inception network that TensorFlow released in 2015."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from audit import assets
from audit.core.identity import canonical, digest_of
from audit.core.references import ExtractorRef
from audit.core.rows import Images, Matrix, Rows, images_read_by
from audit.formats.arithmetic import exactly

ASSET = "inception-fid"
_DIMENSIONS = 2048
_VERSION = 1
_AT_ONCE = 32


class InceptionFID:
    """The last layer of the 2015 Inception network, averaged over the picture: 2,048 features, those of the published FID.

    An image of one channel has it three times. It is stretched to 299×299 as TensorFlow 1 did, bilinear without antialiasing, and
    (level - 128) / 128 goes in. The same network with another way of resizing gives other distances, so all of
    this is in the digest. The weights are an asset that no package carries: ``audit fetch inception-fid --from FOLDER``.

    Traps: it learnt ImageNet's classes, and shrinking without antialiasing makes sharp pictures grainy before it sees
    them. Its distances are those that papers print, not those that people find most telling.
    """

    def __init__(self, network: Any, device: str, at_once: int) -> None:
        self._network, self._device, self._at_once = network, device, at_once

    @classmethod
    def refer(cls) -> ExtractorRef:
        assets.path(ASSET)
        recipe = {
            "extractor": ASSET,
            "version": _VERSION,
            "weights": assets.pinned(ASSET),
            "filter": "stretched to 299×299, TensorFlow 1 bilinear, float32",
            "normalisation": (128.0, 128.0),
            "grey": "repeated",
            "layer": "2048, averaged over the picture",
        }
        return ExtractorRef(ASSET, digest_of(canonical(recipe)), _DIMENSIONS, "image")

    @classmethod
    def open(cls, ref: ExtractorRef, device: str) -> InceptionFID:
        ref.check_same_as(cls.refer())
        import torch

        from audit.features.inception_fid_network import Network

        state = torch.load(assets.verified(ASSET), map_location=device, weights_only=True)
        return cls(Network.of(state), device, 1 if device == "cpu" else _AT_ONCE)

    def extract(self, rows: Rows) -> Matrix:
        """Return features of shape (rows, 2048) from images with one or three channels. Raise ValueError otherwise."""
        images = images_read_by(f"the extractor '{ASSET}'", rows, channels=(1, 3))
        features = np.empty((len(images), _DIMENSIONS))
        for start in range(0, len(images), self._at_once):
            batch = images[start : start + self._at_once]
            features[start : start + len(batch)] = self._of(batch)
        return features

    def _of(self, batch: Images) -> NDArray[np.float32]:
        """Return the features of at most one batch; a batch that is not full is filled with black."""
        import torch

        full = np.zeros((self._at_once, *batch.shape[1:]), np.uint8)
        full[: len(batch)] = batch
        with exactly():
            pixels = torch.from_numpy(full).to(self._device).permute(0, 3, 1, 2).float()
            found = self._network.features(pixels.expand(-1, 3, -1, -1))
        return np.asarray(found[: len(batch)].cpu().numpy())
