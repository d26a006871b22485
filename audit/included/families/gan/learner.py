"""How a GAN learns: the critic compares pairs of a real and a made image, the generator turns the comparison round."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from audit.core.rows import Rows
from audit.included.families.factors import codes_of, shares_of
from audit.included.families.gan.network import PEOPLE, SIZE, networks
from audit.included.families.pictures import bytes_of, pixels_of, sheet, signed
from audit.included.training.averaged import begun, halved, paced, running_mean, seeded
from audit.included.training.checkpoints import inside, optimiser_tensors, restore_optimiser, under
from audit.included.training.loop import Place
from audit.included.training.recipe import TrainingRecipe


class GanLearner:
    """The relativistic loss on pairs with zero-centred penalties on both sides (Huang et al. 2024, "R3GAN").

    The penalties are computed every ``penalty_every`` steps and weighed accordingly (Karras et al. 2020).
    ``recovery`` weighs the error with which the critic guesses the latent vector of a made image, which both sides lessen
    (Chen et al. 2016, "InfoGAN"): without it the generator takes no notice of the latent vector. A share
    ``unlabelled`` of the images is judged without its factors, so that the critic has an opinion there too.
    """

    def __init__(self, recipe: TrainingRecipe, rows: Rows, begin: Mapping[str, Tensor] | None) -> None:
        schedule, terms = recipe.schedule, recipe.terms
        self._place = Place.of(schedule)
        with seeded(schedule.seed):
            self._generator, self._critic = (
                begun(network, self._place.device, None if begin is None else inside(part, begin))
                for part, network in zip(("generator", "critic"), networks(recipe), strict=True)
            )
        self._average = running_mean(self._generator, schedule.average)
        betas, rate = (0.0, 0.99), schedule.learning_rate
        self._made_by = torch.optim.Adam(self._generator.parameters(), rate, betas)
        self._judged_by = torch.optim.Adam(self._critic.parameters(), rate, betas)
        columns = recipe.sizes["columns"]
        self._pixels = pixels_of(rows, (SIZE, SIZE, recipe.sizes["channels"]), recipe.name)
        self._codes = torch.from_numpy(codes_of(rows, columns))
        self._shares = torch.from_numpy(shares_of(self._codes.numpy(), columns))
        self._batch = schedule.batch
        self._keep_critic = bool(terms.get("keep_critic", True))
        self._hidden, self._penalty = float(terms["unlabelled"]), float(terms["penalty"])
        self._every, self._recovery = int(terms["penalty_every"]), float(terms["recovery"])

    def step(self, number: int, rate: float, generator: torch.Generator) -> float:
        """Take one step of the critic and one of the generator; return the critic's loss."""
        for optimiser in (self._made_by, self._judged_by):
            paced(optimiser, rate)
        loss = self._step_critic(number, generator)
        self._step_generator(generator)
        self._average.update_parameters(self._generator)
        return loss

    def _batch_of(self, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return real images, noise, the factors for the generator, and those that the critic is told."""
        chosen = torch.randint(len(self._pixels), (self._batch,), generator=generator)
        z = torch.randn(self._batch, self._generator.latent, generator=generator)
        shares = self._shares[chosen]
        told = (torch.rand(self._batch, 1, generator=generator) >= self._hidden) * shares
        device = self._place.device
        return signed(self._pixels[chosen].to(device)), z.to(device), shares.to(device), told.to(device)

    def _step_critic(self, number: int, generator: torch.Generator) -> float:
        real, z, shares, told = self._batch_of(generator)
        with torch.no_grad(), self._place.cast():
            made = self._generator(z, shares).float()
        with self._place.cast():
            seen = self._critic.see(made)
            gap = self._critic(real, told).float() - self._critic.weigh_up(seen, told).float()
            guess = self._critic.guess(seen).float()
        loss = functional.softplus(-gap).mean()
        self._judged_by.zero_grad()
        (loss + self._recovery * functional.mse_loss(guess, z)).backward()
        if number % self._every == 0:
            half = slice(0, self._batch // 2)
            for images in (real[half], made[half]):
                self._penalise(images, told[half])
        self._judged_by.step()
        return float(loss.detach())

    def _penalise(self, images: Tensor, told: Tensor) -> None:
        """Add the gradient of the penalty: half the weight times the squared slope of the critic at the images."""
        images = images.detach().requires_grad_()
        (slope,) = torch.autograd.grad(self._critic(images, told).sum(), images, create_graph=True)
        penalty = slope.square().sum(dim=(1, 2, 3)).mean()
        (0.5 * self._penalty * self._every * penalty).backward()

    def _step_generator(self, generator: torch.Generator) -> None:
        real, z, shares, told = self._batch_of(generator)
        self._critic.requires_grad_(requires_grad=False)
        with self._place.cast():
            seen = self._critic.see(self._generator(z, shares).float())
            gap = self._critic.weigh_up(seen, told).float() - self._critic(real, told).float()
            guess = self._critic.guess(seen).float()
        self._made_by.zero_grad()
        (functional.softplus(-gap).mean() + self._recovery * functional.mse_loss(guess, z)).backward()
        self._made_by.step()
        self._critic.requires_grad_(requires_grad=True)

    def state(self) -> dict[str, Tensor]:
        return (
            under("generator", self._generator.state_dict())
            | under("critic", self._critic.state_dict())
            | under("average", self._average.state_dict())
            | under("made_by", optimiser_tensors(self._made_by))
            | under("judged_by", optimiser_tensors(self._judged_by))
        )

    def restore(self, state: Mapping[str, Tensor]) -> None:
        self._generator.load_state_dict(inside("generator", state))
        self._critic.load_state_dict(inside("critic", state))
        self._average.load_state_dict(inside("average", state))
        restore_optimiser(self._made_by, inside("made_by", state))
        restore_optimiser(self._judged_by, inside("judged_by", state))

    def finished(self) -> dict[str, Tensor]:
        kept = under("generator", self._average.module.state_dict())
        if self._keep_critic:
            kept |= under("critic", self._critic.state_dict())
        return halved(kept) | {PEOPLE: self._codes}

    def preview(self, out: Path, step: int) -> str:
        generator = torch.Generator().manual_seed(0)
        z = torch.randn(64, self._generator.latent, generator=generator).to(self._place.device)
        with torch.inference_mode(), self._place.cast():
            made = self._average.module(z, self._shares[:64].to(self._place.device))
        path = out / f"samples-{step:06}.png"
        sheet(bytes_of(made), path)
        return f"wrote {path}"
