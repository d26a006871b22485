"""What the log of another evaluation tool says, as plain values: which task, which metric, what each sample scored."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from audit.core.identity import Digest
from audit.core.measurements import Direction, Group
from audit.core.rows import Vector


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an imported number comes from. Names and times are as the file has them, a file's name is without its folders."""

    tool: str
    """``inspect``, ``lm_eval``, ``garak`` or ``every_eval_ever``."""
    version: str
    model: str
    file: str
    digest: Digest
    size: int
    """Bytes of the file."""
    began: str = ""
    finished: str = ""
    status: str = ""
    """What the tool says became of the evaluation; empty where it says nothing."""


class Formula(enum.StrEnum):
    """How a metric is made of what its samples scored."""

    MEAN = "mean"
    RATIO = "ratio of sums"
    EXPONENTIAL = "exponential of a ratio of sums"
    NONE = "as the log reports it"


@dataclass(frozen=True, slots=True)
class Scores:
    """What one metric of a task rests on.

    ``values`` has a number for each attempt, shape (n,), NaN for an attempt without a score; ``units`` names the sample of each, so a
    sample that was asked several times stands there several times. For ratios ``weights``, shape (n,), are the
    denominators. ``errored`` of the attempts without a number ended in an error. ``least`` and ``most`` are the range of a
    single value, None where the log does not say. ``reported`` is the log's own value, ``reported_error`` its own
    standard error. ``reason`` says why nothing can be recomputed; then ``values`` is empty.
    """

    metric: str
    meaning: str
    direction: Direction
    formula: Formula = Formula.MEAN
    units: tuple[str, ...] = ()
    values: Vector | None = None
    weights: Vector | None = None
    errored: int = 0
    least: float | None = None
    most: float | None = None
    reported: float | None = None
    reported_error: float | None = None
    n: int = 0
    """How many samples the log says a number rests on that cannot be recomputed."""
    reason: str = ""
    unit: str = ""
    group: Group = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Task:
    """One task, benchmark or probe: its metrics, and the settings that change its numbers."""

    name: str
    summary: str
    scores: tuple[Scores, ...]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    samples: int = 0
    """Different samples that it asked."""
    dataset: str = ""
    caveats: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Log:
    """One evaluation of one model by one tool, from one file or from a file of results with the samples beside it."""

    origins: tuple[Origin, ...]
    tasks: tuple[Task, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def origin(self) -> Origin:
        """The file that names the model and the tool."""
        return self.origins[0]
