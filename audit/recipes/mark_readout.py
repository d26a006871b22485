"""What tests of an image watermark come to: shares found with exact intervals, void where the detector is not calibrated."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from audit.core.evaluators import About
from audit.core.measurements import Evidence, Group, Outcome
from audit.recipes.marked_images import MARKED, TOO_SMALL, WRONG, continuous
from audit.stats.clusters import clustered_mean
from audit.stats.proportions import clopper_pearson
from audit.stats.uniformity import kolmogorov

RATE, UNIFORM = 1e-3, 1e-4
NOT_NAMED = 'no mark is named that the outputs should carry; write own = ["NAME:KEY"] for this evaluator'
Tests = Sequence[Mapping[str, Any]]


def judged(
    about: About,
    name: str,
    rows: Tests,
    shares: Mapping[str, tuple[str, int]],
    nothing: str,
    lacking: str,
    more: tuple[Evidence, ...] = (),
) -> Iterator[Outcome]:
    """Yield each of ``shares`` (a metric and the case and strength it is of, 0 for the largest), then ``false_alarms``.

    ``nothing`` says why there may be no test at all, ``lacking`` why one of a case. The first share has the table of all
    cases, and ``more``, for evidence.
    """
    group: Group = (("mark", name),)
    wrong = [row for row in rows if row["case"] == WRONG]
    if not wrong:
        yield from (about.undefined(metric, nothing, group) for metric in (*shares, "false_alarms"))
        return
    uniform = kolmogorov(continuous(rows))
    for i, (metric, (case, strength)) in enumerate(shares.items()):
        tried = [row for row in rows if row["case"] == case]
        wanted = strength or max((row["strength"] for row in tried), default=0)
        p = [row["p"] for row in tried if row["strength"] == wanted]
        if not p or uniform < UNIFORM:
            yield about.undefined(metric, _void(uniform) if p else lacking, group)
            continue
        hits = sum(value <= RATE for value in p)
        shown = () if i else (table(name, rows), *more)
        yield about.measurement(
            metric, hits / len(p), clopper_pearson(hits, len(p)), len(p), group=group, evidence=shown
        )
    alarms = sum(row["p"] <= RATE for row in wrong)
    said = f"Uniform under wrong keys: Kolmogorov-Smirnov p = {uniform:.3g} over {len(wrong):,} tests."
    interval = clopper_pearson(alarms, len(wrong))
    yield about.measurement(
        "false_alarms", alarms / len(wrong), interval, len(wrong), group=group, notes=(said,)
    )


def quality(about: About, name: str, rows: Tests) -> Outcome:
    """Return the mean PSNR of marked outputs."""
    group: Group = (("mark", name),)
    values = np.array([row["psnr"] for row in rows if row["case"] == MARKED])
    if len(values) < 2:
        return about.undefined("psnr", "it takes two outputs" if len(values) else TOO_SMALL, group)
    value, interval = clustered_mean(values, np.arange(len(values)))
    return about.measurement("psnr", value, interval, len(values), group=group)


def presence(about: About, own: Mapping[str, Tests], marked: bool) -> Iterator[Outcome]:
    """Yield in what share of the outputs each own mark is found; void where its detector is not calibrated."""
    if not own and marked:
        yield about.undefined("present", NOT_NAMED)
    for name, rows in own.items():
        group: Group = (("mark", name.partition(":")[0]),)
        tests = [row for row in rows if row["case"] == MARKED]
        uniform = kolmogorov(continuous(rows)) if tests else 1.0
        if not tests or uniform < UNIFORM:
            yield about.undefined("present", _void(uniform) if tests else TOO_SMALL, group)
            continue
        hits = sum(row["p"] <= RATE for row in tests)
        yield about.measurement(
            "present", hits / len(tests), clopper_pearson(hits, len(tests)), len(tests), group=group
        )


def _void(uniform: float) -> str:
    return f"void: p-values under wrong keys are not uniform (p = {uniform:.2g})"


def table(name: str, rows: Tests) -> Evidence:
    """Return the share found after each attack and strength, with the quality of the picture."""
    import pyarrow as pa

    lines = []
    tried = dict.fromkeys((row["case"], row["strength"]) for row in rows if row["case"] != WRONG)
    for attack, strength in tried:
        tests = [row for row in rows if (row["case"], row["strength"]) == (attack, strength)]
        hits = sum(row["p"] <= RATE for row in tests)
        interval = clopper_pearson(hits, len(tests))
        qualities = [row["psnr"] for row in tests if row["psnr"]]
        lines.append(
            {
                "attack": f"{attack} {strength}" if strength else attack,
                "outputs": len(tests),
                "found": f"{hits / len(tests):.3f} ({interval.low:.3f} to {interval.high:.3f})",
                "PSNR in dB": f"{np.mean(qualities):.1f}" if qualities else "",
            }
        )
    return Evidence("table", f"{name}: share found after attacks", pa.Table.from_pylist(lines), False)
