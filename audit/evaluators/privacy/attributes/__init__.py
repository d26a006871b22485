"""Attribute inference: the evaluator, and the recipes of the attacks."""
