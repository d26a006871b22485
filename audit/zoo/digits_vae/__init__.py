"""An included model: a variational autoencoder of handwritten digits."""

from audit.zoo.digits_vae.model import DigitsVAE

__all__ = ["DigitsVAE"]
