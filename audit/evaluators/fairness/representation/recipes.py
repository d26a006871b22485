"""Recipes of representation: shares and their distance from a target, one attribute within another, a planted defect."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from audit.core.errors import UndefinedError
from audit.core.recipes import Context, Recipe, Shards
from audit.core.references import Attribute
from audit.core.rows import Rows
from audit.recipes.attributes import Readings, inverses_of, joined, unlike_anything
from audit.recipes.by_group import grid
from audit.recipes.labelled import Attribute as Group
from audit.stats.hand_labels import Powered, labelled_rate
from audit.stats.misclassification import corrected_shares
from audit.stats.shares import Side, Variation, variation
from audit.stats.shrinkage import Reported, shrink_rates
from audit.stats.ungraded import gap_ends, mean_ends

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]

DRAWS = 8_000
"""Draws of corrected shares; the ends of an interval that holds for ten values are among the outer twenty."""
MOST_UNREAD = 0.5
"""Where nothing could be read in more of the samples than this, nothing is said of an attribute."""

LEAST = 10
"""A cell of fewer samples is not shown, nor one that would give it away."""


@dataclass(frozen=True, slots=True)
class Spread:
    """One attribute: its variation from the target, and the interval of each corrected share, shape (values,).

    ``notes`` say how labels by hand were used and in how many rows nothing was read.
    """

    attribute: int
    variation: Variation
    read: Floats
    low: Floats
    high: Floats
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Crossing:
    """Shares of the values of one attribute within each value of another, shape (values, values); NaN where withheld.

    ``sizes`` are the numbers of samples with each value of the first attribute, 0 where withheld.
    """

    first: int
    second: int
    sizes: Floats
    shares: Floats
    low: Floats
    high: Floats
    real: Floats


@dataclass(frozen=True, slots=True)
class Represented:
    """Everything of representation; ``reason`` says why there is nothing, and is empty otherwise.

    ``joint`` is the variation of pairs of values of the two attributes that were asked for together, where they were.
    """

    reason: str
    rows: int
    strange: float
    spreads: tuple[Spread, ...]
    crossing: Crossing | None
    left_out: tuple[str, ...]
    joint: Variation | None = None


@dataclass(frozen=True)
class Representation(Recipe[Represented]):
    """How far the shares of each chosen attribute among ``samples`` are from a target.

    The target is the shares among ``real`` rows, or ``given`` ones: for each attribute those of its values, empty where not given. ``hand`` holds labels that
    people gave to some of the samples, -1 elsewhere, of the attributes ``labelled``. ``crossed`` are two attributes, or none for the two that are farthest off.
    """

    kind: ClassVar[str] = "representation"
    version: ClassVar[int] = 2
    samples: Recipe[Readings]
    real: Recipe[Readings]
    attributes: tuple[Attribute, ...]
    chosen: tuple[int, ...]
    given: tuple[tuple[float, ...], ...]
    crossed: tuple[int, ...]
    level: float
    hand: Recipe[Readings] | None = None
    labelled: tuple[Attribute, ...] = ()

    @property
    def label(self) -> str:
        return f"shares in {self.samples.label}"

    def make(
        self,
        context: Context,
        samples: Shards[Readings],
        real: Shards[Readings],
        hand: Shards[Readings] | None = None,
    ) -> Represented:
        ours, theirs = joined(samples), joined(real)
        strange, rng = ours.strange(theirs), context.rng()
        n = len(ours.sure)
        if reason := unlike_anything(strange):
            return Represented(reason, n, strange, (), None, ())
        level = 1 - (1 - self.level) / max(len(self.chosen) + bool(self.crossed), 1)
        spreads: list[Spread] = []
        left_out: list[str] = []
        for number in self.chosen:
            try:
                labels = None if hand is None else self._labels(number, joined(hand))
                spreads.append(self._spread(number, ours, theirs, labels, rng, level))
            except UndefinedError as error:
                left_out.append(f"'{self.attributes[number].name}' is left out: {error}.")
        crossing = None
        farthest = sorted(spreads, key=lambda s: (-s.variation.interval.low, -s.variation.value))[:2]
        if len(pair := self.crossed or tuple(s.attribute for s in farthest)) == 2:
            try:
                crossing = self._crossing(pair, ours, theirs)
            except UndefinedError as error:
                left_out.append(f"The table of one attribute within another is left out: {error}.")
        joint = None
        if self.crossed:
            try:
                joint = self._joint(ours, theirs, rng, level)
            except UndefinedError as error:
                left_out.append(f"The distance of pairs of values is left out: {error}.")
        return Represented("", n, strange, tuple(spreads), crossing, tuple(left_out), joint)

    def _labels(self, number: int, hand: Readings) -> Whole | None:
        """Return the labels by hand of one attribute in the classifier's order of values, None where it was not labelled."""
        attribute = self.attributes[number]
        for place, other in enumerate(self.labelled):
            if other.name == attribute.name:
                order = np.array([attribute.values.index(value) for value in other.values] + [-1])
                return np.asarray(order[hand.codes[:, place]])
        return None

    def _spread(
        self,
        number: int,
        ours: Readings,
        theirs: Readings,
        labels: Whole | None,
        rng: np.random.Generator,
        level: float,
    ) -> Spread:
        attribute = self.attributes[number]
        k, inverses = len(attribute.values), inverses_of(attribute, rng)
        together = 1 - (1 - self.level) / k  # the intervals of all shares hold at once (Bonferroni)
        codes, real = ours.codes[:, number], theirs.codes[:, number]
        unread, unread_real = (float((side < 0).mean()) for side in (codes, real))
        given = self.given[number] if self.given else ()
        target = Side(None, np.array(given)) if given else Side.of(real[real >= 0], k)
        if labels is not None:
            try:
                found = _by_hand(number, labels, codes, target, inverses, (level, together))
                return _widened(found, 0.0, 0.0 if given else unread_real)
            except UndefinedError as error:
                why = f"Labels by hand are not used: {error}."
        if unread > MOST_UNREAD:
            raise UndefinedError(f"nothing could be read in {unread:.0%} of the samples")
        mine = Side.of(codes[codes >= 0], k)
        found_variation = variation(mine, target, inverses, level)
        counts = np.bincount(codes[codes >= 0], minlength=k)
        confusion = attribute.confusion or np.diag(np.full(k, 10**6))
        each = corrected_shares(counts, np.array(confusion), rng, together, draws=DRAWS)
        notes = () if labels is None else (why,)
        spread = Spread(number, found_variation, each.raw, each.low, each.high, notes)
        return _widened(spread, unread, 0.0 if given else unread_real)

    def _joint(self, ours: Readings, theirs: Readings, rng: np.random.Generator, level: float) -> Variation:
        """Return the variation of pairs of values; the classifier's errors in one attribute are taken not to depend on the other."""
        first, second = (self.attributes[i] for i in self.crossed)
        wide, k = len(second.values), len(first.values) * len(second.values)
        given = [self.given[i] if self.given else () for i in self.crossed]
        if any(given) and {share for shares in given for share in shares} != {
            1 / len(first.values),
            1 / wide,
        }:
            raise UndefinedError("the target says nothing of pairs")
        sides = []
        for side in (ours, theirs):
            pairs = side.codes[:, self.crossed]
            read = (pairs >= 0).all(axis=1)
            sides.append((pairs[read] @ np.array([wide, 1]), 1 - float(read.mean())))
        inverses = [
            np.asarray(np.kron(a, b), np.float64)
            for a, b in zip(inverses_of(first, rng), inverses_of(second, rng), strict=True)
        ]
        target = Side(None, np.full(k, 1 / k)) if any(given) else Side.of(sides[1][0], k)
        found = variation(Side.of(sides[0][0], k), target, inverses, level)
        reach = sides[0][1] + (0.0 if any(given) else sides[1][1])
        low, high = max(found.interval.low - reach, 0.0), min(found.interval.high + reach, 1.0)
        return replace(found, interval=replace(found.interval, low=low, high=high))

    def _crossing(self, crossed: tuple[int, ...], ours: Readings, theirs: Readings) -> Crossing:
        first, second = crossed
        widths = tuple(len(self.attributes[i].values) for i in crossed)
        held = [
            codes[(codes >= 0).all(axis=1)] for codes in (side.codes[:, crossed] for side in (ours, theirs))
        ]
        mine, real = (within(codes, *widths) for codes in held)
        sizes = np.bincount(held[0][:, 0], minlength=widths[0])
        values, low, high = (np.full(widths, np.nan) for _ in range(3))
        for value in range(widths[1]):
            hits = np.rint(np.nan_to_num(mine[:, value]) * sizes).astype(int)
            cells = shrink_rates(hits.tolist(), sizes.tolist(), self.level, least=LEAST)
            for row, cell in enumerate(cells):
                if isinstance(cell, Reported) and cell.n >= LEAST:
                    values[row, value] = cell.value
                    low[row, value], high[row, value] = cell.interval.low, cell.interval.high
        shown = np.where(np.isfinite(values).all(axis=1), sizes, 0).astype(np.float64)
        return Crossing(first, second, shown, values, low, high, np.nan_to_num(real))


