"""Intervals of a rate read by a classifier that errs, beside truescore's: coverage, width, and width at equal coverage.

    pip install truescore
    python benchmarks/corrected_rates.py [--repeats 2000] [--labels 300] [--examples 5000] [--elsewhere 100 200]

A classifier reads all examples and people label some, drawn at random. Sensitivity and specificity are counted on those labels (Rogan-Gladen), or the labels
correct the readings directly (PPI++, double sampling). Each method is asked at many levels: its width at equal coverage is the mean width at the least level that
holds the truth in 95 % of the runs, so that an interval is not called narrow because it misses. A method that never does has no such width. Refusals count
as no answer: they are given beside, and coverage is of the answers.

Those labels are of audited examples, so truescore may use them and our Rogan-Gladen, which is for errors that were counted elsewhere, may not: their chance
is then shared with the readings, and both formulas take them for independent. `--elsewhere POSITIVES NEGATIVES` compares like with like: so many labels of each
class, of other examples. truescore takes no such counts, so its formula (the delta method) is applied to them; it is checked against truescore first.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audit.core.errors import UndefinedError
from audit.stats.hand_labels import labelled_rate
from audit.stats.misclassification import Labelled, corrected_rate, lang_reiczigel
from audit.stats.proportions import normal_quantile

LEVELS = (0.5, 0.7, 0.8, 0.85, 0.88, 0.9, 0.92, 0.93, 0.94, 0.95, 0.96, 0.97, 0.98, 0.99, 0.995, 0.999)
SETTINGS = (
    (0.1, 0.92, 0.88),
    (0.3, 0.8, 0.9),
    (0.5, 0.9, 0.9),
    (0.05, 0.9, 0.95),
    (0.02, 0.9, 0.98),
    (0.005, 0.9, 0.98),
)
"""Prevalence, sensitivity, specificity."""
NOMINAL = 0.95

Whole = NDArray[np.int64]
Method = Callable[[Whole, Whole, float], tuple[float, float] | None]


def rogan_gladen(labels: Whole, read: Whole, level: float) -> tuple[float, float] | None:
    known = labels >= 0
    yes, no = read[known & (labels == 1)], read[known & (labels == 0)]
    if not len(yes) or not len(no):
        return None
    try:
        found = corrected_rate(
            int(read.sum()),
            len(read),
            Labelled(int(yes.sum()), len(yes)),
            Labelled(int((1 - no).sum()), len(no)),
            level,
        )
    except UndefinedError:
        return None
    return found.interval.low, found.interval.high


def by_hand(labels: Whole, read: Whole, level: float) -> tuple[float, float] | None:
    try:
        _, interval = labelled_rate(labels, read, 1, level)
    except UndefinedError:
        return None
    return interval.low, interval.high


def theirs(name: str) -> Method:
    """Return a method of truescore; its refusals are ValueErrors."""
    from truescore import correct

    method = getattr(correct, name)

    def interval(labels: Whole, read: Whole, level: float) -> tuple[float, float] | None:
        places = np.flatnonzero(labels >= 0)
        try:
            found = method(read, labels[places], places, alpha=1 - level)
        except ValueError:
            return None
        return max(found.low, 0.0), min(found.high, 1.0)

    return interval


def measured(
    methods: dict[str, Method], setting: tuple[float, float, float], n: int, labels: int, repeats: int
) -> dict[str, tuple[float, float, float, float | None, float | None]]:
    """Return of each method: share refused, coverage and width at 95 %, and at equal coverage the level and the width."""
    prevalence, se, sp = setting
    rng = np.random.default_rng(17)
    held = {name: np.full((repeats, len(LEVELS), 2), np.nan) for name in methods}
    for run in range(repeats):
        truth = (rng.random(n) < prevalence).astype(np.int64)
        read = np.where(truth == 1, rng.random(n) < se, rng.random(n) >= sp).astype(np.int64)
        given = np.full(n, -1)
        given[rng.permutation(n)[:labels]] = 0
        given = np.where(given == 0, truth, -1)
        for name, method in methods.items():
            for place, level in enumerate(LEVELS):
                if (found := method(given, read, level)) is None:
                    continue
                held[name][run, place] = found
    return {name: summary(bounds, prevalence) for name, bounds in held.items()}


def summary(
    bounds: NDArray[np.float64], prevalence: float
) -> tuple[float, float, float, float | None, float | None]:
    """Return share refused, coverage and width at 95 %, and the level and width at equal coverage, of ends (runs, levels, 2)."""
    at = LEVELS.index(NOMINAL)
    answered = np.isfinite(bounds[:, at, 0])
    if not answered.any():
        return 1.0, np.nan, np.nan, None, None
    some = bounds[answered]
    inside = (some[..., 0] <= prevalence) & (some[..., 1] >= prevalence)
    coverage = inside.mean(axis=0)  # an empty interval at a lower level is a miss
    width = np.nanmean(some[..., 1] - some[..., 0], axis=0)
    enough = np.flatnonzero(coverage >= NOMINAL)
    least = int(enough[0]) if len(enough) else None
    return (
        1 - float(answered.mean()),
        float(coverage[at]),
        float(width[at]),
        None if least is None else LEVELS[least],
        None if least is None else float(width[least]),
    )


Counted = Callable[[int, int, Labelled, Labelled, float], tuple[float, float] | None]


def delta(x: int, n: int, se: Labelled, sp: Labelled, level: float) -> tuple[float, float] | None:
    """Return truescore's interval (rogan_gladen_estimate, 0.7.4) of counts: the delta method, three shares taken for independent."""
    youden, q = se.share + sp.share - 1, x / n
    if youden <= 0:
        return None
    rate = (q + sp.share - 1) / youden
    parts = (
        (q, n, 1.0),
        (se.share, se.n, rate),
        (sp.share, sp.n, 1 - rate),
    )
    variance = sum(weight**2 * p * (1 - p) / size for p, size, weight in parts) / youden**2
    half = normal_quantile((1 + level) / 2) * math.sqrt(variance)
    return min(max(rate - half, 0.0), 1.0), min(max(rate + half, 0.0), 1.0)


