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


def readings(subject: Subject, rows: Recipe[Rows]) -> Recipe[Readings]:
    """Return what the classifier reads in some rows."""
    widths = tuple(len(attribute.values) for attribute in subject.extractor(ROLE).attributes)
    return AttributeReadings(subject.features(rows, ROLE), widths)
