"""How often intervals for the TPR at 1 % FPR hold the population's, here and in memaudit, on the same simulated audits.

    pip install memaudit==0.2.0       # not a dependency; only this script uses it
    python benchmarks/low_fpr.py [--audits 4000] [--controls 368 1000 4000] [--members 1000]

Non-members' scores are standard normal, members' one of five distributions of which the TPR at exactly 1 % is known. Each
simulated audit is given to both tools in one process. memaudit puts its threshold at a quantile of the controls and counts members
alone in its interval; the controls' own chance is not in it. "mean" is the mean of the tool's value, "width" that of its interval.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

from audit.stats.low_fpr import tpr_at_fpr

RATE = 0.01
THRESHOLD = 2.3263478740408408
"""Above it lies one in a hundred of a standard normal distribution."""


def above(at: float) -> float:
    """Return the share of a standard normal distribution above a value."""
    return math.erfc(at / math.sqrt(2)) / 2


Draw = Callable[[np.random.Generator, int], np.ndarray[Any, np.dtype[np.float64]]]
MEMBERS: dict[str, tuple[Draw, float]] = {
    "chance": (lambda r, n: r.normal(size=n), RATE),
    "shifted by 0.2": (lambda r, n: r.normal(0.2, 1, n), above(THRESHOLD - 0.2)),
    "shifted by 1": (lambda r, n: r.normal(1, 1, n), above(THRESHOLD - 1)),
    "shifted by 3": (lambda r, n: r.normal(3, 1, n), above(THRESHOLD - 3)),
    "a tenth shifted by 4": (
        lambda r, n: r.normal(size=n) + 4 * (r.uniform(size=n) < 0.1),
        0.1 * above(THRESHOLD - 4) + 0.9 * RATE,
    ),
}


def ours(members: Any, controls: Any) -> tuple[float, float, float]:
    found = tpr_at_fpr(members, controls, np.zeros(len(members)), np.zeros(len(controls)), RATE)
    return found.value, found.interval.low, found.interval.high


def theirs(members: Any, controls: Any) -> tuple[float, float, float]:
    from memaudit.stats import tpr_at_fpr as published

    found = published(members, controls, RATE)
    return found["tpr"], found["ci_low"], found["ci_high"]


def compare(draw: Draw, truth: float, members: int, controls: int, audits: int) -> list[str]:
    """Return, for each tool, how often its interval holds the truth, the mean of its value and the mean width."""
    rng = np.random.default_rng((members, controls))
    found = np.empty((2, audits, 3))
    for i in range(audits):
        x, y = draw(rng, members), rng.normal(size=controls)
        found[0, i], found[1, i] = ours(x, y), theirs(x, y)
    value, low, high = np.moveaxis(found, 2, 0)
    covered, width = ((low <= truth) & (truth <= high)).mean(axis=1), (high - low).mean(axis=1)
    return [f"{c:.1%}, {v:.4f}, {w:.4f}" for c, v, w in zip(covered, value.mean(axis=1), width, strict=True)]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    options.add_argument("--audits", type=int, default=4000)
    options.add_argument("--controls", type=int, nargs="+", default=(368, 1000, 4000))
    options.add_argument("--members", type=int, default=1000)
    given = options.parse_args()
    try:
        other = f"memaudit {version('memaudit')}"
    except PackageNotFoundError:
        raise SystemExit("memaudit is not installed: pip install memaudit==0.2.0") from None
    print(f"{given.audits:,} audits of {given.members:,} members each; coverage, mean value, mean width\n")
    print(f"| controls | members' scores | true TPR | generative-audit | {other} |\n|--:|---|--:|---|---|")
    for controls in given.controls:
        for name, (draw, truth) in MEMBERS.items():
            cells = compare(draw, truth, given.members, controls, given.audits)
            print(f"| {controls:,} | {name} | {truth:.4f} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
