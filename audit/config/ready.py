"""The policies that ship with the package, by name."""

from __future__ import annotations

from importlib.resources import files

POLICIES = files("audit") / "policies"


def policy_names() -> tuple[str, ...]:
    """Return the names of the policies that ship with the package."""
    return tuple(sorted(p.name.removesuffix(".toml") for p in POLICIES.iterdir() if p.name.endswith(".toml")))
