"""Pipelines and autoencoders in the layout of the diffusers library."""
