"""What an audit is about, as plain values, and the recipes every evaluator spells the same way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from audit.core.artifacts import (
    Features,
    Pieces,
    Real,
    Samples,
    Signal,
    TokenLedger,
)
from audit.core.capabilities import Capability
from audit.core.data_facts import Copies, Overlap, Pictures, Texts
from audit.core.errors import InputError
from audit.core.recipes import Recipe
from audit.core.references import DataRef, ExtractorRef, ModelRef
from audit.core.rows import Matrix, Rows, Vector
from audit.core.summaries import S


@dataclass(frozen=True, slots=True)
class ModelCard:
    """What is known about a model before it is opened. ``family`` is a label; no code branches on it.

    ``withheld`` takes back a capability that the class implements but this
    checkpoint lacks, with the reason a reader will see. ``most_samples`` is
    how many samples there are when they were drawn before the audit.
    ``trained_on`` is the data whose split ``train`` the model saw, where that
    is known; the ``train`` split of other data says nothing about its members.
    """

    family: str
    modality: str
    parameters: int
    deterministic: bool = True
    withheld: tuple[tuple[Capability, str], ...] = ()
    notes: tuple[str, ...] = ()
    most_samples: int | None = None
    trained_on: DataRef | None = None


@dataclass(frozen=True, slots=True)
class DataCard:
    """What is known about a dataset before its rows are loaded.

    ``splits`` gives the number of rows of each split. By convention ``train``
    holds what the model was trained on and ``holdout`` comes from the same
    source and was not; ``randomised`` says that a coin decided between them.
    ``problems`` are sentences about what was left out or looks wrong; what can
    be counted about copies, pictures and lengths stands in the fields after
    them too, for whatever has to decide by it.
    """

    modality: str
    splits: tuple[tuple[str, int], ...]
    groups: tuple[str, ...] = ()
    randomised: bool = False
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    overlaps: tuple[Overlap, ...] = ()
    copies: tuple[Copies, ...] = ()
    pictures: tuple[Pictures, ...] = ()
    texts: tuple[Texts, ...] = ()


@dataclass(frozen=True, slots=True)
class Subject:
    """Everything an audit may talk about, as plain values.

    Evaluators build recipes through these methods, so that two evaluators that
    want the same thing spell it the same way.
    """

    model: ModelRef
    card: ModelCard
    offers: frozenset[Capability]
    data: DataRef
    data_card: DataCard
    extractor: ExtractorRef | None
    sample_size: int
    seed: int
    shard_size: int

    @property
    def splits(self) -> dict[str, int]:
        return dict(self.data_card.splits)

    @property
    def groups(self) -> tuple[str, ...]:
        return self.data_card.groups

    def samples(self, n: int | None = None) -> Recipe[Rows]:
        """Unconditional samples of the model, ``sample_size`` of them unless told, or as many as there are."""
        wanted = self.sample_size if n is None else n
        most = self.card.most_samples
        return Samples(self.model, wanted if most is None else min(wanted, most), self.seed, self.shard_size)

    def prompted(self, prompts: Recipe[Rows]) -> Recipe[Rows]:
        """One sample of the model for each row of ``prompts``."""
        return Samples(self.model, 0, self.seed, self.shard_size, condition=prompts)

    def real(self, split: str, most: int | None = None) -> Recipe[Rows]:
        """A split of the data, or its first ``most`` rows."""
        if split not in self.splits:
            raise InputError(f"The data has no split '{split}'; it has {', '.join(self.splits)}.")
        rows = self.splits[split]
        return Real(self.data, split, rows if most is None else min(rows, most), self.shard_size)

    def features(self, rows: Recipe[Rows]) -> Recipe[Matrix]:
        """The rows through the feature extractor of this audit, shape (rows, dimensions)."""
        if self.extractor is None:
            raise InputError("This audit names no feature extractor.")
        return Features(rows, self.extractor)

    def ledger(self, rows: Recipe[Rows]) -> Recipe[Rows]:
        """The token ledger of the rows' texts under the model."""
        return TokenLedger(rows, self.model)

    def signal(self, rows: Recipe[Rows], preferred: Sequence[Capability]) -> Recipe[Vector]:
        """One number per example from the first capability in ``preferred`` that the model offers.

        Higher always means that the model finds the example more familiar.
        """
        return Signal(rows, self.model, self.first_offered(preferred), self.seed)

    def first_offered(self, preferred: Sequence[Capability]) -> Capability:
        """Return the first of ``preferred`` that the model offers."""
        for capability in preferred:
            if capability in self.offers:
                return capability
        raise InputError(f"The model offers none of {', '.join(preferred)}.")

    def pieces(self, source: Recipe[Any], summary: type[S]) -> Recipe[S]:
        """A summary of each piece of ``source``."""
        return Pieces(source, summary)


class Adapter(Protocol):
    """Knows one way of storing a model. An adapter is the class; a model is what it opens.

    The class implements the methods of the capabilities it can offer and
    imports heavy libraries only inside them, so that planning stays quick.
    """

    @classmethod
    def refer(cls, options: dict[str, Any]) -> ModelRef:
        """Check the options of a spec's ``[model]`` table and name the model by its bytes. Raise InputError."""
        ...

    @classmethod
    def describe(cls, ref: ModelRef) -> tuple[ModelCard, frozenset[Capability]]:
        """Say what the model is and which capabilities it offers, from its metadata alone.

        Must be cheap: no weights, no GPU.
        """
        ...

    @classmethod
    def open(cls, ref: ModelRef, device: str) -> Any:
        """Load the model. Called at most once per worker process."""
        ...


class Dataset(Protocol):
    """Knows one source of data."""

    @classmethod
    def refer(cls, options: dict[str, Any]) -> DataRef:
        """Check the options of a spec's ``[data]`` table and name the data by its bytes. Raise InputError."""
        ...

    @classmethod
    def describe(cls, ref: DataRef) -> DataCard:
        """Say which splits there are, how many rows each has and what was left out."""
        ...

    @classmethod
    def load(cls, ref: DataRef, split: str) -> Rows:
        """Return the rows of one split, always in the same order."""
        ...


class Extractor(Protocol):
    """Turns rows into feature vectors."""

    @classmethod
    def refer(cls) -> ExtractorRef:
        """Name the extractor by its weights, input size, resize filter and normalisation. Raise InputError."""
        ...

    @classmethod
    def open(cls, ref: ExtractorRef, device: str) -> Any:
        """Load it; what comes back has ``extract(rows) -> Matrix``."""
        ...
