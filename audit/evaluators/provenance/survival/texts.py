"""Texts with every layer at once, and which layers are left after a change."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from audit.core.recipes import Context, Recipe, Shards
from audit.core.rows import TEXT, Rng, Rows
from audit.evaluators.provenance.survival.pictures import CREDENTIAL, FOREIGN, RATE, UNMARKED
from audit.evaluators.provenance.text_watermark.edits import edited, searched
from audit.evaluators.provenance.text_watermark.recipes import VOCABULARY, passages, tokens_of
from audit.marks.manifests.reading import TEXT as PLAIN
from audit.marks.manifests.reading import Answer, Held
from audit.marks.manifests.signers import ephemeral_signers
from audit.marks.manifests.signing import Bench
from audit.marks.text.catalogue import TEXT_MARKS
from audit.marks.text.detection import TextMark, Tokens

TEXT_CHANGES = {
    "untouched": "the text with its sidecar, as it was handed out",
    "copied": "the text copied from a screen, without the sidecar",
    "edited": "a tenth of the tokens replaced, the sidecar kept",
    "rewritten": "two fifths of the tokens replaced: what a paraphrase leaves at best",
    "quoted": "half of it pasted into as much unmarked text",
    "shortened": "the second half left out",
}
"""What happens to a text on its way."""
_EDITS = {"edited": ("substitute", 0.1), "rewritten": ("substitute", 0.4), "quoted": ("paste", 0.5)}


@dataclass(frozen=True)
class TextLayersLeft(Recipe[Rows]):
    """For each passage of ``length`` tokens and change, which layers are left: a column per layer. Without ``marked`` it gets no credential.

    Marked passages are also read as others would hand them in: unmarked, and with a mark of another key and a stranger's credential.
    """

    kind: ClassVar[str] = "text-layers-left"
    source: Recipe[Rows]
    plain: Recipe[Rows]
    mark: str
    mark_key: int
    length: int
    marked: bool = True

    @property
    def label(self) -> str:
        return f"layers left of {self.source.label}"

    def make(self, context: Context, source: Shards[Rows], plain: Shards[Rows]) -> Rows:
        import pyarrow as pa

        rows = list(self._read(source, tokens_of(plain), context.rng()))
        kinds = [("change", pa.string()), (CREDENTIAL, pa.bool_()), (self.mark, pa.bool_())]
        return pa.Table.from_pylist(rows, schema=pa.schema(kinds))

    def _read(self, source: Shards[Rows], plain: list[Tokens], rng: Rng) -> Iterator[dict[str, Any]]:
        texts = tokens_of(source)
        mark = TEXT_MARKS[self.mark](self.mark_key, source[0].column(VOCABULARY)[0].as_py())
        written = [text or "" for shard in source for text in shard.column(TEXT).to_pylist()]
        others = np.concatenate(plain) if plain else np.empty(0, np.int64)
        signers = ephemeral_signers()
        bench, opened = Bench(signers.anchors), signers.trusted.open()
        for passage, file in zip(
            passages(texts, self.length), _files(texts, written, self.length), strict=True
        ):
            signed = (
                bench.sign(file, PLAIN, signers.trusted, opened).held if self.marked else Held(PLAIN, file)
            )
            for change in TEXT_CHANGES:
                held, left = _changed(change, signed), _tokens(change, passage, others, rng)
                seen = self._seen(mark, left, change)
                yield {
                    "change": change,
                    CREDENTIAL: bench.read(held).answer is Answer.TRUSTED,
                    self.mark: seen,
                }
            if self.marked:
                stranger = signers.untrusted["unknown_authority"]
                foreign = bench.sign(file, PLAIN, stranger, stranger.open()).held
                other = mark.rekeyed(int(rng.integers(1 << 40, 1 << 41)))
                trusted = bench.read(foreign).answer is Answer.TRUSTED
                yield {"change": FOREIGN, CREDENTIAL: trusted, self.mark: self._seen(other, passage, FOREIGN)}
        if self.marked:
            for passage in passages(plain, self.length):
                yield {"change": UNMARKED, CREDENTIAL: False, self.mark: self._seen(mark, passage, UNMARKED)}

    def _seen(self, mark: TextMark, passage: Sequence[Tokens], change: str) -> bool:
        found = searched(mark, passage, 64) if change == "quoted" else mark.detect(list(passage)).p_value
        return bool(found <= RATE)


def _files(texts: Sequence[Tokens], written: Sequence[str], length: int) -> Iterator[bytes]:
    """Yield each passage as a text file: the whole texts that it begins in."""
    held, parts = 0, list[str]()
    for tokens, text in zip(texts, written, strict=True):
        parts.append(text)
        held += len(tokens)
        if held >= length:
            yield ("\n\n".join(parts) or "a text").encode()
            held, parts = 0, []


def _changed(change: str, signed: Held) -> Held:
    """Return the file that is left of a signed text, and its sidecar where somebody passes it on."""
    if change == "untouched":
        return signed
    file = (
        signed.file if change == "copied" else signed.file[: max(1, len(signed.file) // 2)] + b" and so on."
    )
    return Held(PLAIN, file, signed.sidecar if change == "edited" else None)


def _tokens(change: str, passage: list[Tokens], others: Tokens, rng: Rng) -> list[Tokens]:
    if change in _EDITS and len(others):
        return edited(*_EDITS[change], passage, others, rng)
    if change == "shortened":
        whole = np.concatenate(passage)
        return [whole[: max(1, len(whole) // 2)]]
    return passage
