"""Disentanglement of a latent code: the evaluator, and the recipes that it is computed with."""
