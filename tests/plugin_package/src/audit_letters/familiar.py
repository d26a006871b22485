"""How likely a model finds the words held out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from audit.core.capabilities import Capability
from audit.core.evaluators import About, Dimension, Needs
from audit.core.measurements import Direction, Measurement, Outcome, Unquantified
from audit.core.recipes import Recipe
from audit.core.rows import Vector
from audit.core.subjects import Subject


@dataclass(frozen=True, slots=True)
class Familiarity:
    """The mean log-likelihood of held-out words."""

    about: ClassVar[About] = About(
        name="quality.familiar",
        dimension=Dimension.QUALITY,
        summary="How likely the model finds words it was not trained on.",
        metrics={"quality.familiar": "Mean log-likelihood of a held-out word, in nats; higher is better."},
        needs=Needs(capabilities=((Capability.LOG_LIKELIHOOD,),), splits=("holdout",), modalities=("text",)),
        references=("none: an example",),
    )

    def inputs(self, subject: Subject) -> Mapping[str, Recipe[Vector]]:
        return {"signal": subject.signal(subject.real("holdout"), (Capability.LOG_LIKELIHOOD,))}

    def measure(self, signal: Sequence[Vector]) -> Iterable[Outcome]:
        values = np.concatenate(list(signal))
        reason = Unquantified("three words are too few for an interval")
        yield Measurement(
            "quality.familiar", float(values.mean()), reason, len(values), Direction.HIGHER_IS_BETTER
        )
