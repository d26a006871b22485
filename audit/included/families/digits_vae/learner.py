"""How the digits VAE learns: up the evidence lower bound, one posterior draw per digit."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from audit.core.rows import Rows
from audit.included.families.digits_vae.levels import levels_of
from audit.included.families.digits_vae.network import Network, divergence, log_probability
from audit.included.training.averaged import paced, seeded
from audit.included.training.checkpoints import inside, optimiser_tensors, restore_optimiser, under
from audit.included.training.recipe import TrainingRecipe


class DigitsLearner:
    """Trains a Network; the divergence counts in full after ``objective.divergence_warm_up`` steps."""

    def __init__(self, recipe: TrainingRecipe, rows: Rows) -> None:
        schedule = recipe.schedule
        with seeded(schedule.seed):
            self._network = Network(**recipe.sizes)
        self._optimiser = torch.optim.AdamW(
            self._network.parameters(), lr=schedule.learning_rate, weight_decay=schedule.weight_decay
        )
        self._levels = torch.from_numpy(levels_of(rows))
        self._batch, self._warm_up = schedule.batch, int(recipe.terms["divergence_warm_up"])

    def step(self, number: int, rate: float, generator: torch.Generator) -> float:
        """Take one step; the loss is in nats: once warm, minus the bound."""
        batch = self._levels[torch.randperm(len(self._levels), generator=generator)[: self._batch]]
        mean, log_variance = self._network.encode(batch, generator)
        noise = torch.randn(mean.shape, generator=generator)
        a, b = self._network.decode(mean + (0.5 * log_variance).exp() * noise, generator)
        counted = min(1.0, (number + 1) / self._warm_up)
        loss = (counted * divergence(mean, log_variance) - log_probability(batch, a, b)).mean()
        self._optimiser.zero_grad()
        loss.backward()
        paced(self._optimiser, rate).step()
        return float(loss.detach())

    def state(self) -> dict[str, Tensor]:
        return under("network", self._network.state_dict()) | under(
            "optimiser", optimiser_tensors(self._optimiser)
        )

    def restore(self, state: Mapping[str, Tensor]) -> None:
        self._network.load_state_dict(inside("network", state))
        restore_optimiser(self._optimiser, inside("optimiser", state))

    def finished(self) -> dict[str, Tensor]:
        kept: dict[str, Tensor] = self._network.state_dict()
        return kept

    def preview(self, out: Path, step: int) -> str:
        return ""
