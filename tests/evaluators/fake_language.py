"""A language model whose preferences a test sets: the log-probability of each text is a function of prefix and text."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from audit.core.capabilities import Capability
from audit.core.identity import Digest
from audit.core.references import DataRef, ModelRef
from audit.core.subjects import DataCard, ModelCard, Subject
from audit.recipes.probe_texts import disordered


def language_subject(
    splits: dict[str, Any] | None = None, *, learnt: bool = False, **changed: Any
) -> Subject:
    """Return an audit of a language model; ``learnt`` says that it was trained on the split ``train``."""
    data = DataRef("fake", Digest("1" * 40))
    sizes = tuple((name, rows.num_rows) for name, rows in (splits or {}).items())
    subject = Subject(
        model=ModelRef("fake", Digest("0" * 40)),
        card=ModelCard("fake", "text", 1, trained_on=data if learnt else None),
        offers=frozenset({Capability.TOKEN_SCORES}),
        data=data,
        data_card=DataCard("text", sizes),
        extractors=(),
        sample_size=10,
        seed=0,
        shard_size=500,
    )
    return replace(subject, **changed)


def noise(*words: object, size: float = 1.0, seed: int = 0) -> float:
    """Return a normal number that depends on the words and the seed alone."""
    place = zlib.crc32("|".join(map(str, words)).encode())
    return size * float(np.random.default_rng([seed, place]).normal())


class FakeLM:
    """Scores a text by its words, each about as likely, and by what ``lean(prefix, text)`` adds.

    One that ``knows`` the language finds words less likely in the reverse of an order that it has seen before.
    """

    def __init__(self, lean: Callable[[str, str], float], *, knows: bool = True, seed: int = 0) -> None:
        self.lean, self.knows, self.seed = lean, knows, seed

    def score(self, prefix: str, text: str, seen: set[str]) -> list[float]:
        words = text.split()
        each = [-3.0 + noise(word.strip(".,").lower(), seed=self.seed, size=0.3) for word in words]
        each[0] += self.lean(prefix, text)
        if not self.knows:
            each[-1] += noise(*words, size=1.0, seed=self.seed)
        elif disordered(text) in seen:
            each[-1] -= 2.0
        seen.add(text)
        return each

    def token_scores(self, rows: Any) -> Any:
        seen: set[str] = set()
        columns = (rows.column(name).to_pylist() for name in ("prefix", "text"))
        found = [self.score(prefix, text, seen) for prefix, text in zip(*columns, strict=True)]
        return pa.table({"logp": pa.array(found, pa.list_(pa.float64()))})
