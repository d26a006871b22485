"""Where personal data stand in texts: e-mail addresses, phone numbers, cards, bank accounts; each kept as a hash.

What looks like such a thing counts only if its checksum is right, where it has one. A value is hashed before it is stored,
so that an artifact of this kind can be compared and not read. A hash hides what cannot be guessed; a phone number can be.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from audit.core.recipes import Context, Recipe, Shards
from audit.core.rows import Rows


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of personal data: what it looks like, what it is reduced to, and whether that is one at all."""

    name: str
    pattern: re.Pattern[str]
    reduced: Callable[[str], str]
    valid: Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class Datum:
    """One occurrence: ``text[start:stop]`` is of the kind with this number and, written in one way, ``value``."""

    kind: int
    start: int
    stop: int
    value: str


def luhn(digits: str) -> bool:
    """Say whether a number passes the check of Luhn (ISO/IEC 7812-1, annex B).

    >>> luhn("4111111111111111"), luhn("4111111111111112")
    (True, False)
    """
    doubled = (int(d) * (1 + place % 2) for place, d in enumerate(reversed(digits)))
    return sum(value - 9 if value > 9 else value for value in doubled) % 10 == 0


def mod97(account: str) -> bool:
    """Say whether an account number passes the check of ISO 7064, MOD 97-10, and has its country's length.

    >>> mod97("DE89370400440532013000"), mod97("DE89370400440532013001")
    (True, False)
    """
    if len(account) != _ACCOUNT_LENGTHS.get(account[:2]):
        return False
    return int("".join(str(int(c, 36)) for c in account[4:] + account[:4])) % 97 == 1


def _digits(text: str) -> str:
    return re.sub(r"\D", "", text)


def _phone(digits: str) -> bool:
    return 8 <= len(digits) <= 15 and len(set(digits)) > 2


def _card(digits: str) -> bool:
    return 13 <= len(digits) <= 19 and digits[0] != "0" and len(set(digits)) > 1 and luhn(digits)


def _social(digits: str) -> bool:
    area, middle, serial = digits[:3], digits[3:5], digits[5:]
    return area not in ("000", "666") and area[0] != "9" and middle != "00" and serial != "0000"


_ACCOUNT_LENGTHS = {
    country: length
    for length, countries in {
        15: "NO", 16: "BE", 18: "DK FI FO GL NL", 19: "MK SI", 20: "AT BA EE KZ LT LU XK", 21: "CH HR LI LV",
        22: "BG BH CR DE GB GE IE ME RS VA", 23: "AE GI IL IQ TL", 24: "AD CZ ES MD PK RO SA SE SK TN VG",
        25: "PT", 26: "IS TR", 27: "FR GR IT MC MR SM", 28: "AL AZ CY DO GT HU LB PL", 29: "BR PS QA UA",
        30: "JO KW MU", 31: "MT SC", 32: "LC",
    }.items()
    for country in countries.split()
}  # fmt: skip
"""Characters of an account number by country (ISO 13616)."""

KINDS = (
    Kind(
        "email",
        re.compile(r"(?<![\w.%+-])[\w.%+-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24}(?![\w-])"),
        str.lower,
        lambda value: ".." not in value,
    ),
    Kind(
        "phone",
        re.compile(
            r"(?<![\w+.-])(?:\+\d[\d ()./-]{5,20}\d|(?:\(\d{3}\) ?|\d{3}[ .-])\d{3}[ .-]\d{4})(?![\w-])"
        ),
        _digits,
        _phone,
    ),
    Kind("card", re.compile(r"(?<![\w.+-])\d(?:[ -]?\d){12,18}(?![\w-])"), _digits, _card),
    Kind(
        "iban",
        re.compile(r"(?<![A-Za-z0-9])[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?(?![A-Za-z0-9])"),
        lambda text: text.replace(" ", ""),
        mod97,
    ),
    Kind("us_ssn", re.compile(r"(?<![\w-])\d{3}-\d{2}-\d{4}(?![\w-])"), _digits, _social),
)
NAMES = tuple(kind.name for kind in KINDS)


def personal_data(text: str) -> list[Datum]:
    """Return what personal data a text states, in order; of several that overlap the first kind's."""
    found, taken = list[Datum](), bytearray(len(text))
    for number, kind in enumerate(KINDS):
        for match in kind.pattern.finditer(text):
            value = kind.reduced(match[0])
            start, stop = match.span()
            if kind.valid(value) and not any(taken[start:stop]):
                found.append(Datum(number, start, stop, value))
                taken[start:stop] = b"\1" * (stop - start)
    return sorted(found, key=lambda datum: datum.start)


@dataclass(frozen=True, slots=True)
class PersonalData:
    """All personal data of ``texts`` texts: of which row, which kind, which characters, and the hash of what."""

    row: NDArray[np.int64]
    kind: NDArray[np.int64]
    start: NDArray[np.int64]
    stop: NDArray[np.int64]
    value: NDArray[np.uint64]
    texts: int

    @classmethod
    def of(cls, texts: Sequence[str]) -> PersonalData:
        found = [(row, datum) for row, text in enumerate(texts) for datum in personal_data(text)]
        columns = [(row, d.kind, d.start, d.stop) for row, d in found]
        row, kind, start, stop = np.array(columns, np.int64).reshape(-1, 4).T
        values = np.array([hashed(d.kind, d.value) for _, d in found], np.uint64)
        return cls(row.copy(), kind.copy(), start.copy(), stop.copy(), values, len(texts))


def hashed(kind: int, value: str) -> int:
    """Return 64 bits that stand for a value of a kind."""
    return int.from_bytes(hashlib.blake2b(f"{NAMES[kind]}:{value}".encode(), digest_size=8).digest(), "big")


@dataclass(frozen=True)
class FindPersonalData(Recipe[PersonalData]):
    """The personal data in the texts of each shard; where rows have a ``prefix``, it is not searched."""

    kind: ClassVar[str] = "personal-data"
    along: ClassVar[tuple[str, ...]] = ("source",)
    source: Recipe[Rows]

    @property
    def label(self) -> str:
        return f"personal data in {self.source.label}"

    def make(self, context: Context, source: Rows) -> PersonalData:
        return PersonalData.of([text or "" for text in source.column("text").to_pylist()])


def numbered(shards: Shards[PersonalData]) -> Iterator[tuple[int, PersonalData]]:
    """Yield each shard with the number of its first text among all of them."""
    start = 0
    for shard in shards:
        yield start, shard
        start += shard.texts
