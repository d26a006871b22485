"""Bounds on differential privacy: which epsilon do the model's own canaries refute?

A training that is (epsilon, delta)-differentially private hardly depends on any one record. An auditor lets a fair coin decide, for each of
many canaries, whether it goes into the training data, and later guesses from the model which did. If the guesses are better than that
privacy allows, the claim is refuted; the bound is the largest epsilon refuted with 95 % confidence. The data bring the canaries
as a split of that name, with who was put in and how often.

It is a bound from below: 0 says that this attack refuted nothing, never that the training was private. A canary that was put in
``dose`` times counts as one record that stands there so often; who claims a guarantee for a single copy reads the group of dose 1.

Formula: canaries are ordered by the likelihood of their secret; of the ``r`` at both ends the upper half is guessed in and the lower half
out, and with ``v`` of them right the bound is the largest epsilon with ``P(Bin(r, e^epsilon / (1 + e^epsilon)) >= v) + 2 m delta a < 0.05 / 4``, the best of four r
(a quarter, half, three quarters and all of the m canaries), a as Steinke, Nasr and Jagielski (2023) define it. ``classic`` and ``gaussian`` flag the
canaries above a threshold that the even canaries choose and the odd ones test: ``log((TPR - delta) / FPR)``, and the same for a Gaussian mechanism.

Interval: the lower end is the bound, with 95 % confidence. No audit bounds epsilon from above; the upper end stands for infinity and is written as 1,000.

Gate: 20 canaries. Where the number put in is not what fair coins give, or the training texts contradict the file, nothing has a value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from audit.core.capabilities import Capability
from audit.core.cases import Cases
from audit.core.errors import InputError, UndefinedError
from audit.core.evaluators import About, Needs
from audit.core.measurements import Group, Interval, Outcome
from audit.core.metrics import LOWER, Metric
from audit.core.recipes import Shards
from audit.core.rows import Rows, Vector
from audit.core.subjects import Subject
from audit.evaluators.privacy.canaries import Ladder
from audit.recipes.occurrences import Occurrences
from audit.stats.privacy_bounds import classic_bound, gaussian_bound, one_run_bound, one_run_p

LEAST = 20
SHARES = (0.25, 0.5, 0.75, 1.0)
"""Of the canaries, how many are guessed about: fixed beforehand, and each bound takes its part of the error."""
UNBOUNDED = 1000.0
ALPHA = 0.05
_FAIR = 1e-4
_THRESHOLDS = 25
"""Thresholds that half of the canaries are tried at."""


@dataclass(frozen=True)
class PrivacyBound:
    """Guesses which canaries of the split ``canaries`` were put in.

    ``delta`` is that of the guarantee, and ``claimed`` the epsilon that somebody claims with it; 0 asks about no claim.
    """

    delta: float = 1e-5
    claimed: float = 0.0

    about: ClassVar[About] = About(
        name="privacy.dp_bound",
        summary="Which claims of differential privacy the canaries in the training data refute.",
        metrics=(
            Metric(
                "dp_bound",
                "Largest epsilon of differential privacy that the audit refutes at the given delta; it cannot show that training is private",
                LOWER,
                unit="nats",
                baseline=0.0,
                question="Can the training be as private as somebody says?",
            ),
            Metric(
                "classic",
                "The same from the rates of right and wrong findings above one threshold, on half of the canaries",
                LOWER,
                unit="nats",
                baseline=0.0,
            ),
            Metric(
                "gaussian",
                "The same if the mechanism is a Gaussian one, as DP-SGD nearly is",
                LOWER,
                unit="nats",
                baseline=0.0,
            ),
        ),
        needs=Needs(capabilities=((Capability.TOKEN_SCORES,),), splits=("canaries",), modalities=("text",)),
        references=(
            "Steinke, Nasr & Jagielski 2023, Privacy auditing with one (1) training run",
            "Jagielski, Ullman & Oprea 2020, Auditing differentially private machine learning",
            "Nasr et al. 2023, Tight auditing of differentially private machine learning",
            "Dong, Roth & Su 2022, Gaussian differential privacy",
        ),
        caveats=(
            "A bound from below: 0 says that this attack refuted nothing. Few canaries refute little, whatever the model does.",
            "It holds where a fair coin of its own decided on each canary; halves of a fixed size are not that.",
        ),
    )

    def __post_init__(self) -> None:
        if not 0 <= self.delta < 1:
            raise InputError(f"privacy.dp_bound: 'delta' is {self.delta}; it is at least 0 and below 1.")
        if not 0 <= self.claimed <= 50:
            raise InputError(f"privacy.dp_bound: 'claimed' is {self.claimed}; it lies between 0 and 50.")

    def inputs(self, subject: Subject) -> Cases:
        canaries = subject.real("canaries")
        copies = Occurrences(subject.real("train"), canaries) if "train" in subject.splits else None
        asked = {"rows": canaries, "scores": subject.token_scores(canaries), "copies": copies}
        return Cases(
            asked,
            no_null="a bound from below has its own error rate: it exceeds a true epsilon once in twenty",
        )

    def measure(
        self, rows: Shards[Rows], scores: Shards[Rows], copies: Shards[Vector] | None
    ) -> Iterable[Outcome]:
        try:
            ladder = Ladder.of(rows, scores, None if copies is None else np.sum(list(copies), axis=0))
            if ladder.problems:
                raise UndefinedError("; ".join(ladder.problems))
        except UndefinedError as error:
            return [self.about.undefined(metric.name, str(error)) for metric in self.about.metrics]
        found = list(self._bounds(ladder, np.ones(len(ladder.dose), np.bool_), ()))
        for dose in ladder.doses.tolist():
            found += self._bounds(ladder, ladder.dose == dose, (("dose", f"{dose:g}"),))
        return found

    def _bounds(self, ladder: Ladder, chosen: Any, group: Group) -> Iterator[Outcome]:
        score, inside = ladder.logp[chosen], ladder.included[chosen]
        reason = refusal(inside)
        if reason:
            yield from (self.about.undefined(metric.name, reason, group) for metric in self.about.metrics)
            return
        best, guesses, correct = one_run(score, inside, self.delta)
        notes = [
            f"{correct} of {guesses} guesses about {len(inside)} canaries are right; with every one of {len(inside)} right it "
            f"would be {one_run_bound(len(inside), len(inside), len(inside), self.delta, ALPHA / len(SHARES)):.2f}.",
            *ladder.remarks,
        ]
        p = None
        if self.claimed:
            p = min(
                1.0,
                len(SHARES)
                * min(
                    one_run_p(len(inside), r, v, self.claimed, self.delta) for r, v in guessed(score, inside)
                ),
            )
            verdict = "refuted" if best > self.claimed else "not refuted"
            notes.append(f"The claim of epsilon {self.claimed:g} at delta {self.delta:g} is {verdict}.")
        yield self._measured("dp_bound", best, len(inside), group, notes, p)
        for metric, bound in (("classic", classic_bound), ("gaussian", gaussian_bound)):
            yield self._measured(metric, split_bound(score, inside, self.delta, bound), len(inside), group)

    def _measured(
        self,
        metric: str,
        bound: float,
        n: int,
        group: Group,
        notes: Iterable[str] = (),
        p: float | None = None,
    ) -> Outcome:
        interval = Interval(bound, UNBOUNDED, 1 - ALPHA, "lower confidence bound; no upper one")
        return self.about.measurement(metric, bound, interval, n, group=group, p_value=p, notes=notes)


def refusal(inside: Any) -> str:
    """Return why these canaries bound nothing, or an empty string."""
    from scipy import stats

    n, put_in = len(inside), int(inside.sum())
    if n < LEAST:
        return f"{n} canaries; it takes {LEAST}"
    if stats.binomtest(put_in, n).pvalue < _FAIR:
        return f"{put_in} of {n} canaries were put in, which fair coins hardly give"
    return ""


def guessed(score: Vector, inside: Any) -> list[tuple[int, int]]:
    """Return, for each share, how many canaries are guessed about and how many of these guesses are right; equal scores keep their order."""
    order, found = np.argsort(score, kind="stable"), []
    for share in SHARES:
        half = max(1, int(share * len(order)) // 2)
        right = int(inside[order[-half:]].sum()) + int((~inside[order[:half]]).sum())
        found.append((2 * half, right))
    return found


def one_run(score: Vector, inside: Any, delta: float) -> tuple[float, int, int]:
    """Return the best bound over the shares, with its guesses and how many of them are right."""
    alpha = ALPHA / len(SHARES)
    return max((one_run_bound(len(score), r, v, delta, alpha), r, v) for r, v in guessed(score, inside))


def split_bound(score: Vector, inside: Any, delta: float, bound: Callable[..., float]) -> float:
    """Return the bound on the odd canaries of the threshold that serves the even ones best."""
    train, test = np.arange(len(score)) % 2 == 0, np.arange(len(score)) % 2 == 1
    best, threshold = -1.0, np.inf
    known = np.sort(score[train])
    for candidate in known[np.unique(np.linspace(0, len(known) - 1, _THRESHOLDS).astype(int))]:
        value = _flagged(score[train], inside[train], float(candidate), delta, bound)
        if value > best:
            best, threshold = value, float(candidate)
    return _flagged(score[test], inside[test], threshold, delta, bound)


def _flagged(
    score: Vector, inside: Any, threshold: float, delta: float, bound: Callable[..., float]
) -> float:
    flagged = score >= threshold
    n, m = int(inside.sum()), int((~inside).sum())
    if not n or not m:
        return 0.0
    return bound(int((flagged & inside).sum()), n, int((flagged & ~inside).sum()), m, delta, ALPHA)
