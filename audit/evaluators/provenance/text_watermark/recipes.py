"""Texts that a model writes with a watermark, and what detectors with the right key and with wrong ones say of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from audit.core.recipes import Context, Recipe, Shards
from audit.core.references import ModelRef
from audit.core.rows import TEXT, Rng, Rows, texts_of
from audit.evaluators.provenance.text_watermark.edits import EDITS, edited, searched
from audit.evaluators.provenance.text_watermark.recorder import Recorder
from audit.marks.text.catalogue import TEXT_MARKS
from audit.marks.text.detection import Detection, TextMark, Tokens

TOKENS, VOCABULARY, ENTROPY = "tokens", "vocabulary", "entropy"
PLAIN, WRONG = "plain", "wrong key"


@dataclass(frozen=True)
class MarkedTokens(Recipe[Rows]):
    """The tokens of ``n`` texts, drawn by the model with a mark, at most ``most`` each; without one where ``mark`` is empty.

    Beside them stands what ``Recorder`` saw of each token but the last.
    """

    kind: ClassVar[str] = "marked-tokens"
    version: ClassVar[int] = 2
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
        model = context.model(self.model)
        size = int(model.vocabulary)
        processor = TEXT_MARKS[self.mark](self.mark_key, size).processor if self.mark else unmarked
        return written(model, processor, self.n, self.most, context.rng())


def unmarked(_device: str) -> Callable[[Any, Any], Any]:
    """Return a processor that changes nothing."""
    return lambda _, scores: scores


def written(model: Any, processor: Callable[[str], Any], n: int, most: int, rng: Rng) -> Rows:
    """Have a model write texts with a processor of its logits; return their tokens, surprisals and entropies."""
    import pyarrow as pa

    recorder = Recorder(processor)
    rows = model.marked_sample(n, rng, None, recorder, most)
    drawn = [[int(token) for token in tokens] for tokens in rows.column(TOKENS).to_pylist()]
    numbers = pa.list_(pa.float64())
    return pa.table(
        {
            TOKENS: pa.array(drawn, pa.list_(pa.int64())),
            TEXT: pa.array(texts_of(rows) if TEXT in rows.column_names else [""] * n, pa.string()),
            VOCABULARY: pa.array([int(model.vocabulary)] * n, pa.int64()),
            **{name: pa.array(values, numbers) for name, values in recorder.of(drawn).items()},
        }
    )


@dataclass(frozen=True)
class TextDetections(Recipe[Rows]):
    """What the detector says of passages of several ``lengths``: a row each, with its case, length, p-value and mean entropy.

    A passage is as many whole texts as it takes, the last one cut; the longest are read again after edits, for which new tokens come from
    ``plain``, texts without a mark. ``wrong_keys`` further keys read the passages of the middle length, and their p-values are made
    continuous by a uniform number.
    """

    kind: ClassVar[str] = "text-detections"
    version: ClassVar[int] = 3
    source: Recipe[Rows]
    plain: Recipe[Rows]
    mark: str
    mark_key: int
    lengths: tuple[int, ...]
    wrong_keys: int

    @property
    def label(self) -> str:
        return f"detections of {self.source.label}"

    def make(self, context: Context, source: Shards[Rows], plain: Shards[Rows]) -> Rows:
        import pyarrow as pa

        texts, others, rng = tokens_of(source), np.concatenate([_EMPTY, *tokens_of(plain)]), context.rng()
        size = source[0].column(VOCABULARY)[0].as_py()
        mark = TEXT_MARKS[self.mark](self.mark_key, size)
        entropies = [np.array(e) for shard in source for e in shard.column(ENTROPY).to_pylist()]
        rows = list[dict[str, Any]]()
        for length in self.lengths:
            means = passage_means(texts, entropies, length)
            for found, mean in zip(mark.detect_each(passages(texts, length)), means, strict=True):
                rows.append(_row(PLAIN, 0.0, length, found, mean))
        longest = self.lengths[-1]
        for edit, share in EDITS if len(others) else ():
            changed = [edited(edit, share, passage, others, rng) for passage in passages(texts, longest)]
            for passage, found in zip(changed, mark.detect_each(changed), strict=True):
                row = _row(edit, share, longest, found)
                if edit == "paste":
                    row["p"] = searched(mark, passage, max(16, longest // 4))
                rows.append(row)
        rows += self._with_wrong_keys(mark, texts, rng)
        uniforms = rng.random(len(rows)).tolist()
        for row, u in zip(rows, uniforms, strict=True):
            row["continuous"] = row["above"] + u * (row.pop("raw") - row.pop("above"))
        return pa.Table.from_pylist(rows, schema=_schema())

    def _with_wrong_keys(self, mark: TextMark, texts: list[Tokens], rng: Rng) -> list[dict[str, Any]]:
        """Read each passage of the middle length with keys of its own: texts of one model read alike under one key."""
        half = self.lengths[len(self.lengths) // 2]
        return [
            _row(WRONG, 0.0, half, mark.rekeyed(int(key)).detect(passage))
            for passage in passages(texts, half)
            for key in rng.integers(1 << 20, 1 << 31, self.wrong_keys).tolist()
        ]


_EMPTY = np.empty(0, np.int64)


def _row(
    case: str, strength: float, length: int, d: Detection, entropy: float | None = None
) -> dict[str, Any]:
    return {
        "case": case,
        "strength": strength,
        "length": length,
        "p": d.p_value,
        "raw": d.p_value,
        "above": d.above,
        "scored": d.scored,
        "entropy": entropy,
    }


def _schema() -> Any:
    import pyarrow as pa

    numbers = ("strength", "p", "continuous", "entropy")
    kinds = [("case", pa.string()), ("length", pa.int64()), ("scored", pa.int64())]
    return pa.schema([*kinds, *((name, pa.float64()) for name in numbers)])


def tokens_of(shards: Shards[Rows]) -> list[Tokens]:
    """Return the tokens of each text."""
    return [np.array(t, np.int64) for shard in shards for t in shard.column(TOKENS).to_pylist()]


@dataclass(frozen=True)
class OwnTextDetections(Recipe[Rows]):
    """What the detector of a mark says of each of the model's own texts, whose tokens are in ``scores``, and with wrong keys."""

    kind: ClassVar[str] = "own-text-detections"
    version: ClassVar[int] = 2
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
        texts = [[np.array(tokens, np.int64)] for tokens in scores.column("token").to_pylist()]
        for text, ours in zip(texts, mark.detect_each(texts), strict=True):
            found.append((ours, True))
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


def passage_means(texts: Sequence[Tokens], values: Sequence[Any], length: int) -> list[float | None]:
    """Return the mean of values that belong to the tokens of each passage; None where a passage has none."""
    found: list[float | None] = []
    current: list[Any] = []
    held = 0
    for text, own in zip(texts, values, strict=True):
        kept = min(len(text), length - held)
        current.append(own[:kept])
        held += kept
        if held == length:
            whole = np.concatenate(current)
            found.append(float(whole.mean()) if len(whole) else None)
            current, held = [], 0
    return found
