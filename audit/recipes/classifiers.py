"""The attribute classifier of an audit: the extractor in the role ``attributes``, and what evaluators need of it."""

from __future__ import annotations

from collections.abc import Iterable

from audit.core.errors import nearest
from audit.core.evaluators import Unmet
from audit.core.recipes import Recipe
from audit.core.rows import Rows
from audit.core.subjects import Subject
from audit.recipes.attributes import AttributeReadings, Readings

ROLE = "attributes"
HAND = "hand_labels"
"""The role of labels that people gave to some of the samples (the extractor ``labels``)."""


def lacking(subject: Subject, wanted: Iterable[str]) -> tuple[Unmet, ...]:
    """Say that the classifier does not name its attributes, or which of those wanted it does not read."""
    known = subject.extractor(ROLE)
    if not known.attributes:
        found = f"'{known.name}' does not say what its columns are"
        remedy = "name one that does, such as portraits-attributes for the world 'portraits'"
        return (Unmet(f"an attribute classifier in the role '{ROLE}'", found, remedy),)
    names = [attribute.name for attribute in known.attributes]
    missing = next((name for name in wanted if name not in names), None)
    if missing is None:
        return ()
    return (Unmet(f"an attribute '{missing}'", f"{known.name} has none", nearest(missing, names)),)


def readings(subject: Subject, rows: Recipe[Rows], role: str = ROLE) -> Recipe[Readings]:
    """Return what the classifier reads in some rows."""
    widths = tuple(len(attribute.values) for attribute in subject.extractor(role).attributes)
    return AttributeReadings(subject.features(rows, role), widths)


def said_of(subject: Subject) -> tuple[str, ...]:
    """Return what a reader should know of the classifier and of labels given by hand, such as how often annotators differ."""
    known = dict(subject.extractors)
    return tuple(said for role in (ROLE, HAND) if role in known for said in known[role].notes)
