"""How texts are spelt: counts of character n-grams, hashed into a fixed number of columns."""

from __future__ import annotations

import zlib
from collections import Counter
from math import sqrt
from typing import Self

import numpy as np

from audit.core.identity import canonical, digest_of
from audit.core.references import ExtractorRef
from audit.core.rows import TEXT, Matrix, Rows, texts_of

COLUMNS, LENGTHS, MOST = 1024, (2, 3, 4), 20_000


class CharacterNgrams:
    """The n-grams of two to four characters of a text, as a vector of length 1: which words and forms it uses, not what it means.

    The features of a spectrum kernel (Leslie, Eskin & Noble 2002), hashed with a sign into 1,024 columns (Weinberger et al. 2009): they need no
    weights. Small letters, white space as one space, the square root of each count, at most the first 20,000 characters. Any script.
    """

    @classmethod
    def refer(cls) -> ExtractorRef:
        named = {"character-ngrams": 1, "columns": COLUMNS, "lengths": LENGTHS, "most": MOST}
        return ExtractorRef("character-ngrams", digest_of(canonical(named)), COLUMNS, "text")

    @classmethod
    def open(cls, ref: ExtractorRef, device: str) -> Self:
        ref.check_same_as(cls.refer())
        return cls()

    def extract(self, rows: Rows) -> Matrix:
        """Return vectors of length 1, shape (rows, 1024); zeros for a text without n-grams. Raise ValueError for rows that are no texts."""
        if TEXT not in rows.column_names:
            raise ValueError(f"character-ngrams reads texts; these rows have {', '.join(rows.column_names)}")
        texts = texts_of(rows)
        found = np.zeros((len(texts), COLUMNS))
        for row, text in enumerate(texts):
            plain = " ".join((text or "")[:MOST].lower().split())
            counts = Counter(plain[i : i + n] for n in LENGTHS for i in range(len(plain) - n + 1))
            for gram, count in counts.items():
                code = zlib.crc32(gram.encode("utf-8", "surrogatepass"))
                found[row, code % COLUMNS] += sqrt(count) * (1 if code & (1 << 31) else -1)
        sizes = np.linalg.norm(found, axis=1, keepdims=True)
        return np.asarray(np.divide(found, sizes, out=np.zeros_like(found), where=sizes > 0))
