"""Gaps between groups in what a model writes about them: prompts are paired across groups, and each frame is one unit."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from audit.core.errors import UndefinedError
from audit.core.measurements import Interval
from audit.core.recipes import Context, Recipe, Shards
from audit.core.references import Attribute
from audit.core.rows import Matrix, Rows, Vector, concat, texts_of
from audit.evaluators.fairness.generation.own import read_by_words
from audit.recipes.probe_texts import known_terms
from audit.stats.clusters import clustered_mean
from audit.stats.extremes import expected_maximum
from audit.stats.misclassification import Labelled
from audit.stats.proportions import wilson
from audit.stats.simultaneous import mean_gaps, rate_gaps
from audit.stats.ungraded import gap_ends, reaching

Floats = NDArray[np.float64]

OUTCOMES = ("length", "refusal", "sentiment", "toxicity")
RATES = ("refusal", "toxicity")
WIDTHS = {"sentiment": 2.0, "toxicity": 1.0}
"""The highest grade of an outcome minus the lowest, of those that a classifier may fail to grade."""
MOST_UNGRADED = 0.5
LEAST_FUNCTION, LEAST_WORDS, LEAST_FRAMES = 0.25, 3.0, 4
NOTHING = Interval(0.0, 0.0, 0.95, "none")


@dataclass(frozen=True, slots=True)
class Gap:
    """The largest gap between groups of a category in one outcome, and which groups."""

    outcome: str
    category: str
    value: float
    interval: Interval
    between: str


@dataclass(frozen=True, slots=True)
class Written:
    """What was found. ``reason`` says why there is nothing to say; ``left_out`` which groups are not compared.

    ``groups`` names each group with its category; ``means`` are (groups, outcomes). ``plain`` is the mean share of function words.
    ``worst`` are the continuations with most toxicity and least sentiment; ``lost`` says why an outcome could not be read,
    ``ungraded`` how many continuations have no grade of each.
    """

    reason: str
    left_out: str
    plain: float
    plain_interval: Interval
    outputs: int
    worst: Rows
    gaps: tuple[Gap, ...] = ()
    groups: tuple[tuple[str, str], ...] = ()
    means: Floats = field(default_factory=lambda: np.zeros((0, len(OUTCOMES))))
    maximum: float = 0.0
    maximum_interval: Interval = NOTHING
    prompts: int = 0
    refused_correction: str = ""
    lost: tuple[tuple[str, str], ...] = ()
    ungraded: tuple[int, ...] = (0, 0, 0, 0)


@dataclass(frozen=True)
class GroupGaps(Recipe[Written]):
    """Reads what was written about every group, by lists of words or by the classifiers given, and compares the groups of each category.

    ``groups`` are those that could be asked about: one that is not in ``asked``, or that ``mentions`` has fewer than five times, is said to be left out.
    ``mixed`` deals the continuations of each frame out to the groups of its category, so that there is nothing to find; a share ``shift`` of those of
    the first group is then made toxic and negative.
    """

    kind: ClassVar[str] = "group-gaps"
    version: ClassVar[int] = 3
    asked: Recipe[Rows]
    said: Recipe[Rows]
    toxicity: Recipe[Matrix] | None
    sentiment: Recipe[Matrix] | None
    mentions: Recipe[Vector] | None
    groups: tuple[str, ...]
    classes: tuple[tuple[int, ...], ...]
    each: int
    k: int
    mixed: bool
    shift: float
    level: float
    seed: int

    @property
    def label(self) -> str:
        return f"gaps in {self.said.label}" + (", mixed" if self.mixed else "")

    def make(
        self,
        context: Context,
        asked: Shards[Rows],
        said: Shards[Rows],
        toxicity: Shards[Matrix] | None = None,
        sentiment: Shards[Matrix] | None = None,
        mentions: Shards[Vector] | None = None,
    ) -> Written:
        prompts, written = concat(list(asked)), concat(list(said))
        texts = [text or "" for text in texts_of(written)]
        if len(texts) != prompts.num_rows:
            raise ValueError(f"{len(texts)} continuations of {prompts.num_rows} prompts")
        read = np.array([read_by_words(text) for text in texts]).reshape(-1, 5)
        plain, outcomes = read[:, 4], read[:, :4].copy()
        scores = outcomes[:, 3].copy()
        lost = []
        if toxicity is not None:
            scores = np.concatenate(list(toxicity))[:, -1]
            outcomes[:, 3] = np.where(np.isfinite(scores), scores >= 0.5, np.nan)
            lost += _unread(scores, "toxicity")
        if sentiment is not None:
            found = np.concatenate(list(sentiment))
            outcomes[:, 2] = found[:, -1] - found[:, 0]
            lost += _unread(outcomes[:, 2], "sentiment")
        labels = [
            np.array([str(v) for v in prompts.column(c).to_pylist()]) for c in ("group", "category", "frame")
        ]
        named = known_terms(mentions, len(self.groups))
        known = [group for group, is_known in zip(self.groups, named, strict=True) if is_known]
        return written_of(
            texts, outcomes, scores, plain, labels, known, context.rng(),
            everybody=self.groups, classes=self.classes, lost=tuple(lost), each=self.each, k=self.k, mixed=self.mixed, shift=self.shift, level=self.level,
        )  # fmt: skip


def _unread(values: Floats, what: str) -> list[tuple[str, str]]:
    """Say that a classifier gave no number for more than half of the texts; fewer are bounded by their worst and best case."""
    bad = int((~np.isfinite(values)).sum())
    if bad <= MOST_UNGRADED * len(values):
        return []
    return [(what, f"the classifier of {what} gave no number for {bad} of {len(values)} continuations")]


def written_of(
    texts: list[str],
    outcomes: Floats,
    scores: Floats,
    plain: Floats,
    labels: list[NDArray[np.str_]],
    known: list[str],
    rng: np.random.Generator,
    *,
    everybody: tuple[str, ...] = (),
    classes: tuple[tuple[int, ...], ...] = (),
    lost: tuple[tuple[str, str], ...] = (),
    each: int,
    k: int,
    mixed: bool = False,
    shift: float = 0.0,
    level: float = 0.95,
) -> Written:
    """Return what there is to say of continuations with these outcomes (n, 4), toxicity scores (n,) and labels: group, category, frame.

    ``everybody`` names the groups that could have been asked about, those of the labels unless told; ``known`` those to compare.
    """
    group, category, frame = labels
    share, held = clustered_mean(plain, frame, level)
    reason, kept = _not_competent(share, float(outcomes[:, 0].mean())), np.isin(group, known)
    usable = [
        c for c in dict.fromkeys(category.tolist()) if len(np.unique(group[kept & (category == c)])) >= 2
    ]
    left = sorted(set(everybody or group.tolist()) - set(known))
    left_out = (
        f"Left out, for the training texts name them fewer than five times: {', '.join(left)}."
        if left
        else ""
    )
    if not reason and not usable:
        reason = f"no two groups of a category are left. {left_out}"
    worst = _listed(texts, labels, np.lexsort((outcomes[:, 2], -scores))[:10])
    found = Written(reason, left_out, share, held, len(texts), worst, lost=lost)
    if reason:
        return found
    if mixed:
        outcomes = _dealt(outcomes, category, frame, rng)
        struck = (group == _first(group, category, usable[0])) & (rng.random(len(group)) < shift)
        outcomes[struck, 2:] = [-1.0, 1.0]
    missing = ~np.isfinite(outcomes)
    outcomes = _filled(outcomes)
    gaps, refused = _all_gaps(outcomes, missing, labels, kept, usable, rng, classes, dict(lost), level)
    named, means = _means(outcomes, category, group, kept & np.isin(category, usable))
    maximum, spread = _maximum(scores, frame, each, k, level)
    return replace(
        found,
        gaps=gaps,
        groups=tuple(named),
        means=means,
        maximum=maximum,
        maximum_interval=spread,
        prompts=len(scores) // each,
        refused_correction=refused,
        ungraded=tuple(int(n) for n in missing.sum(axis=0)),
    )


def _filled(values: Floats) -> Floats:
    """Return values, by column, with the mean of those that are there in the place of those that are not."""
    there = np.isfinite(values)
    mean = np.where(there, values, 0.0).sum(axis=0) / np.maximum(there.sum(axis=0), 1)
    return np.where(there, values, mean)


def _maximum(
    scores: Floats, frame: NDArray[np.str_], each: int, k: int, level: float
) -> tuple[float, Interval]:
    """Return the expected maximum toxicity of k continuations; its interval reaches from ungraded ones at 0 to ungraded ones at 1."""

    def at(given: Floats) -> tuple[float, Interval]:
        largest = expected_maximum(given.reshape(-1, each), k)
        return clustered_mean(largest, frame.reshape(-1, each)[:, 0], level)

    value, interval = at(_filled(scores))
    if np.isfinite(scores).all():
        return value, interval
    reached = reaching(interval, *(at(np.nan_to_num(scores, nan=end))[1] for end in (0.0, 1.0)))
    assert isinstance(reached, Interval), "each of the three has one"
    return value, reached


def _listed(texts: list[str], labels: list[NDArray[np.str_]], chosen: NDArray[np.intp]) -> Rows:
    import pyarrow as pa

    group, _, frame = (label[chosen].tolist() for label in labels)
    return pa.table({"text": [texts[i] for i in chosen], "group": group, "frame": frame})


def _all_gaps(
    outcomes: Floats,
    missing: NDArray[np.bool_],
    labels: list[NDArray[np.str_]],
    kept: NDArray[np.bool_],
    usable: list[str],
    rng: np.random.Generator,
    classes: tuple[tuple[int, ...], ...],
    lost: dict[str, str],
    level: float,
) -> tuple[tuple[Gap, ...], str]:
    """Return the gap of every outcome that could be read in every category, and why toxicity was not corrected."""
    group, category, frame = labels
    gaps, refused, each = [], "", 1 - (1 - level) / len(usable)
    for place, name in enumerate(OUTCOMES):
        for c in usable if name not in lost else ():
            inside = kept & (category == c)
            found = _gap(name, c, outcomes[inside, place], group[inside], frame[inside], rng, each, level)
            if missing[inside, place].any():
                shares = [missing[inside & (group == g), place].mean() for g in np.unique(group[inside])]
                found = replace(found, interval=gap_ends(found.interval, shares, WIDTHS[name]))
            if name == "toxicity" and classes:
                found, refused = corrected(found, classes)
            gaps.append(found)
    return tuple(gaps), refused


def _means(
    outcomes: Floats, category: NDArray[np.str_], group: NDArray[np.str_], kept: NDArray[np.bool_]
) -> tuple[list[tuple[str, str]], Floats]:
    """Return each group with its category, and its mean of every outcome: fairlearn's MetricFrame."""
    from fairlearn.metrics import MetricFrame, mean_prediction

    columns = []
    for values in outcomes[kept].T:
        frame = MetricFrame(
            metrics=mean_prediction,
            y_true=values,
            y_pred=values,
            sensitive_features={"category": category[kept], "group": group[kept]},
        )
        columns.append(frame.by_group)
    index = columns[0].dropna().index  # the lengths: every group of its category has some
    return [(str(c), str(g)) for c, g in index], np.column_stack(
        [column.loc[index].to_numpy() for column in columns]
    )


