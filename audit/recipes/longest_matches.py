"""For each text the longest run of bytes that it shares with one of some documents."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from audit.core.recipes import Context, Recipe, Shards
from audit.core.rows import Rows
from audit.stats.suffixes import Corpus, Matches


@dataclass(frozen=True)
class LongestMatches(Recipe[Matches]):
    """The longest match of each text of ``texts`` in ``documents``, as they are: letter case and white space count.

    The documents are indexed in memory, 13 bytes for each of theirs, and the index is not kept.
    """

    kind: ClassVar[str] = "longest-matches"
    texts: Recipe[Rows]
    documents: Recipe[Rows]

    @property
    def label(self) -> str:
        return f"longest matches of {self.texts.label} in {self.documents.label}"

    def make(self, context: Context, texts: Shards[Rows], documents: Shards[Rows]) -> Matches:
        corpus = Corpus.of(_bytes(documents))
        return corpus.longest(_bytes(texts))


def _bytes(shards: Shards[Rows]) -> list[bytes]:
    return [(text or "").encode() for rows in shards for text in rows.column("text").to_pylist()]
