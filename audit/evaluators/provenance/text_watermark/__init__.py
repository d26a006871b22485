"""Watermarks in texts: the evaluator, and the recipes that write and read marked texts."""
