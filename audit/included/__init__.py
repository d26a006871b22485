"""The included models: networks, training recipes and weights."""