def _by_hand(
    number: int,
    labels: Whole,
    codes: Whole,
    target: Side,
    inverses: list[Floats],
    levels: tuple[float, float],
) -> Spread:
    """Return the spread by PPI++; ``levels`` are those of the variation and of each share."""
    k = len(inverses[0])
    mine = Powered.of(labels, codes, k)
    found = variation(mine, target, inverses, levels[0])
    read = np.bincount(codes[codes >= 0], minlength=k) / max(int((codes >= 0).sum()), 1)
    plain = target.shares(np.eye(k))
    each = [labelled_rate(labels, codes, value, levels[1])[1] for value in range(k)]
    note = f"Shares by PPI++ from {mine.labels:,} labels by hand; what the classifier reads weighs {mine.weight:.2f}."
    return Spread(
        number,
        replace(found, read=float(0.5 * np.abs(read - plain).sum())),
        read,
        np.array([one.low for one in each]),
        np.array([one.high for one in each]),
        (note,),
    )


def _widened(spread: Spread, unread: float, unread_real: float) -> Spread:
    """Return a spread that holds whatever the rows show in which nothing was read: each may be of any value."""
    if not unread and not unread_real:
        return spread
    found = spread.variation
    low, high = mean_ends(spread.low, spread.high, unread)
    note = (
        f"Nothing was read in {unread:.1%} of the samples and {unread_real:.1%} of the real examples; the interval reaches over "
        "whatever these show."
    )
    return replace(
        spread,
        variation=replace(found, interval=gap_ends(found.interval, (unread, unread_real))),
        low=np.clip(low, 0.0, 1.0),
        high=np.clip(high, 0.0, 1.0),
        notes=(*spread.notes, note),
    )


