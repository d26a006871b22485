"""What a reader sees of pronoun associations: every occupation's score, and the fitted line with its band."""

from __future__ import annotations

from typing import Any

import numpy as np

from audit.core.measurements import Evidence
from audit.evaluators.fairness.pronouns.questions import occupations
from audit.evaluators.fairness.pronouns.recipes import Draws
from audit.evaluators.fairness.pronouns.scores import Association
from audit.stats.correlation import slopes


def table(found: Association) -> Evidence:
    import pyarrow as pa

    order = np.argsort(found.g, kind="stable")
    listed = {occupation.name: occupation.table_row for occupation in occupations()}
    columns: dict[str, Any] = {
        "occupation": [found.names[i] for i in order],
        "women, %": found.percent[order],
        "g, nats": found.g[order].round(4),
    }
    if found.they.any():
        columns["share of 'they'"] = found.they[order].round(4)
    if found.swapped is not None:
        columns["swapped order, nats"] = found.swapped[order].round(4)
        columns["table row"] = [listed.get(found.names[i], "") for i in order]
    return Evidence(
        "table", "Each occupation's score, from 'he' to 'she'", pa.table(columns), sensitive=False
    )


def line(found: Association, draws: Draws) -> Evidence:
    import pyarrow as pa

    percent = np.linspace(1, 99, 50)
    odds = np.log(percent / (100 - percent))
    xs, ys = found.odds[draws.occupations], found.resampled(draws.occupations, draws.neutral, draws.items)
    rise = slopes(xs, ys)
    lines = ys.mean(axis=1)[:, None] + rise[:, None] * (odds - xs.mean(axis=1)[:, None])
    low, high = np.nanquantile(lines, [0.025, 0.975], axis=0)
    fit = found.g.mean() + float(slopes(found.odds, found.g)) * (odds - found.odds.mean())
    return Evidence(
        "curve",
        "Fitted g (y, nats, with its 95% band) against the percentage of women in the occupation (x)",
        pa.table({"x": percent, "y": fit, "low": low, "high": high}),
        sensitive=False,
    )
