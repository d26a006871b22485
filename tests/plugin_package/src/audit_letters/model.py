"""A model that writes letters at random, and misbehaves when it is told to."""

from __future__ import annotations

import subprocess
import time
from typing import Any, Self

from audit.core.capabilities import Capability, implemented
from audit.core.errors import InputError, nearest
from audit.core.identity import Digest
from audit.core.references import ModelRef
from audit.core.rows import Rng, Rows, Vector, text_rows
from audit.core.subjects import ModelCard

_MOODS = ("good", "raises", "nan", "short", "hangs", "dies", "exits", "noisy", "rude", "talks")


class LetterModel:
    """Writes words of eight letters; ``mood`` plants a fault in it."""

    def __init__(self, mood: str) -> None:
        self.mood = mood

    @classmethod
    def refer(cls, options: dict[str, Any]) -> ModelRef:
        for option in options:
            if option != "mood":
                raise InputError(f"There is no option '{option}'. {nearest(option, ['mood'])}")
        mood = options.get("mood", "good")
        if mood not in _MOODS:
            raise InputError(f"mood is {mood!r}. {nearest(str(mood), _MOODS)}")
        return ModelRef("letters", Digest("00" * 20), (("mood", mood),))

    @classmethod
    def describe(cls, ref: ModelRef) -> tuple[ModelCard, frozenset[Capability]]:
        return ModelCard("letters", "text", 0), implemented(cls)

    @classmethod
    def open(cls, ref: ModelRef, device: str) -> Self:
        return cls(str(dict(ref.options)["mood"]))

    def sample(self, n: int, rng: Rng, condition: Rows | None = None) -> Rows:
        match self.mood:
            case "raises":
                raise RuntimeError("the model is in a bad mood")
            case "hangs":
                time.sleep(3600)
            case "dies":
                import os
                import signal

                os.kill(os.getpid(), signal.SIGKILL)
            case "exits":
                raise SystemExit(0)
            case "noisy":
                print("a model that talks")  # noqa: T201
                subprocess.run(["echo", "and calls programs that talk"], check=True)
            case "rude":
                raise RuntimeError("\x1b[31mred\x1b]0;title\x07 \u202eback")
            case "talks":
                print("\x1b]0;title\x07 …")  # noqa: T201
            case "short":
                n -= 1
        letters = rng.integers(0, 26, (n, 8))
        return text_rows(["".join(chr(97 + c) for c in word) for word in letters])

    def log_likelihood(self, rows: Rows) -> Vector:
        import numpy as np

        lengths = np.array([len(text) for text in rows.column("text").to_pylist()], dtype=np.float64)
        return np.full(len(lengths), np.nan) if self.mood == "nan" else -lengths * np.log(26)
