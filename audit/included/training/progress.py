"""What training says about its progress."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Progress:
    """One moment of training. ``loss`` is that of one batch; ``message`` is for the reader, often empty."""

    step: int
    steps: int
    loss: float
    message: str = ""
