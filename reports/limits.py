"""What a report cannot say, as sentences that follow from the record."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from audit.core.evaluators import Dimension
from audit.core.measurements import Interval, Unquantified
from audit.core.records import AuditRecord, not_asked
from audit.core.words import counted
from reports.sections import dimension_of, owners

_OF_FEATURES = (
    "Distances in features see what the features see. A defect that the feature extractor is blind to leaves them "
    "unchanged."
)
_OF_DIMENSION = {
    Dimension.FAIRNESS: (
        "Groups are those the data or the prompts name. Nothing was measured about people whom no group describes."
    ),
    Dimension.PRIVACY: (
        "An attack gives a lower bound on what leaks: a stronger attack, more queries or more knowledge may get more out. "
        "Finding nothing is not evidence that nothing is there."
    ),
    Dimension.PROVENANCE: (
        "Whoever holds an output can remove its credentials or disturb its watermark. Output without a mark may still "
        "have been generated."
    ),
}


_ALWAYS = (
    (
        "Intervals cover the chance of the draw of examples by the method named beside them. They do not cover the choice of "
        "data, feature extractor, prompts or settings: another choice gives another number."
    ),
    (
        "A criterion that passed says that one metric lay within a bound that was chosen beforehand. It does not say that the "
        "model is fit for a purpose, and it says nothing about metrics that no criterion names."
    ),
    (
        "The record holds no result of planted defects for these evaluators, so it does not say how small a defect "
        "they would have caught."
    ),
)


def limits(record: AuditRecord) -> tuple[str, ...]:
    """Return the sentences, the general ones last."""
    return (*_about_scope(record), *_about_numbers(record), *_about_subject(record), *_ALWAYS)


def _about_scope(record: AuditRecord) -> Iterator[str]:
    owned = owners(record)
    measured = {dimension_of(m.metric, owned) for m in record.measurements}
    if record.finished is None:
        yield "The run has not finished: numbers that are missing here may still be measured."
    silent = [d.value for d in Dimension if d.value not in measured]
    if silent:
        yield f"Nothing was measured about {_listed(silent)}."
    if record.skipped:
        yield (
            f"{counted(len(record.skipped), 'evaluator')} could not run on this model and data; "
            f"what {'it' if len(record.skipped) == 1 else 'they'} would have found is unknown."
        )
    if elsewhere := not_asked(record):
        yield f"Criteria of the policy about models of another kind were not asked: {', '.join(elsewhere)}."
    if _in_features(record):
        yield _OF_FEATURES
    yield from (sentence for dimension, sentence in _OF_DIMENSION.items() if dimension.value in measured)


def _in_features(record: AuditRecord) -> bool:
    """Say whether something was measured in the features of an extractor: by what was made, and by who was given one."""
    named = record.settings.get("extractors")
    usual = [named.get("features")] if isinstance(named, Mapping) else []
    known = [
        one.get("name") for one in (*usual, record.settings.get("extractor")) if isinstance(one, Mapping)
    ]
    scored = [e for e in record.evaluators if e.status == "scored"]
    known += [e.extractors["features"] for e in scored if "features" in e.extractors]
    made = [f" {a.label}" for a in record.artifacts]
    return bool(scored and record.measurements) and any(
        f" {name} features of " in label for name in known for label in made
    )


def _about_numbers(record: AuditRecord) -> Iterator[str]:
    intervals = [m.uncertainty for m in record.measurements if isinstance(m.uncertainty, Interval)]
    misses = sum(1 - interval.level for interval in intervals)
    if intervals:
        yield (
            f"Of the {counted(len(intervals), 'interval')} in this report, about {misses:.1f} can be expected to "
            "miss the true value even if every method keeps its promise; no correction for their number is applied here."
        )
    bare = [m for m in record.measurements if isinstance(m.uncertainty, Unquantified)]
    if bare:
        yield (
            f"{counted(len(bare), 'measurement')} came without an interval, for the reason given beside it, "
            "and could not be judged."
        )


def _about_subject(record: AuditRecord) -> Iterator[str]:
    lock = record.settings.get("lock")
    if isinstance(lock, Mapping) and lock.get("deviations"):
        yield f"The run departs from what was registered before it: {'; '.join(str(d) for d in lock['deviations'])}."
    if record.model.get("deterministic") is False:
        yield (
            "The model does not give the same output twice for the same input, so a repeated run may differ "
            "by more than its intervals say."
        )
    if record.data.get("randomised") is False and "train" in (record.data.get("splits") or {}):
        yield (
            "Chance did not decide which examples the model was trained on, so a difference between the splits may come "
            "from how they were drawn rather than from training."
        )
    for what, of in (("outputs", record.model), ("data", record.data)):
        if problems := of.get("problems") or ():
            yield f"About the {what}: {' '.join(str(problem) for problem in problems)}"


def _listed(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"
