"""Included models: generative adversarial networks of portraits."""
