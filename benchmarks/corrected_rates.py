"""Intervals of a rate read by a classifier that errs, beside truescore's: coverage, width, and width at equal coverage.

    pip install truescore
    python benchmarks/corrected_rates.py [--repeats 2000] [--labels 300] [--examples 5000]

A classifier reads all examples and people label some, drawn at random. Sensitivity and specificity are counted on those labels (Rogan-Gladen), or the labels
correct the readings directly (PPI++, double sampling). Each method is asked at many levels: its width at equal coverage is the mean width at the least level that
holds the truth in 95 % of the runs, so that an interval is not called narrow because it misses. A method that never does has no such width. Refusals count
as no answer: they are given beside, and coverage is of the answers.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from audit.core.errors import UndefinedError
from audit.stats.hand_labels import labelled_rate
from audit.stats.misclassification import Labelled, corrected_rate

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
                    break
                held[name][run, place] = found
    result = {}
    for name, bounds in held.items():
        answered = np.isfinite(bounds[:, LEVELS.index(NOMINAL), 0])
        inside = (bounds[..., 0] <= prevalence) & (bounds[..., 1] >= prevalence)
        if not answered.any():
            result[name] = (1.0, np.nan, np.nan, None, None)
            continue
        coverage, width = (
            inside[answered].mean(axis=0),
            (bounds[..., 1] - bounds[..., 0])[answered].mean(axis=0),
        )
        enough = np.flatnonzero(coverage >= NOMINAL)
        at = LEVELS.index(NOMINAL)
        least = int(enough[0]) if len(enough) else None
        result[name] = (
            1 - float(answered.mean()),
            float(coverage[at]),
            float(width[at]),
            None if least is None else LEVELS[least],
            None if least is None else float(width[least]),
        )
    return result


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    options.add_argument("--repeats", type=int, default=2000)
    options.add_argument("--labels", type=int, default=300)
    options.add_argument("--examples", type=int, default=5000)
    given = options.parse_args()
    methods: dict[str, Method] = {"ours, Rogan-Gladen": rogan_gladen, "ours, labels by hand": by_hand}
    try:
        methods |= {
            "truescore, Rogan-Gladen": theirs("rogan_gladen_estimate"),
            "truescore, PPI++": theirs("ppi_estimate"),
        }
    except ImportError:
        print("truescore is not installed, so only our methods are shown: pip install truescore")
    print(f"{given.repeats:,} runs of {given.examples:,} examples, {given.labels:,} of them labelled\n")
    print(
        "| prevalence | sens. | spec. | method | refused | coverage at 95 % | width at 95 % | level for 95 % | width there |"
    )
    print("|--:|--:|--:|---|--:|--:|--:|--:|--:|")
    for setting in SETTINGS:
        found = measured(methods, setting, given.examples, given.labels, given.repeats)
        for name, (refused, coverage, width, level, there) in found.items():
            equal = "never | – " if level is None or there is None else f"{level:g} | {there:.4f} "
            print(
                f"| {setting[0]:g} | {setting[1]:g} | {setting[2]:g} | {name} | {refused:.1%} | {coverage:.3f} | {width:.4f} | {equal}|",
                flush=True,
            )


if __name__ == "__main__":
    main()
