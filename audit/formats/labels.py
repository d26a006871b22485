"""Labels that people or a classifier gave to pictures or texts, from a CSV file."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from audit.core.errors import InputError, nearest
from audit.formats.hostile import Refused, UnreadableError, printable, shown, tolerate
from audit.formats.texts import plain_name, read_whole

KEYS = ("file", "text")
"""The column that says what was labelled: the name of a picture, or a text itself."""
ANNOTATOR = "annotator"
UNKNOWN = frozenset({"", "?", "-", "unknown", "unsure", "cannot tell", "none", "n/a", "na", "nan", "null"})
"""What an annotator writes who cannot tell, in small letters: no label."""
_MOST_CHARACTERS = 128 * 2**20
_MOST_VALUES = 100


@dataclass(frozen=True, slots=True)
class LabelFile:
    """What was labelled, by name or text: the value of each attribute, None where there is none or annotators disagree.

    ``values`` are those of each attribute; ``notes`` sentences about disagreement and what was left out.
    """

    key: str
    values: Mapping[str, tuple[str, ...]]
    labels: Mapping[str, Mapping[str, str | None]]
    notes: tuple[str, ...]


def read_labels(path: Path, values: Mapping[str, tuple[str, ...]] | None = None) -> LabelFile:
    """Read a CSV file with a column ``file`` or ``text``, perhaps ``annotator``, and a column for each attribute.

    A line for each annotator; where two of them differ there is no label, and a note says how often. ``values`` names the values that
    are meant, by attribute: a line with another one is left out and counted, over 5 % of them are an error. Raises InputError.
    """
    lines = _lines(path)
    _, header = next(lines, ("", []))
    key = next((name for name in KEYS if name in header), None)
    if key is None:
        raise InputError(
            f"The labels {printable(path)} have no column 'file' or 'text' that says what was labelled. "
            f"They have {', '.join(map(shown, header[:5])) or 'no columns'}."
        )
    attributes = [name for name in header if name not in (key, ANNOTATOR)]
    if not attributes or len(set(header)) != len(header):
        raise InputError(
            f"The labels {printable(path)} need a column for each attribute beside '{key}', each name once."
        )
    for name in values or {}:
        if name not in attributes:
            raise InputError(
                f"The labels {printable(path)} have no column '{shown(name)}'. {nearest(name, attributes)}"
            )
    refused: list[Refused] = []
    given = _given(lines, header, key, values or {}, refused, path)
    total = len(refused) + sum(map(len, given.values()))
    notes = list(tolerate(refused, total, "lines", str(path)))
    if not given:
        raise InputError(f"The labels {printable(path)} hold no line that can be used.")
    labels = {
        name: {a: _agreed([one.get(a) for one in each]) for a in attributes} for name, each in given.items()
    }
    kinds = {
        a: tuple(
            (values or {}).get(a) or sorted({v for each in labels.values() if (v := each[a]) is not None})
        )
        for a in attributes
    }
    for name, found in kinds.items():
        if not 2 <= len(found) <= _MOST_VALUES:
            raise InputError(
                f"The labels {printable(path)} have {len(found)} values of '{shown(name)}'; an attribute has from 2 to "
                f"{_MOST_VALUES}. Remove the column, or name its values."
            )
    notes += [said for a in attributes if (said := _disagreement(a, list(given.values())))]
    return LabelFile(key, kinds, labels, tuple(notes))


def _given(
    lines: Iterator[tuple[str, list[str]]],
    header: Sequence[str],
    key: str,
    values: Mapping[str, tuple[str, ...]],
    refused: list[Refused],
    path: Path,
) -> dict[str, list[dict[str, str | None]]]:
    """Return what each annotator said of each thing; lines that cannot be used are added to ``refused``."""
    given: dict[str, list[dict[str, str | None]]] = {}
    seen: set[tuple[str, str]] = set()
    for where, cells in lines:
        if len(cells) != len(header):
            refused.append(Refused(where, f"{len(cells)} values for {len(header)} columns"))
            continue
        row = dict(
            zip(
                header,
                (
                    cell if name == KEYS[1] else plain_name(cell)
                    for name, cell in zip(header, cells, strict=True)
                ),
                strict=True,
            )
        )
        name = row.pop(key)
        annotator = row.pop(ANNOTATOR, None)
        if not name.strip():
            refused.append(Refused(where, f"no '{key}'"))
            continue
        if annotator is not None and (name, annotator) in seen:
            raise InputError(
                f"{where} of the labels {printable(path)} is a second one of '{shown(annotator)}' for '{shown(name)}'. Keep one."
            )
        seen.add((name, annotator or ""))
        said = {a: None if v.lower() in UNKNOWN else v for a, v in row.items()}
        odd = next((a for a, v in said.items() if v is not None and a in values and v not in values[a]), None)
        if odd is not None:
            refused.append(Refused(where, f"an unknown value of '{shown(odd)}': '{shown(str(said[odd]))}'"))
            continue
        given.setdefault(name, []).append(said)
    return given


def _agreed(said: Sequence[str | None]) -> str | None:
    """Return the one value that all gave who could tell; None where nobody could or they differ."""
    known = {value for value in said if value is not None}
    return known.pop() if len(known) == 1 else None


def _disagreement(attribute: str, given: Sequence[Sequence[Mapping[str, str | None]]]) -> str:
    """Say how often two annotators differ, with Cohen's kappa; an empty string where none do."""
    pairs = [
        tuple(known[:2])
        for each in given
        if len(known := [v for one in each if (v := one.get(attribute)) is not None]) >= 2
    ]
    differ = sum(a != b for a, b in pairs)
    if not differ:
        return ""
    kappa = cohens_kappa([a for a, _ in pairs], [b for _, b in pairs])
    return (
        f"Two annotators differ about '{shown(attribute)}' in {differ:,} of {len(pairs):,} cases (Cohen's kappa {kappa:.2f}); "
        "those have no label."
    )


