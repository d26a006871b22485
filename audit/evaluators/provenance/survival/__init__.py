"""Marks that survive: what is left of every layer after what happens to outputs."""
