"""Texts that a model writes with a watermark, and what detectors with the right key and with wrong ones say of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from audit.core.recipes import Context, Recipe, Shards
from audit.core.references import ModelRef
from audit.core.rows import Rng, Rows
from audit.marks.text.catalogue import TEXT_MARKS
from audit.marks.text.detection import Detection, TextMark, Tokens

TOKENS, VOCABULARY = "tokens", "vocabulary"
EDITS = (0.1, 0.2, 0.4)
"""Shares of tokens that an editor replaces."""


@dataclass(frozen=True)
class MarkedTokens(Recipe[Rows]):
    """The tokens of ``n`` texts, drawn by the model with a mark, at most ``most`` each; without one where ``mark`` is empty."""

    kind: ClassVar[str] = "marked-tokens"
    model: ModelRef
    mark: str
    mark_key: int
    n: int
    most: int
    seed: int

    @property
    def label(self) -> str:
        return f"texts marked by {self.mark}" if self.mark else "texts without a mark"

    def make(self, context: Context) -> Rows:
        import pyarrow as pa

        model = context.model(self.model)
        size = int(model.vocabulary)
        processor = TEXT_MARKS[self.mark](self.mark_key, size).processor if self.mark else _unmarked
        rows = model.marked_sample(self.n, context.rng(), None, processor, self.most)
        drawn = [[int(token) for token in tokens] for tokens in rows.column(TOKENS).to_pylist()]
        return pa.table(
            {
                TOKENS: pa.array(drawn, pa.list_(pa.int64())),
                VOCABULARY: pa.array([size] * self.n, pa.int64()),
            }
        )


def _unmarked(_device: str) -> Callable[[Any, Any], Any]:
    return lambda _, scores: scores


@dataclass(frozen=True)
class TextDetections(Recipe[Rows]):
    """What the detector says of passages of several ``lengths``: a row each, with its length, its p-value and whether the key is right.

    A passage is as many whole texts as it takes, the last one cut; the longest are read again after edits. ``wrong_keys`` further keys read the passages of the
    middle length, and their p-values are made continuous by a uniform number.
    """

    kind: ClassVar[str] = "text-detections"
    source: Recipe[Rows]
    mark: str
    mark_key: int
    lengths: tuple[int, ...]
    wrong_keys: int

    @property
    def label(self) -> str:
        return f"detections of {self.source.label}"

    def make(self, context: Context, source: Shards[Rows]) -> Rows:
        import pyarrow as pa

        texts = [np.array(t, np.int64) for shard in source for t in shard.column(TOKENS).to_pylist()]
        size = source[0].column(VOCABULARY)[0].as_py()
        mark, rng = TEXT_MARKS[self.mark](self.mark_key, size), context.rng()
        found = list(_detections(mark, texts, self.lengths))
        edited = [0.0] * len(found)
        for share in EDITS:
            for passage in passages(texts, self.lengths[-1]):
                changed = [_edited(text, share, texts, rng) for text in passage]
                found.append((self.lengths[-1], mark.detect(changed), True))
                edited.append(share)
        half = self.lengths[len(self.lengths) // 2]
        middle = passages(texts, half)
        for passage in middle:  # keys of its own for each: texts of one model read alike under one key
            keys = rng.integers(1 << 20, 1 << 31, self.wrong_keys).tolist()
            found += [(half, mark.rekeyed(int(key)).detect(passage), False) for key in keys]
        edited += [0.0] * (len(found) - len(edited))
        uniforms = rng.random(len(found))
        return pa.table(
            {
                "edited": pa.array(edited, pa.float64()),
                "length": pa.array([length for length, _, _ in found], pa.int64()),
                "p": pa.array([d.p_value for _, d, _ in found], pa.float64()),
                "continuous": pa.array(
                    [
                        d.above + u * (d.p_value - d.above)
                        for (_, d, _), u in zip(found, uniforms.tolist(), strict=True)
                    ],
                    pa.float64(),
                ),
                "scored": pa.array([d.scored for _, d, _ in found], pa.int64()),
                "right": pa.array([right for _, _, right in found], pa.bool_()),
            }
        )


def _detections(
    mark: TextMark, texts: Sequence[Tokens], lengths: Sequence[int]
) -> Iterator[tuple[int, Detection, bool]]:
    for length in lengths:
        for passage in passages(texts, length):
            yield length, mark.detect(passage), True


def _edited(text: Tokens, share: float, texts: Sequence[Tokens], rng: Rng) -> Tokens:
    """Return a text of which a share of the tokens is replaced by tokens of other texts, at random places."""
    others = np.concatenate(texts)
    places = rng.random(len(text)) < share
    return np.where(places, others[rng.integers(0, len(others), len(text))], text)


@dataclass(frozen=True)
class OwnTextDetections(Recipe[Rows]):
    """What the detector of a mark says of each of the model's own texts, whose tokens are in ``scores``, and with wrong keys."""

    kind: ClassVar[str] = "own-text-detections"
    along: ClassVar[tuple[str, ...]] = ("scores",)
    scores: Recipe[Rows]
    model: ModelRef
    mark: str
    mark_key: int
    wrong_keys: int

    @property
    def label(self) -> str:
        return f"{self.mark} in {self.scores.label}"

    def make(self, context: Context, scores: Rows) -> Rows:
        import pyarrow as pa

        size, rng = int(context.model(self.model).vocabulary), context.rng()
        mark = TEXT_MARKS[self.mark](self.mark_key, size)
        found: list[tuple[Detection, bool]] = []
        for tokens in scores.column("token").to_pylist():
            text = [np.array(tokens, np.int64)]
            found.append((mark.detect(text), True))
            keys = rng.integers(1 << 20, 1 << 31, self.wrong_keys).tolist()
            found += [(mark.rekeyed(int(key)).detect(text), False) for key in keys]
        continuous = [d.above + float(rng.random()) * (d.p_value - d.above) for d, _ in found]
        return pa.table(
            {
                "p": pa.array([d.p_value for d, _ in found], pa.float64()),
                "continuous": pa.array(continuous, pa.float64()),
                "scored": pa.array([d.scored for d, _ in found], pa.int64()),
                "right": pa.array([right for _, right in found], pa.bool_()),
            }
        )


def passages(texts: Sequence[Tokens], length: int) -> list[list[Tokens]]:
    """Return passages of exactly ``length`` tokens, each made of whole texts but for the last, which is cut.

    >>> [[len(t) for t in p] for p in passages([np.zeros(5), np.zeros(4), np.zeros(9)], 7)]
    [[5, 2], [7]]
    """
    found: list[list[Tokens]] = []
    current: list[Tokens] = []
    held = 0
    for text in texts:
        current.append(text[: length - held])
        held += len(current[-1])
        if held == length:
            found.append(current)
            current, held = [], 0
    return found
