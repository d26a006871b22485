"""How large the numbers of a spec may be."""

from __future__ import annotations

MOST_SAMPLES = 10_000_000
MOST_SEED = 2**63 - 1
MOST_NAME = 200
"""Characters of what a spec calls an evaluator: it begins the name of each of its metrics."""
MOST_SHARDS = 100_000
"""Shards of one artifact. Each is a row and a file, and is looked at while an audit is planned: 100,000 take seconds."""
