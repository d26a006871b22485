"""How the enhancement model learns: the mean absolute difference from the image that was made small."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from audit.core.rows import Rows
from audit.zoo.checkpoints import inside, optimiser_tensors, restore_optimiser, under
from audit.zoo.pictures import bytes_of, pixels_of, sheet, signed
from audit.zoo.recipe import Recipe
from audit.zoo.superres.network import Enhancer, degraded
from audit.zoo.training import Place

SIZE = 32


class EnhancerLearner:
    """Trains an Enhancer on images and their 2×2 means."""

    def __init__(self, recipe: Recipe, rows: Rows) -> None:
        schedule = recipe.schedule
        self._schedule, self._place = schedule, Place.of(schedule)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(schedule.seed)
            network = Enhancer(**recipe.sizes)
        self._network = network.to(self._place.device, memory_format=torch.channels_last)
        self._average = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(schedule.average))
        self._optimiser = torch.optim.Adam(network.parameters(), schedule.learning_rate, (0.9, 0.99))
        self._pixels = pixels_of(rows, (SIZE, SIZE, recipe.sizes["channels"]), recipe.name)

    def step(self, number: int, rate: float, generator: torch.Generator) -> float:
        """Take one step; the loss is the mean absolute difference on the axis from -1 to 1."""
        chosen = torch.randint(len(self._pixels), (self._schedule.batch,), generator=generator)
        images = self._pixels[chosen].to(self._place.device)
        with self._place.cast():
            found = self._network(signed(degraded(images)))
        loss = (found.float() - signed(images)).abs().mean()
        self._optimiser.zero_grad()
        loss.backward()
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
        return {name: value.to(torch.float16) for name, value in self._average.module.state_dict().items()}

    def preview(self, out: Path, step: int) -> str:
        images = self._pixels[:32]
        with torch.inference_mode():
            again = self._average.module(signed(degraded(images).to(self._place.device))).cpu()
        path = out / f"enhanced-{step:06}.png"
        sheet(bytes_of(torch.cat([signed(images)[:16], again[:16], signed(images)[16:], again[16:]])), path)
        return f"wrote {path}"
