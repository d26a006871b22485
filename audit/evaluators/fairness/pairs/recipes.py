"""Recipes of minimal pairs: the parts of both sentences as texts to score, and coins for the null case."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from audit.core.errors import UndefinedError
from audit.core.recipes import Context, Recipe, Shards
from audit.core.rows import PREFIX, TEXT, Rows, Vector, concat
from audit.evaluators.fairness.pairs.own import COLUMNS
from audit.recipes.probe_texts import disordered

EDIT, SHARED, DISORDERED = "edit", "shared", "disordered"
SIDES = ("more", "less")
_WORD = re.compile(r"\s*\S+")
_MOST_ORDERS = 200
"""Texts whose words are put in another order to see whether the model knows the language."""


@dataclass(frozen=True)
class PairTexts(Recipe[Rows]):
    """Both sentences of every pair in parts: a row for each, its ``prefix`` all that stands before it.

    ``pair`` is the number of the pair, ``side`` which sentence, ``part`` whether these words differ (``edit``), are in both sentences after
    the first that differ (``shared``), or are shared ones in another order (``disordered``); ``group`` is what names the group there.
    """

    kind: ClassVar[str] = "pair-texts"
    pairs: Recipe[Rows]

    @property
    def label(self) -> str:
        return f"texts of {self.pairs.label}"

    def make(self, context: Context, pairs: Shards[Rows]) -> Rows:
        import pyarrow as pa

        found = concat(list(pairs))
        if missing := [name for name in COLUMNS if name not in found.column_names]:
            raise UndefinedError(f"the pairs have no column {', '.join(missing)}")
        rows: list[tuple[str, str, int, str, str, str]] = []
        longest: dict[str, tuple[str, int]] = {}
        for number, pair in enumerate(found.to_pylist()):
            parts = aligned(*(str(pair[name]) for name in ("more", "less", "more_group", "less_group")))
            for side, pieces in zip(SIDES, parts, strict=True):
                edited = " ".join(text.strip() for _, text, part in pieces if part == EDIT)
                group = str(pair[f"{side}_group"]) or edited
                rows += [(prefix, text, number, side, part, group) for prefix, text, part in pieces]
            shared = max((p for p in parts[0] if p[2] == SHARED), key=lambda p: len(p[1]), default=None)
            if shared is not None and len(shared[1].split()) >= 3:
                longest.setdefault(shared[1], (shared[0], number))
        chosen = list(longest.items())
        step = max(1, -(-len(chosen) // _MOST_ORDERS))
        for text, (prefix, number) in chosen[::step]:
            for part, words in ((SHARED, text), (DISORDERED, disordered(text))):
                rows.append((prefix, words, number, "order", part, ""))
        names = (PREFIX, TEXT, "pair", "side", "part", "group")
        return pa.table(dict(zip(names, map(list, zip(*rows, strict=True)), strict=True)))


def aligned(
    more: str, less: str, more_group: str = "", less_group: str = ""
) -> tuple[list[Part], list[Part]]:
    """Return the parts of both sentences after what they begin with: (what stands before it, its text, ``edit`` or ``shared``).

    Words are aligned as the authors of CrowS-Pairs align tokens, by the longest common blocks; named groups are edits whole.

    >>> aligned("The old man sat.", "The tall man sat.")[0]
    [('The', ' old', 'edit'), ('The old', ' man sat.', 'shared')]
    >>> aligned("The old man sat.", "The tall man sat.", "old man", "tall man")[1]
    [('The', ' tall man', 'edit'), ('The tall man', ' sat.', 'shared')]
    """
    a, b = _units(more, more_group), _units(less, less_group)
    matcher = difflib.SequenceMatcher(None, [u.strip() for u in a], [u.strip() for u in b], autojunk=False)
    codes = matcher.get_opcodes()
    first, second = [], []
    for tag, a0, a1, b0, b1 in codes:
        part = SHARED if tag == "equal" else EDIT
        first.append(("".join(a[:a0]), "".join(a[a0:a1]), part))
        second.append(("".join(b[:b0]), "".join(b[b0:b1]), part))
    begin = 1 if codes and codes[0][0] == "equal" else 0
    return [p for p in first[begin:] if p[1]], [p for p in second[begin:] if p[1]]


Part = tuple[str, str, str]


def _units(sentence: str, group: str) -> list[str]:
    """Return words with the space before each; a named group is one unit."""
    start = sentence.find(group) if group else -1
    if start < 0:
        return _WORD.findall(sentence)
    lead = len(sentence[:start].rstrip())
    return [
        *_WORD.findall(sentence[:lead]),
        sentence[lead : start + len(group)],
        *_rest(sentence[start + len(group) :]),
    ]


def _rest(text: str) -> Iterator[str]:
    yield from _WORD.findall(text)


@dataclass(frozen=True)
class CoinFlips(Recipe[Vector]):
    """+1 or -1 for each of the clusters of ``pairs``, by a fair coin: which sentence is called the more stereotyped."""

    kind: ClassVar[str] = "pair-coins"
    pairs: Recipe[Rows]
    seed: int

    def make(self, context: Context, pairs: Shards[Rows]) -> Vector:
        flips = context.rng().integers(0, 2, sum(rows.num_rows for rows in pairs))
        return np.asarray(2.0 * flips - 1)
