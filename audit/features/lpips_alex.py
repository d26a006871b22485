"""How differently two pictures look: the learned perceptual image patch similarity, on AlexNet."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from audit import assets
from audit.core.errors import InputError
from audit.core.identity import canonical, digest_file, digest_of
from audit.core.references import ExtractorRef
from audit.core.rows import OTHER, Images, Matrix, Rows, images_of, images_read_by
from audit.formats.arithmetic import exactly
from audit.formats.hostile import UnreadableError
from audit.formats.pickled import arrays_in

ASSET = "lpips-alex"
LEAST = 31
"""Pixels of the shorter side of a picture that reaches the third layer."""
_VERSION = 1
_AT_ONCE = 32
_EPSILON = 1e-8
_SHIFT, _SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
_CONVOLUTIONS = ((4, 2), (1, 2), (1, 1), (1, 1), (1, 1))
"""Stride and padding of the five convolutions; a maximum of 3×3 at stride 2 comes before the second and the third."""


class LpipsAlex:
    """The five parts of LPIPS (Zhang et al. 2018, AlexNet, version 0.1) of a picture and the one beside it in the column ``other``.

    Their sum is the distance: in each of five layers activations are scaled to length 1 in every place, and squared differences are weighed by
    channel and averaged over the picture. The network's weights are an asset (``audit fetch lpips-alex --from FOLDER``), the weights of
    channels those that torchmetrics ships. A picture alone is compared with a grey one.

    Traps: it sees 31 pixels a side and more. It is trained on what people said of small patches, and calls a picture near that differs by what
    AlexNet does not see, such as fine text. It is no feature of one picture.
    """

    def __init__(self, network: Network, device: str) -> None:
        self._network, self._device = network, device

    @classmethod
    def refer(cls) -> ExtractorRef:
        assets.path(ASSET)
        recipe = {
            "extractor": ASSET,
            "version": _VERSION,
            "weights": assets.pinned(ASSET),
            "heads": digest_file(_heads()),
            "grey": "repeated",
        }
        limits = "they see how two pictures differ, not what one shows"
        return ExtractorRef(ASSET, digest_of(canonical(recipe)), len(_CONVOLUTIONS), "image", limits=limits)

    @classmethod
    def open(cls, ref: ExtractorRef, device: str) -> LpipsAlex:
        ref.check_same_as(cls.refer())
        import torch

        try:
            trunk = arrays_in(assets.verified(ASSET).read_bytes())
        except UnreadableError as error:
            raise InputError(
                f"The asset '{ASSET}' {error}. Run 'audit fetch {ASSET} --from FOLDER'."
            ) from error
        heads = torch.load(_heads(), map_location="cpu", weights_only=True)
        return cls(Network.of(trunk, heads, device), device)

    def extract(self, rows: Rows) -> Matrix:
        """Return the parts of each picture's distance, shape (rows, 5). Raise ValueError for pictures that it cannot take."""
        images = images_read_by(f"the extractor '{ASSET}'", rows, channels=(1, 3))
        if OTHER in rows.column_names:
            others = images_of(rows, OTHER)
        else:
            others = np.full(images.shape, 128, np.uint8)
        if images.shape != others.shape:
            raise ValueError(f"pictures of {images.shape[1:]} beside pictures of {others.shape[1:]}")
        if min(images.shape[1:3]) < LEAST:
            raise ValueError(
                f"'{ASSET}' takes pictures of {LEAST} pixels a side and more, not {images.shape[1:3]}"
            )
        found = np.empty((len(images), len(_CONVOLUTIONS)))
        step = (
            1 if self._device == "cpu" else _AT_ONCE
        )  # one by one, a picture is seen the same whatever is beside it
        for start in range(0, len(images), step):
            span = slice(start, start + step)
            found[span] = self._of(images[span], others[span], step)
        return found

    def _of(self, images: Images, others: Images, step: int) -> Matrix:
        import torch

        full = np.zeros((2, step, *images.shape[1:]), np.uint8)
        full[0, : len(images)], full[1, : len(images)] = images, others
        with exactly():
            pixels = torch.from_numpy(full).to(self._device).permute(0, 1, 4, 2, 3).float() / 127.5 - 1
            parts = self._network.parts(*pixels.expand(-1, -1, 3, -1, -1))
        return np.asarray(parts[: len(images)].double().cpu().numpy())


@dataclass(frozen=True, slots=True, eq=False)
class Network:
    """AlexNet's five convolutions, and a weight for each channel of what they give."""

    convolutions: tuple[tuple[Any, Any], ...]
    heads: tuple[Any, ...]

    @classmethod
    def of(cls, trunk: dict[str, np.ndarray[Any, Any]], heads: dict[str, Any], device: str) -> Network:
        """Assemble it from kernels as JAX has them (height, width, in, out) and torchmetrics' heads. Raise KeyError when a part is missing."""
        import torch

        convolutions = []
        for i in range(len(_CONVOLUTIONS)):
            kernel, bias = (
                np.array(trunk[f"AlexNet_0.Conv_{i}.{part}"], np.float32) for part in ("kernel", "bias")
            )
            weights = torch.from_numpy(np.ascontiguousarray(kernel.transpose(3, 2, 0, 1)))
            convolutions.append((weights.to(device), torch.from_numpy(bias).to(device)))
        weighed = (heads[f"lin{i}.model.1.weight"].float().to(device) for i in range(len(_CONVOLUTIONS)))
        return cls(tuple(convolutions), tuple(weighed))

    def parts(self, x: Any, y: Any) -> Any:
        """Return the part of each layer in the distance of pictures (n, 3, height, width) from -1 to 1, shape (n, 5)."""
        import torch
        from torch.nn import functional

        shift, scale = (torch.tensor(v, device=x.device)[:, None, None] for v in (_SHIFT, _SCALE))
        held = (torch.cat([x, y]) - shift) / scale
        found = []
        for i, ((weights, bias), (stride, padding)) in enumerate(
            zip(self.convolutions, _CONVOLUTIONS, strict=True)
        ):
            if i in (1, 2):
                held = functional.max_pool2d(held, 3, 2)
            held = functional.conv2d(held, weights, bias, stride, padding).relu_()
            seen = held / torch.sqrt(_EPSILON + held.square().sum(dim=1, keepdim=True))
            ours, theirs = seen.chunk(2)
            found.append(functional.conv2d((ours - theirs).square(), self.heads[i]).mean(dim=(1, 2, 3)))
        return torch.stack(found, dim=1)


def _heads() -> Path:
    """Return where torchmetrics keeps the weights of channels. Raise InputError when it is not installed."""
    spec = find_spec("torchmetrics")
    if spec is None or spec.origin is None:
        raise InputError(
            f"'{ASSET}' reads the weights of channels from torchmetrics. Install it: pip install torchmetrics."
        )
    return Path(spec.origin).parent / "functional" / "image" / "lpips_models" / "alex.pth"
