"""Evaluators: one property of a model per file, in a folder per dimension."""