@dataclass(frozen=True)
class ShownGroups(Recipe[Rows]):
    """``each`` samples of every value of the attribute that is surest to be off, the values that are shown too often first."""

    kind: ClassVar[str] = "shown-groups"
    rows: Recipe[Rows]
    readings: Recipe[Readings]
    found: Recipe[Represented]
    attributes: tuple[Attribute, ...]
    each: int

    @property
    def label(self) -> str:
        return f"{self.rows.label} by group"

    def make(
        self, context: Context, rows: Shards[Rows], readings: Shards[Readings], found: Shards[Represented]
    ) -> Rows:
        if not found[0].spreads:
            return rows[0].slice(0, 0)
        worst = max(found[0].spreads, key=lambda spread: spread.variation.interval.low)
        attribute = self.attributes[worst.attribute]
        codes = joined(readings).codes[:, worst.attribute]
        order = np.argsort(worst.variation.target - worst.variation.shares, kind="stable").tolist()
        group = Group(attribute.name, attribute.values, codes)
        return grid(self.rows, rows, group, self.each, context.rng(), order)


def within(codes: NDArray[np.int64], first: int, second: int) -> Floats:
    """Return the share of each value of the second attribute among rows with each value of the first, shape (first, second).

    Point values are fairlearn's ``MetricFrame``; NaN where no row has the value of the first.
    """
    from fairlearn.metrics import MetricFrame, mean_prediction

    metrics: dict[str, Any] = {str(value): mean_prediction for value in range(second)}
    found = np.full((first, second), np.nan)
    if not len(codes):
        return found
    for name, metric in metrics.items():
        hits = (codes[:, 1] == int(name)).astype(np.float64)
        frame = MetricFrame(metrics=metric, y_true=hits, y_pred=hits, sensitive_features=codes[:, 0])
        for group, share in frame.by_group.items():
            found[int(group), int(name)] = float(share)
    return found


