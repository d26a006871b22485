"""Personalised output: the evaluator, its own requests and signatures, and the recipes that it is computed with."""