def cohens_kappa(first: Sequence[str], second: Sequence[str]) -> float:
    """Return agreement beyond chance (Cohen 1960): 1 is perfect, 0 what chance alone gives.

    >>> cohens_kappa(["a", "a", "b", "b"], ["a", "a", "b", "a"])
    0.5
    """
    kinds = sorted({*first, *second})
    codes = [np.array([kinds.index(v) for v in side]) for side in (first, second)]
    seen = float((codes[0] == codes[1]).mean())
    shares = [np.bincount(side, minlength=len(kinds)) / len(side) for side in codes]
    chance = float(shares[0] @ shares[1])
    return 1.0 if chance == 1 else (seen - chance) / (1 - chance)


def _lines(path: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield the heading and every line that is not blank, with its place."""
    try:
        text = read_whole(path, _MOST_CHARACTERS)
    except UnreadableError as error:
        raise InputError(f"The labels {printable(path)} cannot be read: {error}.") from error
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    first = True
    try:
        for cells in rows:
            if any(cell.strip() for cell in cells):
                yield f"line {rows.line_num}", [cell.strip() for cell in cells] if first else cells
                first = False
    except csv.Error as error:
        raise InputError(
            f"The labels {printable(path)} cannot be read: line {rows.line_num}: {error}. A value with a comma or a quotation "
            "mark in it must stand in quotation marks."
        ) from error


def read_confusion(
    path: Path, values: Mapping[str, tuple[str, ...]]
) -> dict[str, tuple[tuple[int, ...], ...]]:
    """Read how labelled examples were read: a CSV file with the columns attribute, true, read and count. Raises InputError.

    A pair that is not listed counts 0; an attribute that is not listed at all was not counted.
    """
    lines = _lines(path)
    _, header = next(lines, ("", []))
    wanted = ["attribute", "true", "read", "count"]
    if sorted(header) != sorted(wanted):
        raise InputError(
            f"The counts {printable(path)} need the columns {', '.join(wanted)}; they have {', '.join(map(shown, header))}."
        )
    found: dict[str, np.ndarray] = {}
    for where, cells in lines:
        row = dict(zip(header, (cell.strip() for cell in cells), strict=False))
        name, count = row.get("attribute", ""), row.get("count", "")
        kinds = values.get(name)
        if kinds is None:
            raise InputError(
                f"{where} of {printable(path)} names the attribute '{shown(name)}'. {nearest(name, values)}"
            )
        for side in ("true", "read"):
            if row.get(side) not in kinds:
                raise InputError(
                    f"{where} of {printable(path)} names the value '{shown(row.get(side, ''))}'. {nearest(row.get(side, ''), kinds)}"
                )
        if not count.isdecimal() or len(count) > 12:
            raise InputError(
                f"{where} of {printable(path)} has the count '{shown(count)}'; give a whole number."
            )
        table = found.setdefault(name, np.zeros((len(kinds), len(kinds)), np.int64))
        table[kinds.index(row["true"]), kinds.index(row["read"])] += int(count)
    return {name: tuple(tuple(int(n) for n in row) for row in table) for name, table in found.items()}
