"""The Fréchet distance: its evaluator, and the recipes that it is computed with."""
