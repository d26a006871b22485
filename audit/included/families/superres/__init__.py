"""Included model: portraits enlarged to twice their size."""
