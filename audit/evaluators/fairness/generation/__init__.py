"""Open generation by group: the package's prompts, how continuations are read, and the evaluator."""
