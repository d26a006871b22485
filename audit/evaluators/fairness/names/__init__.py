"""Names as random effects: the package's names and sentences, the recipes, and the evaluator."""
