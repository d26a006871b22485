"""How the reader of portraits learns: the cross-entropy of every factor at once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from audit.core.rows import Rows
from audit.zoo.attributes.network import AttributeNetwork
from audit.zoo.checkpoints import inside, optimiser_tensors, restore_optimiser, under
from audit.zoo.pictures import pixels_of, signed
from audit.zoo.recipe import Recipe
from audit.zoo.training import Place

SIZE = 32


class AttributeLearner:
    """Trains an AttributeNetwork; ``objective.noise`` blurs the bytes, so that it leans on no exact value."""

    def __init__(self, recipe: Recipe, rows: Rows) -> None:
        schedule = recipe.schedule
        self._schedule, self._place = schedule, Place.of(schedule)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(schedule.seed)
            network = AttributeNetwork(**recipe.sizes)
        self._network = network.to(self._place.device, memory_format=torch.channels_last)
        self._average = AveragedModel(
            network, multi_avg_fn=get_ema_multi_avg_fn(schedule.average), use_buffers=True
        )
        self._optimiser = torch.optim.AdamW(
            network.parameters(), schedule.learning_rate, (0.9, 0.99), weight_decay=schedule.weight_decay
        )
        self._noise = float(recipe.terms["noise"])
        self._pixels = pixels_of(rows, (SIZE, SIZE, 3), recipe.name)
        self._truth = {
            name: torch.tensor([values.index(v) for v in rows.column(name).to_pylist()])
            for name, values in network.factors.items()
        }

    def step(self, number: int, rate: float, generator: torch.Generator) -> float:
        """Take one step; the loss is the mean cross-entropy of a factor in nats."""
        chosen = torch.randint(len(self._pixels), (self._schedule.batch,), generator=generator)
        images = signed(self._pixels[chosen])
        strength = self._noise * torch.rand(len(images), 1, 1, 1, generator=generator)
        images = images + strength * torch.randn(images.shape, generator=generator)
        with self._place.cast():
            found = self._network(images.to(self._place.device))
        losses = [
            functional.cross_entropy(found[name].float(), truth[chosen].to(self._place.device))
            for name, truth in self._truth.items()
        ]
        loss = torch.stack(losses).mean()
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
        kept = self._average.module.state_dict()
        return {
            name: value.to(torch.float16) if value.is_floating_point() else value
            for name, value in kept.items()
        }

    def preview(self, out: Path, step: int) -> str:
        return ""
