"""How a model uses its latent code: the evaluator, and the recipes that it is computed with."""
