"""Marks of provenance: credentials, watermarks and labels, written and read without a model and without a network."""
