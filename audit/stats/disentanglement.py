"""Which unit of a code says what of which factor: mutual information gap (MIG) and the DCI scores, with the part of chance off."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from audit.core.errors import UndefinedError
from audit.core.measurements import Interval

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

BINS = 20
GROUPS = 20
"""Random groups of examples that are left out one at a time; every other one is in the same half."""
HALVINGS = 4
_TREES, _LEAF = 20, 5


@dataclass(frozen=True, slots=True)
class Gap:
    """The mutual information gap of one factor: value and standard error; ``plain`` is the published estimate.

    ``information`` is that of each unit over the factor's entropy, shape (units,); ``unit`` the one that says most.
    """

    value: float
    error: float
    plain: float
    unit: int
    information: Floats
    left_out: Floats
    """The gap without each group of examples, shape (groups,)."""


def information_gap(codes: ArrayLike, factor: ArrayLike, groups: ArrayLike) -> Gap:
    """Return the mutual information gap of one factor (Chen et al. 2018), shapes (n, units), (n,) and (n,).

    Units are cut into 20 bins of equal width (as Locatello et al. 2019). ``plain`` is ``(I_1 - I_2) / H`` of the two units that say the most,
    which is above 0 for units that say nothing. ``value`` chooses both on the even groups and measures them on the odd ones, and
    the other way round, with Miller and Madow's correction of each information: 0 on average where nothing is to be found.
    The error is a jackknife over groups: cautious where cells are sparse (simulated .97 to 1 at 600 examples). Raises UndefinedError below two units or two kinds.
    """
    x, kinds = np.asarray(codes, dtype=np.float64), np.asarray(factor, dtype=np.int64)
    group = np.asarray(groups, dtype=np.int64)
    k = int(kinds.max(initial=-1)) + 1
    if x.shape[1] < 2 or k < 2:
        raise UndefinedError(
            f"a gap takes two units and two kinds; there are {x.shape[1]} units and {k} kinds"
        )
    counts = _counts(_binned(x), kinds, k, group)
    whole = counts.sum(axis=0)
    plain, entropy = _informations(whole[None], corrected=False)[0], _entropy(whole[0].sum(axis=0)[None])[0]
    top = np.sort(plain)[::-1]
    halves = [counts[which::2].sum(axis=0) for which in (0, 1)]
    value = _cross_fitted(halves[0][None], halves[1][None])[0]
    without = np.empty(len(counts))
    for which in (0, 1):
        smaller = halves[which] - counts[which::2]
        without[which::2] = _cross_fitted(smaller, halves[1 - which][None])
    g = len(without)
    error = math.sqrt((g - 1) / g * float(np.square(without - without.mean()).sum()))
    return Gap(
        value=float(value),
        error=error,
        plain=float((top[0] - top[1]) / entropy),
        unit=int(plain.argmax()),
        information=plain / entropy,
        left_out=without,
    )


def mean_gap(gaps: Sequence[Gap]) -> tuple[float, float]:
    """Return the mean gap over factors of the same examples, and its standard error."""
    without = np.mean([gap.left_out for gap in gaps], axis=0)
    g = len(without)
    error = math.sqrt((g - 1) / g * float(np.square(without - without.mean()).sum()))
    return float(np.mean([gap.value for gap in gaps])), error


def jackknife_interval(value: float, error: float, level: float) -> Interval:
    """Return ``value ± t SE`` for a jackknife over the groups."""
    from scipy import special

    reach = float(special.stdtrit(GROUPS - 1, (1 + level) / 2)) * error
    return Interval(value - reach, value + reach, level, f"jackknife over {GROUPS} groups of examples")


def _binned(x: Floats) -> Ints:
    low, high = x.min(axis=0), x.max(axis=0)
    width = np.where(high > low, high - low, 1.0)
    return np.asarray(np.minimum((x - low) / width * BINS, BINS - 1), dtype=np.int64)


def _counts(bins: Ints, kinds: Ints, k: int, group: Ints) -> Floats:
    """Return how many examples of each group have a unit in a bin and are of a kind, shape (groups, units, bins, kinds)."""
    g, units = GROUPS, bins.shape[1]
    cell = ((group[:, None] * units + np.arange(units)) * BINS + bins) * k + kinds[:, None]
    counts = np.bincount(cell.ravel(), minlength=g * units * BINS * k)
    return counts.reshape(g, units, BINS, k).astype(np.float64)


def _entropy(counts: Floats) -> Floats:
    """Return the entropy of counts along the last axis in nats."""
    total = counts.sum(axis=-1, keepdims=True)
    share = counts / np.maximum(total, 1)
    return np.asarray(-(share * np.log(np.where(share > 0, share, 1.0))).sum(axis=-1))


def _informations(counts: Floats, *, corrected: bool = True) -> Floats:
    """Return the mutual information of bins and kinds, shape (…), from counts (…, bins, kinds); ``corrected`` by Miller and Madow (1955)."""
    joint = counts.reshape(*counts.shape[:-2], -1)
    bins, kinds = counts.sum(axis=-1), counts.sum(axis=-2)
    found = _entropy(bins) + _entropy(kinds) - _entropy(joint)
    if corrected:
        seen = [(part > 0).sum(axis=-1) for part in (bins, kinds, joint)]
        found = found + (seen[0] + seen[1] - seen[2] - 1) / (2 * np.maximum(joint.sum(axis=-1), 1))
    return np.asarray(found)


def _cross_fitted(first: Floats, second: Floats) -> Floats:
    """Return the gap of units chosen on one half and measured on the other, mean of both ways, for stacks of halves that broadcast."""
    a, b = _informations(first), _informations(second)
    shape = np.broadcast_shapes(a.shape, b.shape)
    a, b = np.broadcast_to(a, shape), np.broadcast_to(b, shape)
    ways = []
    for chosen, measured, counts in ((a, b, second), (b, a, first)):
        order = np.argsort(-chosen, axis=1, kind="stable")[:, :2]
        picked = np.take_along_axis(measured, order, axis=1)
        entropy = _entropy(counts[:, 0].sum(axis=1))
        ways.append((picked[:, 0] - picked[:, 1]) / np.maximum(entropy, 1e-12))
    return np.asarray((ways[0] + ways[1]) / 2)


def halvings_interval(value: float, error: float, level: float) -> Interval:
    """Return ``value ± t SE`` for errors of halves, within 1."""
    from scipy import special

    reach = float(special.stdtrit(2 * HALVINGS - 1, (1 + level) / 2)) * error
    return Interval(
        value - reach,
        max(min(value + reach, 1.0), value),
        level,
        f"delete-half jackknife, {HALVINGS} halvings",
    )


@dataclass(frozen=True, slots=True)
class Importances:
    """DCI scores with standard errors, and how much each unit counts for each factor, shape (units, factors), columns of sum 1.

    ``informativeness`` has one value and one error a factor: how far the share of right guesses is from that of always guessing
    the most frequent kind, towards all.
    """

    disentanglement: float | None
    disentanglement_error: float
    completeness: float
    completeness_error: float
    informativeness: Floats
    informativeness_error: Floats
    importance: Floats


def dci(codes: ArrayLike, factors: Sequence[ArrayLike], rng: np.random.Generator) -> Importances:
    """Return disentanglement, completeness and informativeness (Eastwood & Williams 2018), factors of shape (n,) each.

    A random forest reads each factor off the codes of a random half and is tried on the other; the scores are means over both halves of
    four halvings, their spread the standard error of the whole (delete-half jackknife; cautious, two to three times what it was in
    simulations, for it holds the chance in one forest). Examples with a factor of -1 are
    not read. Disentanglement is None for a single factor.
    """
    x = np.asarray(codes, dtype=np.float64)
    kinds = [np.asarray(factor, dtype=np.int64) for factor in factors]
    runs = []
    for _ in range(HALVINGS):
        first = np.zeros(len(x), dtype=np.bool_)
        first[rng.permutation(len(x))[: len(x) // 2]] = True
        for half in (first, ~first):
            fits = [_forest(x, kind, half, rng) for kind in kinds]
            importance = np.stack([fit[0] for fit in fits], axis=1)
            read = np.array([fit[1] for fit in fits])
            runs.append((*scores_of(importance), read, importance))
    apart, complete, read, importance = zip(*runs, strict=True)
    some = None if apart[0] is None else np.array(apart, dtype=np.float64)
    return Importances(
        disentanglement=None if some is None else float(some.mean()),
        disentanglement_error=0.0 if some is None else float(some.std(ddof=1)),
        completeness=float(np.mean(complete)),
        completeness_error=float(np.std(complete, ddof=1)),
        informativeness=np.mean(read, axis=0),
        informativeness_error=np.std(read, axis=0, ddof=1),
        importance=np.mean(importance, axis=0),
    )


def scores_of(importance: Floats) -> tuple[float | None, float]:
    """Return disentanglement and completeness of importances (units, factors): 1 minus entropies of rows, weighted, and of columns."""
    units, factors = importance.shape
    weight = importance.sum(axis=1)
    total = float(weight.sum())
    if total <= 0:
        return (None if factors < 2 else 0.0), 0.0
    apart = None
    if factors > 1:
        rows = 1 - _entropy(importance / np.maximum(weight, 1e-300)[:, None]) / math.log(factors)
        apart = float((rows * weight).sum() / total)
    columns = importance.sum(axis=0)
    alone = 1 - _entropy((importance / np.maximum(columns, 1e-300)).T) / math.log(max(units, 2))
    return apart, float(np.where(columns > 0, alone, 0.0).mean())


def _forest(
    x: Floats, kinds: Ints, half: NDArray[np.bool_], rng: np.random.Generator
) -> tuple[Floats, float]:
    """Return the importances of a forest that is fitted on one half, and how well it reads the other."""
    from sklearn.ensemble import RandomForestClassifier

    known = kinds >= 0
    fitted, tried = half & known, ~half & known
    forest = RandomForestClassifier(
        _TREES, min_samples_leaf=_LEAF, random_state=int(rng.integers(2**31)), n_jobs=1
    )
    forest.fit(x[fitted], kinds[fitted])
    right = float((forest.predict(x[tried]) == kinds[tried]).mean())
    often = np.bincount(kinds[fitted]).argmax()
    guessed = float((kinds[tried] == often).mean())
    return np.asarray(forest.feature_importances_, np.float64), (right - guessed) / max(1 - guessed, 1e-12)
