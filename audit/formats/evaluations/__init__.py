"""Logs of other evaluation tools, read as hostile input: Inspect, lm-evaluation-harness, garak, Every Eval Ever."""
