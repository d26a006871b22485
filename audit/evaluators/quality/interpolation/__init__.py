"""What lies between two codes: the evaluator, and the recipes that it is computed with."""
