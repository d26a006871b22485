"""Survival of marks: after what happens to an output on its way, does any layer still say where it comes from?

Outputs get every layer at once. Pictures: both watermarks in their pixels, then a signed credential (C2PA) in a PNG; they are saved again, saved as
JPEG, scaled, cropped, photographed off a screen, or have their metadata removed. Texts: a watermark in the choice of tokens and a signed sidecar; they are
copied without it, edited, rewritten, quoted or shortened. A layer survives where its own reader still finds it: a trusted
credential, a watermark at p <= 1/1000. What counts for a person who meets the output later is whether nothing is left.

With ``paraphraser = "my_words:rewrite"`` texts are also rewritten by a function of yours, the change ``paraphrase``. It gets a list of texts and returns as many: from
a model of yours, or from one behind an address (``docs/endpoint.md`` has such a function). It runs with your rights and never while an audit is planned, and its source is
part of what names the result. Where it fails, that change has no value and says why, and the other changes stand; it is asked again once its code changes.

Formula: ``none_survives`` is the share of outputs of which no layer survives a change, one number per change. ``accepted`` is the share of outputs that are
not ours in which some layer is found all the same: outputs without a layer, and outputs with the marks of other keys and a stranger's credential.

Interval: Clopper-Pearson (exact) over outputs; over passages of ``length`` tokens for texts. The threshold of a watermark is an exact p-value, set by no data,
and a signature is right or wrong; so no data are set apart to choose thresholds on.

Gate: outputs without any layer must read as such (``none_survives`` of 1); where they do not, the number is void.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from audit.core.capabilities import Capability
from audit.core.cases import Case, CaseKind, Cases
from audit.core.errors import InputError, nearest
from audit.core.evaluators import About, Needs, Unmet
from audit.core.identity import identity
from audit.core.measurements import Evidence, Outcome
from audit.core.metrics import LOWER, Metric
from audit.core.recipes import Shards
from audit.core.rows import Rows
from audit.core.subjects import Subject
from audit.evaluators.provenance.survival.paraphrase import FAILED, KEPT, PARAPHRASE, ParaphrasesLeft
from audit.evaluators.provenance.survival.pictures import (
    CREDENTIAL,
    FOREIGN,
    PICTURE_CHANGES,
    UNMARKED,
    LayersLeft,
)
from audit.evaluators.provenance.survival.texts import TEXT_CHANGES, TextLayersLeft
from audit.evaluators.provenance.text_watermark.recipes import MarkedTokens
from audit.marks.image.catalogue import IMAGE_MARKS
from audit.marks.text.catalogue import TEXT_MARKS
from audit.recipes.marked_images import TOO_SMALL
from audit.recipes.user_function import FunctionRef
from audit.stats.proportions import clopper_pearson

_TEXT_KEY, _TEXTS, _MOST = 15485863, 64, 96
"""As in ``provenance.text_watermark``, so that the same texts serve both."""
_OTHERS = {
    UNMARKED: "outputs without any layer",
    FOREIGN: "outputs with other keys' marks, signed by a stranger",
}


@dataclass(frozen=True, slots=True)
class Survival:
    """Gives ``n`` pictures a credential and each of ``marks``, or a model's texts a credential and ``text_mark``, changes them, and reads what is left.

    ``key`` is that of the first mark of pictures; texts are read in passages of ``length`` tokens.
    ``paraphraser``, written "module:callable", rewrites texts; ``python_path`` is the folder of its module, relative to the spec, without it an installed one.
    """

    marks: tuple[str, ...] = ("spread_spectrum", "dwt_dct")
    n: int = 80
    key: int = 32452843
    text_mark: str = "kgw"
    length: int = 200
    paraphraser: str = ""
    python_path: str = identity("")

    about: ClassVar[About] = About(
        name="provenance.survival",
        summary="Marks that survive.",
        metrics=(
            Metric(
                "none_survives",
                "Share of outputs of which no mark is left after a change",
                LOWER,
                null=1.0,
                question="After this change, can nobody tell any more where the output comes from?",
            ),
            Metric(
                "accepted",
                "Share of outputs that are not ours in which some layer is found all the same",
                LOWER,
                question="Is what others made taken for ours?",
            ),
        ),
        needs=Needs(capabilities=((Capability.SAMPLE,),), modalities=("image", "text")),
        references=(
            "An et al. 2024 (WAVES)",
            "Kirchenbauer et al. 2024 (edits of texts)",
            "Clopper & Pearson 1934, for the interval",
        ),
        shards_matter=True,
        caveats=(
            "Outputs get their marks here, for the test; no number says that the model's own service marks them.",
            "These are changes in passing. Somebody who wants the marks gone, and has many marked outputs, can do more.",
            "No paraphraser is included: replacing two fifths of the tokens stands for one, and a good one leaves less. Name your own for a number.",
        ),
    )

    def __post_init__(self) -> None:
        if unknown := [name for name in self.marks if name not in IMAGE_MARKS]:
            raise InputError(
                f"provenance.survival: no mark is called '{unknown[0]}'; there are {', '.join(IMAGE_MARKS)}."
            )
        if self.text_mark not in TEXT_MARKS:
            raise InputError(
                f"provenance.survival: no mark of texts is called '{self.text_mark}'. {nearest(self.text_mark, TEXT_MARKS)}"
            )
        if self.n < 1 or self.length < 16:
            raise InputError(
                "provenance.survival: 'n' is a number of outputs, at least 1, and 'length' at least 16."
            )

    def unmet(self, subject: Subject) -> tuple[Unmet, ...]:
        if subject.card.modality != "text" or Capability.MARKED_SAMPLE in subject.offers:
            return ()
        remedy = 'audit the model itself ([model] adapter = "transformers"), or read its outputs with provenance.credentials'
        return (
            Unmet(
                "a language model that can write with a mark (marked_sample)", "a model without it", remedy
            ),
        )

    def inputs(self, subject: Subject) -> Cases:
        def written(mark: str) -> MarkedTokens:
            return MarkedTokens(subject.model, mark, _TEXT_KEY, _TEXTS, _MOST, subject.seed)

        def asked(marked: bool) -> dict[str, object]:
            if subject.card.modality == "image":
                left: object = LayersLeft(subject.samples(self.n), self.marks, self.key, marked)
            else:
                source, plain = written(self.text_mark if marked else ""), written("")
                left = TextLayersLeft(source, plain, self.text_mark, _TEXT_KEY, self.length, marked)
            text = subject.card.modality == "text"
            rewritten = paraphrased(marked) if text and self.paraphraser else None
            return {"left": left, "text": text, "rewritten": rewritten}

        def paraphrased(marked: bool) -> ParaphrasesLeft | str:
            if Capability.TOKEN_SCORES not in subject.offers:
                return "the model gives no tokens of a text that it did not write (token_scores)"
            function = FunctionRef.of(
                self.paraphraser, self.python_path, "provenance.survival", "paraphraser"
            )
            source = written(self.text_mark if marked else "")
            return ParaphrasesLeft(source, subject.model, self.text_mark, _TEXT_KEY, self.length, function)

        return Cases(asked(True), Case(CaseKind.NULL, asked(False), "outputs without any mark"))

    def measure(
        self, left: Shards[Rows], text: bool, rewritten: Shards[Rows] | str | None
    ) -> Iterable[Outcome]:
        rows = [row for shard in left for row in shard.to_pylist()]
        changes = dict(TEXT_CHANGES if text else PICTURE_CHANGES)
        layers = (CREDENTIAL, self.text_mark) if text else (CREDENTIAL, *self.marks)
        if not rows:
            reason = f"the texts make no passage of {self.length} tokens" if text else TOO_SMALL
            groups = [(("change", change),) for change in changes]
            yield from (self.about.undefined("none_survives", reason, group) for group in groups)
            yield self.about.undefined("accepted", reason)
            return
        if rewritten is not None:
            more, refusal = _paraphrased(rewritten)
            rows += more
            if refusal:
                yield self.about.undefined("none_survives", refusal, (("change", PARAPHRASE),))
            else:
                kept = np.mean([row[KEPT] for row in more])
                said = f"every text rewritten by {self.paraphraser}, without the sidecar; {kept:.0%} of its words stood in the text before"
                changes[PARAPHRASE] = said
        yield from self._of_changes(rows, layers, changes)
        yield from self._of_others(rows, layers)

    def _of_changes(
        self, rows: list[dict[str, Any]], layers: tuple[str, ...], changes: Mapping[str, str]
    ) -> Iterator[Outcome]:
        evidence = _pictures(rows, layers, changes)
        for change, meaning in changes.items():
            own = [row for row in rows if row["change"] == change]
            gone = sum(not any(row[layer] for layer in layers) for row in own)
            yield self.about.measurement(
                "none_survives",
                gone / len(own),
                clopper_pearson(gone, len(own)),
                len(own),
                group=(("change", change),),
                notes=(f"Change: {meaning}.",),
                evidence=evidence if change == "untouched" else (),
            )

    def _of_others(self, rows: list[dict[str, Any]], layers: tuple[str, ...]) -> Iterator[Outcome]:
        for whose, meaning in _OTHERS.items():
            own = [row for row in rows if row["change"] == whose]
            if not own:  # the null case has none
                continue
            taken = sum(any(row[layer] for layer in layers) for row in own)
            by = ", ".join(f"{layer} {sum(bool(row[layer]) for row in own)}" for layer in layers)
            yield self.about.measurement(
                "accepted",
                taken / len(own),
                clopper_pearson(taken, len(own)),
                len(own),
                group=(("outputs", whose),),
                notes=(f"Read: {meaning}. Taken for ours by layer, of {len(own)}: {by}.",),
            )


def _paraphrased(rewritten: Shards[Rows] | str) -> tuple[list[dict[str, Any]], str]:
    """Return what is left of each rewritten passage, or why nothing is known of it."""
    if isinstance(rewritten, str):
        return [], rewritten
    shards: Shards[Any] = rewritten
    rows = [{**row, "change": PARAPHRASE} for shard in shards for row in shard.to_pylist()]
    if not rows:
        return [], "the texts are empty: there is nothing to rewrite"
    failed = [row[FAILED] for row in rows if row[FAILED]]
    return ([], failed[0]) if failed else (rows, "")


def _pictures(
    rows: list[dict[str, Any]], layers: tuple[str, ...], changes: Mapping[str, str]
) -> tuple[Evidence, ...]:
    """Return what is left of each layer after each change: to see, and to read with intervals."""
    import pyarrow as pa

    lines, cells = [], []
    for change in changes:
        own = [row for row in rows if row["change"] == change]
        kept = {layer: [bool(row[layer]) for row in own] for layer in layers}
        kept["any layer"] = np.any(np.array(list(kept.values())), axis=0).tolist()
        line: dict[str, Any] = {"change": change, "outputs": len(own)}
        for layer, values in kept.items():
            interval = clopper_pearson(sum(values), len(values))
            line[layer] = f"{np.mean(values):.2f} ({interval.low:.2f} to {interval.high:.2f})"
            shown = {"row": change.replace("_", " "), "column": layer.replace("_", " ")}
            cells.append({**shown, "value": float(np.mean(values))})
        lines.append(line)
    said = "Share of outputs of which each layer is left"
    return (
        Evidence("heatmap", said, pa.Table.from_pylist(cells), False),
        Evidence("table", f"{said}, with intervals", pa.Table.from_pylist(lines), False),
    )
