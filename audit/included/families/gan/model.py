"""The included GANs as an audit sees them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from audit.core.capabilities import Capability
from audit.core.references import ModelRef
from audit.core.rows import Matrix, Rng, Rows, Vector
from audit.formats.arithmetic import exactly
from audit.included.families.factors import checked_codes, factors_in, shares_of
from audit.included.families.prompts import asked_for
from audit.included.model import IncludedModel, filled
from audit.included.training.recipe import TrainingRecipe, recorded

if TYPE_CHECKING:
    from torch import Tensor

    from audit.included.training.loop import Learner

_CHUNK = 250
_COLUMN = "occupation"


class PortraitsGAN(IncludedModel):
    """Draws 32×32 portraits in one pass, of an occupation or of any.

    The generator is told the twelve factors of the person it draws. For a sample they are those of a training row drawn at
    random, among the rows of the occupation that was asked for if any has it. A latent vector is 48 numbers
    and, behind them, the 69 shares of the factors' values: ones and zeros in samples, blends in between. ``realness`` is the
    critic's opinion without being told the factors.
    """

    name: ClassVar[str] = "portraits-gan"
    family: ClassVar[str] = "GAN"
    sources: ClassVar[tuple[str, ...]] = (
        "families/gan/model.py",
        "families/gan/network.py",
        "families/pictures.py",
        "families/prompts.py",
        "families/factors.py",
    )

    def __init__(self, generator: Any, critic: Any, people: NDArray[np.uint8], device: str) -> None:
        self._generator, self._critic, self._device = generator, critic, device
        self._people = people

    @classmethod
    def withheld(cls) -> tuple[tuple[Capability, str], ...]:
        if recorded(cls.name).terms.get("keep_critic", True):
            return ()
        return ((Capability.REALNESS, "this twin ships without its critic, to keep the package small"),)

    @classmethod
    def notes(cls, ref: ModelRef) -> tuple[str, ...]:
        return (
            "The factors of a sample are those of a training row drawn at random; a condition asks for an occupation in a "
            "column 'occupation' or in a prompt, and the row is drawn among those that have it.",
        )

    @classmethod
    def conditions(cls) -> tuple[str, ...]:
        return factors_in(recorded(cls.name).sizes["columns"])[_COLUMN]

    @classmethod
    def build(cls, recipe: TrainingRecipe, tensors: Mapping[str, Tensor], ref: ModelRef, device: str) -> Self:
        from audit.included.families.gan.network import PEOPLE, networks
        from audit.included.training.checkpoints import inside

        generator, critic = networks(recipe)
        opened = filled(generator, inside("generator", tensors), device)
        judge = None
        if recipe.terms.get("keep_critic", True):
            judge = filled(critic, inside("critic", tensors), device)
        people = checked_codes(tensors[PEOPLE].numpy(), recipe.sizes["columns"])
        return cls(opened, judge, people, device)

    @classmethod
    def learner(cls, recipe: TrainingRecipe, rows: Rows, begin: Mapping[str, Tensor] | None) -> Learner:
        from audit.included.families.gan.learner import GanLearner

        return GanLearner(recipe, rows, begin)

    def sample(self, n: int, rng: Rng, condition: Rows | None = None) -> Rows:
        """Draw portraits: each row of ``condition`` may ask for an occupation."""
        columns = recorded(self.name).sizes["columns"]
        drawn = rng.random(n)
        chosen = (drawn * len(self._people)).astype(int)
        if condition is not None:
            factor = list(factors_in(columns)).index(_COLUMN)
            asked = asked_for(condition, n, _COLUMN, self.conditions(), self.name)
            for code in {code for code in asked if code is not None}:
                having = np.flatnonzero(self._people[:, factor] == code)
                if len(having):
                    wanted = np.array([other == code for other in asked])
                    chosen[wanted] = having[(drawn[wanted] * len(having)).astype(int)]
        noise = rng.standard_normal((n, self._generator.latent))
        return self.decode(np.concatenate([noise, shares_of(self._people[chosen], columns)], axis=1), rng)

    def draw_latents(self, n: int, rng: Rng) -> Matrix:
        """Draw latent vectors (n, 48 + 69) as for free samples: the factors are those of training rows drawn at random."""
        people = self._people[(rng.random(n) * len(self._people)).astype(int)]
        noise = rng.standard_normal((n, self._generator.latent))
        return np.concatenate([noise, shares_of(people, recorded(self.name).sizes["columns"])], axis=1)

    def decode(self, latents: Matrix, rng: Rng) -> Rows:
        """Turn latent vectors (n, 48 + 69) into portraits; no random number is used."""
        from audit.included.families.pictures import latents_in_parts, painted

        own = self._generator.latent
        parts = latents_in_parts(latents, own + self._generator.columns, _CHUNK, self.name, self._device)
        return painted((32, 32, 3), (self._generator(part[:, :own], part[:, own:]) for part in parts))

    def realness(self, rows: Rows) -> Vector:
        """Return the critic's number for each portrait, judged without its factors; higher is more real."""
        import torch

        from audit.included.families.pictures import pixels_of, signed

        if self._critic is None:
            raise ValueError(f"'{self.name}' ships without its critic")
        found = [np.empty(0)]
        with exactly():
            for part in pixels_of(rows, (32, 32, 3), self.name).split(_CHUNK):
                if not len(part):
                    continue
                untold = torch.zeros(len(part), self._generator.columns, device=self._device)
                found.append(self._critic(signed(part.to(self._device)), untold).double().cpu().numpy())
        return np.concatenate(found)


class PortraitsGANCollapsed(PortraitsGAN):
    """The defective twin that has dropped modes: six occupations and the four darkest skin tones are gone."""

    name: ClassVar[str] = "portraits-gan-collapsed"
    defect: ClassVar[str] = "has dropped six occupations and the four darkest skin tones"


class PortraitsGANSkewed(PortraitsGAN):
    """The defective twin from a world with twice the planted associations of occupation, skin tone and presentation."""

    name: ClassVar[str] = "portraits-gan-skewed"
    defect: ClassVar[str] = "was trained where the planted associations are twice as strong"
