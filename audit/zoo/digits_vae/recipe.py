"""The recorded recipe of the digits VAE, as a value."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from audit.core.identity import Digest, canonical, digest_of


@dataclass(frozen=True, slots=True)
class TrainingRecipe:
    """Everything that decides which weights come out."""

    use: str
    split: str
    content: Digest
    data_seed: int
    train: int
    latent: int
    hidden: int
    dropout: float
    seed: int
    steps: int
    batch: int
    learning_rate: float
    weight_decay: float
    divergence_warm_up: int
    checkpoint_every: int

    @property
    def digest(self) -> Digest:
        return digest_of(canonical(self))

    @property
    def data_options(self) -> dict[str, Any]:
        return {"seed": self.data_seed, "train": self.train}


def recorded() -> TrainingRecipe:
    """Return the recipe that ships with the package."""
    text = files("audit.zoo.digits_vae").joinpath("recipe.toml").read_text(encoding="utf-8")
    tables = tomllib.loads(text)
    data, network, training = tables["data"], tables["network"], tables["training"]
    return TrainingRecipe(
        use=data["use"],
        split=data["split"],
        content=Digest(data["content"]),
        data_seed=data["seed"],
        train=data["train"],
        **network,
        **training,
    )
