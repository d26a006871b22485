"""Watermarks in the choice of tokens: exact tests that a key was used, and the rules by which a sampler uses it."""
