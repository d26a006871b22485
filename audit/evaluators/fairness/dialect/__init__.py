"""The same in another variety of a language: the package's pairs and the evaluator."""
