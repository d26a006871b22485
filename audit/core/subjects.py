"""The subject of an audit as plain values, with methods that make the recipes evaluators share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from audit.core.artifacts import (
    DrawnRows,
    Features,
    RealRows,
    Samples,
    Signal,
    Summarised,
    TokenScores,
    Truncated,
)
from audit.core.capabilities import Capability
from audit.core.cases import Case, CaseKind, Cases
from audit.core.data_facts import Copies, Overlap, Pictures, Texts, differences
from audit.core.errors import InputError
from audit.core.recipes import Inputs, Recipe
from audit.core.references import DataRef, ExtractorRef, ModelRef
from audit.core.rows import Matrix, Rows, Vector
from audit.core.summaries import S
from audit.core.usage import Billing
from audit.core.words import counted


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
    problems: tuple[str, ...] = field(default=(), compare=False, metadata={"identity": False})
    """Sentences about outputs that were drawn before: what was left out, or looks wrong. The digest names what was kept."""
    pictures: Pictures | None = None
    """What pictures that were drawn before were, before they were made alike."""
    files: str = ""
    """The digest of the files that samples were drawn into before, where the model hands them out (``KeepsFiles``)."""
    conditions: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """What a sample can be asked for, where that is known: columns of ``condition``, each with the labels that it may hold."""
    tokens: str = ""
    """A digest of how a fixed text is cut into tokens: models with different ones cannot be compared token by token."""
    billing: Billing | None = field(default=None, compare=False, metadata={"identity": False})
    """What its tokens cost, where the user says so. It changes no number, so it is no part of what the audit is."""


@dataclass(frozen=True, slots=True)
class ReferenceModel:
    """A second model that attacks compare the audited one with: one like it that did not see its members, such as the
    checkpoint that it was trained from."""

    model: ModelRef
    card: ModelCard
    offers: frozenset[Capability]

    @property
    def called(self) -> str:
        """What notes call it: no path, and enough to tell it from others."""
        return f"{self.card.family} of {self.card.parameters:,} parameters, weights {self.model.weights[:8]}"


@dataclass(frozen=True, slots=True)
class DataCard:
    """What is known about a dataset before its rows are loaded.

    ``splits`` gives the number of rows of each split. By convention ``train``
    holds what the model was trained on and ``holdout`` comes from the same
    source and was not; ``randomised`` says that a coin decided between them.
    ``problems`` are sentences about what was left out or looks wrong; what can
    be counted about copies, pictures and lengths stands in the fields after
    them too, for whatever has to decide by it. ``alike`` says how many of the first
    rows of a split are like those of the others, where the rest was planted. ``extractors`` names
    those that see these examples best, by role, where that is known: what they are read with unless the spec says.
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
    alike: tuple[tuple[str, int], ...] = ()
    extractors: tuple[tuple[str, str], ...] = ()

    def repeated(self, split: str) -> tuple[int, ...]:
        """Return the rows of a split that are copies of an earlier row of it."""
        return tuple(
            row for c in self.copies if c.split == split for rows in c.clusters for row in sorted(rows)[1:]
        )

    def overlap(self, first: str, second: str) -> Overlap | None:
        """Return what was found of ``first`` in ``second``, or None where that was not looked for."""
        return next((o for o in self.overlaps if (o.first, o.second) == (first, second)), None)

    def clusters(self, split: str) -> tuple[int, ...] | None:
        """Return a number for each row, the same for copies of one example; None where no row has a copy."""
        found = next((c for c in self.copies if c.split == split and c.clusters), None)
        return None if found is None else tuple(found.numbered().tolist())


