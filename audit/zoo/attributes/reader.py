"""Opens the network that reads portraits, for the extractors that show its features and its answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from audit.core.errors import InputError
from audit.core.identity import Digest, canonical, digest_file, digest_files, digest_of
from audit.core.references import ExtractorRef
from audit.core.rows import IMAGE, Matrix, Rows, images_of
from audit.zoo.recipe import Recipe, recorded
from audit.zoo.shipped import WEIGHTS, ZOO, Shipped, filled, pinned

if TYPE_CHECKING:
    from torch import Tensor

    from audit.zoo.training import Learner

NAME = "portraits-attributes"
SIZE = 32
PREPROCESSING = {"size": SIZE, "resize": "bilinear, antialiased", "scale": "bytes / 127.5 - 1"}
"""What happens to an image before the network sees it: part of the name of every feature."""
_CHUNK = 50
"""Images at once, always: short batches are filled up, so that a batch of one gives the numbers of a batch of many."""
_SOURCES = ("attributes/network.py", "attributes/reader.py", "factors.py")


class AttributeTraining(Shipped):
    """Trains the reader; it is no generative model, so an audit never opens it as one."""

    name: ClassVar[str] = NAME
    family: ClassVar[str] = "classifier"
    sources: ClassVar[tuple[str, ...]] = _SOURCES

    @classmethod
    def learner(cls, recipe: Recipe, rows: Rows, begin: Mapping[str, Tensor] | None) -> Learner:
        from audit.zoo.attributes.learner import AttributeLearner

        return AttributeLearner(recipe, rows)

    @classmethod
    def finish(cls, recipe: Recipe, out: Path) -> Path:
        from audit.zoo.attributes.errors import write_errors

        return write_errors(recipe, out)


def weights_digest() -> Digest:
    """Return the digest of the shipped weights. Raise InputError when they are missing or damaged."""
    path = WEIGHTS / f"{NAME}.safetensors"
    try:
        digest = digest_file(path)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}. Reinstall generative-audit.") from error
    if digest != pinned().get(NAME):
        raise InputError(
            f"The weights of '{NAME}' in this installation are damaged: digest {digest}, expected "
            f"{pinned().get(NAME)}. Reinstall generative-audit."
        )
    return digest


def named(extractor: str, dimensions: int, columns: tuple[str, ...]) -> ExtractorRef:
    """Return the name of an extractor that rests on the reader."""
    what = {
        "extractor": extractor,
        "weights": weights_digest(),
        "code": digest_files({source: ZOO / source for source in _SOURCES}),
        "network": recorded(NAME).network,
        "preprocessing": PREPROCESSING,
        "columns": columns,
    }
    return ExtractorRef(extractor, digest_of(canonical(what)), dimensions, "image")


class Reader:
    """The opened network. Images of other sizes are scaled to 32×32 and grey ones shown in three equal channels."""

    def __init__(self, network: Any, device: str) -> None:
        self._network, self._device = network, device

    @classmethod
    def open(cls, device: str, weights: Path | None = None) -> Reader:
        """Open the shipped weights, or a file that ``audit train portraits-attributes`` made."""
        from safetensors import SafetensorError
        from safetensors.torch import load_file
        from torch.random import fork_rng

        from audit.zoo.attributes.network import AttributeNetwork

        path = weights or WEIGHTS / f"{NAME}.safetensors"
        with fork_rng(devices=[]):
            network = AttributeNetwork(**recorded(NAME).sizes)
        try:
            return cls(filled(network, load_file(path), device), device)
        except (SafetensorError, OSError, ValueError) as error:
            raise InputError(f"{path} does not hold the weights of '{NAME}': {error}") from error

    @property
    def factors(self) -> Mapping[str, tuple[str, ...]]:
        """The values of each factor, in the order of the heads."""
        found: Mapping[str, tuple[str, ...]] = self._network.factors
        return found

    def features(self, rows: Rows) -> Matrix:
        """Return the vector that all heads read, shape (n, features)."""
        import torch

        width = recorded(NAME).sizes["features"]
        with torch.inference_mode():
            seen = [self._network.features(images).double().cpu().numpy() for images in self._images(rows)]
        return np.concatenate([np.empty((0, width)), *seen])[: rows.num_rows]

    def probabilities(self, rows: Rows) -> dict[str, Matrix]:
        """Return the probability of every value of every factor, each of shape (n, values)."""
        import torch

        factors = self._network.factors
        found: dict[str, list[Matrix]] = {name: [np.empty((0, len(v)))] for name, v in factors.items()}
        with torch.inference_mode():
            for images in self._images(rows):
                for name, logits in self._network(images).items():
                    found[name].append(logits.double().softmax(-1).cpu().numpy())
        return {name: np.concatenate(parts)[: rows.num_rows] for name, parts in found.items()}

    def _images(self, rows: Rows) -> Iterator[Tensor]:
        import torch
        from torch.nn import functional

        if IMAGE not in rows.column_names:
            raise ValueError(f"'{NAME}' reads images; these rows have {', '.join(rows.column_names)}")
        images = images_of(rows)
        if images.shape[-1] not in (1, 3):
            raise ValueError(f"'{NAME}' reads images of 1 or 3 channels, not {images.shape[-1]}")
        for start in range(0, len(images), _CHUNK):
            part = torch.from_numpy(images[start : start + _CHUNK].transpose(0, 3, 1, 2).copy())
            values = part.to(self._device).float() / 127.5 - 1
            if values.shape[-2:] != (SIZE, SIZE):
                values = functional.interpolate(values, (SIZE, SIZE), mode="bilinear", antialias=True)
            filling = values.new_zeros(_CHUNK - len(values), *values.shape[1:])
            yield torch.cat([values, filling]).expand(-1, 3, -1, -1)
