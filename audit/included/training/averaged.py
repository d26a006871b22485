"""A network that learns: its optimiser, and the running mean of its weights that is kept in the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from audit.included.training.checkpoints import inside, optimiser_tensors, restore_optimiser, under
from audit.included.training.recipe import Schedule


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draw what networks begin with from ``seed``, and leave torch's own generator as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def begun(network: Any, device: torch.device, begin: Mapping[str, Tensor] | None = None) -> Any:
    """Return a network on its device, with the weights it begins from if there are any (kept in half precision)."""
    if begin is not None:
        network.load_state_dict({name: value.float() for name, value in begin.items()})
    return network.to(device, memory_format=torch.channels_last)


def running_mean(network: Any, decay: float) -> AveragedModel:
    """Return the running mean of a network's weights, buffers included; it moves with ``update_parameters``."""
    return AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True)


def halved(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return weights as they ship: numbers in half precision, counts as they are."""
    return {
        name: value.to(torch.float16) if value.is_floating_point() else value
        for name, value in tensors.items()
    }


def paced(optimiser: torch.optim.Optimizer, rate: float) -> torch.optim.Optimizer:
    """Return an optimiser that will take its next step with this learning rate."""
    for group in optimiser.param_groups:
        group["lr"] = rate
    return optimiser


class Averaged:
    """One network under AdamW with the running mean of its weights.

    What most learners are made of: they say what the loss is, this takes the step. ``network`` is what
    learns, ``mean`` the averaged network to look at.
    """

    def __init__(
        self,
        make: Callable[[], Any],
        schedule: Schedule,
        device: torch.device,
        begin: Mapping[str, Tensor] | None = None,
    ) -> None:
        with seeded(schedule.seed):
            self.network = begun(make(), device, begin)
        self._average = running_mean(self.network, schedule.average)
        self._optimiser = torch.optim.AdamW(
            self.network.parameters(), schedule.learning_rate, (0.9, 0.99), weight_decay=schedule.weight_decay
        )
        self._clip = schedule.clip

    @property
    def mean(self) -> Any:
        return self._average.module.eval()

    def descend(self, loss: Tensor, rate: float) -> float:
        """Take one step down the loss and return it."""
        self._optimiser.zero_grad()
        loss.backward()
        if self._clip:
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), self._clip)
        paced(self._optimiser, rate).step()
        self._average.update_parameters(self.network)
        return float(loss.detach())

    def state(self) -> dict[str, Tensor]:
        return (
            under("network", self.network.state_dict())
            | under("average", self._average.state_dict())
            | under("optimiser", optimiser_tensors(self._optimiser))
        )

    def restore(self, state: Mapping[str, Tensor]) -> None:
        self.network.load_state_dict(inside("network", state))
        self._average.load_state_dict(inside("average", state))
        restore_optimiser(self._optimiser, inside("optimiser", state))

    def kept(self) -> dict[str, Tensor]:
        """Return the averaged weights as they ship."""
        return halved(self._average.module.state_dict())
