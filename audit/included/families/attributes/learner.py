"""How the reader of portraits learns: the cross-entropy of every factor at once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from audit.core.rows import Rows
from audit.included.families.attributes.network import AttributeNetwork
from audit.included.families.pictures import pixels_of, signed
from audit.included.training.averaged import Averaged
from audit.included.training.loop import Place
from audit.included.training.recipe import TrainingRecipe

SIZE = 32


class AttributeLearner:
    """Trains an AttributeNetwork; ``objective.noise`` blurs the bytes, so that it leans on no exact value."""

    def __init__(self, recipe: TrainingRecipe, rows: Rows) -> None:
        schedule = recipe.schedule
        self._schedule, self._place = schedule, Place.of(schedule)
        self._learning = Averaged(lambda: AttributeNetwork(**recipe.sizes), schedule, self._place.device)
        self._noise = float(recipe.terms["noise"])
        self._pixels = pixels_of(rows, (SIZE, SIZE, 3), recipe.name)
        self._truth = {
            name: torch.tensor([values.index(v) for v in rows.column(name).to_pylist()])
            for name, values in self._learning.network.factors.items()
        }

    def step(self, number: int, rate: float, generator: torch.Generator) -> float:
        """Take one step; the loss is the mean cross-entropy of a factor in nats."""
        chosen = torch.randint(len(self._pixels), (self._schedule.batch,), generator=generator)
        images = signed(self._pixels[chosen])
        strength = self._noise * torch.rand(len(images), 1, 1, 1, generator=generator)
        images = images + strength * torch.randn(images.shape, generator=generator)
        with self._place.cast():
            found = self._learning.network(images.to(self._place.device))
        losses = [
            functional.cross_entropy(found[name].float(), truth[chosen].to(self._place.device))
            for name, truth in self._truth.items()
        ]
        return self._learning.descend(torch.stack(losses).mean(), rate)

    def state(self) -> dict[str, Tensor]:
        return self._learning.state()

    def restore(self, state: Mapping[str, Tensor]) -> None:
        self._learning.restore(state)

    def finished(self) -> dict[str, Tensor]:
        return self._learning.kept()

    def preview(self, out: Path, step: int) -> str:
        return ""
