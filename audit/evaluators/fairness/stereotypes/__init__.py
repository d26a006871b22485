"""Stereotypes beside anti-stereotypes and nonsense: the package's items, their scores, and the evaluator."""
