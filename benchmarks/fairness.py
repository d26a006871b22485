"""False alarms, power and coverage of the fairness measures of images, and their speed beside fairlearn's bootstrap.

    python benchmarks/fairness.py [--repeats 200] [--samples 2000] [--rows 10000]

People are drawn from the world 'portraits' as numbers, without pictures, and read with the errors that the confusion
matrix of ``portraits-attributes`` counts. A clean model draws from the world of the data, its twin where the planted associations are twice as strong
(``skew`` 1 instead of 0.5). A false alarm is a lower end above the bound: 1.25 for amplification, 0.2 for distances.
"""

from __future__ import annotations

import argparse
import time
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from audit.data.worlds.portraits.factors import FACTORS, network
from audit.features.portraits_attributes import PortraitsAttributes
from audit.stats.associations import Amplified, Pair, Tables, amplification, cells, drawn_inverses
from audit.stats.shares import Side, variation

Codes = NDArray[np.int64]

NAMES = tuple(FACTORS)
WIDTHS = tuple(len(values) for values in FACTORS.values())
CHOSEN = tuple(NAMES.index(name) for name in ("occupation", "skin_tone", "presentation", "age"))
PAIRS = tuple(combinations(CHOSEN, 2))
STRONGER, FARTHER = 1.25, 0.2


def drawn(n: int, skew: float, rng: np.random.Generator) -> Codes:
    """Draw people of the world and read them with the reader's errors, shape (n, factors)."""
    codes: dict[str, NDArray[np.intp]] = {}
    for node in network(skew):
        codes[node.name] = node.choose(codes, rng.integers(0, 2**32, n, dtype=np.uint32))
    read = np.stack([codes[name] for name in NAMES], axis=1)
    for k, name in enumerate(NAMES):
        counts = PortraitsAttributes.confusion(name)
        ends = np.cumsum(counts / counts.sum(axis=1, keepdims=True), axis=1)
        seen = (rng.random(n)[:, None] >= ends[read[:, k]]).sum(axis=1)
        read[:, k] = np.minimum(seen, WIDTHS[k] - 1)
    return read


def compared(
    ours: Tables, theirs: Tables, inverses: list[list[NDArray[np.float64]]], rng: np.random.Generator
) -> tuple[Amplified, list[Pair]]:
    both = [(ours.pair(i, j), theirs.pair(i, j)) for i, j in PAIRS]
    read = [Pair.of(*one) for one in both]
    corrected = [Pair.of(*one, (inverses[i], inverses[j])) for one, (i, j) in zip(both, PAIRS, strict=True)]
    return amplification(read, corrected, rng), read


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    options.add_argument("--repeats", type=int, default=200)
    options.add_argument("--samples", type=int, default=2000)
    options.add_argument("--rows", type=int, default=10_000)
    given = options.parse_args()
    rng = np.random.default_rng(5)
    inverses = [drawn_inverses(PortraitsAttributes.confusion(name), rng) for name in NAMES]
    counts = dict.fromkeys(
        (
            "false alarm, association",
            "all slopes held",
            "any cell",
            "caught",
            "false alarm, shares",
            "all distances held",
        ),
        0,
    )
    for _ in range(given.repeats):
        data, clean, twin = (
            drawn(n, skew, rng) for n, skew in ((given.rows, 0.5), (given.samples, 0.5), (given.samples, 1.0))
        )
        tables = [Tables.of(codes, WIDTHS) for codes in (data, clean, twin)]
        found, read = compared(tables[1], tables[0], inverses, rng)
        counts["false alarm, association"] += bool(np.nanmax(found.low) > STRONGER)
        counts["all slopes held"] += bool(((found.low <= 1) & (found.high >= 1))[found.judged].all())
        counts["any cell"] += bool((cells(read).adjusted < 0.05).any())
        counts["caught"] += bool(np.nanmax(compared(tables[2], tables[0], inverses, rng)[0].low) > STRONGER)
        spread = [
            variation(Side.of(clean[:, k], w), Side.of(data[:, k], w), inverses[k], 1 - 0.05 / len(WIDTHS))
            for k, w in enumerate(WIDTHS)
        ]
        counts["false alarm, shares"] += any(v.interval.low > FARTHER for v in spread)
        counts["all distances held"] += all(v.interval.low == 0 for v in spread)
    print(f"{given.repeats} repeats, {given.samples:,} samples, {given.rows:,} rows of data")
    for name, count in counts.items():
        print(f"  {name:26s} {count / given.repeats:7.1%}")
    speed()


def speed(groups: int = 6, rows: int = 6_000, draws: int = 1_000) -> None:
    """Time 1,000 bootstrap replicates of a table of rates by group, and the interval of the largest gap: fairlearn's ``ci_method`` and ours.

    Resampling rows is drawing the counts of (group, hit) from one multinomial, so ours draws counts; both give every cell of the same table.
    """
    from fairlearn.metrics import MetricFrame, mean_prediction

    from audit.stats.simultaneous import rate_gaps

    rng = np.random.default_rng(0)
    group, hits = np.repeat(np.arange(groups), rows // groups), (rng.random(rows) < 0.3).astype(float)
    began = time.perf_counter()
    frame = MetricFrame(
        metrics=mean_prediction, y_true=hits, y_pred=hits, sensitive_features=group, n_boot=draws,
        ci_quantiles=[0.025, 0.975], random_state=0,
    )  # fmt: skip
    cells = np.stack([np.asarray(one, np.float64) for one in frame.by_group_ci])
    theirs = [float(x) for x in frame.difference_ci()]
    between = time.perf_counter()
    table = np.bincount(2 * group + hits.astype(np.int64), minlength=2 * groups)
    drawn = rng.multinomial(rows, table / rows, draws).reshape(draws, groups, 2)
    ours_cells = np.quantile(drawn[..., 1] / drawn.sum(axis=-1), [0.025, 0.975], axis=0)
    after = time.perf_counter()
    ours = rate_gaps(table[1::2], table.reshape(groups, 2).sum(axis=1), rng, draws=draws).spread
    ended = time.perf_counter()
    taken = between - began
    print(f"{draws:,} replicates of a table of {groups} equal groups of {rows // groups:,}")
    print(f"  fairlearn, table and gap           {taken:8.3f} s, gap [{theirs[0]:.3f}, {theirs[1]:.3f}]")
    print(
        f"  ours, the same table               {after - between:8.5f} s, {taken / (after - between):,.0f} times as fast; "
        f"ends differ by {np.abs(cells - ours_cells).max():.4f} at most"
    )
    print(
        f"  ours, gap that may be 0            {ended - after:8.5f} s, gap [{ours.low:.3f}, {ours.high:.3f}], "
        f"{taken / (ended - between):,.0f} times as fast with the table"
    )


if __name__ == "__main__":
    main()
