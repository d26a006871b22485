"""Personalised output: do people get another answer to the same request because of who they are?

The same requests are made by different people: a language model reads another signature, a conditional model is given the same occupation
with another attribute. Any two answers differ a little, and so do those to two people of one group; what is measured is how much farther answers to two
groups are apart than answers within them. That a difference is large does not make it unfair (a letter to Anna says "Dear Anna"), so answers are shown side by
side, and beside the distance stands whether some group gets worse or shorter ones.

Formula: ``distance`` is the squared MMD between two groups of people, mean over pairs of groups: the kernel of two people is the mean over requests
of the Gaussian kernel between the features of their answers, nobody is compared with themselves, so that it is 0 on average where the group does not
matter. ``share`` is the share of the variety of answers to a request that the group explains, ``distance / 2 (k - 1) / k / (1 - mean kernel)``. ``quality`` is the largest difference
between two groups in the mean distance of an answer to the nearest real example, in that between real examples; ``length`` in log bytes.
Interval: delete-a-person jackknife; pairs of groups simultaneously (max-t). The p-value shuffles groups over people, exact. Gaps: max-t.
Gate: a group needs five people (thirty are advised, ``draws`` where a person is a value of an attribute), and there must be two groups. No value where all answers are the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

from audit.core.artifacts import Given
from audit.core.capabilities import Capability
from audit.core.cases import Case, CaseKind, Cases
from audit.core.errors import InputError
from audit.core.evaluators import About, Needs, Unmet
from audit.core.measurements import Evidence, Interval, Outcome
from audit.core.metrics import LOWER, NEITHER, Metric
from audit.core.recipes import Inputs, Shards
from audit.core.rows import IMAGE, Rows
from audit.core.subjects import Subject
from audit.evaluators.fairness.personalised.own import PERSON, PERSONS, REQUESTS
from audit.evaluators.fairness.personalised.recipes import (
    Answers,
    AnswersShown,
    Asked,
    Lengths,
    PersonalAnswers,
)
from audit.stats.group_quality import Gap
from audit.stats.personal import Personal

MOST_REAL, EACH = 2_000, 3
MOST_PEOPLE = 1_000
"""People that are compared with one another: time and memory grow with their square."""


@dataclass(frozen=True, slots=True)
class PersonalisedOutput:
    """Has ``persons`` make ``requests``, ``draws`` times each.

    A language model reads a request in which "{person}" stands for who asks, and ``persons`` are written "group: name"; unless told, both are our own. A conditional
    model takes the columns ``request_column`` (if any) and ``person_column``, and ``requests`` and ``persons`` are their values: each person is a group of
    ``draws`` draws. ``reference`` names a split of real examples that quality is held against; ``permutations`` is the number of shuffles, ``level`` that of intervals.
    """

    requests: tuple[str, ...] = ()
    persons: tuple[str, ...] = ()
    request_column: str = ""
    person_column: str = ""
    draws: int = 2
    reference: str = ""
    permutations: int = 999
    level: float = 0.95

    about: ClassVar[About] = About(
        name="fairness.personalised",
        summary="Whether people get other answers because of who they are.",
        metrics=(
            Metric(
                "distance",
                "Squared kernel distance between answers to two groups of people beyond that within groups, mean over pairs of groups; 0 where answers do not depend on them",
                LOWER,
                null=0.0,
                question="Do people get another answer because of who they are?",
            ),
            Metric(
                "share",
                "Share of the variety of answers to a request that the group of the person explains",
                LOWER,
                null=0.0,
                question="How much of an answer depends on who asks?",
            ),
            Metric(
                "quality",
                "Largest difference between two groups in how far answers are from real examples, in distances between real examples",
                LOWER,
                null=0.0,
                question="Does some group get worse answers?",
            ),
            Metric(
                "length",
                "Largest difference between two groups in the mean logarithm of an answer's length",
                NEITHER,
                unit="nats",
                null=0.0,
                question="Does some group get shorter answers?",
            ),
        ),
        needs=Needs(((Capability.SAMPLE,),), modalities=("text", "image"), features=True),
        references=(
            "Haim, Salinas & Nyarko 2024; Salinas et al. 2023 (the same request under other names)",
            "Gretton et al. 2012 (kernel distance)",
            "Hothorn, Bretz & Westfall 2008 (simultaneous intervals); Westfall & Young 1993",
        ),
        caveats=(
            "A difference is no harm by itself: read the answers side by side.",
            "It is about these requests and people like these; names stand for groups only as far as readers take them so.",
            "Features decide what counts as different.",
        ),
    )

    def __post_init__(self) -> None:
        if not 1 <= self.draws <= 1000 or self.permutations < 99 or not 0.5 <= self.level < 1:
            raise InputError(
                "fairness.personalised: give 'draws' from 1 to 1,000, 'permutations' from 99, 'level' from 0.5 to below 1."
            )
        if self.request_column and not self.person_column:
            raise InputError("fairness.personalised: give 'person_column' beside 'request_column'.")
        if self.person_column:
            if len(set(self.persons)) < 2 or bool(self.request_column) != bool(self.requests):
                raise InputError(
                    "fairness.personalised: with 'person_column', name two or more values in 'persons', and the values of 'request_column' in 'requests'."
                )
        else:
            self._check_texts()
        asked = self.asked()
        if len(asked.people) > MOST_PEOPLE or len(asked.people) * asked.draws > 2 * MOST_PEOPLE:
            raise InputError(
                f"fairness.personalised: {len(asked.people):,} people with {asked.draws:,} draws are too many to compare with one another; "
                f"at most {MOST_PEOPLE:,} people and {2 * MOST_PEOPLE:,} answers to a request."
            )

    def _check_texts(self) -> None:
        for request in self.requests:
            if PERSON not in request:
                raise InputError(
                    f"fairness.personalised: the request '{request[:60]}' does not say who asks; write {PERSON} in it."
                )
        for person in self.persons:
            group, colon, name = person.partition(":")
            if not colon or not group.strip() or not name.strip():
                raise InputError(f"fairness.personalised: '{person[:60]}' is not written \"group: name\".")

    def unmet(self, subject: Subject) -> tuple[Unmet, ...]:
        if subject.card.modality == "image" and not self.person_column:
            remedy = (
                'write person_column = "…" and persons = ["…", "…"] where the model takes such a condition'
            )
            return (Unmet("who asks, for a model of images", "no 'person_column'", remedy),)
        if self.reference and self.reference not in subject.splits:
            found = f"splits: {', '.join(subject.splits)}"
            return (Unmet(f"a split '{self.reference}'", found, "correct 'reference'"),)
        if subject.card.most_samples is not None:
            remedy = "none: other answers cannot be drawn"
            return (Unmet("a model that can be asked", "samples that were drawn before the audit", remedy),)
        return ()

    def asked(self) -> Asked:
        """Return who asks what."""
        if self.person_column:
            people = tuple(p for p in dict.fromkeys(self.persons) for _ in range(self.draws))
            return Asked(self.requests or ("",), people, people, 1)
        pairs = [p.partition(":") for p in dict.fromkeys(self.persons or PERSONS)]
        ordered = sorted(((g.strip(), name.strip()) for g, _, name in pairs), key=lambda pair: pair[0])
        groups, people = zip(*ordered, strict=True)
        return Asked(self.requests or REQUESTS, people, groups, self.draws)

    def inputs(self, subject: Subject) -> Cases:
        asked = self.asked()
        prompts = Given(
            asked.columns(self.request_column, self.person_column), subject.shard_size, what="requests"
        )
        rows = subject.prompted(prompts)
        real = subject.features(subject.drawn(self.reference, MOST_REAL)) if self.reference else None
        found = PersonalAnswers(
            subject.features(rows),
            Lengths(rows),
            real,
            len(asked.requests),
            asked.draws,
            asked.groups,
            self.level,
            self.permutations,
        )
        shown = AnswersShown(rows, found, asked.requests, asked.people, asked.groups, asked.draws, EACH)

        def halved(dose: float = 0.0) -> Inputs:
            return {"found": replace(found, halves=True, dose=dose), "shown": None, "requests": ()}

        said = "one half of the largest group against its other half"
        planted = tuple(
            Case(
                CaseKind.PLANTED,
                halved(dose),
                f"{said}, answers to the one moved by dose times the typical distance of two answers",
                "answers to some people changed",
                dose,
            )
            for dose in subject.doses
        )
        ours = {"found": found, "shown": shown, "requests": asked.requests}
        return Cases(ours, Case(CaseKind.NULL, halved(), said), planted)

    def measure(
        self, found: Shards[Answers], shown: Shards[Rows] | None, requests: tuple[str, ...]
    ) -> Iterable[Outcome]:
        held = found[0]
        if held.personal is None:
            for metric in ("distance", "share"):
                yield self.about.undefined(metric, held.reason)
        else:
            yield from self._distances(held.personal, held.groups, shown, requests)
        without = dict(held.without)
        for metric, gap in (("quality", held.quality), ("length", held.length)):
            if gap is None:
                yield self.about.undefined(metric, without[metric])
            else:
                yield self._gap(metric, gap, held)

    def _distances(
        self,
        personal: Personal,
        groups: tuple[str, ...],
        shown: Shards[Rows] | None,
        requests: tuple[str, ...],
    ) -> Iterator[Outcome]:
        evidence = (_heatmap(personal, groups), _by_request(personal, requests)) if requests else ()
        if shown is not None:
            kind = "images" if IMAGE in shown[0].column_names else "texts"
            caption = "Answers to the request that differs most between groups"
            evidence = (*evidence, Evidence(kind, caption, shown[0], sensitive=False))
        differ = int((personal.request_p < 0.05).sum())
        note = f"Answers to {differ} of {len(personal.requests)} requests differ between groups at a false discovery rate of 5 %."
        yield self.about.measurement(
            "distance",
            personal.distance,
            personal.interval,
            personal.people,
            p_value=personal.p,
            notes=(note,),
            evidence=evidence,
        )
        yield self.about.measurement("share", personal.share, personal.share_interval, personal.people)
        if len(groups) == 2:
            return
        method = f"delete-a-person jackknife, max-t over {len(personal.pairs)} pairs"
        for i, value in enumerate(personal.pairs):
            pair = f"{groups[personal.first[i]]} × {groups[personal.second[i]]}"
            yield self.about.measurement(
                "distance",
                float(value),
                Interval(float(personal.low[i]), float(personal.high[i]), self.level, method),
                personal.people,
                group=(("pair", pair),),
                p_value=float(personal.pair_p[i]),
            )

    def _gap(self, metric: str, gap: Gap, held: Answers) -> Outcome:
        import pyarrow as pa

        worst, best = held.groups[gap.worst], held.groups[gap.best]
        says = (
            f"{worst} is farthest from real examples, {best} nearest."
            if metric == "quality"
            else (f"Answers are longest for {worst} and shortest for {best}.")
        )
        columns = {"label": list(held.groups), "value": gap.values, "low": gap.low, "high": gap.high}
        caption = (
            "Distance to the nearest real example" if metric == "quality" else "Mean log length in bytes"
        )
        table = Evidence("intervals", f"{caption}, by group", pa.table(columns), sensitive=False)
        people = len(self.asked().people)
        return self.about.measurement(
            metric, gap.largest, gap.spread, people, notes=(says,), evidence=(table,)
        )


def _heatmap(personal: Personal, groups: tuple[str, ...]) -> Evidence:
    import pyarrow as pa

    rows = [
        {
            "row": groups[a],
            "column": groups[b],
            "value": float(v),
            "low": float(low),
            "high": float(high),
            "p, adjusted": float(p),
        }
        for a, b, v, low, high, p in zip(
            personal.first,
            personal.second,
            personal.pairs,
            personal.low,
            personal.high,
            personal.pair_p,
            strict=True,
        )
    ]
    return Evidence(
        "heatmap", "Distance between answers to two groups", pa.Table.from_pylist(rows), sensitive=False
    )


def _by_request(personal: Personal, requests: tuple[str, ...]) -> Evidence:
    import pyarrow as pa

    order = personal.requests.argsort()[::-1]
    columns = {
        "request": [requests[i] or "(none)" for i in order],
        "distance": personal.requests[order].round(5),
        "p, adjusted": personal.request_p[order].round(4),
    }
    return Evidence("table", "Distance between groups by request", pa.table(columns), sensitive=False)
