"""Bits per byte: how many bits the model needs for a byte of text that it has not seen.

A model that predicts a text well needs few bits to write it down. Counted per byte of the original text, the number can be
compared between models with different tokenizers; perplexity, counted per token, cannot.

Formula: ``bits_per_byte = (sum of -ln p(token)) / (ln 2 · number of bytes)`` over all documents together, so that a long document counts
for more than a short one; ``perplexity = exp((sum of -ln p(token)) / number of tokens)``.

Interval: a ratio of sums over documents with leverage-corrected variance, Student's t with Satterthwaite's degrees of freedom and a
correction for skewness, so that it holds where a few long documents weigh most. Perplexity: its ends for the mean loss, exponentiated.
Where the data have group columns, the same of the documents of each group.

Gate: no interval below 20 documents, or where two or three hold nearly all the weight. No value below two documents that can be scored,
where the tokenizer does not give back more than one document in twenty, or where the model rules a document out. Columns of more
than 30 values are no groups, and a group has a value from two documents on.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from audit.core.capabilities import Capability
from audit.core.errors import InputError
from audit.core.evaluators import About, Needs, Unmet
from audit.core.measurements import Evidence, Interval, Outcome
from audit.core.metrics import LOWER, Metric
from audit.core.recipes import Inputs, Shards
from audit.core.rows import Rows, text_rows, texts_of
from audit.core.subjects import Subject
from audit.core.summaries import merged
from audit.core.units import unit_names, units_evidence
from audit.stats.ratios import Ratio, ratio_of_sums

_MOST_LOSSY = 0.05
_FEW_EFFECTIVE = 30
_DETECTABLE = 1.96 + 0.84
_SHOWN, _EXCERPT = 5, 1000
_MOST_GROUPS = 30
"""A column of more values than this is a number or a name, not a group."""


@dataclass(frozen=True, slots=True)
class DocumentTotals:
    """What token scores say about each document: shape (documents,) each; merging is concatenation."""

    nats: NDArray[np.float64]
    tokens: NDArray[np.int64]
    bytes: NDArray[np.int64]
    lossless: NDArray[np.bool_]

    @classmethod
    def of(cls, scores: Rows) -> Self:
        """Sum token scores. Scores without a column ``lossless`` is taken to lose nothing."""
        column = scores.column("logp").combine_chunks()
        lengths = np.asarray(column.value_lengths().to_numpy(zero_copy_only=False), np.int64)
        values = column.flatten().to_numpy(zero_copy_only=False).astype(np.float64)
        which = np.repeat(np.arange(len(lengths)), lengths)
        kept = np.ones(len(lengths), np.bool_)
        if "lossless" in scores.column_names:
            kept = scores.column("lossless").to_numpy().astype(np.bool_)
        return cls(
            nats=np.asarray(-np.bincount(which, weights=values, minlength=len(lengths)), np.float64),
            tokens=lengths,
            bytes=scores.column("bytes").to_numpy().astype(np.int64),
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
    """Code length of the documents of ``split``, per byte of their original text and per token.

    ``max_rows`` is the greatest number of documents scored, drawn at random; copies of one document count once.
    """

    split: str = "holdout"
    max_rows: int = 1000

    about: ClassVar[About] = About(
        name="quality.bits_per_byte",
        summary="How well the language model predicts documents, comparable between tokenizers.",
        metrics=(
            Metric(
                "bits_per_byte",
                "Bits the model needs per UTF-8 byte of the original text, over all documents together; 8 is a model that "
                "knows nothing of bytes",
                LOWER,
                unit="bits/byte",
                baseline=8.0,
                question="How well does the model predict text that it has not seen?",
            ),
            Metric(
                "perplexity",
                "Exponential of the mean negative log-likelihood per token; comparable only between models with one tokenizer",
                LOWER,
                unit="per token",
                question="Between how many tokens does the model hesitate, on average?",
            ),
        ),
        needs=Needs(capabilities=((Capability.TOKEN_SCORES,),), modalities=("text",)),
        references=(
            "Cochran 1977, Sampling Techniques, section 2.10 (linearised ratio)",
            "Cao & Rimell 2021, You should evaluate your language model on marginal likelihood over tokenisations",
        ),
        caveats=(
            "Each document is scored by itself after the model's start token. One longer than the model's context "
            "limit is scored in windows that overlap by three quarters or more, each scoring only its last tokens; "
            "limit and step are among the model's options.",
            "The likelihood is of the tokenizer's own spelling of each text, an upper bound on the text's code length.",
            "Perplexity is comparable only between models with the same tokenizer.",
        ),
    )

    def __post_init__(self) -> None:
        if self.max_rows < 2:
            raise InputError(
                f"quality.bits_per_byte: 'max_rows' is {self.max_rows}; give 2 documents or more."
            )

    def unmet(self, subject: Subject) -> tuple[Unmet, ...]:
        if self.split in subject.splits:
            return ()
        found = f"splits: {', '.join(subject.splits) or 'none'}"
        remedy = f"name data with a '{self.split}' split in [data], or set 'split' of this evaluator"
        return (Unmet(f"a split '{self.split}' of documents to score", found, remedy),)

    def inputs(self, subject: Subject) -> Inputs:
        documents = subject.drawn(self.split, self.max_rows)
        return {
            "documents": documents,
            "totals": subject.summarised(subject.token_scores(documents), DocumentTotals),
            "available": subject.splits[self.split],
            "groups": subject.groups,
        }

    def measure(
        self,
        documents: Shards[Rows],
        totals: Shards[DocumentTotals],
        available: int,
        groups: tuple[str, ...] = (),
    ) -> Iterable[Outcome]:
        shards = list(totals)
        whole = merged(shards)
        usable = whole.lossless & (whole.bytes > 0) & (whole.tokens > 0)
        lossy = int((~whole.lossless).sum())
        if lossy > _MOST_LOSSY * len(whole.nats):
            reason = (
                f"the tokenizer does not give back {lossy} of {len(whole.nats)} documents, so the likelihood is of "
                f"other texts than the bytes counted"
            )
            return [self.about.undefined(metric.name, reason) for metric in self.about.metrics]
        if (impossible := int(np.isposinf(whole.nats[usable]).sum())) > 0:
            reason = f"the model rules out {impossible} of {len(whole.nats)} documents: their code is infinitely long"
            return [self.about.undefined(metric.name, reason) for metric in self.about.metrics]
        count = int(usable.sum())
        if count < 2:
            reason = f"{count} of {len(whole.nats)} documents have anything to score; two are needed"
            return [self.about.undefined(metric.name, reason) for metric in self.about.metrics]
        bits = whole.nats[usable] / math.log(2)
        per_byte = ratio_of_sums(bits, whole.bytes[usable])
        per_token = ratio_of_sums(whole.nats[usable], whole.tokens[usable])
        notes = self._notes(whole, usable, lossy)
        names = [name for shard in documents for name in unit_names(texts_of(shard))]
        kept = [name for name, use in zip(names, usable, strict=True) if use]
        units = units_evidence(kept, numerator=bits, denominator=whole.bytes[usable].astype(np.float64))
        evidence = (*self._evidence(documents, shards, whole, usable), units)
        return [
            self._bits_per_byte(per_byte, notes, evidence, available),
            self._perplexity(per_token, available),
            *self._by_group(documents, whole, usable, groups),
        ]

    def _by_group(
        self,
        documents: Shards[Rows],
        whole: DocumentTotals,
        usable: NDArray[np.bool_],
        groups: tuple[str, ...],
    ) -> Iterable[Outcome]:
        """Yield bits per byte of the documents of each group."""
        for column in groups:
            cells = [value for shard in documents for value in _labels(shard, column)]
            labels = np.array(cells, dtype=object)
            names = sorted({str(value) for value in labels[usable] if value is not None})
            if not 2 <= len(names) <= _MOST_GROUPS:
                continue
            for name in names:
                own = usable & np.array([value is not None and str(value) == name for value in labels])
                group = ((column, name),)
                if (count := int(own.sum())) < 2:
                    reason = f"{count} document of this group has anything to score; two are needed"
                    yield self.about.undefined("bits_per_byte", reason, group)
                    continue
                found = ratio_of_sums(whole.nats[own] / math.log(2), whole.bytes[own])
                yield self.about.measurement(
                    "bits_per_byte", found.value, found.uncertainty(), found.units, group=group
                )

    def _notes(self, whole: DocumentTotals, usable: NDArray[np.bool_], lossy: int) -> tuple[str, ...]:
        tokens, size = int(whole.tokens[usable].sum()), int(whole.bytes[usable].sum())
        empty = int((whole.lossless & ~usable).sum())
        notes = [
            f"{int(usable.sum()):,} documents of split '{self.split}', {tokens:,} tokens, {size:,} bytes.",
        ]
        if lossy:
            notes.append(f"{lossy} documents are left out: the tokenizer does not give them back.")
        if empty:
            notes.append(f"{empty} documents are left out: nothing in them can be scored.")
        return tuple(notes)

    def _evidence(
        self,
        documents: Shards[Rows],
        totals: Sequence[DocumentTotals],
        whole: DocumentTotals,
        usable: NDArray[np.bool_],
    ) -> tuple[Evidence, ...]:
        rate = np.where(usable, whole.nats / math.log(2) / np.maximum(whole.bytes, 1), np.nan)
        ranked = np.argsort(np.where(usable, rate, np.inf), kind="stable")[: int(usable.sum())]
        order: list[int] = ranked.tolist()
        starts = np.cumsum([0, *(len(shard.nats) for shard in totals)])
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

    def _bits_per_byte(
        self, found: Ratio, notes: tuple[str, ...], evidence: tuple[Evidence, ...], available: int
    ) -> Outcome:
        uncertainty = found.uncertainty()
        if isinstance(uncertainty, Interval):
            notes += (
                f"A model that differs by {_DETECTABLE * math.sqrt(2) * found.standard_error:.2g} bits per byte would be "
                f"told apart on as many other documents of this kind four times in five.",
            )
        if found.effective < _FEW_EFFECTIVE:
            notes += (
                f"A few long documents dominate: {found.effective:.0f} of equal length would weigh as much as these {found.units}.",
            )
        return self.about.measurement(
            "bits_per_byte",
            found.value,
            uncertainty,
            found.units,
            notes=notes,
            evidence=evidence,
            available=available,
        )

    def _perplexity(self, found: Ratio, available: int) -> Outcome:
        if found.value + found.reach() > math.log(1e300):
            reason = f"the mean loss is {found.value:.3g} nats per token, too large to exponentiate"
            return self.about.undefined("perplexity", reason)
        uncertainty = found.uncertainty()
        if isinstance(uncertainty, Interval):
            uncertainty = found.exponential()
        return self.about.measurement(
            "perplexity", math.exp(found.value), uncertainty, found.units, available=available
        )


def _labels(shard: Rows, column: str) -> list[object]:
    """Return a group column of some documents, None where it is not there."""
    if column not in shard.column_names:
        return [None] * int(shard.num_rows)
    found: list[object] = shard.column(column).to_pylist()
    return found
