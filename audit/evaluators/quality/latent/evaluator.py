"""Use of the latent code: does a model with a code put anything into it, and does its decoder read it?

A variational autoencoder may ignore some units of its code, or all of them (posterior collapse): then the posterior of a unit is the
prior whatever the example, samples still look fine, and the code is worthless. ``active_units`` counts the units whose code
varies from example to example; ``information`` is how much a draw from the posterior tells about which example it is of;
``rate`` is what the code costs, and no less than that. ``reliance`` asks the decoder: it decodes each picture from its own code and
from another picture's, and says how much of the error is saved by having the right one. 0 is a decoder that ignores its code.

Formula: ``active_units`` the share of units j with ``Var_x(mean_j(x)) > 0.01``; ``information = mean_i ln q(z_i | x_i) - ln mean_j
q(z_i | x_j)``, a lower bound of the mutual information that cannot exceed ln n; ``rate`` the mean of ``KL(q(z | x) || p(z))``;
``reliance = 1 - Σ error(own code) / Σ error(another's code)``, squared error of pixels.
Interval: of ``active_units``, from the units that surely are to those that may be, bounds of all variances at once; of the means,
Student's t over examples; of ``reliance``, a ratio of sums over pictures.
Gate: skipped below 50 examples, and for models that remove noise, whose latent vectors are no code. Information and rate take a
model that offers its posterior; without one the threshold is a hundredth of the largest unit's variance.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from audit.core.capabilities import Capability
from audit.core.cases import Case, CaseKind, Cases
from audit.core.errors import InputError
from audit.core.evaluators import About, Needs, Unmet
from audit.core.measurements import Evidence, Interval, Outcome
from audit.core.metrics import HIGHER, NEITHER, Metric
from audit.core.recipes import Recipe, Shards
from audit.core.rows import Matrix, Rows
from audit.core.subjects import Subject
from audit.evaluators.quality.latent.recipes import PartlyUsed, PosteriorInformation, SwapErrors, Traversals
from audit.recipes.latents import Codes, Decoded, MeansOf, Posteriors, no_bottleneck
from audit.stats.clusters import clustered_mean
from audit.stats.latents import Activity, Information, activity, normal_divergences
from audit.stats.ratios import ratio_of_sums

LEAST = 50
THRESHOLD = 0.01
_UNITS = 6


@dataclass(frozen=True, slots=True)
class LatentUse:
    """Encodes at most ``max_rows`` examples of ``split``, drawn at random; ``level`` is that of intervals."""

    split: str = "holdout"
    max_rows: int = 1_000
    level: float = 0.95

    about: ClassVar[About] = About(
        name="quality.latent",
        summary="Whether a model with a latent code puts anything into it, and whether its decoder reads it.",
        metrics=(
            Metric(
                "active_units",
                "Share of the code's units that vary from example to example; 1 is all of them",
                HIGHER,
                null=1.0,
                question="Is the code in use, or has it collapsed?",
            ),
            Metric(
                "information",
                "Mutual information of example and code, a lower bound that cannot exceed the logarithm of the number of examples",
                HIGHER,
                unit="nats",
                baseline=0.0,
                question="How much does the code say about the example?",
            ),
            Metric(
                "rate",
                "Mean divergence of the posterior from the prior, over all units: what the code costs, at least the information in it",
                NEITHER,
                unit="nats",
                baseline=0.0,
                question="How far is the code from saying nothing?",
            ),
            Metric(
                "reliance",
                "Share of the error of pictures decoded from another picture's code that the right code saves",
                HIGHER,
                baseline=0.0,
                question="Does the decoder read the code?",
            ),
        ),
        needs=Needs(capabilities=((Capability.POSTERIOR, Capability.ENCODE),)),
        references=(
            "Burda, Grosse & Salakhutdinov 2016 (active units)",
            "Hoffman & Johnson 2016, ELBO surgery; Poole et al. 2019 (bounds of mutual information)",
        ),
        caveats=(
            "A unit that is off may be spare room: with a wide code some collapse costs nothing.",
            "Information above the logarithm of the number of examples cannot be seen: read it as at least that much.",
        ),
        shards_matter=True,
    )

    def __post_init__(self) -> None:
        if self.max_rows < LEAST or not 0.5 <= self.level < 1:
            raise InputError(f"quality.latent: give 'max_rows' from {LEAST} and 'level' from 0.5 to below 1.")

    def unmet(self, subject: Subject) -> tuple[Unmet, ...]:
        gaps = no_bottleneck(subject, "none for this model: it has no code")
        if subject.splits.get(self.split, 0) < LEAST:
            found = f"{subject.splits.get(self.split, 0)} rows"
            gaps += (Unmet(f"{LEAST} examples in split '{self.split}'", found, "bring more data"),)
        return gaps

    def inputs(self, subject: Subject) -> Cases:
        rows = subject.drawn(self.split, self.max_rows)
        posteriors = Posteriors(rows, subject.model) if Capability.POSTERIOR in subject.offers else None
        codes: Recipe[Matrix] = Codes(rows, subject.model) if posteriors is None else MeansOf(posteriors)
        pictures = subject.card.modality == "image" and Capability.DECODE in subject.offers
        errors = None
        if pictures:
            own, swapped = (Decoded(codes, subject.model, swapped) for swapped in (False, True))
            errors = SwapErrors(rows, own, swapped)
        asked: dict[str, Any] = {
            "codes": codes,
            "posteriors": posteriors,
            "information": None if posteriors is None else PosteriorInformation(posteriors),
            "errors": errors,
            "strips": Traversals(codes, subject.model, _UNITS) if pictures else None,
            "control": False,
        }
        rest = dict.fromkeys(("posteriors", "information", "errors", "strips"))

        def known(collapsed: float) -> dict[str, Any]:
            return {"codes": PartlyUsed(codes, collapsed), **rest, "control": True}

        words = "standard normal codes of the same size in place of the model's"
        planted = tuple(
            Case(CaseKind.PLANTED, known(dose), f"{words}, some units fixed", "collapsed units", dose)
            for dose in subject.doses
        )
        return Cases(asked, Case(CaseKind.NULL, known(0.0), words), planted)

    def measure(
        self,
        codes: Shards[Matrix],
        posteriors: Shards[Matrix] | None,
        information: Shards[Information] | None,
        errors: Shards[Matrix] | None,
        strips: Shards[Rows] | None,
        control: bool,
    ) -> Iterable[Outcome]:
        held = np.concatenate(list(codes))
        threshold = THRESHOLD
        if posteriors is None and not control:
            threshold *= float(held.var(axis=0, ddof=1).max())
        if not threshold > 0:
            reason = "no unit of the code varies, and without a prior nothing says how much one should"
            yield self.about.undefined("active_units", reason)
        else:
            yield self._active(activity(held, threshold, self.level), control, strips)
        if control:
            return
        if posteriors is None or information is None:
            for name in ("information", "rate"):
                yield self.about.undefined(name, "the model does not offer its posterior")
        else:
            yield from self._information(information[0], np.concatenate(list(posteriors)))
        if errors is None:
            yield self.about.undefined("reliance", "it takes a model of pictures that can decode its codes")
        else:
            yield self._reliance(np.concatenate(list(errors)))

    def _active(self, found: Activity, control: bool, strips: Shards[Rows] | None) -> Outcome:
        units, n = len(found.variance), found.examples
        note = f"{int(found.active.sum())} of {units} units vary by more than {found.threshold:.3g} over {n:,} examples of '{self.split}'."
        evidence = [] if control else [_variances(found)]
        if strips is not None:
            caption = "One code, each unit from -2 to +2 deviations, the most variable units first"
            evidence.append(Evidence("images", caption, strips[0], self.split == "train"))
        return self.about.measurement(
            "active_units", found.share, found.interval(), n, notes=(note,), evidence=evidence
        )

    def _information(self, found: Information, posteriors: Matrix) -> Iterable[Outcome]:
        n = len(found.lower)
        own = normal_divergences(posteriors[:, 0], posteriors[:, 1])
        value, interval = clustered_mean(found.lower, np.arange(n), self.level)
        upper = min(float(found.upper.mean()), float(own.sum(axis=1).mean()))
        high = max(min(interval.high, found.cap), value)
        yield self.about.measurement(
            "information",
            value,
            Interval(min(interval.low, value), high, interval.level, interval.method),
            n,
            notes=(
                f"At most {found.cap:.3f} can be seen with {n:,} examples; an upper bound is {upper:.3f}.",
            ),
        )
        value, interval = clustered_mean(own.sum(axis=1), np.arange(n), self.level)
        units = own.mean(axis=0)
        note = f"Per unit from {units.min():.3g} to {units.max():.3g} nats."
        yield self.about.measurement("rate", value, interval, n, notes=(note,))

    def _reliance(self, errors: Matrix) -> Outcome:
        own, swapped = errors.T
        if not swapped.sum() > 0:
            return self.about.undefined(
                "reliance", "every picture comes out exactly even from another picture's code"
            )
        found = ratio_of_sums(own, swapped)
        spread = found.uncertainty(self.level)
        if isinstance(spread, Interval):
            spread = Interval(1 - spread.high, 1 - spread.low, spread.level, spread.method)
        note = (
            f"Root mean square error {np.sqrt(own.mean()):.2f} levels from a picture's own code, {np.sqrt(swapped.mean()):.2f} "
            "from another's."
        )
        return self.about.measurement("reliance", 1 - found.value, spread, found.units, notes=(note,))


def _variances(found: Activity) -> Evidence:
    """Return the variance of every unit, the largest first, beside the threshold."""
    import pyarrow as pa

    order = np.argsort(-found.variance, kind="stable")
    rows = pa.table(
        {
            "label": [f"unit {unit}" for unit in order],
            "value": found.variance[order],
            "low": found.low[order],
            "high": found.high[order],
            "target": np.full(len(order), found.threshold),
        }
    )
    return Evidence(
        "intervals", "Variance of each unit over examples, and the threshold", rows, sensitive=False
    )
