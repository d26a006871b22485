"""Calibration of next-token probabilities: its evaluator, and the recipes that it is computed with."""
