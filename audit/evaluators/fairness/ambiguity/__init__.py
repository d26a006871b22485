"""Questions that a text answers or leaves open: the package's items, how answers are read, and the evaluator."""
