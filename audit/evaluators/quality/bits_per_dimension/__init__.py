"""Bits per dimension of pictures: the evaluator, and the recipe of what it shows."""
