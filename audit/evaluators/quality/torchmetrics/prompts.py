"""Prompts and references made of real texts: how they begin, and how they go on."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar

from audit.core.recipes import Context, Recipe
from audit.core.rows import PREFIX, TEXT, Rows, texts_of


@dataclass(frozen=True)
class CutTexts(Recipe[Rows]):
    """The beginnings of texts as prompts (``prefix``), or what follows them as references (``text``).

    Rows that have a ``prefix`` are prompts and references already. Of others the first ``words`` words are the prompt, of a short text the first half.
    """

    kind: ClassVar[str] = "cut-texts"
    along: ClassVar[tuple[str, ...]] = ("rows",)
    rows: Recipe[Rows]
    words: int
    prompts: bool

    @property
    def label(self) -> str:
        return f"{'prompts' if self.prompts else 'references'} from {self.rows.label}"

    def make(self, context: Context, rows: Rows) -> Rows:
        import pyarrow as pa

        if PREFIX in rows.column_names:
            cut = list(zip(texts_of(rows, PREFIX), texts_of(rows), strict=True))
        else:
            cut = [_cut(text, self.words) for text in texts_of(rows)]
        column = PREFIX if self.prompts else TEXT
        return pa.table({column: pa.array([pair[0 if self.prompts else 1] for pair in cut], pa.string())})


def _cut(text: str, words: int) -> tuple[str, str]:
    """Return the first words of a text, white space and all, and the rest.

    >>> _cut("one two  three four", 2), _cut("one two", 5)
    (('one two', '  three four'), ('one', ' two'))
    """
    ends = [found.end() for found in re.finditer(r"\S+", text)]
    if not ends:
        return text, ""
    place = ends[words - 1] if len(ends) > words else ends[max(len(ends) // 2, 1) - 1]
    return text[:place], text[place:]