def counted(found: Callable[..., object]) -> Counted:
    """Return an interval of this package's as its two ends; refusals are None."""

    def interval(x: int, n: int, se: Labelled, sp: Labelled, level: float) -> tuple[float, float] | None:
        try:
            held = found(x, n, se, sp, level)
        except UndefinedError:
            return None
        held = getattr(held, "interval", held)
        return held.low, held.high

    return interval


def check_delta() -> None:
    """Stop where ``delta`` is not what truescore answers."""
    rng = np.random.default_rng(1)
    read = (rng.random(5000) < 0.2).astype(np.int64)
    labels = np.full(5000, -1)
    labels[:300] = np.where(rng.random(300) < 0.9, read[:300], 1 - read[:300])
    yes, no = read[labels == 1], read[labels == 0]
    ours = delta(
        int(read.sum()),
        5000,
        Labelled(int(yes.sum()), len(yes)),
        Labelled(int((1 - no).sum()), len(no)),
        NOMINAL,
    )
    np.testing.assert_allclose(
        np.array(ours), np.array(theirs("rogan_gladen_estimate")(labels, read, NOMINAL))
    )


def elsewhere(
    methods: dict[str, Counted],
    setting: tuple[float, float, float],
    n: int,
    labels: tuple[int, int],
    repeats: int,
) -> dict[str, tuple[float, float, float, float | None, float | None]]:
    """Return the same as ``measured`` where the errors were counted on so many other examples of each class."""
    prevalence, se, sp = setting
    rng = np.random.default_rng(17)
    held = {name: np.full((repeats, len(LEVELS), 2), np.nan) for name in methods}
    for run in range(repeats):
        x = int(rng.binomial(n, prevalence * se + (1 - prevalence) * (1 - sp)))
        right = [Labelled(int(rng.binomial(k, p)), k) for k, p in zip(labels, (se, sp), strict=True)]
        for name, method in methods.items():
            for place, level in enumerate(LEVELS):
                if (found := method(x, n, right[0], right[1], level)) is None:
                    continue
                held[name][run, place] = found
    return {name: summary(bounds, prevalence) for name, bounds in held.items()}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    options.add_argument("--repeats", type=int, default=2000)
    options.add_argument("--labels", type=int, default=300)
    options.add_argument("--examples", type=int, default=5000)
    options.add_argument("--elsewhere", type=int, nargs=2, metavar=("POSITIVES", "NEGATIVES"))
    given = options.parse_args()
    if given.elsewhere:
        compare_elsewhere(given.examples, tuple(given.elsewhere), given.repeats)
        return
    methods: dict[str, Method] = {"ours, Rogan-Gladen": rogan_gladen, "ours, labels by hand": by_hand}
    try:
        methods |= {
            "truescore, Rogan-Gladen": theirs("rogan_gladen_estimate"),
            "truescore, PPI++": theirs("ppi_estimate"),
        }
    except ImportError:
        print("truescore is not installed, so only our methods are shown: pip install truescore")
    print(f"{given.repeats:,} runs of {given.examples:,} examples, {given.labels:,} of them labelled\n")
    rows = ((s, measured(methods, s, given.examples, given.labels, given.repeats)) for s in SETTINGS)
    show(rows)


def compare_elsewhere(examples: int, labels: tuple[int, int], repeats: int) -> None:
    """Print the table of errors that were counted on other examples."""
    try:
        check_delta()
        checked = "checked against truescore"
    except ImportError:
        checked = "not checked: pip install truescore"
    methods = {
        "ours, Rogan-Gladen": counted(corrected_rate),
        "Lang-Reiczigel": counted(lang_reiczigel),
        "truescore's formula": delta,
    }
    print(
        f"{repeats:,} runs of {examples:,} examples, {labels[0]} + {labels[1]} labels of others ({checked})\n"
    )
    show((s, elsewhere(methods, s, examples, labels, repeats)) for s in SETTINGS)


def show(rows: Iterable[tuple[tuple[float, float, float], dict[str, Any]]]) -> None:
    """Print one line for each setting and method."""
    print(
        "| prevalence | sens. | spec. | method | refused | coverage at 95 % | width at 95 % | level for 95 % | width there |"
    )
    print("|--:|--:|--:|---|--:|--:|--:|--:|--:|")
    for setting, found in rows:
        for name, (refused, coverage, width, level, there) in found.items():
            equal = "never | – " if level is None or there is None else f"{level:g} | {there:.4f} "
            print(
                f"| {setting[0]:g} | {setting[1]:g} | {setting[2]:g} | {name} | {refused:.1%} | {coverage:.3f} | {width:.4f} | {equal}|",
                flush=True,
            )


if __name__ == "__main__":
    main()
