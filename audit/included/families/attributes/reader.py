"""Opens the network that reads portraits, for the extractors that show its features and its answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from audit.core.identity import canonical, digest_of
from audit.core.references import ExtractorRef, ModelRef
from audit.core.rows import Matrix, Rows, images_read_by
from audit.formats.arithmetic import exactly
from audit.included.model import IncludedModel, filled
from audit.included.training.recipe import TrainingRecipe, recorded

if TYPE_CHECKING:
    from torch import Tensor

    from audit.included.training.loop import Learner

NAME = "portraits-attributes"
SIZE = 32
PREPROCESSING = {"size": SIZE, "resize": "bilinear, antialiased", "scale": "bytes / 127.5 - 1"}
"""What happens to an image before the network sees it: part of the name of every feature."""
_CHUNK = 50
"""Images at once, always: short batches are filled up, so that a batch of one gives the numbers of a batch of many."""


class Reader(IncludedModel):
    """The network that reads a portrait's factors, opened. It is no generative model, so an audit never sees it as one.

    Images of other sizes are scaled to 32×32 and grey ones shown in three equal channels.
    """

    name: ClassVar[str] = NAME
    family: ClassVar[str] = "classifier"
    sources: ClassVar[tuple[str, ...]] = (
        "families/attributes/network.py",
        "families/attributes/reader.py",
        "families/factors.py",
        "families/pictures.py",
    )

    def __init__(self, network: Any, device: str) -> None:
        self._network, self._device = network, device

    @classmethod
    def shipped(cls, device: str) -> Self:
        """Open the weights of the package."""
        return cls.open(cls.refer({}), device)

    @classmethod
    def build(cls, recipe: TrainingRecipe, tensors: Mapping[str, Tensor], ref: ModelRef, device: str) -> Self:
        from audit.included.families.attributes.network import AttributeNetwork

        return cls(filled(AttributeNetwork(**recipe.sizes), tensors, device), device)

    @classmethod
    def learner(cls, recipe: TrainingRecipe, rows: Rows, begin: Mapping[str, Tensor] | None) -> Learner:
        from audit.included.families.attributes.learner import AttributeLearner

        return AttributeLearner(recipe, rows)

    @classmethod
    def finish(cls, recipe: TrainingRecipe, out: Path) -> Path:
        from audit.included.families.attributes.errors import write_errors

        ref = cls.refer({"weights": str(out / f"{NAME}.safetensors")})
        return write_errors(cls.open(ref, "cpu"), recipe, out, ref.weights)

    @classmethod
    def extractor(cls, name: str, dimensions: int) -> ExtractorRef:
        """Name an extractor that rests on the shipped reader. Raise InputError when its weights are missing or damaged."""
        ref = cls.refer({})
        what = {
            "extractor": name,
            "weights": ref.weights,
            "reader": ref.options,
            "preprocessing": PREPROCESSING,
        }
        return ExtractorRef(name, digest_of(canonical(what)), dimensions, "image")

    @property
    def factors(self) -> Mapping[str, tuple[str, ...]]:
        """The values of each factor, in the order of the heads."""
        found: Mapping[str, tuple[str, ...]] = self._network.factors
        return found

    def features(self, rows: Rows) -> Matrix:
        """Return the vector that all heads read, shape (n, features)."""
        width = recorded(NAME).sizes["features"]
        with exactly():
            seen = [self._network.features(images).double().cpu().numpy() for images in self._images(rows)]
        return np.concatenate([np.empty((0, width)), *seen])[: rows.num_rows]

    def probabilities(self, rows: Rows) -> dict[str, Matrix]:
        """Return the probability of every value of every factor, each of shape (n, values)."""
        factors = self._network.factors
        found: dict[str, list[Matrix]] = {name: [np.empty((0, len(v)))] for name, v in factors.items()}
        with exactly():
            for images in self._images(rows):
                for name, logits in self._network(images).items():
                    found[name].append(logits.double().softmax(-1).cpu().numpy())
        return {name: np.concatenate(parts)[: rows.num_rows] for name, parts in found.items()}

    def _images(self, rows: Rows) -> Iterator[Tensor]:
        import torch
        from torch.nn import functional

        from audit.included.families.pictures import signed

        images = images_read_by(f"'{NAME}'", rows, channels=(1, 3))
        for start in range(0, len(images), _CHUNK):
            part = torch.from_numpy(images[start : start + _CHUNK].transpose(0, 3, 1, 2).copy())
            values = signed(part.to(self._device))
            if values.shape[-2:] != (SIZE, SIZE):
                values = functional.interpolate(values, (SIZE, SIZE), mode="bilinear", antialias=True)
            filling = values.new_zeros(_CHUNK - len(values), *values.shape[1:])
            yield torch.cat([values, filling]).expand(-1, 3, -1, -1)
