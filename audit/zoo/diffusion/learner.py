"""How a diffusion model learns: the velocity of a noisy image, at noise levels spread evenly over each batch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from audit.core.rows import Rows
from audit.zoo.checkpoints import inside, optimiser_tensors, restore_optimiser, under
from audit.zoo.diffusion.network import LEVELS, PatchUNet, scheduler
from audit.zoo.diffusion.sampling import draw
from audit.zoo.pictures import bytes_of, pixels_of, sheet, signed
from audit.zoo.recipe import Recipe
from audit.zoo.training import Place


class DiffusionLearner:
    """Trains a PatchUNet; ``objective.unlabelled`` is the share of examples whose label is hidden, for guidance."""

    def __init__(
        self,
        recipe: Recipe,
        rows: Rows,
        labels: tuple[str, tuple[str, ...]],
        begin: Mapping[str, Tensor] | None,
    ) -> None:
        sizes, schedule = recipe.sizes, recipe.schedule
        self._place = Place.of(schedule)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(schedule.seed)
            network = PatchUNet(**sizes)
        if begin is not None:
            network.load_state_dict({name: value.float() for name, value in begin.items()})
        self._network = network.to(self._place.device, memory_format=torch.channels_last)
        self._average = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(schedule.average))
        self._optimiser = torch.optim.AdamW(
            network.parameters(), schedule.learning_rate, (0.9, 0.99), weight_decay=schedule.weight_decay
        )
        shape = (sizes["size"], sizes["size"], sizes["channels"])
        column, names = labels
        self._pixels = pixels_of(rows, shape, recipe.name)
        self._labels = torch.tensor([names.index(value) for value in rows.column(column).to_pylist()])
        self._hidden, self._batch = float(recipe.terms["unlabelled"]), schedule.batch
        self._clip = schedule.clip
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
        loss = (found.float() - target).square().mean()
        self._optimiser.zero_grad()
        loss.backward()
        if self._clip:
            torch.nn.utils.clip_grad_norm_(self._network.parameters(), self._clip)
        for group in self._optimiser.param_groups:
            group["lr"] = rate
        self._optimiser.step()
        self._average.update_parameters(self._network)
        return float(loss.detach())

    def state(self) -> dict[str, Tensor]:
        return (
            under("network", self._network.state_dict())
            | under("average", self._average.state_dict())
            | under("optimiser", optimiser_tensors(self._optimiser))
        )

    def restore(self, state: Mapping[str, Tensor]) -> None:
        self._network.load_state_dict(inside("network", state))
        self._average.load_state_dict(inside("average", state))
        restore_optimiser(self._optimiser, inside("optimiser", state))

    def finished(self) -> dict[str, Tensor]:
        kept: dict[str, Any] = self._average.module.state_dict()
        return {name: value.to(torch.float16) for name, value in kept.items()}

    def preview(self, out: Path, step: int) -> str:
        network = self._average.module.eval()
        generator = torch.Generator().manual_seed(0)
        side = network.frame.padded
        noise = torch.randn(64, network.channels, side, side, generator=generator).to(self._place.device)
        label = torch.arange(64, device=self._place.device) % (network.labels + 1)
        with torch.inference_mode(), self._place.cast():
            drawn = draw(network, noise, label, steps=20, guidance=1.0)
        path = out / f"samples-{step:06}.png"
        sheet(bytes_of(network.frame.crop(drawn)), path)
        return f"wrote {path}"
