"""Do answers depend on who asks? Kernel distances between groups of people, with the people themselves as chance.

Every person asks the same requests. The kernel between two people is the mean over requests of the kernel between their answers, so that people are the
units: answers of two people of one group differ too, and only what groups differ beyond that counts. The distance of two groups is the unbiased squared
MMD over people (Gretton et al. 2012), where nobody is compared with themselves.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from audit.core.errors import UndefinedError
from audit.core.measurements import Interval
from audit.stats.permutation import benjamini_hochberg, p_value, westfall_young
from audit.stats.proportions import normal_quantile

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]

LEAST = 5
"""People of a group below which it is not compared."""
_DRAWS = 20_000


@dataclass(frozen=True, slots=True)
class Personal:
    """Distances between groups: their mean over pairs, the share of variety that the group explains, each pair (p,), each request (r,).

    ``first`` and ``second`` are the groups of each pair; ``low`` and ``high`` hold for all pairs together; ``pair_p`` is adjusted by max-T, ``request_p`` by
    Benjamini and Hochberg.
    """

    distance: float
    interval: Interval
    p: float
    share: float
    share_interval: Interval
    first: Whole
    second: Whole
    pairs: Floats
    low: Floats
    high: Floats
    pair_p: Floats
    requests: Floats
    request_p: Floats
    people: int


def kernels(answers: Floats) -> Floats:
    """Return Gaussian kernels between people for each request, shape (requests, people, people), from answers (requests, people, draws, d).

    The bandwidth is the median distance between answers of two people to one request. Raises UndefinedError where all of them are the same.
    """
    requests, people, draws, _ = answers.shape
    flat = answers.reshape(requests, people * draws, -1)
    apart = np.stack([_squared(rows) for rows in flat])
    owner = np.repeat(np.arange(people), draws)
    others = apart[:, owner[:, None] < owner]
    seen = others[others > 1e-12 * max(float(others.max(initial=0.0)), 1e-300)]
    if not seen.size:
        raise UndefinedError("everybody gets the same answers")
    values = np.exp(-apart / (2 * float(np.median(seen))))
    return np.asarray(values.reshape(requests, people, draws, people, draws).mean(axis=(2, 4)))


def _squared(rows: Floats) -> Floats:
    norms = np.square(rows).sum(axis=1)
    return np.asarray(np.maximum(norms[:, None] + norms - 2 * rows @ rows.T, 0.0))


def compared(
    each: Floats, groups: Whole, rng: np.random.Generator, level: float = 0.95, permutations: int = 999
) -> Personal:
    """Compare groups of people by the kernels of each request, shape (requests, people, people); ``groups`` (people,) are 0, 1, ….

    Intervals: delete-a-person jackknife, for all pairs at once with the quantile of the largest (max-t); on the safe side where nothing differs.
    p-values: groups shuffled over people. Raises UndefinedError below two groups of five people.
    """
    sizes = np.bincount(groups)
    if len(sizes) < 2 or sizes.min() < LEAST:
        raise UndefinedError(f"it takes two groups of {LEAST} people; there are {', '.join(map(str, sizes))}")
    whole = each.mean(axis=0)
    first, second = np.array(list(combinations(range(len(sizes)), 2))).T
    pairs = _pairs(_sums(whole, groups, len(sizes)), sizes, first, second)
    mean, share = _whole(pairs, whole, groups, sizes)
    left = np.array([_without(whole, groups, person, first, second) for person in range(len(groups))])
    centred = left - np.stack([left[groups == g].mean(axis=0) for g in range(len(sizes))])[groups]
    weights = ((sizes - 1) / sizes)[groups]
    covariance = (weights[:, None] * centred).T @ centred
    errors = np.sqrt(np.maximum(np.diag(covariance), 0.0))
    critical = _largest(covariance[2:, 2:], rng, level)
    shuffled = np.array([rng.permutation(groups) for _ in range(permutations)])
    drawn = np.stack([_pairs(_sums(whole, g, len(sizes)), sizes, first, second) for g in shuffled])
    spread = np.maximum(drawn.std(axis=0), 1e-300)
    by_request = np.array([_pairs(_sums(k, groups, len(sizes)), sizes, first, second).mean() for k in each])
    request_draws = np.stack(
        [
            [_pairs(_sums(k, g, len(sizes)), sizes, first, second).mean() for k in each]
            for g in shuffled[: min(permutations, 499)]
        ]
    )
    reach = normal_quantile((1 + level) / 2) * errors
    method = "delete-a-person jackknife"
    return Personal(
        distance=mean,
        interval=Interval(mean - float(reach[0]), mean + float(reach[0]), level, method),
        p=p_value(mean, drawn.mean(axis=1)),
        share=share,
        share_interval=Interval(share - float(reach[1]), share + float(reach[1]), level, method),
        first=first,
        second=second,
        pairs=pairs,
        low=pairs - critical * errors[2:],
        high=pairs + critical * errors[2:],
        pair_p=np.asarray(westfall_young(pairs / spread, drawn / spread)),
        requests=by_request,
        request_p=np.asarray(
            benjamini_hochberg([p_value(o, d) for o, d in zip(by_request, request_draws.T, strict=True)])
        ),
        people=len(groups),
    )


def _sums(kernel: Floats, groups: Whole, k: int) -> Floats:
    """Return sums of the kernel between groups, shape (k, k); nobody meets themselves."""
    member = np.eye(k)[groups]
    return np.asarray(member.T @ (kernel - np.diag(np.diag(kernel))) @ member)


def _pairs(sums: Floats, sizes: Whole, first: Whole, second: Whole) -> Floats:
    within = np.diag(sums) / (sizes * (sizes - 1))
    between = sums[first, second] / (sizes[first] * sizes[second])
    return np.asarray(within[first] + within[second] - 2 * between)


def _whole(pairs: Floats, kernel: Floats, groups: Whole, sizes: Whole) -> tuple[float, float]:
    """Return the mean distance over pairs, and the share of the variety of answers to a request that the group explains."""
    k = len(sizes)
    sums = _sums(kernel, groups, k)
    counts = np.outer(sizes, sizes) - np.diag(sizes)
    alike = float((sums / counts).mean())
    mean = float(pairs.mean())
    total = 1 - alike
    return mean, mean / 2 * (k - 1) / k / total if total > 0 else 0.0


def _without(kernel: Floats, groups: Whole, person: int, first: Whole, second: Whole) -> Floats:
    kept = np.arange(len(groups)) != person
    rest, own = kernel[np.ix_(kept, kept)], groups[kept]
    sizes = np.bincount(own)
    pairs = _pairs(_sums(rest, own, len(sizes)), sizes, first, second)
    return np.array([*_whole(pairs, rest, own, sizes), *pairs])


def _largest(covariance: Floats, rng: np.random.Generator, level: float) -> float:
    """Return the quantile of the largest of correlated standard normals, in the place of z."""
    errors = np.sqrt(np.maximum(np.diag(covariance), 1e-300))
    values, vectors = np.linalg.eigh(covariance / np.outer(errors, errors))
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    largest = np.abs(rng.standard_normal((_DRAWS, len(errors))) @ root.T).max(axis=1)
    return max(float(np.quantile(largest, level)), normal_quantile((1 + level) / 2))


def typical(answers: Floats) -> float:
    """Return the root of the median squared distance between answers to one request, 0 where all are the same."""
    flat = answers.reshape(len(answers), -1, answers.shape[-1])
    apart = np.concatenate([_squared(rows)[np.triu_indices(len(rows), 1)] for rows in flat])
    seen = apart[apart > 0]
    return math.sqrt(float(np.median(seen))) if seen.size else 0.0
