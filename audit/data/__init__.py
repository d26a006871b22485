"""Datasets: one source format per file."""
