"""The included enhancement model as an audit sees it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self

from audit.core.references import ModelRef
from audit.core.rows import IMAGE, Rng, Rows, image_rows, images_of
from audit.included.model import IncludedModel, filled
from audit.included.training.recipe import TrainingRecipe

if TYPE_CHECKING:
    from torch import Tensor

    from audit.included.training.loop import Learner

_CHUNK = 250


class PortraitsSuperres(IncludedModel):
    """Enlarges 16×16 portraits to 32×32.

    The degradation it undoes is the mean of each 2×2 block, rounded to whole grey levels (half to even).
    """

    name: ClassVar[str] = "portraits-superres"
    family: ClassVar[str] = "image enhancement"
    sources: ClassVar[tuple[str, ...]] = (
        "families/superres/model.py",
        "families/superres/network.py",
        "families/pictures.py",
    )

    def __init__(self, network: Any, device: str) -> None:
        self._network, self._device = network, device

    @classmethod
    def notes(cls, ref: ModelRef) -> tuple[str, ...]:
        return (
            "'reconstruct' takes 16×16 portraits, or 32×32 ones that it first shrinks by the mean of each 2×2 block.",
        )

    @classmethod
    def build(cls, recipe: TrainingRecipe, tensors: Mapping[str, Tensor], ref: ModelRef, device: str) -> Self:
        from audit.included.families.superres.network import Enhancer

        return cls(filled(Enhancer(**recipe.sizes), tensors, device), device)

    @classmethod
    def learner(cls, recipe: TrainingRecipe, rows: Rows, begin: Mapping[str, Tensor] | None) -> Learner:
        from audit.included.families.superres.learner import EnhancerLearner

        return EnhancerLearner(recipe, rows)

    def reconstruct(self, rows: Rows, rng: Rng) -> Rows:
        """Return 32×32 portraits from 16×16 ones, or from 32×32 ones made small first; no random number is used."""
        from audit.included.families.pictures import painted, pixels_of, signed
        from audit.included.families.superres.network import degraded

        small = IMAGE in rows.column_names and images_of(rows).shape[1:3] == (16, 16)
        parts = pixels_of(rows, (16, 16, 3) if small else (32, 32, 3), self.name).split(_CHUNK)
        given = (part if small else degraded(part) for part in parts if len(part))
        return painted((32, 32, 3), (self._network(signed(part.to(self._device))) for part in given))

    def degrade(self, rows: Rows) -> Rows:
        """Return the 16×16 portraits that 'reconstruct' makes of 32×32 ones before it enlarges them."""
        from audit.included.families.pictures import pixels_of
        from audit.included.families.superres.network import degraded

        small = degraded(pixels_of(rows, (32, 32, 3), self.name))
        return image_rows(small.permute(0, 2, 3, 1).contiguous().numpy())
