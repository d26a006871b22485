"""Watermarks in texts: how surely, and from which length on, would a mark in this model's outputs be found?

The model itself writes texts with each mark: KGW and SynthID-Text by the processors of transformers, Unigram and Gumbel sampling by
ours. Its entropy decides how much of a mark a text can hold, so the answer is about this model and no table replaces it. Passages of
a given length are made of whole texts, the last one cut; no n-gram reaches across texts, and one that returns counts once.

A detector gives each passage an exact p-value: the chance that a text without the mark scores as high. What it proves is that the key
was used. Its absence proves nothing, and anyone with the key can write texts that it finds.

Formula: ``present`` is the share of the model's own texts in which a mark that ``own`` names is found, ``power`` the share of marked passages of ``length`` tokens with p <= 1/1000, ``false_alarms`` the share of wrong keys' p-values
that are. The curve shows ``power`` against the length at 1/100, 1/1000 and 1/1,000,000.

Interval: Clopper-Pearson (exact) over passages; over wrong keys' tests for ``false_alarms``.

Gate: p-values under wrong keys must be uniform (Kolmogorov-Smirnov, at 1/10,000); where they are not, ``power`` has no value.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from audit.core.capabilities import Capability
from audit.core.cases import Case, CaseKind, Cases
from audit.core.errors import InputError, nearest
from audit.core.evaluators import About, Needs
from audit.core.measurements import Evidence, Outcome
from audit.core.metrics import HIGHER, LOWER, Metric
from audit.core.recipes import Shards
from audit.core.rows import Rows
from audit.core.subjects import Subject
from audit.evaluators.provenance.text_watermark.recipes import (
    EDITS,
    MarkedTokens,
    OwnTextDetections,
    TextDetections,
)
from audit.marks.text.catalogue import TEXT_MARKS
from audit.recipes.marked_images import named_marks
from audit.stats.proportions import clopper_pearson
from audit.stats.uniformity import kolmogorov

RATES = (1e-2, 1e-3, 1e-6)
_RATE = 1e-3
_UNIFORM = 1e-4
_OTHER = 0x5A5A5A5A
"""What makes another key of a key: the null case reads the texts with it."""
_NOT_NAMED = 'no mark is named that the outputs should carry; write own = ["NAME:KEY"] for this evaluator'


@dataclass(frozen=True, slots=True)
class TextWatermark:
    """Reads the model's own texts for each mark in ``own``, written name:key, which the provider says they carry.

    Then has the model write ``n`` texts of at most ``most`` tokens with each of ``marks``, and reads passages of ``length`` tokens.

    ``key`` is that mark's key and ``wrong_keys`` how many others read the same passages.
    """

    marks: tuple[str, ...] = ("kgw", "unigram", "gumbel", "synthid")
    n: int = 64
    most: int = 96
    length: int = 200
    key: int = 15485863
    wrong_keys: int = 40
    own: tuple[str, ...] = ()

    about: ClassVar[About] = About(
        name="provenance.text_watermark",
        summary="Whether text watermarks would be found.",
        metrics=(
            Metric(
                "present",
                "Share of the model's own texts in which the detector of a mark in ``own`` finds its key at 1/1000",
                HIGHER,
                question="Do the outputs carry the provider's watermark?",
            ),
            Metric(
                "power",
                "Share of marked passages that the detector finds at a false-positive rate of 1/1000",
                HIGHER,
                question="Would a watermark in these texts be found?",
            ),
            Metric(
                "false_alarms",
                "Share of tests with a wrong key that come out at 1/1000",
                LOWER,
                null=_RATE,
                question="How often does the detector accuse a text that it should not?",
            ),
        ),
        needs=Needs(
            capabilities=((Capability.MARKED_SAMPLE,), (Capability.TOKEN_SCORES,)), modalities=("text",)
        ),
        references=(
            "Kirchenbauer et al. 2023 (KGW)",
            "Zhao et al. 2024 (Unigram)",
            "Aaronson 2022 (Gumbel sampling)",
            "Dathathri et al. 2024 (SynthID-Text)",
            "Fernandez et al. 2023 (exact tests, each n-gram once)",
        ),
        caveats=(
            "A p-value is about a key: it says nothing of marks with other keys, and nothing of texts without any.",
            "Texts are marked here, for the test; no number says that the model's own service marks its outputs.",
        ),
    )

    def __post_init__(self) -> None:
        for name in (*self.marks, *(mark for mark, _ in named_marks(self.about.name, self.own))):
            if name not in TEXT_MARKS:
                raise InputError(
                    f"provenance.text_watermark: no mark is called '{name}'. {nearest(name, tuple(TEXT_MARKS))}"
                )
        if min(self.n, self.wrong_keys) < 1 or self.most < 8 or self.length < 16:
            raise InputError(
                "provenance.text_watermark: 'n' and 'wrong_keys' are at least 1, 'most' at least 8, 'length' at least 16."
            )

    @property
    def lengths(self) -> tuple[int, ...]:
        return tuple(sorted({max(8, self.length // 8), self.length // 4, self.length // 2, self.length}))

    def inputs(self, subject: Subject) -> Cases:
        def asked(marked: bool) -> dict[str, object]:
            drawn = {
                name: TextDetections(
                    MarkedTokens(
                        subject.model, name if marked else "", self.key, self.n, self.most, subject.seed
                    ),
                    name,
                    self.key,
                    self.lengths,
                    self.wrong_keys,
                )
                for name in self.marks
            }
            own = {
                f"{name}:{key}": OwnTextDetections(
                    subject.token_scores(subject.samples(self.n)),
                    subject.model,
                    name,
                    key if marked else key ^ _OTHER,
                    self.wrong_keys,
                )
                for name, key in named_marks(self.about.name, self.own)
            }
            return {"found": drawn, "own": own, "marked": marked}

        null = Case(CaseKind.NULL, asked(False), "texts of the model without a mark, read with wrong keys")
        return Cases(asked(True), null)

    def measure(
        self, found: dict[str, Shards[Rows]], own: dict[str, Shards[Rows]], marked: bool
    ) -> Iterable[Outcome]:
        if not own and marked:
            yield self.about.undefined("present", _NOT_NAMED)
        for name, shards in own.items():
            yield self._present(name, [row for shard in shards for row in shard.to_pylist()])
        for name, shards in found.items():
            rows = shards[0].to_pylist()
            yield from self._of_mark(name, rows, marked)

    def _present(self, name: str, rows: list[dict[str, float]]) -> Outcome:
        group = (("mark", name.partition(":")[0]),)
        texts = [row for row in rows if row["right"]]
        uniform = kolmogorov(np.array([row["continuous"] for row in rows if not row["right"]]))
        if uniform < _UNIFORM:
            reason = f"void: p-values under wrong keys are not uniform (p = {uniform:.2g})"
            return self.about.undefined("present", reason, group)
        hits, n = sum(row["p"] <= _RATE for row in texts), len(texts)
        scored = float(np.mean([row["scored"] for row in texts]))
        said = (f"A text has {scored:.0f} different n-grams on average; short ones cannot show a mark.",)
        return self.about.measurement(
            "present", hits / n, clopper_pearson(hits, n), n, group=group, notes=said
        )

    def _of_mark(self, name: str, rows: list[dict[str, float]], marked: bool) -> Iterator[Outcome]:
        group = (("mark", name),)
        wrong = [row for row in rows if not row["right"]]
        right = [row for row in rows if row["right"] and row["length"] == self.length and not row["edited"]]
        if not wrong:
            reason = f"the model's texts are too short for passages of {self.lengths[2]} tokens; raise 'n' or 'most'"
            yield self.about.undefined("power", reason, group)
            yield self.about.undefined("false_alarms", reason, group)
            return
        alarms = sum(row["p"] <= _RATE for row in wrong)
        uniform = kolmogorov(np.array([row["continuous"] for row in wrong]))
        notes = (
            f"Uniform under wrong keys: Kolmogorov-Smirnov p = {uniform:.3g} over {len(wrong):,} tests.",
        )
        if marked:
            yield self._power(name, rows, right, uniform)
        interval = clopper_pearson(alarms, len(wrong))
        yield self.about.measurement(
            "false_alarms", alarms / len(wrong), interval, len(wrong), group=group, notes=notes
        )

    def _power(
        self, name: str, rows: list[dict[str, float]], right: list[dict[str, float]], uniform: float
    ) -> Outcome:
        group = (("mark", name),)
        if uniform < _UNIFORM:
            return self.about.undefined(
                "power", f"void: p-values under wrong keys are not uniform (p = {uniform:.2g})", group
            )
        if not right:
            return self.about.undefined(
                "power", f"the texts make no passage of {self.length} tokens; raise 'n'", group
            )
        hits = sum(row["p"] <= _RATE for row in right)
        scored = float(np.mean([row["scored"] for row in right]))
        return self.about.measurement(
            "power",
            hits / len(right),
            clopper_pearson(hits, len(right)),
            len(right),
            group=group,
            notes=(f"Of {self.length} tokens, {scored:.0f} n-grams on average are different and counted.",),
            evidence=self._evidence(name, rows),
        )

    def _evidence(self, name: str, rows: list[dict[str, float]]) -> tuple[Evidence, ...]:
        import pyarrow as pa

        curve: dict[str, list[float]] = {c: [] for c in ("x", "y", "low", "high")}
        table: list[dict[str, object]] = []
        for length, edit in [*((n, 0.0) for n in self.lengths), *((self.length, e) for e in EDITS)]:
            p = [
                row["p"] for row in rows if row["right"] and row["length"] == length and row["edited"] == edit
            ]
            if not p:
                continue
            line: dict[str, object] = {"tokens": length, "replaced": f"{edit:.0%}", "passages": len(p)}
            for rate in RATES:
                hits = sum(value <= rate for value in p)
                interval = clopper_pearson(hits, len(p))
                line[f"found at {rate:g}"] = (
                    f"{hits / len(p):.3f} ({interval.low:.3f} to {interval.high:.3f})"
                )
                if rate == _RATE and not edit:
                    for column, value in zip(
                        curve, (length, hits / len(p), interval.low, interval.high), strict=True
                    ):
                        curve[column].append(float(value))
            table.append(line)
        return (
            Evidence(
                "curve", f"{name}: share found at 1/1000 against length in tokens", pa.table(curve), False
            ),
            Evidence(
                "table",
                f"{name}: share found, by length, share of tokens replaced and false-positive rate",
                pa.Table.from_pylist(table),
                False,
            ),
        )