@dataclass(frozen=True)
class Narrowed(Recipe[Readings]):
    """Readings in which the share ``dose`` of rows was given the commonest value of one attribute: a planted defect.

    The classifier's errors, as ``errors`` counts them, are made on those rows too.
    """

    kind: ClassVar[str] = "narrowed-attribute"
    readings: Recipe[Readings]
    attribute: int
    errors: Attribute
    dose: float

    @property
    def label(self) -> str:
        return f"{self.readings.label}, {self.dose:.0%} of them made alike"

    def examples(self, shard: int) -> int:
        return sum(self.readings.examples(i) for i in range(self.readings.shards))

    def make(self, context: Context, readings: Shards[Readings]) -> Readings:
        held, rng = joined(readings), context.rng()
        codes = held.codes.copy()
        k = len(self.errors.values)
        read_here = codes[:, self.attribute]
        commonest = int(np.bincount(read_here[read_here >= 0], minlength=k).argmax())
        read = np.array((self.errors.confusion or np.eye(k).tolist())[commonest], np.float64)
        chosen = np.flatnonzero(rng.random(len(codes)) < self.dose)
        codes[chosen, self.attribute] = rng.choice(k, len(chosen), p=read / read.sum())
        return Readings(codes, held.sure)


def given_shares(
    attributes: Sequence[Attribute], target: str, shares: Sequence[str]
) -> tuple[tuple[float, ...], ...]:
    """Return the target share of every value of every attribute, empty where the data's own are meant.

    ``shares`` are written ``attribute=value: share``; an attribute that is named needs all of its values. Raises ValueError.
    """
    if target == "uniform":
        return tuple(tuple([1 / len(a.values)] * len(a.values)) for a in attributes)
    named: dict[str, dict[str, float]] = {}
    for line in shares:
        left, colon, number = line.rpartition(":")
        attribute, equals, value = left.partition("=")
        try:
            share = float(number)
        except ValueError:
            share = -1.0
        if not (colon and equals) or not 0 <= share <= 1:
            raise ValueError(f"'{line}' is not of the form 'attribute=value: 0.25'")
        named.setdefault(attribute.strip(), {})[value.strip()] = share
    known = {a.name: a for a in attributes}
    for name, values in named.items():
        if name not in known:
            raise ValueError(f"there is no attribute '{name}'; there are {', '.join(known)}")
        if set(values) != set(known[name].values) or abs(sum(values.values()) - 1) > 1e-6:
            raise ValueError(
                f"the shares of '{name}' need each of {', '.join(known[name].values)}, and 1 together"
            )
    return tuple(tuple(named[a.name][v] for v in a.values) if a.name in named else () for a in attributes)
