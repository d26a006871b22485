"""References to models, data and extractors: enough to open them again and to notice that they changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from audit.core.errors import InputError
from audit.core.identity import Digest, identity

Option: TypeAlias = str | int | float | bool
Options: TypeAlias = tuple[tuple[str, Option], ...]


@dataclass(frozen=True, slots=True)
class ModelRef:
    """How to open a model. ``location`` says where it is on this machine and is not part of its identity."""

    adapter: str
    weights: Digest
    options: Options = ()
    location: str = identity("")


@dataclass(frozen=True, slots=True)
class DataRef:
    """How to open a dataset, and which bytes it must turn out to be."""

    loader: str
    content: Digest
    options: Options = ()
    location: str = identity("")


@dataclass(frozen=True, slots=True)
class Attribute:
    """One thing that an attribute classifier reads, such as age: the values in the order of its columns.

    ``confusion`` counts how labelled examples of each value (rows) were read (columns); empty where nobody counted.
    """

    name: str
    values: tuple[str, ...]
    confusion: tuple[tuple[int, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class ExtractorRef:
    """How to open a feature extractor; ``digest`` covers its weights and its preprocessing.

    ``attributes`` says what its columns are where it is an attribute classifier: a probability for each value of the
    first attribute, then of the second, and so on. It is empty for any other extractor. ``limits`` says what its features do
    not see where that is so much that a distance in them decides nothing: "they see …, not …".
    ``location`` says where its files are on this machine, ``notes`` what a reader should know of it; neither is part of its
    identity.
    """

    name: str
    digest: Digest
    dimensions: int
    modality: str
    attributes: tuple[Attribute, ...] = identity(())
    limits: str = identity("")
    location: str = identity("")
    notes: tuple[str, ...] = identity(())

    def check_same_as(self, here: ExtractorRef) -> None:
        """Raise InputError unless the extractor that was planned is the one that is installed here."""
        if self != here:
            raise InputError(
                f"These features were planned with another version of '{self.name}'. Plan the audit again."
            )