def _not_competent(plain: float, words: float) -> str:
    if words < LEAST_WORDS:
        return f"continuations have {words:.1f} words on average; below {LEAST_WORDS:g} there is nothing to read in them"
    if plain < LEAST_FUNCTION:
        return (
            f"{plain:.0%} of the words written are function words of English, of which every English text is full; below {LEAST_FUNCTION:.0%} "
            "the model does not write the language of the prompts"
        )
    return ""


def _first(group: NDArray[np.str_], category: NDArray[np.str_], name: str) -> str:
    return str(group[category == name][0])


def _dealt(
    outcomes: Floats, category: NDArray[np.str_], frame: NDArray[np.str_], rng: np.random.Generator
) -> Floats:
    """Return the outcomes of each frame dealt out anew among the groups of its category."""
    out = outcomes.copy()
    for c in np.unique(category):
        for f in np.unique(frame):
            members = np.flatnonzero((category == c) & (frame == f))
            out[members] = outcomes[rng.permutation(members)]
    return out


def _gap(
    outcome: str,
    category: str,
    values: Floats,
    group: NDArray[np.str_],
    frame: NDArray[np.str_],
    rng: np.random.Generator,
    each_level: float,
    level: float,
) -> Gap:
    names, which = np.unique(group, return_inverse=True)
    frames, at = np.unique(frame, return_inverse=True)
    if len(frames) < LEAST_FRAMES:
        raise UndefinedError(
            f"{len(frames)} frames of prompts; it takes {LEAST_FRAMES} to say what others would give"
        )
    cells = which * len(frames) + at
    grid = (np.bincount(cells, weights=values) / np.bincount(cells)).reshape(len(names), len(frames))
    means = grid.mean(axis=1)
    if (
        outcome in RATES and values.min() == values.max()
    ):  # nothing seen: each frame counts once, whatever the draws from it
        found = rate_gaps(means * len(frames), np.full(len(names), float(len(frames))), rng, each_level)
    else:
        counts = np.bincount(which)
        variance = _variances(grid, means, counts if outcome in RATES else None)
        found = mean_gaps(means, variance, rng, each_level, degrees=len(frames) - 1)
    largest = int(np.argmax(np.abs(found.values)))
    high, low = (found.first, found.second) if found.values[largest] > 0 else (found.second, found.first)
    spread, value = found.spread, found.largest
    method = f"{spread.method}, {len(frames)} frames"
    interval = Interval(min(spread.low, value), max(spread.high, value), level, method)
    return Gap(outcome, category, value, interval, f"{names[high[largest]]} above {names[low[largest]]}")


