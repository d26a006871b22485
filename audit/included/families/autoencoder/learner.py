"""How the image autoencoders learn: squared error for the plain one, the evidence lower bound for the variational ones."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from audit.core.rows import Rows
from audit.included.families.autoencoder.density import fit_density
from audit.included.families.autoencoder.network import Autoencoder, divergence, log_probability
from audit.included.families.pictures import bytes_of, pixels_of, sheet, signed
from audit.included.training.averaged import Averaged
from audit.included.training.loop import Place
from audit.included.training.recipe import TrainingRecipe

_CHUNK = 500


class AutoencoderLearner:
    """Trains an Autoencoder.

    Variational: minus the bound per value, with the divergence counted in full after
    ``objective.divergence_warm_up`` steps. Plain: the mean squared error, plus ``objective.shrinkage`` times the
    mean square of the codes, which keeps them where a density can be fitted (Ghosh et al. 2020).
    """

    def __init__(self, recipe: TrainingRecipe, rows: Rows) -> None:
        schedule, sizes = recipe.schedule, recipe.sizes
        self._recipe, self._place = recipe, Place.of(schedule)
        self._learning = Averaged(lambda: Autoencoder(**sizes), schedule, self._place.device)
        self._network = self._learning.network
        self._pixels = pixels_of(rows, (sizes["size"], sizes["size"], sizes["channels"]), recipe.name)

    def step(self, number: int, rate: float, generator: torch.Generator) -> float:
        """Take one step; the loss is in nats per value, or the squared error on the axis from -1 to 1."""
        schedule = self._recipe.schedule
        chosen = torch.randint(len(self._pixels), (schedule.batch,), generator=generator)
        images = signed(self._pixels[chosen].to(self._place.device))
        noise = torch.randn(len(images), self._network.latent, generator=generator).to(images.device)
        loss = self._bound(images, noise, number) if self._network.variational else self._error(images)
        return self._learning.descend(loss, rate)

    def _bound(self, images: Tensor, noise: Tensor, number: int) -> Tensor:
        with self._place.cast():
            mean, log_variance = self._network.encode(images).float().chunk(2, dim=1)
            painted = self._network.decode(mean + (0.5 * log_variance).exp() * noise)
        counted = min(1.0, (number + 1) / int(self._recipe.terms["divergence_warm_up"]))
        nats = counted * divergence(mean, log_variance) - log_probability(images, painted)
        return nats.mean() / images[0].numel()

    def _error(self, images: Tensor) -> Tensor:
        with self._place.cast():
            codes = self._network.encode(images)
            painted = self._network.decode(codes)
        shrinkage = float(self._recipe.terms["shrinkage"]) * codes.float().square().mean()
        return (painted.float() - images).square().mean() + shrinkage

    def state(self) -> dict[str, Tensor]:
        return self._learning.state()

    def restore(self, state: Mapping[str, Tensor]) -> None:
        self._learning.restore(state)

    def finished(self) -> dict[str, Tensor]:
        network, kept = self._learning.mean, self._learning.kept()
        if network.variational:
            return kept
        with torch.inference_mode():
            codes = torch.cat(
                [network.encode(signed(c.to(self._place.device))).cpu() for c in self._pixels.split(_CHUNK)]
            )
        return kept | fit_density(codes.numpy(), int(self._recipe.terms["density_parts"]))

    def preview(self, out: Path, step: int) -> str:
        network = self._learning.mean
        images = self._pixels[:32]
        with torch.inference_mode():
            codes = network.encode(signed(images.to(self._place.device)))[:, : network.latent]
            again = network.decode(codes)[:, : network.channels].cpu()
        path = out / f"reconstructions-{step:06}.png"
        pairs = torch.cat([signed(images)[:16], again[:16], signed(images)[16:], again[16:]])
        sheet(bytes_of(pairs), path)
        return f"wrote {path}"
