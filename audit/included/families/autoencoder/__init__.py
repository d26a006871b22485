"""Included models: image autoencoders, plain and variational."""
