"""An included model: a variational autoencoder of handwritten digits."""
