"""Canaries from a JSONL file: which secrets were made for the training data, and which of them were put in how often."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from audit.core.errors import InputError
from audit.core.identity import Digest, canonical, digest_of
from audit.core.rows import PREFIX, Rows, text_rows
from audit.formats.hostile import Refused, UnreadableError, printable, shown
from audit.formats.texts import checked, records

CANARIES = "canaries"
"""The option that names the file, and the split that its rows make."""
_MOST_CANARIES = 100_000
_MOST_DOSE = 1_000_000
_MOST_CHARACTERS = 100_000


@dataclass(frozen=True, slots=True)
class FiledCanary:
    """``prefix`` + ``secret`` stands ``dose`` times in the training data if ``included``, else nowhere."""

    prefix: str
    secret: str
    dose: int
    included: bool


def read_canaries(path: Path) -> tuple[FiledCanary, ...]:
    """Return the canaries of a file, one object a line with ``prefix``, ``text``, ``dose`` and ``included``, in its order.

    ``prefix`` may be left out, and so may ``dose`` where ``included`` is false. Raise InputError on anything else: a
    list of canaries is written by a program, and one wrong line makes every rank wrong.
    """
    refused: list[Refused] = []
    found: list[FiledCanary] = []
    for number, record in records(path, _MOST_CHARACTERS, refused):
        try:
            found.append(_canary(record))
        except UnreadableError as error:
            refused.append(Refused(f"line {number}", str(error)))
        if len(found) > _MOST_CANARIES:
            raise InputError(f"{printable(path)} has more than {_MOST_CANARIES:,} canaries. Give fewer.")
    wanted = '{"prefix": "The code is", "text": " 1234.", "dose": 4, "included": true}'
    if refused:
        first = refused[0]
        raise InputError(f"{printable(path)}, {first.name}: {first.reason}. A line is like {wanted}.")
    if not found:
        raise InputError(f"{printable(path)} holds no canaries. A line is like {wanted}.")
    texts = [canary.prefix + canary.secret for canary in found]
    if len(set(texts)) != len(texts):
        raise InputError(
            f"{printable(path)} has a canary twice. Give each once; 'dose' says how often it was put in."
        )
    return tuple(found)


def canaries_digest(canaries: Sequence[FiledCanary]) -> Digest:
    """Name the canaries by what they say."""
    return digest_of(canonical([(c.prefix, c.secret, c.dose, c.included) for c in canaries]))


def canary_rows(canaries: Sequence[FiledCanary]) -> Rows:
    """Return the rows of the split ``canaries``."""
    columns: dict[str, list[Any]] = {
        PREFIX: [c.prefix for c in canaries],
        "dose": [c.dose for c in canaries],
        "included": [c.included for c in canaries],
    }
    return text_rows([c.secret for c in canaries], **columns)


def _canary(record: dict[str, Any]) -> FiledCanary:
    prefix, included = record.get("prefix", ""), record.get("included")
    if prefix != "":
        prefix = checked(prefix, _MOST_CHARACTERS)
    if not isinstance(included, bool):
        raise UnreadableError(f"'included' is {shown(str(included))}, neither true nor false")
    dose = record.get("dose", 1 if included else 0)
    if isinstance(dose, bool) or not isinstance(dose, int) or not int(included) <= dose <= _MOST_DOSE:
        raise UnreadableError(f"'dose' is {shown(str(dose))}, no whole number of copies")
    return FiledCanary(prefix, checked(record.get("text"), _MOST_CHARACTERS), dose, included)
