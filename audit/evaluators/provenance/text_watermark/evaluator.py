"""Watermarks in texts: how surely, and from which length on, would a mark in this model's outputs be found?

The model itself writes texts with each mark: KGW and SynthID-Text by the processors of transformers, Unigram and Gumbel sampling by
ours. Its entropy decides how much of a mark a text can hold, so the answer is about this model and no table replaces it. Passages of
a given length are made of whole texts, the last one cut; no n-gram reaches across texts, and one that returns counts once.

A detector gives each passage an exact p-value: the chance that a text without the mark scores as high. What it proves is that the key
was used. Its absence proves nothing, and anyone with the key can write texts that it finds.

Formula: ``present`` is the share of the model's own texts in which a mark that ``own`` names is found, ``power`` the share of marked
passages of ``length`` tokens with p <= 1/1000, ``after_edits`` the same after a fifth of the tokens was replaced, ``forged`` that share of
passages by somebody who knows no key and counted the tokens of the marked texts, ``false_alarms`` the share of wrong keys' p-values
that are. With p the model's distribution of a token and q the same with the mark, ``surprise`` is the mean over marked tokens of -log2 p(token)
minus the entropy of p, and ``divergence`` that of the sum of q log2(q / p).

Interval: Clopper-Pearson (exact) over passages; over wrong keys' tests for ``false_alarms``; Student's t over texts for ``surprise`` and ``divergence``.

Gate: p-values under wrong keys must be uniform (Kolmogorov-Smirnov, at 1/10,000); where they are not, what rests on p-values has no value.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

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
from audit.evaluators.provenance.text_watermark.edits import HEADLINE
from audit.evaluators.provenance.text_watermark.forging import ForgedDetections, ForgedTokens
from audit.evaluators.provenance.text_watermark.readout import RATE, chosen, costs, evidence, found_at
from audit.evaluators.provenance.text_watermark.recipes import (
    PLAIN,
    WRONG,
    MarkedTokens,
    OwnTextDetections,
    TextDetections,
)
from audit.marks.text.catalogue import TEXT_MARKS, refused
from audit.recipes.marked_images import named_marks
from audit.stats.proportions import clopper_pearson
from audit.stats.uniformity import kolmogorov

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
                "after_edits",
                "Share of marked passages still found at 1/1000 after a fifth of their tokens was replaced",
                HIGHER,
                question="Does the watermark outlive an editor?",
            ),
            Metric(
                "forged",
                "Share of passages that the detector accepts although their author knows no key: the model was made to prefer the "
                "tokens and pairs of tokens that marked texts hold more often than unmarked ones",
                LOWER,
                question="Can others write texts that look marked?",
            ),
            Metric(
                "surprise",
                "How much more a marked token surprises the model without the mark than its own choice at the same place would, on average: "
                "the cost in perplexity",
                LOWER,
                unit="bits per token",
                null=0.0,
                question="Is the text less likely for its watermark?",
            ),
            Metric(
                "divergence",
                "How far the distribution of the next token is moved by this key (Kullback-Leibler), on average. A mark that keeps the "
                "distribution on average over keys still moves it under one: what is moved is choice, and so variety, that is lost",
                LOWER,
                unit="bits per token",
                null=0.0,
                question="How much of the model's choice does the watermark take?",
            ),
            Metric(
                "false_alarms",
                "Share of tests with a wrong key that come out at 1/1000",
                LOWER,
                null=RATE,
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
            "Kirchenbauer et al. 2024 (edits, pasting)",
            "Jovanović, Staab & Vechev 2024 (stealing and forging)",
        ),
        caveats=(
            "A p-value is about a key: it says nothing of marks with other keys, and nothing of texts without any.",
            "A mark that outlives edits outlives changes of meaning too: that it is found does not say that the model wrote this.",
            "The forger has as many marked and unmarked texts as this audit draws; with more, more marks can be forged.",
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

        if why := next(filter(None, (refused(name, self.key) for name in self.marks)), ""):
            raise InputError(f"provenance.text_watermark: 'key' is {self.key}: {why}.")

    @property
    def lengths(self) -> tuple[int, ...]:
        return tuple(sorted({max(8, self.length // 8), self.length // 4, self.length // 2, self.length}))

    def inputs(self, subject: Subject) -> Cases:
        def written(mark: str) -> MarkedTokens:
            return MarkedTokens(subject.model, mark, self.key, self.n, self.most, subject.seed)

        def asked(marked: bool) -> dict[str, object]:
            texts = {name: written(name if marked else "") for name in self.marks}
            plain, key = written(""), self.key
            drawn = {
                name: TextDetections(source, plain, name, key, self.lengths, self.wrong_keys)
                for name, source in texts.items()
            }
            forged = {
                name: ForgedDetections(
                    ForgedTokens(source, plain, subject.model, self.n, self.most, subject.seed),
                    name,
                    key,
                    self.length,
                )
                for name, source in (texts if marked else {}).items()
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
            return {"found": drawn, "texts": texts, "forged": forged, "own": own, "marked": marked}

        null = Case(CaseKind.NULL, asked(False), "texts of the model without a mark, read with wrong keys")
        return Cases(asked(True), null)

    def measure(
        self,
        found: dict[str, Shards[Rows]],
        texts: dict[str, Shards[Rows]],
        forged: dict[str, Shards[Rows]],
        own: dict[str, Shards[Rows]],
        marked: bool,
    ) -> Iterable[Outcome]:
        if not own and marked:
            yield self.about.undefined("present", _NOT_NAMED)
        for name, shards in own.items():
            yield self._present(name, [row for shard in shards for row in shard.to_pylist()])
        for name, shards in found.items():
            rows = shards[0].to_pylist()
            yield from self._costs(name, texts[name])
            yield from self._of_mark(name, rows, forged.get(name))

    def _present(self, name: str, rows: list[dict[str, float]]) -> Outcome:
        group = (("mark", name.partition(":")[0]),)
        texts = [row for row in rows if row["right"]]
        uniform = kolmogorov(np.array([row["continuous"] for row in rows if not row["right"]]))
        if uniform < _UNIFORM:
            reason = f"void: p-values under wrong keys are not uniform (p = {uniform:.2g})"
            return self.about.undefined("present", reason, group)
        hits, n = sum(row["p"] <= RATE for row in texts), len(texts)
        scored = float(np.mean([row["scored"] for row in texts]))
        said = (f"A text has {scored:.0f} different n-grams on average; short ones cannot show a mark.",)
        return self.about.measurement(
            "present", hits / n, clopper_pearson(hits, n), n, group=group, notes=said
        )

    def _costs(self, name: str, texts: Shards[Rows]) -> Iterator[Outcome]:
        group, found = (("mark", name),), costs(texts)
        for metric in ("surprise", "divergence"):
            if metric not in found:
                reason = "the model's adapter does not show its probabilities while it writes, or wrote fewer than two texts"
                yield self.about.undefined(metric, reason, group)
                continue
            value, interval, n = found[metric]
            notes = (f"In perplexity, a factor of {2**value:.3f}.",) if metric == "surprise" else ()
            yield self.about.measurement(metric, value, interval, n, group=group, notes=notes)

    def _of_mark(
        self, name: str, rows: list[dict[str, Any]], forged: Shards[Rows] | None
    ) -> Iterator[Outcome]:
        group = (("mark", name),)
        wrong = [row for row in rows if row["case"] == WRONG]
        marked = forged is not None
        if not wrong:
            reason = f"the model's texts are too short for passages of {self.lengths[2]} tokens; raise 'n' or 'most'"
            rest = ("power", "after_edits", "forged") if marked else ()
            yield from (self.about.undefined(metric, reason, group) for metric in (*rest, "false_alarms"))
            return
        alarms = sum(row["p"] <= RATE for row in wrong)
        uniform = kolmogorov(np.array([row["continuous"] for row in wrong]))
        notes = (
            f"Uniform under wrong keys: Kolmogorov-Smirnov p = {uniform:.3g} over {len(wrong):,} tests.",
        )
        if forged is not None:
            yield self._power(name, rows, uniform)
            edited, p = chosen(rows, *HEADLINE, self.length), [v for s in forged for v in s["p"].to_pylist()]
            yield self._share("after_edits", name, edited, uniform)
            yield self._share("forged", name, p, uniform)
        interval = clopper_pearson(alarms, len(wrong))
        yield self.about.measurement(
            "false_alarms", alarms / len(wrong), interval, len(wrong), group=group, notes=notes
        )

    def _power(self, name: str, rows: list[dict[str, Any]], uniform: float) -> Outcome:
        right = [row for row in rows if row["case"] == PLAIN and row["length"] == self.length]
        scored = float(np.mean([row["scored"] for row in right])) if right else 0.0
        notes = (f"Of {self.length} tokens, {scored:.0f} n-grams on average are different and counted.",)
        shown = evidence(name, rows, self.lengths) if right else ()
        return self._share("power", name, [row["p"] for row in right], uniform, notes, shown)

    def _share(
        self,
        metric: str,
        name: str,
        p: list[float],
        uniform: float,
        notes: tuple[str, ...] = (),
        shown: tuple[Evidence, ...] = (),
    ) -> Outcome:
        group = (("mark", name),)
        if uniform < _UNIFORM:
            reason = f"void: p-values under wrong keys are not uniform (p = {uniform:.2g})"
            return self.about.undefined(metric, reason, group)
        if not p:
            reason = f"the texts make no passage of {self.length} tokens; raise 'n'"
            return self.about.undefined(metric, reason, group)
        value, interval = found_at(p, RATE)
        return self.about.measurement(
            metric, value, interval, len(p), group=group, notes=notes, evidence=shown
        )