@dataclass(frozen=True, slots=True)
class Subject:
    """Everything an audit may talk about, as plain values.

    Evaluators build recipes through these methods, so that two evaluators that want the same thing spell it
    the same way. ``extractors`` names a feature extractor for each role. ``doses`` says which amounts of
    a planted defect to ask about as well; an ordinary audit asks about none. ``reference_models`` are those of the
    spec that attacks compare the model with.
    """

    model: ModelRef
    card: ModelCard
    offers: frozenset[Capability]
    data: DataRef
    data_card: DataCard
    extractors: tuple[tuple[str, ExtractorRef], ...]
    sample_size: int
    seed: int
    shard_size: int
    doses: tuple[float, ...] = ()
    reference_models: tuple[ReferenceModel, ...] = ()

    @property
    def splits(self) -> dict[str, int]:
        """How many rows each split of the data has, by name."""
        return dict(self.data_card.splits)

    @property
    def groups(self) -> tuple[str, ...]:
        """The columns of the data that name groups."""
        return self.data_card.groups

    @property
    def sample_count(self) -> int:
        """How many samples this audit draws."""
        most = self.card.most_samples
        return self.sample_size if most is None else min(self.sample_size, most)

    def too_few_samples(self, least: int) -> tuple[str, str]:
        """Return how many samples there are, in words, and what brings ``least`` of them."""
        found, most = counted(self.sample_count, "sample"), self.card.most_samples
        if most is not None and most < least:
            return found, "bring more outputs: no more can be drawn from those that were made before"
        return found, f"write samples = {least} or more at the top of the spec"

    def extractor(self, role: str = "features") -> ExtractorRef:
        """Return the feature extractor of a role. Raise InputError when the audit names none."""
        known = dict(self.extractors)
        if role not in known:
            raise InputError(
                f"This audit names no feature extractor in the role '{role}'. Write {role} = \"…\" in [features]."
            )
        return known[role]

    def blunt(self, role: str = "features") -> str:
        """Say why distances in the features of a role decide nothing here; empty where they do.

        Features whose extractor declares ``limits`` see too little, unless the data name them as those that see these examples best.
        """
        known = dict(self.extractors).get(role)
        if known is None or not known.limits or dict(self.data_card.extractors).get(role) == known.name:
            return ""
        return f"the features '{known.name}': {known.limits}"

    def with_extractors(self, chosen: Mapping[str, ExtractorRef]) -> Subject:
        """Return the subject as one evaluator sees it that was given extractors of its own."""
        return replace(self, extractors=tuple(sorted({**dict(self.extractors), **chosen}.items())))

    def samples(self, n: int | None = None) -> Recipe[Rows]:
        """Unconditional samples of the model, ``sample_size`` of them unless told, or as many as there are."""
        wanted = self.sample_size if n is None else n
        most = self.card.most_samples
        return Samples(self.model, wanted if most is None else min(wanted, most), self.seed, self.shard_size)

    def prompted(self, prompts: Recipe[Rows]) -> Recipe[Rows]:
        """One sample of the model for each row of ``prompts``."""
        return Samples(self.model, 0, self.seed, self.shard_size, condition=prompts)

    def real(self, split: str, max_rows: int | None = None) -> RealRows:
        """A split of the data, or its first ``max_rows`` rows."""
        total = self._rows(split)
        rows = total if max_rows is None else min(total, max_rows)
        return RealRows(self.data, split, rows, self.shard_size)

    def drawn(self, split: str, rows: int, without: Sequence[int] = ()) -> RealRows | DrawnRows:
        """``rows`` different examples of a split drawn at random, or as many as there are; ``without`` some of its rows.

        Copies of one example count once, and rows that the data planted beside those like the other splits' are left out.
        """
        total = self._rows(split)
        planted = range(dict(self.data_card.alike).get(split, total), total)
        left_out = tuple(sorted({*planted, *self.data_card.repeated(split), *without}))
        if not left_out and rows >= total:
            return self.real(split)
        kept = min(rows, total - len(left_out))
        return DrawnRows(self.data, split, kept, total, self.seed, self.shard_size, left_out)

    def distinct(self, split: str, without: Sequence[int] = ()) -> RealRows | DrawnRows:
        """Every row of a split in order, one of several copies, but for those ``without``; rows that the data planted are there."""
        total = self._rows(split)
        left_out = tuple(sorted({*self.data_card.repeated(split), *without}))
        if not left_out:
            return RealRows(self.data, split, total, self.shard_size)
        kept = total - len(left_out)
        return DrawnRows(self.data, split, kept, total, self.seed, self.shard_size, left_out)

    def _rows(self, split: str) -> int:
        if split not in self.splits:
            raise InputError(f"The data has no split '{split}'; it has {', '.join(self.splits)}.")
        return self.splits[split]

    def features(self, rows: Recipe[Rows], role: str = "features") -> Recipe[Matrix]:
        """The rows through a feature extractor of this audit, shape (rows, dimensions)."""
        return Features(rows, self.extractor(role))

    def token_scores(self, rows: Recipe[Rows], model: ModelRef | None = None) -> Recipe[Rows]:
        """The token scores of the rows' texts under the model, or under another one."""
        return TokenScores(rows, self.model if model is None else model)

    def references(self, capability: Capability) -> tuple[ModelRef, ...]:
        """The reference models that offer a capability, in the order of the spec."""
        return tuple(r.model for r in self.reference_models if capability in r.offers)

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

    def summarised(self, source: Recipe[Any], summary: type[S]) -> Recipe[S]:
        """A summary of each shard of ``source``."""
        return Summarised(source, summary)

    def unlike(self, reference: str) -> tuple[str, ...]:
        """Say in what pictures on both sides differ before anything that they show is compared; nothing where that is not known."""
        theirs = next((p for p in self.data_card.pictures if p.split == reference), None)
        if self.card.pictures is None or theirs is None:
            return ()
        found = differences(self.card.pictures, theirs)
        if not found:
            return ()
        return (
            f"Samples and '{reference}' differ before anything that they show: {'; '.join(found)}. Part of the number is that.",
        )

    def compared(
        self,
        reference: str,
        compare: Callable[[Recipe[Matrix], Recipe[Matrix]], Inputs],
        *,
        max_rows: int | None = None,
        min_rows: int = 1,
        role: str = "features",
    ) -> Cases:
        """Ask ``compare(x, y)`` of the features of samples (x) and of real examples of the split ``reference`` (y).

        The null case puts a second real sample in place of the model's: as many rows of ``train`` as there are
        samples (``max_rows`` at most), where the data has that split with ``min_rows`` rows. Planted cases, where the subject asks for
        doses, put in its place that sample without the share ``dose`` of it that lies farthest along
        one direction of the features: a mode that was dropped.
        """
        y = self.features(self.real(reference), role)
        notes = self.unlike(reference)
        subject = compare(self.features(self.samples(), role), y)
        size = self.sample_count if max_rows is None else min(self.sample_count, max_rows)
        if reference == "train" or self.splits.get("train", 0) < min_rows:
            return Cases(subject, no_null="the data has no second real split of enough rows", notes=notes)
        second = self.drawn("train", size)
        x = self.features(second, role)
        rows = f"{min(size, self.splits['train']):,} rows of 'train'"
        null = Case(CaseKind.NULL, compare(x, y), f"{rows} in place of the samples")
        planted = tuple(
            Case(
                CaseKind.PLANTED,
                compare(Truncated(x, dose), y),
                f"{rows}, a mode of them dropped",
                "dropped mode",
                dose,
            )
            for dose in self.doses
        )
        return Cases(subject, null, planted, notes=notes)


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
