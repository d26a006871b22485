"""Representation of attributes: the evaluator, and the recipes that it is computed with."""
