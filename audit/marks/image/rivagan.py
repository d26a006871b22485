"""RivaGAN (Zhang et al. 2019): 32 bits written by a neural network, in the weights that the package ``invisible-watermark`` carries.

That package and onnxruntime are an extra (``pip install generative-audit[rivagan]``). Only its two weight files are used, so neither OpenCV nor torch
is loaded. Images are written and read at ``size`` × ``size``. The mark is in colours of pictures of some size: in grey ones, and below 128 pixels a side, nothing
is found.

Formula: of 32 bits of the key's message, m are read as they should be; p = P(Bin(32, 1/2) >= m), exact over random messages.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from audit.core.errors import InputError
from audit.marks.image.blocks import Floats, Pixels, resized
from audit.marks.image.detection import agreement, message
from audit.marks.image.dwt_dct import carried_over
from audit.marks.text.detection import Detection

BITS, _THRESHOLD, _AT_ONCE = 32, 0.52, 8
"""The threshold is the package's own: what its network gives for a bit above it is 1."""
_PACKAGE = "imwatermark"


def require() -> Path:
    """Return the folder of the weights. Raise InputError where the extra is not installed."""
    found = find_spec(_PACKAGE)
    if found is None or found.origin is None or find_spec("onnxruntime") is None:
        raise InputError(
            "The watermark 'rivagan' needs the packages invisible-watermark and onnxruntime: "
            "pip install 'generative-audit[rivagan]'."
        )
    return Path(found.origin).parent


@lru_cache(maxsize=2)
def _network(name: str) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    path = require() / f"rivagan_{name}.onnx"
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


@dataclass(frozen=True)
class RivaGAN:
    """The neural mark with the message of ``key``."""

    key: int
    size: int = 256
    name: str = field(default="rivagan", init=False)

    def __post_init__(self) -> None:
        if self.size < 16:
            raise ValueError(f"rivagan: size is {self.size}; it is at least 16")

    def embed(self, images: Pixels) -> Pixels:
        small = resized(images, self.size)
        bits = message(self.key, BITS).astype(np.float32)[None]
        out = small.copy()
        for first in range(0, len(small), _AT_ONCE):
            frames = _frames(small[first : first + _AT_ONCE])
            (made,) = _network("encoder").run(None, {"frame": frames, "data": bits.repeat(len(frames), 0)})
            colours = np.rint((np.clip(made[:, :, 0], -1, 1) + 1) * 127.5).transpose(0, 2, 3, 1)
            _put(out[first : first + _AT_ONCE], colours)
        return carried_over(images, small, out)

    def detect(self, images: Pixels) -> list[Detection]:
        if not len(images):
            return []
        read = [_read(image.tobytes(), image.shape) for image in resized(images, self.size)]
        return agreement(np.stack(read) > _THRESHOLD, message(self.key, BITS))

    def rekeyed(self, key: int) -> RivaGAN:
        return replace(self, key=key)


@lru_cache(maxsize=4)
def _read(pixels: bytes, shape: tuple[int, ...]) -> Floats:
    """Return what the network reads in one image; the last ones are kept, because other keys are tried on the same image."""
    (values,) = _network("decoder").run(
        None, {"frame": _frames(np.frombuffer(pixels, np.uint8).reshape(1, *shape))}
    )
    return np.asarray(values[0])


def _frames(images: Pixels) -> Floats:
    """Return images as the network takes them: shape (n, 3, 1, height, width), from -1 to 1."""
    colours = images[..., :3] if images.shape[3] >= 3 else images[..., :1].repeat(3, axis=3)
    return np.ascontiguousarray(colours.transpose(0, 3, 1, 2)[:, :, None], np.float32) / np.float32(127.5) - 1


def _put(images: Pixels, colours: Floats) -> None:
    """Write colours into images: their mean where those are grey; transparency stays."""
    if images.shape[3] >= 3:
        images[..., :3] = colours.astype(np.uint8)
    else:
        images[..., 0] = np.rint(colours.mean(axis=3)).astype(np.uint8)
