"""Divergence frontiers of texts: their evaluator, and the recipes that they are computed with."""
