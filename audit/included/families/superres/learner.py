"""How the enhancement model learns: the mean absolute difference from the image that was made small."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from audit.core.rows import Rows
from audit.included.families.pictures import bytes_of, pixels_of, sheet, signed
from audit.included.families.superres.network import Enhancer, degraded
from audit.included.training.averaged import Averaged
from audit.included.training.loop import Place
from audit.included.training.recipe import TrainingRecipe

SIZE = 32


class EnhancerLearner:
    """Trains an Enhancer on images and their 2×2 means."""

    def __init__(self, recipe: TrainingRecipe, rows: Rows) -> None:
        schedule = recipe.schedule
        self._schedule, self._place = schedule, Place.of(schedule)
        self._learning = Averaged(lambda: Enhancer(**recipe.sizes), schedule, self._place.device)
        self._pixels = pixels_of(rows, (SIZE, SIZE, recipe.sizes["channels"]), recipe.name)

    def step(self, number: int, rate: float, generator: torch.Generator) -> float:
        """Take one step; the loss is the mean absolute difference on the axis from -1 to 1."""
        chosen = torch.randint(len(self._pixels), (self._schedule.batch,), generator=generator)
        images = self._pixels[chosen].to(self._place.device)
        with self._place.cast():
            found = self._learning.network(signed(degraded(images)))
        return self._learning.descend((found.float() - signed(images)).abs().mean(), rate)

    def state(self) -> dict[str, Tensor]:
        return self._learning.state()

    def restore(self, state: Mapping[str, Tensor]) -> None:
        self._learning.restore(state)

    def finished(self) -> dict[str, Tensor]:
        return self._learning.kept()

    def preview(self, out: Path, step: int) -> str:
        images = self._pixels[:32]
        with torch.inference_mode():
            again = self._learning.mean(signed(degraded(images).to(self._place.device))).cpu()
        path = out / f"enhanced-{step:06}.png"
        sheet(bytes_of(torch.cat([signed(images)[:16], again[:16], signed(images)[16:], again[16:]])), path)
        return f"wrote {path}"
