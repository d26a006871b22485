"""Bits per byte: how many bits the model needs for a byte of text it has not seen."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from audit.core.capabilities import Capability
from audit.core.errors import InputError
from audit.core.evaluators import About, Dimension, Needs, Unmet
from audit.core.measurements import (
    Direction,
    Evidence,
    Interval,
    Measurement,
    Outcome,
    Undefined,
    Unquantified,
)
from audit.core.recipes import Recipe
from audit.core.rows import Rows, text_rows
from audit.core.subjects import Subject
from audit.core.summaries import merged
from audit.stats.ratios import Ratio, ratio_of_sums

NAME = "quality.bits_per_byte"
PERPLEXITY = f"{NAME}.perplexity"
GATE = 100
"""Documents below which no interval is given (the linearised ratio's interval is asymptotic)."""
_MOST_LOSSY = 0.05
_FEW_EFFECTIVE = 30
_DETECTABLE = 1.96 + 0.84
_SHOWN, _EXCERPT = 5, 1000


@dataclass(frozen=True, slots=True)
class DocumentTotals:
    """What the ledger says about each document: shape (documents,) each; merging is concatenation."""

    nats: NDArray[np.float64]
    tokens: NDArray[np.int64]
    bytes: NDArray[np.int64]
    lossless: NDArray[np.bool_]

    @classmethod
    def of(cls, ledger: Rows) -> Self:
        """Sum a ledger's rows. A ledger without a column ``lossless`` is taken to lose nothing."""
        column = ledger.column("logp").combine_chunks()
        lengths = np.asarray(column.value_lengths().to_numpy(zero_copy_only=False), np.int64)
        values = column.flatten().to_numpy(zero_copy_only=False).astype(np.float64)
        which = np.repeat(np.arange(len(lengths)), lengths)
        kept = np.ones(len(lengths), np.bool_)
        if "lossless" in ledger.column_names:
            kept = ledger.column("lossless").to_numpy().astype(np.bool_)
        return cls(
            nats=np.asarray(-np.bincount(which, weights=values, minlength=len(lengths)), np.float64),
            tokens=lengths,
            bytes=ledger.column("bytes").to_numpy().astype(np.int64),
            lossless=kept,
        )

    def merge(self, other: Self) -> Self:
        return type(self)(
            np.concatenate([self.nats, other.nats]),
            np.concatenate([self.tokens, other.tokens]),
            np.concatenate([self.bytes, other.bytes]),
            np.concatenate([self.lossless, other.lossless]),
        )


@dataclass(frozen=True)
class BitsPerByte:
    """Code length of the documents of one split, per byte of their original text and per token.

    ``most`` is the greatest number of documents scored, the split's first ones.
    """

    split: str = "holdout"
    most: int = 1000

    about: ClassVar[About] = About(
        name=NAME,
        dimension=Dimension.QUALITY,
        summary="How well the language model predicts documents, comparable between tokenizers.",
        metrics={
            NAME: "Bits the model needs per UTF-8 byte of the original text, over all documents together; 8 is a model "
            "that knows nothing of bytes; lower is better.",
            PERPLEXITY: "Exponential of the mean negative log-likelihood per token; comparable only between models with "
            "one tokenizer; lower is better.",
        },
        needs=Needs(capabilities=((Capability.TOKEN_LEDGER,),), modalities=("text",)),
        references=(
            "Cochran 1977, Sampling Techniques, section 2.10 (linearised ratio)",
            "Cao & Rimell 2021, You should evaluate your language model on marginal likelihood over tokenisations",
        ),
    )

    def __post_init__(self) -> None:
        if self.most < 2:
            raise InputError(f"{NAME}: 'most' is {self.most}; give 2 documents or more.")

    def unmet(self, subject: Subject) -> tuple[Unmet, ...]:
        if self.split in subject.splits:
            return ()
        found = f"splits: {', '.join(subject.splits) or 'none'}"
        remedy = f"name data with a '{self.split}' split in [data], or set 'split' of this evaluator"
        return (Unmet(f"a split '{self.split}' of documents to score", found, remedy),)

    def inputs(self, subject: Subject) -> Mapping[str, Recipe[Any]]:
        documents = subject.real(self.split, self.most)
        return {"documents": documents, "totals": subject.pieces(subject.ledger(documents), DocumentTotals)}

    def measure(self, documents: Sequence[Rows], totals: Sequence[DocumentTotals]) -> Iterable[Outcome]:
        pieces = list(totals)
        whole = merged(pieces)
        usable = whole.lossless & (whole.bytes > 0) & (whole.tokens > 0)
        lossy = int((~whole.lossless).sum())
        if lossy > _MOST_LOSSY * len(whole.nats):
            reason = (
                f"the tokenizer does not give back {lossy} of {len(whole.nats)} documents, so the likelihood is of "
                f"other texts than the bytes counted"
            )
            return [Undefined(NAME, reason), Undefined(PERPLEXITY, reason)]
        count = int(usable.sum())
        if count < 2:
            reason = f"{count} of {len(whole.nats)} documents have anything to score; two are needed"
            return [Undefined(NAME, reason), Undefined(PERPLEXITY, reason)]
        bits = whole.nats[usable] / math.log(2)
        per_byte = ratio_of_sums(bits, whole.bytes[usable])
        per_token = ratio_of_sums(whole.nats[usable], whole.tokens[usable])
        notes = self._notes(whole, usable, lossy)
        evidence = self._evidence(documents, pieces, whole, usable)
        return [_bits_per_byte(per_byte, notes, evidence), _perplexity(per_token)]

    def _notes(self, whole: DocumentTotals, usable: NDArray[np.bool_], lossy: int) -> tuple[str, ...]:
        tokens, size = int(whole.tokens[usable].sum()), int(whole.bytes[usable].sum())
        empty = int((whole.lossless & ~usable).sum())
        notes = [
            f"{int(usable.sum()):,} documents of split '{self.split}', {tokens:,} tokens, {size:,} bytes.",
            "Each document is scored by itself after the model's start token. One longer than the model's context "
            "limit is scored in windows that overlap by three quarters or more, each scoring only its last tokens; "
            "limit and step are among the model's options.",
            "The likelihood is of the tokenizer's own spelling of each text, an upper bound on the text's code length.",
        ]
        if lossy:
            notes.append(f"{lossy} documents are left out: the tokenizer does not give them back.")
        if empty:
            notes.append(f"{empty} documents are left out: nothing in them can be scored.")
        return tuple(notes)

    def _evidence(
        self,
        documents: Sequence[Rows],
        pieces: Sequence[DocumentTotals],
        whole: DocumentTotals,
        usable: NDArray[np.bool_],
    ) -> tuple[Evidence, ...]:
        rate = np.where(usable, whole.nats / math.log(2) / np.maximum(whole.bytes, 1), np.nan)
        ranked = np.argsort(np.where(usable, rate, np.inf), kind="stable")[: int(usable.sum())]
        order: list[int] = ranked.tolist()
        starts = np.cumsum([0, *(len(piece.nats) for piece in pieces)])
        shown = min(_SHOWN, max(1, len(order) // 2))

        def excerpts(chosen: Sequence[int]) -> Rows:
            shards = [int(np.searchsorted(starts, i, side="right")) - 1 for i in chosen]
            texts = [
                documents[s].column("text")[int(i - starts[s])].as_py()
                for i, s in zip(chosen, shards, strict=True)
            ]
            values = [float(rate[i]) for i in chosen]
            return text_rows([text[:_EXCERPT] for text in texts], bits_per_byte=values)

        private = self.split == "train"
        worst = Evidence(
            "texts", "Documents that cost the most bits per byte", excerpts(order[::-1][:shown]), private
        )
        best = Evidence(
            "texts", "Documents that cost the fewest bits per byte", excerpts(order[:shown]), private
        )
        return worst, best


def _few(units: int) -> Unquantified:
    return Unquantified(f"{units} documents; an interval over documents needs {GATE} or more")


def _bits_per_byte(found: Ratio, notes: tuple[str, ...], evidence: tuple[Evidence, ...]) -> Measurement:
    uncertainty: Interval | Unquantified = _few(found.units)
    if found.units >= GATE:
        uncertainty = found.interval()
        notes += (
            f"A model that differs by {_DETECTABLE * math.sqrt(2) * found.standard_error:.2g} bits per byte would be "
            f"told apart on as many other documents of this kind four times in five.",
        )
        if found.effective < _FEW_EFFECTIVE:
            notes += (
                f"A few long documents dominate ({found.effective:.0f} of equal length would weigh as much), so the "
                f"interval is probably too narrow.",
            )
    return Measurement(
        metric=NAME,
        value=found.value,
        uncertainty=uncertainty,
        n=found.units,
        direction=Direction.LOWER_IS_BETTER,
        baseline=8.0,
        unit="bits/byte",
        notes=notes,
        evidence=evidence,
    )


def _perplexity(found: Ratio) -> Outcome:
    if found.value + found.reach() > math.log(1e300):
        return Undefined(
            PERPLEXITY, f"the mean loss is {found.value:.3g} nats per token, too large to exponentiate"
        )
    return Measurement(
        metric=PERPLEXITY,
        value=math.exp(found.value),
        uncertainty=found.exponential() if found.units >= GATE else _few(found.units),
        n=found.units,
        direction=Direction.LOWER_IS_BETTER,
        unit="per token",
        notes=("Comparable only between models with the same tokenizer.",),
    )
