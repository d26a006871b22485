"""How a diffusion model learns: the velocity of a noisy image, at noise levels spread evenly over each batch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from audit.core.rows import Rows
from audit.included.families.diffusion.network import LEVELS, PatchUNet, scheduler
from audit.included.families.diffusion.sampling import draw
from audit.included.families.pictures import bytes_of, pixels_of, sheet, signed
from audit.included.training.averaged import Averaged
from audit.included.training.loop import Place
from audit.included.training.recipe import TrainingRecipe


class DiffusionLearner:
    """Trains a PatchUNet; ``objective.unlabelled`` is the share of examples whose label is hidden, for guidance."""

    def __init__(
        self,
        recipe: TrainingRecipe,
        rows: Rows,
        labels: tuple[str, tuple[str, ...]],
        begin: Mapping[str, Tensor] | None,
    ) -> None:
        sizes, schedule = recipe.sizes, recipe.schedule
        self._place = Place.of(schedule)
        self._learning = Averaged(lambda: PatchUNet(**sizes), schedule, self._place.device, begin)
        self._network = self._learning.network
        shape = (sizes["size"], sizes["size"], sizes["channels"])
        column, names = labels
        self._pixels = pixels_of(rows, shape, recipe.name)
        self._labels = torch.tensor([names.index(value) for value in rows.column(column).to_pylist()])
        self._hidden, self._batch = float(recipe.terms["unlabelled"]), schedule.batch
        self._process = scheduler()

    def step(self, number: int, rate: float, generator: torch.Generator) -> float:
        """Take one step; the loss is the mean squared error of the velocity."""
        n, device = self._batch, self._place.device
        chosen = torch.randint(len(self._pixels), (n,), generator=generator)
        level = ((torch.rand(1, generator=generator) + torch.arange(n) / n) % 1 * LEVELS).long()
        hidden = torch.rand(n, generator=generator) < self._hidden
        label = self._labels[chosen].masked_fill(hidden, self._network.labels).to(device)
        clean = self._network.frame.pad(signed(self._pixels[chosen].to(device)))
        noise = torch.randn(clean.shape, generator=generator).to(device)
        noisy = self._process.add_noise(clean, noise, level)
        target = self._process.get_velocity(clean, noise, level)
        with self._place.cast():
            found = self._network(noisy, level.to(device), label)
        return self._learning.descend((found.float() - target).square().mean(), rate)

    def state(self) -> dict[str, Tensor]:
        return self._learning.state()

    def restore(self, state: Mapping[str, Tensor]) -> None:
        self._learning.restore(state)

    def finished(self) -> dict[str, Tensor]:
        return self._learning.kept()

    def preview(self, out: Path, step: int) -> str:
        network = self._learning.mean
        generator = torch.Generator().manual_seed(0)
        side = network.frame.padded
        noise = torch.randn(64, network.channels, side, side, generator=generator).to(self._place.device)
        label = torch.arange(64, device=self._place.device) % (network.labels + 1)
        with torch.inference_mode(), self._place.cast():
            drawn = draw(network, noise, label, steps=20, guidance=1.0)
        path = out / f"samples-{step:06}.png"
        sheet(bytes_of(network.frame.crop(drawn)), path)
        return f"wrote {path}"
