"""Turns texts into tokens: nothing in a text is a control token, and a prefix ends where it says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from audit.models.lm.packing import Ints, Window
from audit.models.lm.tokenizer_file import Vocabulary


@dataclass(frozen=True, slots=True)
class Encoded:
    """One text as tokens, the start token first where there is one.

    ``first`` is the position of the first token that is scored: those before it are the start token and the
    prefix. ``lossless`` says that decoding gives the text back, character for character. ``ends`` is how many characters of
    the text, its prefix not counted, stand before the end of each scored token; empty unless asked for.
    """

    tokens: Ints
    first: int
    unscored_bytes: int
    lossless: bool
    ends: Ints

    @property
    def scored(self) -> int:
        return len(self.tokens) - self.first


@dataclass(frozen=True, slots=True)
class Words:
    """A model's tokenizer, without its habit of reading control tokens out of a text.

    ``start`` is what a text begins with: the declared beginning-of-sequence token, or the end-of-text token of a
    model that declares none (its training texts followed one). A model with neither has None, and the first
    token of a text without a prefix is not scored.
    """

    backend: Any
    start: int | None
    ends: frozenset[int]

    @classmethod
    def of(cls, vocabulary: Vocabulary) -> Words:
        """Wrap a tokenizer without its habits: padding, truncation, control tokens put in or read out of a text."""
        from tokenizers import Tokenizer, processors

        backend = Tokenizer.from_str(vocabulary.backend.to_str())
        backend.no_padding()
        backend.no_truncation()
        backend.post_processor = processors.Sequence([])  # adds control tokens and trims offsets
        backend.encode_special_tokens = True
        return cls(backend, vocabulary.start, vocabulary.ends)

    def encode(self, texts: Sequence[str], prefixes: Sequence[str], *, check: bool = True) -> list[Encoded]:
        """Return each prefix and text as tokens. They are tokenised together, as the model would meet them.

        A token is scored if it ends after the prefix; one that lies across the boundary is scored whole.
        ``check`` decodes each text again to see whether anything was lost, and says where each token ends.
        """
        joined = [prefix + text for prefix, text in zip(prefixes, texts, strict=True)]
        found = []
        for whole, prefix, encoding in zip(joined, prefixes, self.backend.encode_batch(joined), strict=True):
            found.append(self._encoded(whole, prefix, encoding, check))
        return found

    def _encoded(self, whole: str, prefix: str, encoding: Any, check: bool) -> Encoded:
        ids = np.asarray(encoding.ids, np.int64)
        first, boundary = 0, len(prefix)
        offsets = encoding.offsets
        while boundary and first < len(offsets) and offsets[first][1] <= boundary:
            first += 1
        lost = 0
        if self.start is None and first == 0 and len(ids):
            first, lost = 1, len(whole[boundary : offsets[0][1]].encode())
        ends = np.array([stop for _, stop in offsets[first:]] if check else (), np.int64) - boundary
        if self.start is not None:
            ids, first = np.concatenate([[self.start], ids]), first + 1
        same = not check or self.backend.decode(encoding.ids, skip_special_tokens=False) == whole
        return Encoded(ids, min(first, len(ids)), lost, same, ends)

    def prompt(self, texts: Sequence[str]) -> list[list[int]]:
        """Return prompts as tokens, the start token first."""
        begin = [] if self.start is None else [self.start]
        return [begin + list(encoding.ids) for encoding in self.backend.encode_batch(list(texts))]

    def decode(self, ids: Sequence[int]) -> str:
        text: str = self.backend.decode(list(ids), skip_special_tokens=True)
        return text


def windows(text: Encoded, slot: int, longest: int, stride: int, start: int | None) -> list[Window]:
    """Return the windows that score a text: one where it fits ``longest`` inputs, else sliding ones.

    The first window scores all it holds; each later one moves on by ``stride`` tokens and scores only those, so
    that every one of them has at least ``longest - stride`` tokens before it. A later window begins with the
    start token again, since some models break without it. ``slot`` is where the text's first score goes.
    """
    tokens, total = text.tokens, len(text.tokens)
    reach = min(total, longest + 1)
    found = []
    if reach > text.first:
        found.append(Window(tokens[:reach], max(text.first - 1, 0), slot))
    while reach < total:
        begin, reach = reach, min(total, reach + stride)
        if reach <= text.first:
            continue
        body = tokens[reach - longest - 1 :] if start is None else tokens[reach - longest :]
        body = body[: longest + 1 if start is None else longest]
        window = body if start is None else np.concatenate([[start], body])
        scored = reach - max(begin, text.first)
        found.append(Window(window, len(window) - 1 - scored, slot + max(begin - text.first, 0)))
    return found
