"""Documents never trained on, as a control: none of them may be a training document as well."""

from __future__ import annotations

from audit.core.evaluators import Unmet
from audit.core.recipes import Recipe
from audit.core.rows import Rows
from audit.core.subjects import Subject

MOST_SHARED = 0.05
"""Of the documents never trained on, more than this share in the training data and nothing is measured; fewer are left out."""
LEAST_SAMPLES = 50
"""Fewer samples than this and a leak in one of ten might not show."""


def documents(subject: Subject, max_rows: int) -> tuple[Recipe[Rows], Recipe[Rows]]:
    """Return documents of ``train`` and of ``holdout``, drawn at random, without those of ``holdout`` that also stand in ``train``."""
    shared = subject.data_card.overlap("train", "holdout")
    known = () if shared is None else shared.rows
    return subject.drawn("train", max_rows), subject.drawn("holdout", max_rows, without=known)


def overlapping(subject: Subject) -> tuple[Unmet, ...]:
    """Say that too much of ``holdout`` also stands in ``train`` for it to be a control, if so."""
    shared = subject.data_card.overlap("train", "holdout")
    if shared is None or shared.share <= MOST_SHARED:
        return ()
    found = f"{len(shared.rows):,} of {shared.total:,} rows of 'holdout' also stand in 'train'"
    remedy = "take them out of 'holdout': what the model repeats of them it may have learnt in 'train'"
    return (Unmet("documents that the model was not trained on", found, remedy),)


def few_samples(subject: Subject) -> tuple[Unmet, ...]:
    """Say that there are too few samples to look for leaks in, if so."""
    if subject.sample_count >= LEAST_SAMPLES:
        return ()
    return (Unmet(f"at least {LEAST_SAMPLES} samples", *subject.too_few_samples(LEAST_SAMPLES)),)
