"""Minimal pairs: the package's own set, how pairs become texts and scores, and the evaluator."""
