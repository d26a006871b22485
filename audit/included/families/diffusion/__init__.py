"""Included models: diffusion models of images."""
