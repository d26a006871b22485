"""Check that bad input is refused in words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from audit.core.errors import InputError


def check_refusal(call: Callable[[], Any], naming: str) -> None:
    """Check that a call raises InputError and that its message names what was wrong."""
    said = _refusal(call)
    assert said is not None, f"'{naming}' was accepted"
    assert naming in said, f"the refusal names '{naming}'; it says: {said}"


def _refusal(call: Callable[[], Any]) -> str | None:
    try:
        call()
    except InputError as error:
        return str(error)
    return None