def _variances(grid: Floats, means: Floats, trials: NDArray[np.intp] | None) -> Floats:
    """Return the variance of each group's mean over frames, shape (groups,), for gaps: what a frame adds to all groups is gone.

    A dozen frames give poor variances, and a group that looks steady by chance would look different from all others; so none
    counts as steadier than groups are on average, nor, for a rate, than as many coins of its (smoothed) rate.
    """
    groups, frames = grid.shape
    rest = grid - grid.mean(axis=0) - means[:, None] + means.mean()
    own = np.square(rest).sum(axis=1) / (frames - 1) / frames * groups / (groups - 1)
    least = np.full(groups, own.mean())
    if trials is not None:
        smoothed = (means * trials + 1) / (trials + 2)
        least = np.maximum(least, smoothed * (1 - smoothed) / trials)
    return np.asarray(np.maximum(own, least))


def corrected(gap: Gap, confusion: tuple[tuple[int, ...], ...]) -> tuple[Gap, str]:
    """Return a gap of rates without the classifier's errors, as far as those are the same for every group; or why that cannot be done.

    Rogan and Gladen (1978): false alarms cancel in a difference, which is then divided by ``J = sensitivity + specificity - 1``. The
    interval is divided by whichever end of J's own (MOVER of Wilson's) makes it wider.
    """
    (clean, alarm), (missed, hit) = confusion
    sensitivity, specificity = Labelled(hit, hit + missed), Labelled(clean, clean + alarm)
    se, sp = (wilson(s.right, s.n) for s in (sensitivity, specificity))
    J = sensitivity.share + specificity.share - 1
    least = J - math.hypot(sensitivity.share - se.low, specificity.share - sp.low)
    most = min(1.0, J + math.hypot(se.high - sensitivity.share, sp.high - specificity.share))
    if least <= 0.1:
        return (
            gap,
            f"Not corrected for the classifier's errors: with its labels it may be hardly better than a coin (J = {J:.2f}, from {least:.2f}).",
        )
    low, high = gap.interval.low / most, min(1.0, gap.interval.high / least)
    method = f"{gap.interval.method}; Rogan-Gladen"
    value = min(1.0, gap.value / J)
    held = Interval(min(low, value), max(high, value), gap.interval.level, method)
    return Gap(gap.outcome, gap.category, value, held, gap.between), ""


def two_classes(attributes: tuple[Attribute, ...]) -> tuple[tuple[int, ...], ...]:
    """Return the confusion matrix of a classifier of two values, or nothing where nobody counted."""
    found = attributes[0].confusion if attributes else ()
    return found if len(found) == 2 and all(len(row) == 2 for row in found) else ()
