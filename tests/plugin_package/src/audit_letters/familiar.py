"""How likely a model finds the words held out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from audit.core.capabilities import Capability
from audit.core.evaluators import About, Needs
from audit.core.measurements import Outcome, Unquantified
from audit.core.metrics import HIGHER, Metric
from audit.core.recipes import Inputs, Shards
from audit.core.rows import Vector
from audit.core.subjects import Subject


@dataclass(frozen=True, slots=True)
class Familiarity:
    """The mean log-likelihood of held-out words."""

    about: ClassVar[About] = About(
        name="quality.familiar",
        summary="How likely the model finds words it was not trained on.",
        metrics=(Metric("familiar", "Mean log-likelihood of a held-out word", HIGHER, unit="nats"),),
        needs=Needs(capabilities=((Capability.LOG_LIKELIHOOD,),), splits=("holdout",), modalities=("text",)),
        references=("none: an example",),
    )

    def inputs(self, subject: Subject) -> Inputs:
        return {"signal": subject.signal(subject.real("holdout"), (Capability.LOG_LIKELIHOOD,))}

    def measure(self, signal: Shards[Vector]) -> Iterable[Outcome]:
        values = np.concatenate(list(signal))
        reason = Unquantified("three words are too few for an interval")
        yield self.about.measurement("familiar", float(values.mean()), reason, len(values))
