"""What an audit found, as sentences: what was asked, what was measured, what it means for the bound, and what to do next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from audit.core.measurements import Measurement, Unquantified
from audit.core.policy import Judgement, Verdict, in_order
from audit.core.records import AuditRecord
from reports import numbers
from reports.redact import shortened
from reports.sections import OTHER, dimension_of, group_name, owners

_OUTCOME: Mapping[Verdict, str] = {
    Verdict.FAIL: "The whole interval lies outside the bound",
    Verdict.INCONCLUSIVE: "The interval lies across the bound",
    Verdict.PASS: "The whole interval lies within the bound",
    Verdict.NOT_ASSESSED: "No verdict can rest on this number",
}
_NOTES = 3


@dataclass(frozen=True, slots=True)
class Finding:
    """One judgement in words.

    ``asked`` is the question of the metric, or its name where it has none; ``found`` what was measured against which bound;
    ``todo`` what to do about it, empty where nothing is to be done. ``place`` is the label of the evaluator it comes from.
    """

    verdict: Verdict
    dimension: str
    metric: str
    group: str
    bound: str
    asked: str
    found: str
    todo: str
    why: str
    place: str
    standing: str = ""
    """What the verdict rests on where that is not the number's own interval, and whether it is advice, waived, or no more waived;
    empty where the verdict simply rests on it."""
    status: str = ""
    """The part of it that says whether the verdict is advice, waived, or no more waived."""
    decides: bool = True
    waived: bool = False
    notes: tuple[str, ...] = ()
    """What the evaluator says of the number: who is missing, which ones stand out."""

    @property
    def name(self) -> str:
        """Metric, group and bound: what tells this finding from the others of its run."""
        return f"{self.metric}{f' ({self.group})' if self.group else ''} {self.bound}"

    @property
    def message(self) -> str:
        """The finding as one paragraph."""
        return " ".join(part for part in (self.asked, self.found, self.standing, self.todo) if part)


def findings(record: AuditRecord) -> tuple[Finding, ...]:
    """Return what each judgement says: the gravest first, of those what decides first."""
    owned = owners(record)
    questions = {name: evaluator.question(name) for name, evaluator in owned.items()}
    return tuple(
        _finding(
            judgement,
            dimension_of(judgement.criterion.metric, owned),
            questions.get(judgement.criterion.metric, ""),
            owned[judgement.criterion.metric].name if judgement.criterion.metric in owned else "",
        )
        for judgement in in_order(record.judgements)
    )


def bound_of(judgement: Judgement) -> str:
    """Return the bound in numbers; one that is relative to the noise floor says so."""
    criterion, because = judgement.criterion, judgement.because
    if criterion.margin is not None:
        return (
            f"at most {numbers.plain(criterion.margin)} worse than run {shortened(criterion.baseline, 100)}"
        )
    if criterion.within_floor is None:
        return numbers.bound(criterion.at_least, criterion.at_most)
    relative = f"at most {numbers.plain(criterion.within_floor)} worse than the noise floor"
    resolved = criterion.on(because) if isinstance(because, Measurement) else None
    if resolved is None:
        return relative
    return f"{numbers.bound(_short(resolved.at_least), _short(resolved.at_most))}: {relative}"


def _short(bound: float | None) -> float | None:
    return None if bound is None else float(f"{bound:.3g}")


def _finding(judgement: Judgement, dimension: str, question: str, place: str) -> Finding:
    because, criterion = judgement.because, judgement.criterion
    bound = bound_of(judgement)
    if isinstance(because, Measurement):
        group = group_name(because.group)
        rest = _OUTCOME[judgement.verdict]
        if judgement.basis is not None:
            rest = rest.replace("interval", "interval that decides")
        found = _measured(because, rest, bound)
    else:
        group = "each group" if criterion.every_group else ""
        told = "Not assessed" if judgement.verdict is Verdict.NOT_ASSESSED else "Its numbers are withheld"
        found = f"{told}: " + "; ".join(
            f"needs {shortened(gap.need, 300)}, found {shortened(gap.found, 300)}" for gap in because
        )
    return Finding(
        verdict=judgement.verdict,
        dimension=dimension or OTHER,
        metric=criterion.metric,
        group=group,
        bound=bound,
        asked=question or f"{criterion.metric}.",
        found=_ended(found),
        todo=_todo(judgement, place),
        why=criterion.why,
        place=place,
        standing=_sentence(judgement.standing),
        status=_sentence(judgement.status),
        decides=judgement.decides,
        waived=judgement.waived,
        notes=tuple(shortened(note, 300) for note in because.notes[:_NOTES])
        if isinstance(because, Measurement)
        else (),
    )


def _measured(m: Measurement, rest: str, bound: str) -> str:
    value = f"{numbers.value_of(m)} {m.unit}".strip()
    between = numbers.interval_of(m)
    of = f" for {group_name(m.group)}" if m.group else ""
    told = f"Measured {value}{of}" + (f" ({between})" if between else "")
    if m.void:
        rest = f"The number is void: {shortened(m.void, 300)}"
    elif isinstance(m.uncertainty, Unquantified):
        rest = f"It has no interval: {shortened(m.uncertainty.reason, 300)}"
    return f"{told}; the bound is {bound}. {rest}"


def _todo(judgement: Judgement, place: str) -> str:
    because = judgement.because
    match judgement.verdict:
        case Verdict.FAIL:
            return f"Look at the evidence of {place or 'the evaluator'}, then change the model or its data and audit it again."
        case Verdict.INCONCLUSIVE:
            return _ended(judgement.to_decide) or "More examples narrow the interval."
        case Verdict.NOT_ASSESSED if not isinstance(because, Measurement):
            remedies = dict.fromkeys(shortened(gap.remedy, 300) for gap in because if gap.remedy)
            return _ended(f"To assess it: {'; '.join(remedies)}") if remedies else ""
        case Verdict.NOT_ASSESSED:
            return f"Look at the controls and the notes of {place or 'the evaluator'}; only a sound interval is judged."
        case Verdict.PASS:
            return ""


def _sentence(words: str) -> str:
    return _ended(words[:1].upper() + words[1:])


def _ended(sentence: str) -> str:
    said = sentence.strip()
    return said if not said or said[-1] in ".!?" else f"{said}."
