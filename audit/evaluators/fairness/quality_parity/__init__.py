"""Quality by group: the evaluator, and the recipes that it is computed with."""
