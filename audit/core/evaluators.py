"""What an evaluator is, and what it cannot do without."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from audit.core.capabilities import Capability
from audit.core.measurements import Outcome
from audit.core.recipes import Recipe
from audit.core.subjects import Subject


class Dimension(enum.StrEnum):
    QUALITY = "quality"
    FAIRNESS = "fairness"
    PRIVACY = "privacy"
    PROVENANCE = "provenance"


@dataclass(frozen=True, slots=True)
class Unmet:
    """One reason an evaluator cannot run here, and what would change that."""

    need: str
    found: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Needs:
    """What an evaluator cannot do without.

    Every inner tuple of ``capabilities`` is a choice: at least one member must
    be offered, and earlier members are preferred. ``features`` asks for a
    feature extractor of the audit's modality.
    """

    capabilities: tuple[tuple[Capability, ...], ...] = ()
    splits: tuple[str, ...] = ()
    modalities: tuple[str, ...] = ()
    groups: bool = False
    features: bool = False
    least_rows: int = 0

    def unmet(self, subject: Subject) -> tuple[Unmet, ...]:
        """Return every gap, not just the first."""
        card, data = subject.card, subject.data_card
        gaps: list[Unmet] = []
        if self.modalities and card.modality not in self.modalities:
            gaps.append(
                Unmet(
                    need=f"a model of {' or '.join(self.modalities)}",
                    found=f"a model of {card.modality}",
                    remedy="none for this model: the question does not arise for its modality",
                )
            )
            return tuple(gaps)  # what follows would only repeat that this is another kind of model
        withheld = dict(card.withheld)
        for choice in self.capabilities:
            if subject.offers.isdisjoint(choice):
                reasons = [f"{c} is withheld: {withheld[c]}" for c in choice if c in withheld]
                gaps.append(
                    Unmet(
                        need=f"a model that offers {' or '.join(choice)}",
                        found="; ".join(reasons)
                        or f"it offers {', '.join(sorted(subject.offers)) or 'nothing'}",
                        remedy=f"use an adapter whose model implements {choice[0]}",
                    )
                )
        for split in self.splits:
            if split not in subject.splits:
                gaps.append(
                    Unmet(
                        need=_SPLIT_MEANING.get(split, f"a split '{split}'"),
                        found=f"splits: {', '.join(subject.splits) or 'none'}",
                        remedy=f"name data with a '{split}' split in [data]",
                    )
                )
            elif subject.splits[split] < self.least_rows:
                gaps.append(
                    Unmet(
                        need=f"at least {self.least_rows} rows in split '{split}'",
                        found=f"{subject.splits[split]} rows",
                        remedy="bring more data",
                    )
                )
        if "train" in self.splits and card.trained_on not in (None, subject.data):
            gaps.append(
                Unmet(
                    need="the data that this model was trained on",
                    found="other data: the model's card names another content or another way of splitting it",
                    remedy="name the data of the model's card in [data], with the options it was trained with",
                )
            )
        if self.groups and not data.groups:
            gaps.append(Unmet("data with group columns", "no group column", "name group columns in [data]"))
        if self.features and subject.extractor is None:
            gaps.append(
                Unmet(
                    need=f"a feature extractor for {card.modality}",
                    found="none",
                    remedy="name one in [features]; 'audit list extractors' shows them",
                )
            )
        return tuple(gaps)


_SPLIT_MEANING = {
    "train": "a split 'train': the examples this model was trained on (its members)",
    "holdout": "a split 'holdout': examples from the same source that the model was not trained on",
}


@dataclass(frozen=True, slots=True)
class About:
    """What a catalogue or a report says about an evaluator.

    ``metrics`` describes each metric it reports, in one sentence that says
    what the number is, its unit and which way is better.
    """

    name: str
    dimension: Dimension
    summary: str
    metrics: Mapping[str, str]
    needs: Needs = field(default_factory=Needs)
    references: tuple[str, ...] = ()


class Evaluator(Protocol):
    """Scores one property of a model.

    A frozen dataclass whose fields are its parameters. It asks for inputs by
    describing them and turns them into measurements. It never opens a model,
    reads a file, draws a random number or takes longer than a second or so:
    whatever does is a recipe. The keys of ``inputs`` are the keyword arguments
    of ``measure``; the planner checks that before anything runs. Each argument
    is the sequence of that recipe's pieces in shard order, read when asked for.

    An evaluator may also have ``unmet(subject) -> tuple[Unmet, ...]`` for needs
    that ``Needs`` cannot say; it is asked once ``about.needs`` is met.
    """

    @property
    def about(self) -> About: ...

    def inputs(self, subject: Subject) -> Mapping[str, Recipe[Any]]: ...

    @property
    def measure(self) -> Callable[..., Iterable[Outcome]]: ...
