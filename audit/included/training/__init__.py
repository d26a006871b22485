"""How included models are trained: recorded recipes, one loop, checkpoints."""
