"""Worlds: deterministic generators of examples about which everything is known."""
