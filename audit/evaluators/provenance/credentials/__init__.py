"""Content credentials: its evaluator, and the recipes that read, sign and attack outputs."""
