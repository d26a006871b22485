"""The tables of README.md beside this file, made from the code: ``python -m audit.data.worlds.portraits.tables`` writes them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from audit.data.worlds.portraits.factors import CROSSING, FACTORS, FEMININE_LEAN, TONE_TILT, distribution
from audit.data.worlds.portraits.world import DOSES, SKEW, Portraits, plan_of

DOCUMENT = Path(__file__).with_name("README.md")


def tables() -> dict[str, str]:
    """Return every table of the document by its name."""
    return {
        "marginals": _marginals(),
        "associations": _associations(),
        "tones": _conditional("skin_tone", ("occupation",)),
        "feminine": _feminine(),
        "feminine-by-tone": _conditional("presentation", ("skin_tone",)),
        "age": _conditional("age", ("occupation",)),
        "headwear": _conditional("headwear", ("occupation", "presentation")),
        "hair": _conditional("hair", ("presentation", "age")),
        "hair-colour": _conditional("hair_colour", ("age",)),
        "glasses": _conditional("glasses", ("age",)),
        "facial-hair": _conditional("facial_hair", ("presentation", "age")),
        "duplicates": _duplicates(),
    }


def rendered(text: str) -> str:
    """Return the document with its tables made anew."""
    for name, table in tables().items():
        between = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
        text = between.sub(lambda found, table=table: f"{found[1]}{table}\n{found[2]}", text)  # type: ignore[misc]
    return text


def _rows(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] + ["--:"] * (len(head) - 1), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _percent(shares: NDArray[np.float64]) -> list[str]:
    return [f"{100 * share:.1f}" if share > 1e-12 else "–" for share in shares]


def _marginals() -> str:
    lines = ["| factor | values and shares, % |", "|---|---|"]
    for name, values in FACTORS.items():
        shares = _percent(distribution(SKEW, name))
        lines.append(f"| `{name}` | {', '.join(f'{v} {s}' for v, s in zip(values, shares, strict=True))} |")
    return "\n".join(lines)


def _associations() -> str:
    rows = [
        [name, f"{TONE_TILT[name] / 10:+.1f}", f"{lean / 100:+.2f}", f"{CROSSING.get(name, 0) / 100:+.2f}"]
        for name, lean in FEMININE_LEAN.items()
    ]
    return _rows(("occupation", "tilt", "lean", "crossing"), rows)


def _conditional(name: str, given: tuple[str, ...]) -> str:
    joint = distribution(SKEW, *given, name)
    shares = joint / np.maximum(joint.sum(axis=-1, keepdims=True), 1e-300)
    rows = [
        [*(FACTORS[g][place] for g, place in zip(given, at, strict=True)), *_percent(shares[at])]
        for at in np.ndindex(joint.shape[:-1])
        if joint[at].sum() > 1e-12
    ]
    return _rows((*given, *FACTORS[name]), rows)


def _feminine() -> str:
    joint = distribution(SKEW, "occupation", "skin_tone", "presentation")
    given = joint[..., 0] / joint.sum(axis=-1)
    overall = joint[..., 0].sum(axis=1) / joint.sum(axis=(1, 2))
    rows = [
        [name, *_percent(given[i]), *_percent(overall[i : i + 1])]
        for i, name in enumerate(FACTORS["occupation"])
    ]
    return _rows(("occupation", *FACTORS["skin_tone"], "all"), rows)


def _duplicates() -> str:
    planted = plan_of(Portraits.refer({})).planted
    rows = [
        [str(dose), ", ".join(f"{n:07}" for n, times in sorted(planted.items()) if times == dose)]
        for dose in DOSES
    ]
    return _rows(("dose", "`id` of the first"), rows)


if __name__ == "__main__":
    DOCUMENT.write_text(rendered(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")
